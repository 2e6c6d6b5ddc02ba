import numpy as np
import pytest

from minigrad.kernels import jit, rows

POISON = 1e30


@jit.jit
def run_put(goal, g0, source, s0, count):
    rows.put(goal, g0, source, s0, count)


@jit.jit
def run_add(goal, g0, source, s0, count):
    rows.add(goal, g0, source, s0, count)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("plain, compiled", [(rows.put, run_put), (rows.add, run_add)])
def test_rows_of_every_length(plain, compiled, dtype):
    source = np.random.default_rng(0).normal(size=120).astype(dtype)
    for count in range(100):
        found, expected = np.full(110, POISON, dtype), np.full(110, POISON, dtype)
        found[5:105] = expected[5:105] = source[:100]
        compiled(found, 7, source, 11, count)
        plain(expected, 7, source, 11, count)
        np.testing.assert_array_equal(found, expected)
