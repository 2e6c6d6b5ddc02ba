"""Copies of rows in vectors against their plain forms."""

import numpy as np
import pytest

from minigrad.kernels import jit, simd
from minigrad.kernels.simd import plain

POISON = 77
WHOLE = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
DTYPES = [bool, *WHOLE, np.float32, np.float64]


def numbers(shape, dtype):
    """Random numbers other than POISON, as a mask has no room for it: there it is True."""
    return np.random.default_rng(0).integers(0, 2 if dtype is bool else 70, shape).astype(dtype)


@jit.jit
def run_put(goal, g0, source, s0, count):
    simd.copy_rows(goal, g0, 0, source, s0, 0, 1, count)


@jit.jit
def run_add(goal, g0, source, s0, count):
    simd.add_row(goal, g0, source, s0, count)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("simple, compiled", [(run_put.py_func, run_put), (plain.add_row, run_add)])
def test_rows_of_every_length(simple, compiled, dtype):
    source = numbers(120, dtype)
    for count in range(100):
        found, expected = np.full(110, POISON, dtype), np.full(110, POISON, dtype)
        found[5:105] = expected[5:105] = source[:100]
        compiled(found, 7, source, 11, count)
        simple(expected, 7, source, 11, count)
        np.testing.assert_array_equal(found, expected)


@jit.jit
def run_put_rows(goal, g0, g_row, source, s0, s_row, many, count):
    simd.copy_rows(goal, g0, g_row, source, s0, s_row, many, count)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 40])
def test_several_rows_within_larger_ones(count, dtype):
    source = numbers(200, dtype)
    found, expected = np.full(200, POISON, dtype), np.full(200, POISON, dtype)
    run_put_rows(found, 3, 45, source, 2, 41, 4, count)
    plain.copy_rows(expected, 3, 45, source, 2, 41, 4, count)
    np.testing.assert_array_equal(found, expected)
    assert dtype is bool or (expected != POISON).sum() == 4 * count
