"""Calls of functions by their address, and arrays at an address."""

import numba
import numpy as np
import pytest

from minigrad.kernels import simd
from minigrad.kernels.jit import compiled_separately

pytestmark = pytest.mark.skipif(
    numba.config.DISABLE_JIT or not simd.ON, reason="there is one function, and it is called"
)
launch, opened, row, view = simd.launch, simd.opened, simd.row, simd.view


@compiled_separately
def scale(table, sizes, floats, first):
    table, sizes, floats = opened(table), opened(sizes), opened(floats)
    part = row(view(table, 0, np.float32), sizes[0], sizes[1])
    for j in range(part.size):
        part[j] *= floats[0]


@compiled_separately
def count(table, sizes, floats, first):
    table, sizes = opened(table), opened(sizes)
    view(table, sizes[0], np.int64)[0] += first + view(table, 0, np.float32).size


@compiled_separately
def fail(table, sizes, floats, first):
    raise ValueError("of a piece")


@numba.njit
def run(code, begin, end, starts, table, sizes, floats, first):
    launch(code, begin, end, starts, table, sizes, floats, first)


def described(*arrays):
    return np.array([n for array in arrays for n in (array.ctypes.data, array.size)])


def test_each_function_has_its_part_of_the_numbers():
    x, counter = np.arange(10, dtype=np.float32), np.zeros(1, np.int64)
    code = simd.linked([scale, count, scale], np.dtype(np.float32))
    starts = np.array([[0, 0], [2, 1], [3, 1], [5, 2]])
    sizes, floats = np.array([1, 3, 1, 6, 2]), np.array([2, 10], np.float32)
    run(code, 0, 3, starts, described(x, counter), sizes, floats, 100)
    assert x.tolist() == [0, 2, 4, 6, 4, 5, 60, 70, 8, 9] and counter.tolist() == [110]
    run(code, 2, 3, starts, described(x, counter), sizes, floats, 100)
    assert x[6] == 600 and x[1] == 2 and counter.tolist() == [110]


def test_the_same_function_has_one_address():
    code = simd.linked([scale, count, scale], np.dtype(np.float32))
    assert code[0] == code[2] != code[1]


def test_an_error_in_a_function_reaches_the_caller():
    code, nothing = simd.linked([fail], np.dtype(np.float32)), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="of a piece"):
        run(code, 0, 1, np.zeros((1, 2), np.int64), nothing, nothing, np.zeros(1, np.float32), 0)


def test_in_python_views_are_the_arrays_at_their_address():
    for dtype in (np.float32, np.bool_, np.int64):
        array = np.ones(5, dtype)
        table = described(array, array[:0])
        view(table, 0, dtype)[1:3] = 0
        assert array.tolist() == [1, 0, 0, 1, 1] and view(table, 1, dtype).size == 0
