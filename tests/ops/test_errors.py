"""Bad input: every error names the operator and every shape, is of the right class, and leaves the
graph as it was.
"""

import re

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

SHAPE, DTYPE = mg.ShapeError, mg.DTypeError


def f(*shape, dtype=np.float32):
    return mg.Variable(np.ones(shape), dtype=dtype)


def whole(*shape):
    return mg.Constant(np.ones(shape, int), dtype=np.int64)


BAD = [  # (call, class, operator, shapes)
    (lambda: f(2) + f(3), SHAPE, "add", "(2,) and (3,)"),
    (lambda: f(2, 3) * np.ones((3, 2)), SHAPE, "multiply", "(2, 3) and (3, 2)"),
    (lambda: f(2) + f(2, dtype=np.float64), DTYPE, "add", "(2,) and (2,)"),
    (lambda: f(2) * whole(2), DTYPE, "multiply", "(2,) and (2,)"),
    (lambda: mg.exp(whole(2)), DTYPE, "exp", "(2,)"),
    (lambda: f(2) + None, DTYPE, "add", "(2,) and NoneType"),
    (lambda: f(2) + "one", DTYPE, "add", "(2,) and str"),
    (lambda: f(2) * 1j, DTYPE, "multiply", "(2,) and complex"),
    (lambda: f(2) * np.ones(2, complex), DTYPE, "multiply", "(2,) and (2,)"),
    (lambda: f(2) * np.array([{}, {}]), DTYPE, "multiply", "(2,) and (2,)"),
    (lambda: mg.add([[1], [1, 2]], f(2)), SHAPE, "add", "list and (2,)"),
    (lambda: mg.where(f(2), f(3), f(4)), SHAPE, "where", "(2,) and (3,) and (4,)"),
    (lambda: mg.clip(f(2), "low"), DTYPE, "clip", "(2,)"),
    (lambda: mg.clip(f(2), f()), DTYPE, "clip", "(2,)"),
    (lambda: mg.add(f(2)), TypeError, "add", "missing a required argument: 'b'"),
    (lambda: mg.relu(f(2), 3), TypeError, "relu", "too many positional arguments"),
    (lambda: mg.clip(f(2), lower=3), TypeError, "clip", "unexpected keyword argument 'lower'"),
    (lambda: f(2, 3).sum(axis=2), SHAPE, "sum", "(2, 3)"),
    (lambda: f(2, 3).mean(axis=(0, -2)), SHAPE, "mean", "(2, 3)"),
    (lambda: f(2, 3).max(axis=1.0), SHAPE, "max", "(2, 3)"),
    (lambda: whole(2).sum(), DTYPE, "sum", "(2,)"),
    (lambda: f(0, 3).max(axis=0), SHAPE, "max", "(0, 3)"),
    (lambda: mg.softmax(f()), SHAPE, "softmax", "()"),
    (lambda: mg.softmax(f(2, 3), axis=(0, 1)), SHAPE, "softmax", "(2, 3)"),
    (lambda: mg.log_softmax(whole(2)), DTYPE, "log_softmax", "(2,)"),
    (lambda: f(2, 3).reshape(4, -1), SHAPE, "reshape", "(2, 3)"),
    (lambda: f(2, 3).reshape("flat"), SHAPE, "reshape", "(2, 3)"),
    (lambda: f(2, 3).transpose(0, 0), SHAPE, "transpose", "(2, 3)"),
    (lambda: f(2, 3).transpose(0), SHAPE, "transpose", "(2, 3)"),
    (lambda: f(2, 3)[2], IndexError, "getitem", "(2, 3)"),
    (lambda: f(2, 3)[0, 0, 0], IndexError, "getitem", "(2, 3)"),
    (lambda: f(2, 3)[[0.5]], IndexError, "getitem", "(2, 3)"),
    (lambda: f(2, 3)[np.zeros(3, bool)], IndexError, "getitem", "(2, 3)"),
    (lambda: f(2, 3)["a"], IndexError, "getitem", "(2, 3)"),
    (lambda: mg.concatenate([f(2), f(2, 2)]), SHAPE, "concatenate", "(2,) and (2, 2)"),
    (lambda: mg.concatenate([f(2), f(2)], axis=1), SHAPE, "concatenate", "(2,) and (2,)"),
    (lambda: mg.concatenate([f(2), f(2)], axis=None), SHAPE, "concatenate", "(2,) and (2,)"),
    (lambda: mg.concatenate([]), SHAPE, "concatenate", "at least one"),
    (lambda: mg.stack([f(2), f(3)]), SHAPE, "stack", "(2,) and (3,)"),
    (lambda: mg.pad(f(2, 3), -1), SHAPE, "pad", "(2, 3)"),
    (lambda: mg.pad(f(2, 3), ((1, 2),) * 3), SHAPE, "pad", "(2, 3)"),
    (lambda: mg.pad(f(2, 3), 1.5), SHAPE, "pad", "(2, 3)"),
    (lambda: mg.pad(f(2, 3), 1, "edge"), DTYPE, "pad", "(2, 3)"),
    (lambda: mg.broadcast_to(f(2, 3), (3, 2)), SHAPE, "broadcast_to", "(2, 3)"),
    (lambda: f(2, 3) @ f(2, 3), SHAPE, "matmul", "(2, 3) and (2, 3)"),
    (lambda: f(2, 3) @ f(), SHAPE, "matmul", "(2, 3) and ()"),
    (lambda: f(2, 2, 3) @ f(3, 3, 2), SHAPE, "matmul", "(2, 2, 3) and (3, 3, 2)"),
    (lambda: whole(2, 3) @ f(3), DTYPE, "matmul", "(2, 3) and (3,)"),
    (lambda: mg.linear(f(2, 3), f(3, 4)), SHAPE, "linear", "(2, 3) and (3, 4)"),
    (lambda: mg.linear(f(2, 3), f(4, 3), f(3)), SHAPE, "linear", "(2, 3) and (4, 3) and (3,)"),
    (lambda: mg.conv2d(f(2, 3, 5), f(4, 3, 2, 2)), SHAPE, "conv2d", "(2, 3, 5) and (4, 3, 2, 2)"),
    (
        lambda: mg.conv2d(f(1, 3, 5, 5), f(4, 2, 2, 2)),
        SHAPE,
        "conv2d",
        "(1, 3, 5, 5) and (4, 2, 2, 2)",
    ),
    (
        lambda: mg.conv2d(f(1, 3, 5, 5), f(4, 1, 2, 2), groups=2),
        SHAPE,
        "conv2d",
        "(1, 3, 5, 5) and (4, 1, 2, 2)",
    ),
    (
        lambda: mg.conv2d(f(1, 4, 5, 5), f(3, 2, 2, 2), groups=2),
        SHAPE,
        "conv2d",
        "(1, 4, 5, 5) and (3, 2, 2, 2)",
    ),
    (
        lambda: mg.conv2d(f(1, 1, 2, 9), f(1, 1, 5, 2), padding=1),
        SHAPE,
        "conv2d",
        "(1, 1, 2, 9) and (1, 1, 5, 2)",
    ),
    (
        lambda: mg.conv2d(f(1, 1, 3, 3), f(2, 1, 2, 2), f(3)),
        SHAPE,
        "conv2d",
        "(1, 1, 3, 3) and (2, 1, 2, 2) and (3,)",
    ),
    (
        lambda: mg.conv2d(f(1, 1, 3, 3), f(1, 1, 2, 2), stride=0),
        ValueError,
        "conv2d",
        "(1, 1, 3, 3) and (1, 1, 2, 2)",
    ),
    (
        lambda: mg.conv2d(f(1, 1, 3, 3), f(1, 1, 2, 2), padding=-1),
        ValueError,
        "conv2d",
        "padding=-1",
    ),
    (
        lambda: mg.conv2d(f(1, 1, 3, 3), f(1, 1, 2, 2), dilation=(1, 2, 3)),
        ValueError,
        "conv2d",
        "dilation=(1, 2, 3)",
    ),
    (
        lambda: mg.conv2d(f(1, 1, 3, 3), f(1, 1, 2, 2), stride=1.5),
        ValueError,
        "conv2d",
        "stride=1.5",
    ),
    (lambda: mg.conv2d(f(1, 1, 3, 3), f(1, 1, 2, 2), groups=0), ValueError, "conv2d", "groups=0"),
    (
        lambda: mg.conv2d(whole(1, 1, 3, 3), f(1, 1, 2, 2)),
        DTYPE,
        "conv2d",
        "(1, 1, 3, 3) and (1, 1, 2, 2)",
    ),
    (lambda: mg.conv1d(f(1, 2, 3), f(1, 2, 4)), SHAPE, "conv1d", "(1, 2, 3) and (1, 2, 4)"),
    (lambda: mg.max_pool2d(f(2, 3, 4), 2), SHAPE, "max_pool2d", "(2, 3, 4)"),
    (lambda: mg.max_pool2d(f(1, 1, 2, 2), 3), SHAPE, "max_pool2d", "(1, 1, 2, 2)"),
    (lambda: mg.max_pool2d(f(1, 1, 4, 4), 2, padding=2), ValueError, "max_pool2d", "(1, 1, 4, 4)"),
    (lambda: mg.avg_pool2d(f(1, 1, 4, 4), 0), ValueError, "avg_pool2d", "(1, 1, 4, 4)"),
    (lambda: mg.avg_pool1d(whole(1, 1, 4), 2), DTYPE, "avg_pool1d", "(1, 1, 4)"),
    (lambda: mg.embedding([0.5], f(3, 2)), DTYPE, "embedding", "(1,) and (3, 2)"),
    (lambda: mg.embedding(["a"], f(3, 2)), DTYPE, "embedding", "list and (3, 2)"),
    (lambda: mg.embedding([[0], [1, 2]], f(3, 2)), SHAPE, "embedding", "list and (3, 2)"),
    (lambda: mg.embedding([True], f(3, 2)), DTYPE, "embedding", "(1,) and (3, 2)"),
    (lambda: mg.embedding([0], f(3)), SHAPE, "embedding", "(1,) and (3,)"),
    (lambda: mg.embedding([0], whole(3, 2)), DTYPE, "embedding", "(1,) and (3, 2)"),
    (
        lambda: mg.rnn(f(3, 2, 4), f(2, 5), f(5, 4), f(5, 4), f(5), f(5)),
        SHAPE,
        "rnn",
        "(3, 2, 4) and (2, 5) and (5, 4) and (5, 4) and (5,) and (5,)",
    ),
    (
        lambda: mg.rnn(f(3, 2, 4), f(2, 5), f(5, 4), f(5, 5), f(5), f(5), "sinh"),
        ValueError,
        "rnn",
        "(3, 2, 4) and (2, 5) and (5, 4) and (5, 5) and (5,) and (5,)",
    ),
    (
        lambda: mg.batch_norm(f(1, 3), None, None, training=True),
        SHAPE,
        "batch_norm",
        "(1, 3); more than one value",
    ),
    (lambda: mg.batch_norm(f(2), None, None, training=True), SHAPE, "batch_norm", "(2,)"),
    (
        lambda: mg.batch_norm(f(2, 3), None, None, f(2), f(2), True),
        SHAPE,
        "batch_norm",
        "(2, 3) and (2,) and (2,)",
    ),
    (lambda: mg.batch_norm(f(2, 3)), ValueError, "batch_norm", "(2, 3); running_mean=None"),
    (
        lambda: mg.batch_norm(f(2, 3), nn.Buffer(np.ones(3)), training=True),
        ValueError,
        "batch_norm",
        "running_var=None",
    ),
    (
        lambda: mg.batch_norm(f(2, 3), np.ones(2), np.ones(2)),
        SHAPE,
        "batch_norm",
        "running_mean has shape (2,)",
    ),
    (
        lambda: mg.batch_norm(f(2, 3), np.ones(3), np.ones(3), training=True),
        TypeError,
        "batch_norm",
        "a ndarray; a Buffer",
    ),
    (
        lambda: mg.batch_norm(f(2, 3), f(3), f(3)),
        TypeError,
        "batch_norm",
        "is a Variable; a Buffer or an array",
    ),
    (
        lambda: mg.batch_norm(f(2, 3), *[nn.Buffer(np.ones(3), dtype=np.float64)] * 2),
        DTYPE,
        "batch_norm",
        "is float64",
    ),
    (
        lambda: mg.batch_norm(f(2, 3), np.ones(3), np.ones(3), eps=-1),
        ValueError,
        "batch_norm",
        "eps=-1; a number ≥ 0",
    ),
    (
        lambda: mg.batch_norm(f(2, 3), np.ones(3), np.ones(3), momentum=None),
        ValueError,
        "batch_norm",
        "momentum=None",
    ),
    (
        lambda: mg.batch_norm(f(2, 3), training=True, num_batches_tracked=nn.Buffer(0.0)),
        ValueError,
        "batch_norm",
        "int64",
    ),
    (lambda: mg.batch_norm(whole(2, 3), None, None, training=True), DTYPE, "batch_norm", "(2, 3)"),
    (lambda: mg.layer_norm(f(2, 3), 2), SHAPE, "layer_norm", "(2, 3); normalized_shape=2"),
    (lambda: mg.layer_norm(f(2, 3), (2, 3), f(3)), SHAPE, "layer_norm", "(2, 3) and (3,)"),
    (lambda: mg.layer_norm(f(3), (2, 3)), SHAPE, "layer_norm", "(3,)"),
    (lambda: mg.layer_norm(f(3), ()), SHAPE, "layer_norm", "(3,)"),
    (lambda: mg.layer_norm(f(2, 3), 3, eps="small"), ValueError, "layer_norm", "eps='small'"),
    (
        lambda: mg.dropout(f(2, 3), 1.5),
        ValueError,
        "dropout",
        "(2, 3); p=1.5; a number from 0 to 1",
    ),
    (lambda: mg.dropout(f(2, 3), -0.1, training=False), ValueError, "dropout", "p=-0.1"),
    (
        lambda: mg.dropout(f(2, 3), seed=nn.Buffer([1, 2])),
        ValueError,
        "dropout",
        "a Buffer of two int64",
    ),
    (lambda: mg.dropout(whole(2, 3)), DTYPE, "dropout", "(2, 3)"),
    (
        lambda: mg.lstm(f(3, 2, 4), f(2, 5), f(2, 4), f(20, 4), f(20, 5), f(20), f(20)),
        SHAPE,
        "lstm",
        "(3, 2, 4) and (2, 5) and (2, 4) and (20, 4) and (20, 5) and (20,) and (20,)",
    ),
    (
        lambda: mg.lstm(f(3, 2, 4), f(2, 5), f(2, 5), f(21, 4), f(21, 5), f(21), f(21)),
        SHAPE,
        "lstm",
        "(3, 2, 4) and (2, 5) and (2, 5) and (21, 4) and (21, 5) and (21,) and (21,)",
    ),
    (
        lambda: mg.lstm(whole(3, 2, 4), f(2, 5), f(2, 5), f(20, 4), f(20, 5), f(20), f(20)),
        DTYPE,
        "lstm",
        "(3, 2, 4) and",
    ),
    (
        lambda: mg.gru(f(3, 2, 4), f(2, 5), f(5, 4), f(5, 5), f(5), f(5)),
        SHAPE,
        "gru",
        "(3, 2, 4) and (2, 5) and (5, 4) and (5, 5) and (5,) and (5,)",
    ),
    (
        lambda: mg.gru(f(3, 4), f(2, 5), f(15, 4), f(15, 5), f(15), f(15)),
        SHAPE,
        "gru",
        "(3, 4) and (2, 5) and (15, 4)",
    ),
    (lambda: mg.mse_loss(f(3, 1), f(3)), SHAPE, "mse_loss", "(3, 1) and (3,)"),
    (lambda: mg.mse_loss(f(3), whole(3)), DTYPE, "mse_loss", "(3,) and (3,)"),
    (lambda: mg.binary_cross_entropy(f(3), f(1)), SHAPE, "binary_cross_entropy", "(3,) and (1,)"),
    (lambda: mg.cross_entropy(f(2, 3), [0.0, 1.0]), DTYPE, "cross_entropy", "(2, 3) and (2,)"),
    (lambda: mg.cross_entropy(f(2, 3), [0]), SHAPE, "cross_entropy", "(2, 3) and (1,)"),
    (lambda: mg.cross_entropy(whole(2, 3), [0, 1]), DTYPE, "cross_entropy", "(2, 3) and (2,)"),
]


@pytest.mark.parametrize(
    ("call", "kind", "name", "shapes"), BAD, ids=[f"{b[2]}-{i}" for i, b in enumerate(BAD)]
)
def test_message_and_class(call, kind, name, shapes):
    with pytest.raises(kind, match=rf"^{name}: .*{re.escape(shapes)}") as caught:
        call()
    assert type(caught.value) is kind
    assert "umba" not in str(caught.value)


def test_graph_is_usable_after_an_operator_raised():
    x = mg.Variable([1.0, 2.0])
    y = x * x
    for wrong in (
        lambda: y + np.ones(3),
        lambda: y @ np.ones((3, 3)),
        lambda: mg.conv2d(y, y),
        lambda: y[5],
    ):
        with pytest.raises((ValueError, IndexError)):
            wrong()
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [2, 4])


def test_graph_is_usable_after_backward_raised():
    """A user's own gradient may fail midway; the next pass starts anew."""
    x = mg.Variable([1.0, 2.0])
    y = (x * x).sum()
    handle = x.register_backward_hook(lambda node, grad: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        y.backward()
    handle.remove()
    x.zero_grad()
    y.backward()
    np.testing.assert_array_equal(x.grad, [2, 4])
