"""NumPy's functions on symbolic arrays: the generated source computes what NumPy does."""

from __future__ import annotations

import numpy as np
import pytest
from generated_source import compiled, in_python
from oracle import assert_close

import minigrad as mg
from minigrad import nn
from minigrad.errors import GraphError
from minigrad.run.emit import Emitter
from minigrad.run.pieces import Piece
from minigrad.run.symbolic import Assign, Program

X = np.random.default_rng(0).normal(size=(2, 3, 4))
Y = np.random.default_rng(1).normal(size=(4, 3, 5))
PLACES = np.array([[2, 0, 2], [1, 1, -1]])


def assert_agrees(function, *arrays):
    """The source of an operator that calls the function gives the same weighted sum of results."""
    with mg.default_dtype(np.float64):
        expected = np.asarray(function(*arrays))
        weight = np.random.default_rng(2).normal(size=expected.shape)
        rule = mg.operator(
            lambda *xs: function(*xs) * 1.0, lambda g, y, *xs: tuple(x * g.sum() for x in xs)
        )
        xs = [mg.Variable(x) for x in arrays]
        loss = mg.sum(rule(*xs) * weight)
        assert_close(in_python(compiled(loss, *xs))[0], (expected * weight).sum())


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.moveaxis(x, 0, -1),
        lambda x: np.moveaxis(x, (0, 2), (1, 0)),
        lambda x: np.flip(x),
        lambda x: np.flip(x, -1),
        lambda x: np.flip(x, (0, 2)),
        lambda x: np.broadcast_to(x[:, :1], (5, *x.shape)),
        lambda x: np.ones_like(x),
        lambda x: np.zeros_like(x) + x,
        lambda x: np.prod(x, axis=(0, 2)),
        lambda x: np.prod(x, axis=1, keepdims=True),
        lambda x: np.cumsum(x, axis=0),
        lambda x: np.cumsum(x, axis=-1),
        lambda x: np.cumprod(x[:, ::-1].T, axis=1),
        lambda x: np.split(x, [1, 3], 2)[1],
        lambda x: np.where(x > 0, x, np.sum(x)),
        lambda x: np.argmax(x),
        lambda x: np.argmax(x, axis=1),
        lambda x: np.argmin(x, axis=-1, keepdims=True),
        lambda x: np.argmin(x, keepdims=True),
    ],
)
def test_functions_of_one_array(function):
    assert_agrees(function, X)


@pytest.mark.parametrize(
    "key",
    [
        (PLACES % 2,),
        (slice(None), PLACES),
        (..., PLACES),
        (0, PLACES),
        (slice(None), 1, PLACES),
        (PLACES % 2, slice(1, 3)),
        (PLACES[0] % 2, slice(None), PLACES[1]),
        (X[..., 0] > 0,),
        (X > 0,),
        (PLACES % 2, PLACES, PLACES),
        (PLACES[:0],),
        (None, PLACES[0] % 2),
        (slice(None, None, -1), PLACES),
    ],
    ids=repr,
)
def test_indexing_with_arrays_and_its_gradient(key):
    assert_agrees(lambda x: x[key], X)
    with mg.default_dtype(np.float64):
        x = mg.Variable(X)
        loss = mg.sum(x[key] ** 2)
        loss.backward()
        assert_close(in_python(compiled(loss, x))[1](x), x.grad)


@pytest.mark.parametrize(
    "look",
    [
        lambda x, i: x[i],
        lambda x, i: x[:, i],
        lambda x, i: x[1:, i, 2],
        lambda x, i: x[0, i, ::2],
        lambda x, i: x[:, :, i],
        lambda x, i: x[np.array([0, 1, 1]), i],
        lambda x, i: x[1, 2, i],
        lambda x, i: x[:, np.array([[1], [0]]), i],
        lambda x, i: x[::-1, i, 1:],
    ],
)
def test_indexing_with_nodes(look):
    with mg.default_dtype(np.float64):
        x, i = mg.Variable(X), mg.Constant([[1, 0, 1], [-1, -2, 0]], dtype=np.int64)
        loss = mg.sum(look(x, i) ** 2)
        loss.backward()
        found, gradient = in_python(compiled(loss, x))
    assert_close(found, loss.value)
    assert_close(gradient(x), x.grad)


@pytest.mark.parametrize(
    "look",
    [
        lambda x, i: x[i > 0],
        lambda x, i: x[:, None, i],
        lambda x, i: x[..., i],
        lambda x, i: x[i, :, i],
    ],
)
def test_unsupported_indices_are_refused_by_name(look):
    x, i = mg.Variable(X), mg.Constant([0, 1], dtype=np.int64)
    with pytest.raises(GraphError, match='getitem: .*cannot be compiled; use mode="replay"'):
        compiled(mg.sum(look(x, i)), x)


class Masked(nn.Module):
    """A table, and a mask from the data that is transposed, indexed, and selects entries."""

    def __init__(self):
        self.table = mg.Variable(np.linspace(-1, 1, 120).reshape(10, 12), dtype=np.float32)

    def forward(self, x):
        mask = x if x.dtype.kind == "b" else x != 0
        turned = mg.where(mg.transpose(mask), self.table, 0.0)  # ten columns
        rows = np.array([3, 1, 2, 2, 0, 5, 7, 7, 11, 9, 4, 8])
        picked = mg.where(~mask[rows], mg.transpose(self.table), 2.0)
        return mg.mean(turned * turned) + mg.mean(picked * picked)


DTYPES = [bool, np.int8, np.uint16, np.float32, ">i8", ">u2", ">f8"]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_masks_and_integers_of_every_dtype_are_transposed_and_indexed(dtype):
    x = np.random.default_rng(0).integers(0, 2, (12, 10)).astype(dtype)
    tables = []
    for mode in ("eager", "replay", "compiled"):
        model = Masked()
        optimizer = mg.optim.SGD([model.table], lr=10.0)
        t = mg.Trainer(model, lambda output, y: output, optimizer, mode=mode)
        t.fit(x, np.zeros(12), epochs=2, batch_size=12, shuffle=False, progress=False)
        tables.append(model.table.value)
    np.testing.assert_allclose(tables[1:], tables[:1] * 2, rtol=1e-6)
    assert (tables[0] != Masked().table.value).any()


def test_a_transposed_mask_among_floats_is_read_as_booleans():
    """A kernel that moves numbers as they are cannot turn a mask into floats."""
    program = Program()
    target = program.allocate("target", (10, 9), np.float32)
    for dtype, turned in ((bool, False), (np.float32, True)):
        source = program.allocate("source", (9, 10), dtype)
        across = source.T
        copy = Assign((across,), "", target, "formula")
        loop = Emitter(Piece(np.dtype(np.float32))).nest(target.shape, [copy])
        assert bool(loop.transposed(target, across)) is turned
