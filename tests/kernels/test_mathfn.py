"""Functions of compiled code: within two units in the last place, and right at the edges."""
import numba
import numpy as np
import pytest
import scipy.special

from minigrad.kernels import mathfn
from minigrad.kernels.jit import jit


@jit
def _each(x, y):
    for i in range(x.size):
        y[i] = mathfn.tanh(x[i])


@jit
def _each_sigmoid(x, y):
    for i in range(x.size):
        y[i] = mathfn.sigmoid(x[i])


def compiled_sigmoid(x):
    y = np.full_like(x, 666)
    _each_sigmoid(x, y)
    return y


def compiled_tanh(x):
    y = np.full_like(x, 666)
    _each(x, y)
    return y


def test_float32_error():
    x = np.concatenate([np.linspace(-10, 10, 200_001), np.logspace(-30, 1, 10_001), -np.logspace(-6, 1, 10_001)])
    x = x.astype(np.float32)
    right = np.tanh(x.astype(np.float64))
    error = np.abs(compiled_tanh(x) - right) / np.maximum(np.abs(right), np.finfo(np.float32).tiny)
    assert error.max() < 4e-7
    assert np.abs(compiled_tanh(x)).max() <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_edges(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 300, -300, 0.0, -0.0], dtype)
    np.testing.assert_allclose(compiled_tanh(x), [np.nan, 1, -1, 1, -1, 0, 0], rtol=3e-7)


def test_it_is_numpys_in_python():
    assert mathfn.tanh(0.5) == np.tanh(0.5)
    assert numba.config.DISABLE_JIT or compiled_tanh(np.array([0.5])).item() == pytest.approx(np.tanh(0.5), rel=1e-15)


@pytest.mark.parametrize(("dtype", "most"), [(np.float32, 3e-7), (np.float64, 1e-15)])
def test_sigmoid_error(dtype, most):
    x = np.concatenate([np.linspace(-80, 80, 100_001), np.logspace(-30, 1, 1001)]).astype(dtype)
    right = scipy.special.expit(x.astype(np.longdouble))
    assert (np.abs(compiled_sigmoid(x) - right) / right).max() < most


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_edges_of_sigmoid(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 2000, -2000, 0.0, -0.0], dtype)
    np.testing.assert_array_equal(compiled_sigmoid(x), np.array([np.nan, 1, 0, 1, 0, 0.5, 0.5], dtype))
    with np.errstate(over="raise", invalid="raise"):  # in Python
        assert [mathfn.sigmoid(dtype(a)) for a in (-2000, 2000)] == [0, 1]
