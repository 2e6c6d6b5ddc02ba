"""The kernels of normalisation give what their references say; nothing cancels far from
zero.
"""

import numba
import numpy as np
import pytest

from minigrad.kernels import norm

SHAPES = [(4, 3, 5), (4, 3, 1), (1, 6, 7), (1, 4, 1), (2, 1, 33), (130, 2, 1)]


def arrays(shape, dtype, shift=0.0):
    rng = np.random.default_rng(0)
    x, g = ((rng.normal(size=shape) + by).astype(dtype) for by in (shift, 0))
    w, b = (rng.normal(size=shape[1]).astype(dtype) for _ in "wb")
    return x, g, w, b


def scratch(groups, dtype):
    return np.full((2, groups), 66.0), np.full((3, groups), 66, dtype)


def normalised(x, w, b, eps, own=True, mean=None, var=None):
    mean, var = (
        np.full(x.shape[1], 66, x.dtype) if given is None else given for given in (mean, var)
    )
    y, (sums, work) = np.full_like(x, 66), scratch(x.shape[1], x.dtype)
    if own:
        count = x.shape[0] * x.shape[2]
        norm.totals(x, sums)
        norm.squares(x, count, sums)
        norm.moments(count, sums, mean, var)
    norm.forward(x, w, b, eps, mean, var, y, work)
    return y, mean, var


def gradients(g, x, w, eps, own, mean, var, gx, gw, gb):
    sums, work = scratch(x.shape[1], x.dtype)
    norm.products(g, x, mean, sums)
    norm.affine(sums, var, eps, gw, gb)
    norm.backward(g, x, w, eps, own * x.shape[0] * x.shape[2], mean, var, gx, sums, work)


@pytest.mark.parametrize("shape", SHAPES)
def test_forward(shape):
    x, _, w, b = arrays(shape, np.float64)
    y, mean, var = normalised(x, w, b, 1e-3)
    np.testing.assert_allclose(mean, x.mean((0, 2)), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(var, x.var((0, 2)), rtol=1e-13, atol=1e-15)
    z = norm.normalise_reference(x, 1e-3)
    np.testing.assert_allclose(y, z * w[:, None] + b[:, None], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(normalised(x, w[:0], b[:0], 1e-3)[0], z, rtol=1e-12, atol=1e-13)
    given = normalised(x, w[:0], b[:0], 1e-3, False, b, w * w)[0]
    np.testing.assert_allclose(
        given, norm.normalise_reference(x, 1e-3, b, w * w), rtol=1e-12, atol=1e-13
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_backward(shape):
    x, g, w, b = arrays(shape, np.float64)
    _, mean, var = normalised(x, w, b, 1e-3)
    gx, gw, gb = np.full_like(x, 66), np.full_like(w, 66), np.full_like(b, 66)
    gradients(g, x, w, 1e-3, True, mean, var, gx, gw, gb)
    expected = norm.normalise_backward_reference(g * w[:, None], x, 1e-3)
    np.testing.assert_allclose(gx, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        gw, (g * norm.normalise_reference(x, 1e-3)).sum((0, 2)), rtol=1e-11, atol=1e-12
    )
    np.testing.assert_allclose(gb, g.sum((0, 2)), rtol=1e-12, atol=1e-13)
    gradients(g, x, w[:0], 1e-3, False, b, w * w, gx, None, None)
    np.testing.assert_allclose(gx, g / np.sqrt(w * w + 1e-3)[:, None], rtol=1e-12)


@pytest.mark.parametrize("shape", [(64, 3, 50), (3200, 3, 1), (1, 3, 3200)])
@pytest.mark.skipif(
    numba.config.DISABLE_JIT, reason="without the compiler sums of float32 are kept in float32"
)
def test_nothing_cancels_at_a_distance(shape):
    """x + 10,000 in float32: the mean of the squares less the square of the mean would be wrong in
    the first digit.
    """
    x, g, w, b = arrays(shape, np.float32, 1e4)
    y, mean, var = normalised(x, w, b, 1e-5)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(var, exact.var((0, 2)), rtol=1e-6)
    np.testing.assert_allclose(mean, exact.mean((0, 2)), rtol=1e-7)
    z = norm.normalise_reference(exact, 1e-5)
    np.testing.assert_allclose(
        y, z * w[:, None] + b[:, None], atol=2e-3
    )  # the mean itself is rounded to a step of 1e-3
    gx = np.empty_like(x)
    gradients(g, x, w, 1e-5, True, mean, var, gx, None, None)
    expected = norm.normalise_backward_reference(g.astype(np.float64) * w[:, None], exact, 1e-5)
    np.testing.assert_allclose(gx, expected, atol=2e-4)


def test_running_statistics_follow_without_bias():
    mean, var = np.array([0.0, 2.0]), np.array([1.0, 4.0])
    norm.follow(mean, var, np.array([1.0, 1.0]), np.array([3.0, 3.0]), 0.25, 4)
    np.testing.assert_allclose(mean, [0.25, 1.75])
    np.testing.assert_allclose(var, [1.75, 4.0])  # 3 · 4 / 3 = 4 is the unbiased variance
