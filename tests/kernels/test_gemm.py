"""The small matrix products, over all remainders of their steps of four."""
import numpy as np
import pytest

from minigrad.kernels import gemm


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("depth", [0, 1, 3, 4, 5, 8, 11])
@pytest.mark.parametrize(("m", "n"), [(1, 1), (3, 4), (5, 7), (4, 18), (0, 2), (2, 0)])
def test_adds_the_product(m, n, depth, dtype):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(m, depth)).astype(dtype), rng.normal(size=(depth, n)).astype(dtype)
    start = rng.normal(size=(m, n)).astype(dtype)
    layouts = [(gemm.add_nn, a, b), (gemm.add_tn, a.T.copy(), b), (gemm.add_nt, a, b.T.copy())]
    for add, left, right in layouts:
        out = start.copy()
        add(out, left, right)
        np.testing.assert_allclose(out, start + a @ b, atol=1e-5 if dtype == np.float32 else 1e-13)


def test_nan_reaches_its_row_only():
    a, out = np.ones((3, 5)), np.zeros((3, 2))
    a[1, 4] = np.nan
    gemm.add_nn(out, a, np.ones((5, 2)))
    np.testing.assert_array_equal(out, [[5, 5], [np.nan, np.nan], [5, 5]])
