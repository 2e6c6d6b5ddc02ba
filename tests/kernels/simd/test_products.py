"""Products in blocks of registers against their plain forms."""

from itertools import product

import numpy as np
import pytest

from minigrad.kernels import gemm, jit, simd
from minigrad.kernels.simd import ACROSS, ADD, FRESH, START, Begin, Entries, Rows, Sizes, plain


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("table", [False, True])
def test_the_blocks_are_their_plain_forms(table, dtype):
    """The two products in machine code against their plain forms, at odd places of larger
    arrays.
    """
    rng = np.random.default_rng(0)
    a, b, start = (rng.normal(size=n).astype(dtype) for n in (200, 400, 300))
    row, shifts = (0, np.array([3, 40, 11, 160, 90])) if table else (31, gemm.NONE)
    goal, left, right = Rows(7, 50, 23), Entries(2, 9, 3, 0), Rows(5, row, 11)
    product = goal, a, left, b, right, shifts, 0, Sizes(5, 5, 19, 2), b
    goal, left, right = Rows(7, 5, 0), Rows(2, 21, 23), Rows(5, row, 21)
    dots = goal, a, left, b, right, shifts, Sizes(6, 19, 5, 3)
    for run, given in (
        (run_block, (*product, Begin(ADD, 3), -np.inf)),
        (run_block, (*product, Begin(FRESH, 3), 0.0)),
        (run_block, (*product, Begin(START, 3), -np.inf)),
        (run_block, (*product, Begin(ACROSS, 3), -np.inf)),
        (run_sums, (*dots, True)),
        (run_sums, (*dots, False)),
    ):
        found, expected = start.copy(), start.copy()
        run(found, *given)
        (plain.block if run is run_block else plain.sums)(expected, *given)
        np.testing.assert_allclose(found, expected, atol=1e-4 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [ADD, FRESH, START, ACROSS])
@pytest.mark.parametrize("a_next", [0, 5])
def test_a_product_several_times(a_next, kind, dtype):
    """As a convolution has it: for every row of the output one of the picture, times one matrix."""
    rng = np.random.default_rng(0)
    for rows, columns, times in product((1, 4, 6, 8), (9, 16, 17, 26, 32), (1, 2, 3, 6)):
        a, b = rng.normal(size=rows * 9 + 30).astype(dtype), rng.normal(size=400).astype(dtype)
        start = rng.normal(size=40).astype(dtype)
        # what is next to it shows if it is touched
        found = np.full(rows * times * columns + 30, 1e30, dtype)
        found[11:-19] = rng.normal(size=found[11:-19].size)
        expected = found.copy()
        goal, right, sizes = (
            Rows(11, times * columns, columns),
            Rows(5, 31, 17),
            Sizes(rows, 9, columns, times),
        )
        given = (
            goal,
            a,
            Entries(0, 9, 1, a_next),
            b,
            right,
            gemm.NONE,
            0,
            sizes,
            start,
            Begin(kind, 3),
            -0.5,
        )
        run_block(found, *given)
        plain.block(expected, *given)
        close = {"rtol": 1e-3 if dtype == np.float32 else 1e-9, "atol": 1e-4}
        np.testing.assert_allclose(found, expected, **close)


def test_relu_keeps_nan():
    b, out, ones = np.array([[np.nan, -1.0, 2.0]]), np.zeros((1, 3)), np.ones((1, 1))
    rows, sizes, begin = Rows(0, 3, 0), Sizes(1, 1, 3, 1), Begin(FRESH, 0)
    run_block(out, rows, ones, Entries(0, 1, 1, 0), b, rows, gemm.NONE, 0, sizes, b, begin, 0.0)
    np.testing.assert_array_equal(out, [[np.nan, 0, 2]])


@jit.jit
def run_block(out, c, left, a, right, b, table, slide, sizes, start, begin, least):
    simd.block(out, c, left, a, right, b, table, slide, sizes, start, begin, least)


@jit.jit
def run_sums(out, c, left, a, right, b, table, sizes, fresh):
    simd.sums(out, c, left, a, right, b, table, sizes, fresh)
