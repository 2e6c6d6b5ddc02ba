"""Reductions and the softmax family: ties, nothing to reduce, NaN, and numbers near the end of the
range.
"""

import numpy as np
import pytest
from oracle import gradients

import minigrad as mg

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
@pytest.mark.parametrize("fn", [mg.max, mg.min])
def test_ties_share_the_gradient(fn, axis):
    (grad,) = gradients(lambda x: fn(x, axis=axis), np.zeros((2, 4)))
    np.testing.assert_allclose(grad, np.full((2, 4), 1 / {None: 8, 0: 2, 1: 4, (0, 1): 8}[axis]))


def test_many_ties_in_float32():
    """70,000 winners share: a count kept in a small type once lost them all (tinygrad #12296)."""
    (grad,) = gradients(mg.max, np.ones(70_000), dtype=np.float32)
    np.testing.assert_allclose(grad, 1 / 70_000, rtol=1e-6)


@pytest.mark.parametrize("fn", [mg.max, mg.min])
def test_nan_is_the_extreme(fn):
    x = mg.Variable([1.0, NAN, 3.0])
    y = fn(x)
    y.backward()
    assert np.isnan(y.item()) and np.isnan(x.grad).all()


def test_nothing_to_reduce():
    """As in NumPy: 0, not a number, an error. The mean's NaN comes without a warning."""
    empty = mg.Variable(np.zeros((0, 3)))
    np.testing.assert_array_equal(mg.sum(empty, axis=0).value, [0, 0, 0])
    np.testing.assert_array_equal(mg.mean(empty, axis=0).value, [NAN, NAN, NAN])
    mg.mean(empty).backward()
    assert empty.grad.shape == (0, 3)
    for fn in (mg.max, mg.min, mg.logsumexp):
        assert fn(empty, axis=1).shape == (0,)  # no vector of three is empty
        with pytest.raises(mg.ShapeError, match=r"\(0, 3\); there is no entry"):
            fn(empty, axis=0)


def test_no_axis_is_not_every_axis():
    (grad,) = gradients(lambda x: mg.max(x, axis=()), np.ones((2, 2)))
    np.testing.assert_array_equal(grad, 1)


LONG = [[1, 2, 3000], [-1e5, -1e5, -1e5], [0, -1e4, -2e4]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_of_large_numbers(dtype):
    x = mg.Variable(LONG, dtype=dtype)
    np.testing.assert_allclose(mg.softmax(x).value, [[0, 0, 1], [1 / 3] * 3, [1, 0, 0]], rtol=1e-6)
    logs = mg.log_softmax(x)
    np.testing.assert_allclose(
        logs.value, [[-2999, -2998, 0], [-np.log(3)] * 3, [0, -1e4, -2e4]], rtol=1e-6
    )
    logs.backward(np.random.default_rng(0).normal(size=(3, 3)))
    np.testing.assert_allclose(
        x.grad.sum(1), 0, atol=1e-6
    )  # adding a number to a row changes nothing
    np.testing.assert_allclose(
        mg.logsumexp(x, axis=1).value, [3000, -1e5 + np.log(3), 0], rtol=1e-6
    )


def test_infinities():
    """No warning anywhere; where the limit depends on the way one takes, NaN as in PyTorch and
    JAX.
    """
    for row, expected in (
        ([INF, 0.0], [NAN, NAN]),
        ([-INF, -INF], [NAN, NAN]),
        ([-INF, 0.0], [0, 1]),
    ):
        np.testing.assert_array_equal(mg.softmax(mg.Constant(row)).value, expected)
    for row, value, grad in (
        ([-INF, -INF], -INF, [NAN, NAN]),
        ([-INF, 2.0], 2, [0, 1]),
        ([INF, 1000.0], INF, [NAN, 0]),
    ):
        x = mg.Variable(row)
        y = mg.logsumexp(x)
        y.backward()
        assert y.item() == value
        np.testing.assert_array_equal(x.grad, grad)


def test_methods_are_the_functions():
    x = mg.Variable([[1.0, 2.0], [3.0, 5.0]])
    for name in ("sum", "mean", "max", "min"):
        for options in ({}, {"axis": 1}, {"axis": 0, "keepdims": True}):
            np.testing.assert_array_equal(
                getattr(x, name)(**options).value, getattr(mg, name)(x, **options).value
            )
            np.testing.assert_array_equal(
                getattr(x, name)(**options).value, getattr(x.value, name)(**options)
            )
