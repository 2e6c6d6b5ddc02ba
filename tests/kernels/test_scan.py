"""Running sums and products, and the places of extremes."""

import numpy as np
import pytest

from minigrad.kernels import scan

SHAPES = [(1, 1, 1), (3, 5, 1), (1, 7, 4), (2, 4, 3), (3, 0, 2), (0, 3, 2)]
FLOATS = [np.float32, np.float64]


def numbers(shape, dtype, seed=0):
    """Few different ones, zeros among them."""
    return np.random.default_rng(seed).integers(-2, 3, shape).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_totals_so_far(name, shape, dtype):
    x, y = numbers(shape, dtype), np.full(shape, 666.666, dtype)
    scan.running(x, y, name == "cumprod")
    np.testing.assert_array_equal(y, getattr(np, name)(x, 1))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_of_products(shape, dtype):
    g, x, grad = numbers(shape, dtype, 1), numbers(shape, dtype), np.full(shape, 666.666, dtype)
    scan.cumprod_back(g, x, np.cumprod(x, 1), grad)
    np.testing.assert_array_equal(grad, scan.cumprod_back_reference(g, x))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[1]])
@pytest.mark.parametrize("odd", [False, True])
def test_places_of_extremes(odd, shape, dtype):
    x, places = numbers(shape, dtype), np.full((shape[0], shape[2]), 666)
    if odd:
        x[np.random.default_rng(2).random(shape) < 0.2] = np.nan
        x[np.random.default_rng(3).random(shape) < 0.2] = -np.inf
    for sign, name in ((1, "argmax"), (-1, "argmin")):
        scan.argmax(x, places, sign)
        np.testing.assert_array_equal(places, getattr(np, name)(x, 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_places_in_order_are_numpys_stable_ones(dtype):
    x = np.random.default_rng(0).integers(0, 4, (3, 9, 2)).astype(dtype)
    x[0, [1, 5], 0], x[1, 2, 1], x[2, 3] = np.nan, -np.inf, np.inf
    places = np.full(x.shape, -1)
    scan.argsort(x, places)
    np.testing.assert_array_equal(places, np.argsort(x, axis=1, kind="stable"))
