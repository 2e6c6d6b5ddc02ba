"""Operators that move numbers: the same node twice, nothing at all, and who owns the memory."""

import numpy as np
import pytest
from oracle import gradients

import minigrad as mg


def test_the_same_node_twice():
    for fn in (lambda x: mg.concatenate([x, 2 * x, x]), lambda x: mg.stack([x, x, 2 * x], axis=1)):
        (grad,) = gradients(fn, [1.0, 2.0])
        np.testing.assert_array_equal(grad, [4, 4])


def test_flatten_and_reshape_methods():
    x = mg.Variable(np.arange(24.0).reshape(2, 3, 4))
    assert x.flatten().shape == (24,)
    assert mg.flatten(x, start_axis=1).shape == (2, 12)
    assert x.reshape(6, 4).shape == x.reshape((6, 4)).shape == x.reshape(-1, 4).shape == (6, 4)
    assert x.T.shape == x.transpose().shape == (4, 3, 2)
    assert (
        x.transpose(1, 0, 2).shape
        == x.transpose((1, 0, 2)).shape
        == x.transpose([1, 0, -1]).shape
        == (3, 2, 4)
    )


def test_integers_can_be_moved_too():
    tokens = mg.Constant([[1, 2], [3, 4]], dtype=np.int64)
    for y in (
        tokens.T,
        tokens.reshape(-1),
        tokens[0],
        mg.concatenate([tokens, tokens]),
        mg.pad(tokens, 1),
    ):
        assert y.dtype == np.int64 and not y.requires_grad


def test_reshape_without_recording_owns_its_memory():
    """Else feeding the result would write into the variable."""
    w = mg.Variable([1.0, 2.0])
    with mg.no_grad():
        copy = w.reshape(2, 1)
    copy.value = [[5.0], [6.0]]
    assert w.value.tolist() == [1, 2]


def test_flatten_names_itself():
    with pytest.raises(mg.ShapeError, match=r"^flatten: shapes \(2, 3\); axis 2 does not fit"):
        mg.flatten(np.ones((2, 3)), start_axis=2)


# ---------------- axes moved, dropped, added and cut: the same as NumPy's functions
X = np.arange(24.0).reshape(2, 1, 3, 4)
CALLS = [
    lambda m, x: m.moveaxis(x, 0, -1),
    lambda m, x: m.moveaxis(x, (0, -1), (2, 0)),
    lambda m, x: m.moveaxis(x, -1, 1),
    lambda m, x: m.swapaxes(x, 0, -1),
    lambda m, x: m.squeeze(x),
    lambda m, x: m.squeeze(x, 1),
    lambda m, x: m.squeeze(x[:1], (0, -3)),
    lambda m, x: m.expand_dims(x, 0),
    lambda m, x: m.expand_dims(x, (-1, 0, 2)),
    lambda m, x: m.split(x, 3, axis=2)[1],
    lambda m, x: m.split(x, [1, 3], axis=-1)[1],
    lambda m, x: m.split(x, [1, 9], 3)[2],
    lambda m, x: m.split(x[:0], 2)[1],
]


@pytest.mark.parametrize("call", CALLS)
def test_as_numpy_does(call):
    expected, x = call(np, X), mg.Variable(X, dtype=np.float64)
    for module in (mg, np):  # by our name and by NumPy's
        y = call(module, x)
        assert isinstance(y, mg.GraphNode)
        np.testing.assert_array_equal(y.value, expected)
    g = np.random.default_rng(0).normal(size=y.shape)
    y.backward(g)
    assert np.vdot(g, expected) == pytest.approx(
        np.vdot(x.grad, X)
    )  # linear: g weighs in y what its pullback weighs in x


def test_of_several_parts_one_may_be_left_alone():
    x = mg.Variable(np.arange(7.0))
    first, second, third = mg.split(x, [2, 5])
    assert (first.shape, second.shape, third.shape) == ((2,), (3,), (2,))
    second.sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 0, 1, 1, 1, 0, 0])
    rows = [*mg.Variable(np.ones((3, 2)))]  # a node is the sequence of its rows
    assert [row.shape for row in rows] == [(2,)] * 3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: mg.moveaxis(X, 0, 4),
            r"^moveaxis: shapes \(2, 1, 3, 4\); moveaxis\(x, 0, 4\): .*out of bounds",
        ),
        (lambda: mg.moveaxis(X, (0, 1), 1), r"^moveaxis: .*\(x, \(0, 1\), 1\): .*same number"),
        (lambda: mg.swapaxes(X, 0, 5), r"^swapaxes: .*axis 5"),
        (lambda: mg.squeeze(X, 0), r"^squeeze: .*squeeze\(x, 0\): .*size not equal to one"),
        (lambda: mg.expand_dims(X, (0, 0)), r"^expand_dims: .*repeated axis"),
        (lambda: mg.split(X, 2, axis=2), r"^split: shapes \(2, 1, 3, 4\); 2 equal parts of axis 2"),
        (lambda: mg.split(X, 0), "^split: .*0 equal parts"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(mg.ShapeError, match=words):
        call()
