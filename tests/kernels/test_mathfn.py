"""Functions of compiled code: within two units in the last place, and right at the edges."""

import numba
import numpy as np
import pytest
import scipy.special

from minigrad.kernels import mathfn, simd
from minigrad.kernels.jit import jit


@jit
def _each(x, y):
    for i in range(x.size):
        y[i] = mathfn.tanh(x[i])


@jit
def _each_sigmoid(x, y):
    for i in range(x.size):
        y[i] = mathfn.sigmoid(x[i])


@jit
def _each_exp(x, y):
    for i in range(x.size):
        y[i] = mathfn.exp(x[i])


def compiled_sigmoid(x):
    y = np.full_like(x, 666)
    _each_sigmoid(x, y)
    return y


def compiled_tanh(x):
    y = np.full_like(x, 666)
    _each(x, y)
    return y


def test_float32_error():
    x = np.concatenate(
        [np.linspace(-10, 10, 200_001), np.logspace(-30, 1, 10_001), -np.logspace(-6, 1, 10_001)]
    )
    x = x.astype(np.float32)
    right = np.tanh(x.astype(np.float64))
    error = np.abs(compiled_tanh(x) - right) / np.maximum(np.abs(right), np.finfo(np.float32).tiny)
    assert error.max() < 4e-7
    assert np.abs(compiled_tanh(x)).max() <= 1


@pytest.mark.parametrize("count", [1, 5, 64])  # numbers one by one, and in vectors
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_edges(dtype, count):
    x = np.repeat(np.array([np.nan, np.inf, -np.inf, 300, -300, 0.0, -0.0], dtype), count)
    expected = np.repeat(np.array([np.nan, 1, -1, 1, -1, 0, 0], dtype), count)
    np.testing.assert_array_equal(compiled_tanh(x), expected)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="it is NumPy's in Python")
def test_tanh_of_large_numbers_is_exactly_one():
    """So that its slope 1 - y² is 0, as NumPy's."""
    x = np.geomspace(9.02, 3e38, 10_001).astype(np.float32)
    np.testing.assert_array_equal(compiled_tanh(x), np.ones_like(x))
    np.testing.assert_array_equal(compiled_tanh(-x), -np.ones_like(x))


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="it is NumPy's in Python")
def test_tanh_rises_to_one_in_order():
    x = np.linspace(7.9054, 9.1, 100_001, dtype=np.float32)
    for y in (compiled_tanh(x), -compiled_tanh(-x)):
        assert (np.diff(y) >= 0).all() and y[-1] == 1
        units = (
            1.5 if y[0] < 1 else 4.6
        )  # without fused multiply-add the rational function rounds to 1 at its limit
        assert np.abs(y - np.tanh(x.astype(np.float64))).max() < units * 2.0**-24


def test_it_is_numpys_in_python():
    assert mathfn.tanh(0.5) == np.tanh(0.5)
    assert numba.config.DISABLE_JIT or compiled_tanh(np.array([0.5])).item() == pytest.approx(
        np.tanh(0.5), rel=1e-15
    )


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="it is NumPy's in Python")
def test_exp_up_to_the_ends_of_float32():
    x = np.concatenate([np.linspace(-87.3365, 88, 100_001), np.linspace(88, 88.72283, 10_001)])
    x = x.astype(np.float32)
    y, right = np.full_like(x, 666), np.exp(x.astype(np.float64))
    _each_exp(x, y)
    assert (np.abs(y - right) / right).max() < 1.2e-7
    ends = np.array([88.722839, 89, np.inf, -87.34, -104, -np.inf, np.nan], np.float32)
    y = np.full_like(ends, 666)
    _each_exp(ends, y)
    np.testing.assert_array_equal(y, np.array([np.inf] * 3 + [0] * 3 + [np.nan], np.float32))


@pytest.mark.parametrize(("dtype", "most"), [(np.float32, 3e-7), (np.float64, 1e-15)])
def test_sigmoid_error(dtype, most):
    x = np.concatenate([np.linspace(-80, 80, 100_001), np.logspace(-30, 1, 1001)]).astype(dtype)
    right = scipy.special.expit(x.astype(np.longdouble))
    assert (np.abs(compiled_sigmoid(x) - right) / right).max() < most


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_edges_of_sigmoid(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 2000, -2000, 0.0, -0.0], dtype)
    np.testing.assert_array_equal(
        compiled_sigmoid(x), np.array([np.nan, 1, 0, 1, 0, 0.5, 0.5], dtype)
    )
    with np.errstate(over="raise", invalid="raise"):  # in Python
        assert [mathfn.sigmoid(dtype(a)) for a in (-2000, 2000)] == [0, 1]


@pytest.mark.parametrize(("dtype", "most"), [(np.float32, 4e-7), (np.float64, 1e-15)])
def test_erf_error(dtype, most):
    x = np.concatenate([np.linspace(-6, 6, 200_001), np.logspace(-30, 1, 1001)]).astype(dtype)
    y, right = np.full_like(x, 666), scipy.special.erf(x.astype(np.float64))
    mathfn.erf_of(x, y)
    assert (np.abs(y - right) / np.maximum(np.abs(right), np.finfo(dtype).tiny)).max() < most
    assert np.abs(y).max() <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_edges_of_erf(dtype):
    x = np.repeat(np.array([np.nan, np.inf, -np.inf, 300, -300, 0.0, -0.0], dtype), 20)
    y = np.full_like(x, 666)
    mathfn.erf_of(x, y)
    np.testing.assert_array_equal(y, np.repeat(np.array([np.nan, 1, -1, 1, -1, 0, 0], dtype), 20))


# ---------------- steps of an extreme
@jit
def _extremes(x, found):
    most, least = x.dtype.type(x[0]), x.dtype.type(x[0])
    for i in range(x.size):
        most, least = simd.larger(most, x[i]), simd.smaller(least, x[i])
    found[0], found[1] = most, least


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_extremes_of_a_row_are_numpys(dtype):
    rng = np.random.default_rng(0)
    for n in (1, 3, 16, 100):
        x = (100 * rng.normal(size=n)).astype(dtype)
        cases = [x]
        if x.dtype.kind == "f":
            for i in {0, n // 2, n - 1}:
                for special in (np.inf, -np.inf, np.nan, -np.nan):
                    cases.append(x.copy())
                    cases[-1][i] = special
        for case in cases:
            found = np.zeros(2, dtype)
            _extremes(case, found)
            np.testing.assert_array_equal(found, [case.max(), case.min()])
