"""The largest entries of windows, against the plain form."""

import numpy as np
import pytest

from minigrad.kernels import jit, simd
from minigrad.kernels.simd import plain


@jit.jit
def run_windows(best, places, x, start, width, rows, left, step, columns):
    simd.window_maxima(best, places, x, start, width, rows, left, step, columns)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("step", [1, 2, 3, 8])
@pytest.mark.parametrize(("columns", "left"), [(1, 0), (3, -1), (8, 0), (9, -4)])
def test_windows_of_any_size(columns, left, step, dtype):
    rng = np.random.default_rng(columns)
    for count in (0, 1, 5, 15, 16, 17, 40):
        width = max(
            1, left + (count - 1) * step + columns - max(-left, 0)
        )  # the last one may reach beyond, too
        x = rng.integers(-3, 3, 4 + 3 * width).astype(dtype)  # with ties
        x[[0, 1, -1, -2]] = 100  # before and after the picture
        x[2:-2][rng.random(3 * width) < 0.1] = rng.choice([np.nan, -np.inf])
        for top, bottom in ((0, 3), (1, 2)):
            found = np.full(count + 2, 7, dtype), np.full(count + 2, 7, np.int32)
            run_windows(
                found[0][1:-1], found[1][1:-1], x, 2, width, (top, bottom), left, step, columns
            )
            right = np.full(count + 2, 7, dtype), np.full(count + 2, 7, np.int32)
            plain.window_maxima(
                right[0][1:-1], right[1][1:-1], x, 2, width, (top, bottom), left, step, columns
            )
            for mine, expected in zip(found, right, strict=True):
                np.testing.assert_array_equal(mine, expected)
