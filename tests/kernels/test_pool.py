"""The pooling kernels against their plain twins, on random sizes and into poisoned memory."""

import numpy as np
import pytest

from minigrad.kernels import pool
from minigrad.ops.conv import window_count

POISON = 666


def random_dims(seed):
    rng = np.random.default_rng(seed)
    while True:
        size, kernel, stride = rng.integers(1, 9, 2), rng.integers(1, 5, 2), rng.integers(1, 5, 2)
        padding = [int(rng.integers(0, k // 2 + 1)) for k in kernel]
        out = [window_count(*map(int, q)) for q in zip(size, kernel, stride, padding, strict=True)]
        if min(out) >= 1:
            return pool.PoolDims(
                *map(int, (rng.integers(0, 5), *size, *kernel, *out, *stride, *padding))
            )


SPECIAL = [
    pool.PoolDims(2, 3, 4, 3, 4, 1, 1, 3, 4, 0, 0),
    pool.PoolDims(3, 7, 41, 2, 2, 3, 20, 2, 2, 0, 0),  # two by two
    pool.PoolDims(3, 1, 131, 1, 8, 1, 16, 1, 8, 0, 0),  # one row
    pool.PoolDims(2, 1, 40, 1, 3, 1, 20, 1, 2, 0, 1),  # one row with padding
    pool.PoolDims(2, 5, 41, 3, 3, 3, 21, 2, 2, 1, 1),  # more windows than fit into a vector
    pool.PoolDims(2, 5, 41, 3, 3, 3, 39, 1, 1, 0, 0),
]
DILATED = [
    pool.PoolDims(2, 5, 9, 2, 3, 3, 3, 1, 2, 0, 0, 2, 2),
    pool.PoolDims(3, 6, 8, 3, 2, 4, 3, 1, 3, 1, 1, 2, 4),
    pool.PoolDims(1, 7, 8, 2, 2, 4, 3, 2, 3, 0, 0, 2, 1),  # reaching over an edge
]
DIMS = [*SPECIAL, *map(random_dims, range(40))]
EVERY = pytest.mark.parametrize("d", DIMS, ids=lambda d: ",".join(map(str, d)))


@pytest.mark.parametrize("d", [*DIMS, *DILATED], ids=lambda d: ",".join(map(str, d)))
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_max(d, ties, dtype):
    rng = np.random.default_rng(0)
    x = (
        rng.integers(-2, 0, (d.planes, d.h, d.w)) if ties else rng.normal(size=(d.planes, d.h, d.w))
    ).astype(dtype)
    y, winners = (
        np.full((d.planes, d.oh, d.ow), POISON, dtype),
        np.full((d.planes, d.oh, d.ow), POISON, np.int32),
    )
    pool.max_forward(x, y, winners, d)
    expected, positions = pool.max_pool_reference(x, d)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(winners, positions)

    g, gx = rng.normal(size=y.shape).astype(dtype), np.full((d.planes, d.h * d.w), POISON, dtype)
    pool.max_backward(g, winners, gx, d)
    collected = np.zeros_like(gx)
    for p in range(d.planes):
        np.add.at(collected[p], positions[p].ravel(), g[p].ravel())
    np.testing.assert_allclose(gx, collected, atol=10 * np.finfo(dtype).eps)


@EVERY
def test_avg(d):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(d.planes, d.h, d.w)), np.full((d.planes, d.oh, d.ow), float(POISON))
    pool.avg_forward(x, y, d)
    np.testing.assert_allclose(y, pool.avg_pool_reference(x, d), atol=1e-14)

    g, gx = rng.normal(size=y.shape), np.full(x.shape, float(POISON))
    pool.avg_backward(g, gx, d)
    assert (
        gx.shape == x.shape and abs((gx * x).sum() - (g * y).sum()) < 1e-12
    )  # the mean is linear: its own transpose


def test_nan_wins_the_last_one_and_minus_infinity_can_win():
    d = pool.PoolDims(1, 2, 4, 2, 2, 1, 2, 2, 2, 0, 0)
    x = np.array([[[np.nan, 5, -np.inf, -np.inf], [np.nan, 1, -np.inf, -np.inf]]], np.float32)
    y, winners = np.full((1, 1, 2), POISON, np.float32), np.full((1, 1, 2), POISON, np.int32)
    pool.max_forward(x, y, winners, d)
    np.testing.assert_array_equal(y[0, 0], [np.nan, -np.inf])
    np.testing.assert_array_equal(winners[0, 0], [4, 2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", DIMS[:12], ids=lambda d: ",".join(map(str, d)))
def test_winners_of_large_planes_are_int64(d, dtype):
    """The kernels take them on a small plane, too; their dtype depends on the plane."""
    x = np.random.default_rng(0).normal(size=(d.planes, d.h, d.w)).astype(dtype)
    results, windows = [], (d.planes, d.oh, d.ow)
    for kind in (np.int32, np.int64):
        y, winners = np.full(windows, POISON, dtype), np.full(windows, POISON, kind)
        gx = np.full((d.planes, d.h * d.w), POISON, dtype)
        pool.max_forward(x, y, winners, d)
        pool.max_backward(y, winners, gx, d)
        results.append((y, winners, gx))
    for small, large in zip(*results, strict=True):
        np.testing.assert_array_equal(small, large)


def test_the_dtype_of_winners_reaches_the_last_entry_of_a_plane():
    small, large = [(28, 28), (1, 2**31)], [(1, 2**31 + 1), (2**16, 2**16)]
    for h, w in small + large:
        expected, d = np.int32 if (h, w) in small else np.int64, SPECIAL[0]._replace(h=h, w=w)
        assert pool.winners_dtype(d) is expected and h * w - 1 <= np.iinfo(expected).max
