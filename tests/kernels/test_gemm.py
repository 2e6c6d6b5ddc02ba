"""The small matrix products, over what is left of all their blocks of rows, columns and vectors."""

import numpy as np
import pytest

from minigrad.kernels import gemm, jit, simd


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("depth", [0, 1, 3, 5, 16, 37])
@pytest.mark.parametrize(
    ("m", "n"), [(1, 1), (3, 4), (5, 7), (4, 18), (0, 2), (2, 0), (13, 33), (11, 64), (7, 100)]
)
def test_adds_the_product(m, n, depth, dtype):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(m, depth)).astype(dtype), rng.normal(size=(depth, n)).astype(dtype)
    start = rng.normal(size=(m, n)).astype(dtype)
    for product, left, right in ((gemm.nn, a, b), (gemm.tn, a.T.copy(), b)):
        out = start.copy()
        product(out, left, right, simd.ADD)
        np.testing.assert_allclose(out, start + a @ b, atol=2e-5 if dtype == np.float32 else 1e-13)


def test_what_is_overwritten_may_hold_anything():
    a, b = (
        np.random.default_rng(0).normal(size=(7, 5)),
        np.random.default_rng(1).normal(size=(5, 19)),
    )
    for write, left, right in ((gemm.nn, a, b), (gemm.tn, a.T.copy(), b), (run_nt, a, b.T.copy())):
        out = np.full((7, 19), np.nan)
        write(out, left, right)
        np.testing.assert_allclose(out, a @ b, atol=1e-13)


def test_nothing_beyond_an_array_is_touched():
    whole = np.full(200, 7.0, np.float32)
    out = whole[50:92].reshape(3, 14)
    gemm.nn(out, np.ones((3, 2), np.float32), np.ones((2, 14), np.float32))
    assert (out == 2).all() and (whole[:50] == 7).all() and (whole[92:] == 7).all()


def test_nan_reaches_its_row_only():
    a, out = np.ones((3, 5)), np.zeros((3, 2))
    a[1, 4] = np.nan
    gemm.nn(out, a, np.ones((5, 2)), simd.ADD)
    np.testing.assert_array_equal(out, [[5, 5], [np.nan, np.nan], [5, 5]])


@pytest.mark.parametrize("rows", range(1, 15))
def test_every_number_of_rows_and_columns(rows):
    """All ways in which rows and columns are cut into blocks."""
    rng = np.random.default_rng(rows)
    a, at = rng.normal(size=(rows, 11)), rng.normal(size=(11, rows))
    for columns in range(1, 40, 3):
        b, bt, out = (
            rng.normal(size=(11, columns)),
            rng.normal(size=(columns, 11)),
            np.full((rows, columns), 1e30),
        )
        cases = (gemm.nn, a, b, a @ b), (gemm.tn, at, b, at.T @ b), (run_nt, a, bt, a @ bt.T)
        for kernel, left, right, expected in cases:
            kernel(out, left, right)
            np.testing.assert_allclose(out, expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 3), (0, 4), (3, 0), (40, 26), (7, 130)])
def test_rows_are_summed(rows, columns, dtype):
    """One row after the other: to the bit the sum of a plain loop."""
    b = np.random.default_rng(0).normal(size=(rows, columns)).astype(dtype)
    found, expected = np.full(columns, np.nan, dtype), np.zeros(columns, dtype)
    run_sum_rows(found, b, rows, columns)
    for row in b:
        expected += row
    np.testing.assert_array_equal(found, expected)
    gemm.add_rows(found, b)
    for row in b:
        expected += row
    np.testing.assert_array_equal(found, expected)


@jit.jit
def run_sum_rows(out, b, k, n):
    gemm.sum_rows(out, b, k, n)


@jit.jit
def run_nt(out, a, b):
    m, n = out.shape
    gemm.product_nt(simd.flat(out), simd.flat(a), simd.flat(b), m, a.shape[1], n)
