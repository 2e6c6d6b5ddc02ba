"""The small matrix products, over what is left of all their blocks of rows, columns and vectors."""

from itertools import product

import numpy as np
import pytest

from minigrad.kernels import gemm, jit, tile


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("depth", [0, 1, 3, 5, 16, 37])
@pytest.mark.parametrize(
    ("m", "n"), [(1, 1), (3, 4), (5, 7), (4, 18), (0, 2), (2, 0), (13, 33), (11, 64), (7, 100)]
)
def test_adds_the_product(m, n, depth, dtype):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(m, depth)).astype(dtype), rng.normal(size=(depth, n)).astype(dtype)
    start = rng.normal(size=(m, n)).astype(dtype)
    layouts = [(gemm.add_nn, a, b), (gemm.add_tn, a.T.copy(), b), (gemm.add_nt, a, b.T.copy())]
    for add, left, right in layouts:
        out = start.copy()
        add(out, left, right)
        np.testing.assert_allclose(out, start + a @ b, atol=2e-5 if dtype == np.float32 else 1e-13)


def test_what_is_overwritten_may_hold_anything():
    a, b = (
        np.random.default_rng(0).normal(size=(7, 5)),
        np.random.default_rng(1).normal(size=(5, 19)),
    )
    for write, left, right in ((gemm.nn, a, b), (gemm.tn, a.T.copy(), b), (gemm.nt, a, b.T.copy())):
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
    gemm.add_nn(out, a, np.ones((5, 2)))
    np.testing.assert_array_equal(out, [[5, 5], [np.nan, np.nan], [5, 5]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("table", [False, True])
def test_the_blocks_are_their_plain_forms(table, dtype):
    """The two products in machine code against the same in plain Python, at odd places of larger
    arrays.
    """
    rng = np.random.default_rng(0)
    a, b, start = (
        rng.normal(size=200).astype(dtype),
        rng.normal(size=400).astype(dtype),
        rng.normal(size=300).astype(dtype),
    )
    rows = (0, np.array([3, 40, 11, 160, 90]), 1) if table else (31, gemm.NONE, 0)
    block = (7, 50, 5, 19, a, 2, 9, 3, b, 5, *rows, 5, 2, 23, 11)
    sums = (7, 6, 5, a, 2, 21, b, 5, *rows, 19, 3, 23, 21)
    for plain, run, sizes in (
        (gemm.block, run_block, (*block, b, 3, tile.ADD, -np.inf)),
        (gemm.block, run_block, (*block, b, 3, tile.FRESH, 0.0)),
        (gemm.block, run_block, (*block, b, 3, tile.START, -np.inf)),
        (gemm.block, run_block, (*block, b, 3, tile.ACROSS, -np.inf)),
        (gemm.sums, run_sums, (*sums, True)),
        (gemm.sums, run_sums, (*sums, False)),
    ):
        found, expected = start.copy(), start.copy()
        run(found, *sizes)
        plain(expected, *sizes)
        np.testing.assert_allclose(found, expected, atol=1e-4 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("begin", [tile.ADD, tile.FRESH, tile.START, tile.ACROSS])
def test_a_product_several_times_with_one_a(begin, dtype):
    """As a convolution has it: one matrix, and for every row of the output one of the picture."""
    rng = np.random.default_rng(0)
    for rows, columns, times in product((1, 4, 6, 8), (9, 16, 17, 26, 32), (1, 2, 3, 6)):
        a, b = rng.normal(size=rows * 9).astype(dtype), rng.normal(size=400).astype(dtype)
        start = rng.normal(size=40).astype(dtype)
        found = np.full(
            rows * times * columns + 30, 1e30, dtype
        )  # what is next to it shows if it is touched
        found[11:-19] = rng.normal(size=found[11:-19].size)
        expected = found.copy()
        sizes = (
            11,
            times * columns,
            rows,
            columns,
            a,
            0,
            9,
            1,
            b,
            5,
            31,
            gemm.NONE,
            0,
            9,
            times,
            columns,
            17,
            start,
            3,
            begin,
        )
        run_block(found, *sizes, -0.5)
        gemm.block(expected, *sizes, -0.5)
        np.testing.assert_allclose(
            found, expected, rtol=1e-3 if dtype == np.float32 else 1e-9, atol=1e-4
        )


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
        cases = (gemm.nn, a, b, a @ b), (gemm.tn, at, b, at.T @ b), (gemm.nt, a, bt, a @ bt.T)
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


def test_relu_keeps_nan():
    b, out = np.array([[np.nan, -1.0, 2.0]]), np.zeros((1, 3))
    run_block(
        out,
        0,
        3,
        1,
        3,
        np.ones((1, 1)),
        0,
        1,
        1,
        b,
        0,
        3,
        gemm.NONE,
        0,
        1,
        1,
        0,
        0,
        b,
        0,
        tile.FRESH,
        0.0,
    )
    np.testing.assert_array_equal(out, [[np.nan, 0, 2]])


@jit.jit
def run_block(
    c,
    c0,
    c_row,
    m,
    n,
    a,
    a0,
    a_row,
    a_step,
    b,
    b0,
    b_row,
    table,
    t_step,
    depth,
    times,
    c_next,
    b_next,
    start,
    s0,
    begin,
    least,
):
    gemm.block(
        c,
        c0,
        c_row,
        m,
        n,
        a,
        a0,
        a_row,
        a_step,
        b,
        b0,
        b_row,
        table,
        t_step,
        depth,
        times,
        c_next,
        b_next,
        start,
        s0,
        begin,
        least,
    )


@jit.jit
def run_sums(
    c, c0, m, n, a, a0, a_row, b, b0, b_row, table, t_step, depth, times, a_next, b_next, fresh
):
    gemm.sums(
        c, c0, m, n, a, a0, a_row, b, b0, b_row, table, t_step, depth, times, a_next, b_next, fresh
    )


@jit.jit
def run_sum_rows(out, b, k, n):
    gemm.sum_rows(out, b, k, n)
