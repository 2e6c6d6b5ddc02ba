"""Matrix products and einsum of symbolic arrays: the generated source computes what NumPy does."""

from __future__ import annotations

import numpy as np
import pytest
from einsums import SUMS, X, Y
from generated_source import compiled, in_python
from oracle import assert_close

import minigrad as mg
from minigrad import nn


@pytest.mark.parametrize(("text", "arrays"), SUMS)
def test_einsum(text, arrays):
    with mg.default_dtype(np.float64):
        xs = [mg.Variable(x) for x in arrays]
        loss = mg.sum(mg.sin(mg.einsum(text, *xs)))
        loss.backward()
        found, gradient = in_python(compiled(loss, *xs))
    assert_close(found, loss.value)
    for x in xs:
        assert_close(gradient(x), x.grad)


def test_einsum_of_two_matrices_is_a_matrix_product():
    """As fast as `a @ b`, in whatever order the axes are."""
    a, b = mg.Variable(X[0]), mg.Variable(Y[0])
    assert "product_" in compiled(mg.sum(mg.einsum("ij,ki->jk", a, b.T)), a, b).source


def test_of_a_large_matrix_no_transposed_copy_is_made():
    """Few samples times a wide layer's weights: the samples and the result are turned instead."""
    rng = np.random.default_rng(0)
    with mg.default_dtype(np.float64):
        x, w, b = (mg.Variable(rng.normal(size=size)) for size in ((8, 60), (50, 60), 50))
        loss = mg.sum(mg.sin(mg.linear(x, w, b)))
        loss.backward()
        step = compiled(loss, x, w, b)
        copied = {s.size for s in step.trace.program.storages if s.computed}
        assert 8 * 60 in copied and 50 * 60 not in copied
        found, gradient = in_python(step)
    assert_close(found, loss.value)
    for one in (x, w, b):
        assert_close(gradient(one), one.grad)


SIZES = [((5, 5, 0), (0, 5)), ((0,), (0,)), ((2, 3, 4), (4, 0)), ((0,), (2, 0, 3))]


class Products(nn.Module):
    """The sum of products of matrices with an axis of length 0, and of 1."""

    def __init__(self):
        self.pairs = [[mg.Variable(np.ones(shape)) for shape in shapes] for shapes in SIZES]
        self.one = mg.Variable([1.0])

    def parameters(self):
        return [*(x for pair in self.pairs for x in pair), self.one]

    def forward(self, x):
        return sum((mg.sum(mg.exp(a @ b)) for a, b in self.pairs), mg.sum(self.one * x))


@pytest.mark.parametrize("mode", ["eager", "replay", "compiled"])
def test_products_of_empty_matrices_in_every_mode(mode):
    model = Products()
    optimizer = mg.optim.SGD(model.parameters(), lr=0.5)
    trainer = mg.Trainer(model, lambda output, y: output, optimizer, mode=mode)
    history = trainer.fit(np.ones((1, 1)), np.ones(1), epochs=1, batch_size=1, progress=False)
    assert history.batch_loss == [1 + sum(np.exp(np.ones(a) @ np.ones(b)).sum() for a, b in SIZES)]
    assert model.one.value == 0.5
    for pair, shapes in zip(model.pairs, SIZES, strict=True):
        for x, shape in zip(pair, shapes, strict=True):
            np.testing.assert_array_equal(x.value, np.ones(shape))  # no entry gets a gradient
