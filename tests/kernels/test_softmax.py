"""Softmax and cross-entropy in one pass."""

import numpy as np
import pytest

from minigrad.kernels import softmax


def run(logits, ids, shards=1):
    losses, p = (
        np.full(len(ids), 666.666, logits.dtype),
        np.full(logits.shape, 666.666, logits.dtype),
    )
    softmax.cross_entropy(logits, np.asarray(ids), losses, p, shards)
    return losses, p


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize(("n", "classes"), [(1, 1), (7, 10), (4, 3), (0, 2), (250, 11), (3, 1100)])
def test_agrees_with_the_plain_code(n, classes, shards, dtype):
    rng = np.random.default_rng(0)
    logits, ids = rng.normal(size=(n, classes)).astype(dtype), rng.integers(0, classes, n)
    for actual, expected in zip(
        run(logits, ids, shards), softmax.cross_entropy_reference(logits, ids), strict=True
    ):
        np.testing.assert_allclose(
            actual, expected, rtol=1e-5, atol=1e-6 if dtype == np.float32 else 1e-14
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_any_length_are_nan_where_one_number_is(dtype):
    rng = np.random.default_rng(0)
    for classes in range(1, 70):
        rows = rng.normal(size=(3, classes)).astype(dtype)
        rows[1, rng.integers(classes)] = rng.choice([np.nan, -np.nan])
        rows[2, rng.random(classes) < 0.2] = -1e30
        (losses, p), expected = run(rows, [0, 0, 0]), softmax.cross_entropy_reference(rows, [0] * 3)
        for found, right in zip((losses, p), expected, strict=True):
            np.testing.assert_allclose(found, right, rtol=2e-5, atol=1e-6)
        assert np.isnan(losses[1]) and np.isnan(p[1]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_numbers_nan_and_infinity(dtype):
    """Three times -1e5 is a third each, in float32 too: a compiler that reorders log Σ - (x - max)
    loses its digits.
    """
    inf, nan = np.inf, np.nan
    rows = [
        [1, 2, 3000],
        [-1e5, -1e5, -1e5],
        [nan, 0, 0],
        [0, 0, nan],
        [inf, 0, 0],
        [-inf, -inf, -inf],
        [-inf, 0, 0],
    ]
    losses, p = run(np.array(rows, dtype), [2, 0, 1, 0, 0, 0, 1])
    np.testing.assert_allclose(
        losses, [0, np.log(3), nan, nan, nan, nan, np.log(2)], rtol=1e-6, atol=1e-7
    )
    assert np.isnan(p[2:6]).all(1)[[0, 1, 3]].all()
    np.testing.assert_allclose(p[[0, 1, 6]], [[0, 0, 1], [1 / 3] * 3, [0, 0.5, 0.5]], rtol=1e-6)


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint64, np.uint8])
def test_class_ids_of_no_class_touch_nothing(kind):
    """The loss of such a row is NaN, and it gets no gradient."""
    limits, n = np.iinfo(kind), 64
    far = (-1, 3, 10**12, -(10**12), limits.max)
    given = [2, *(i for i in far if limits.min <= i <= limits.max), 0]
    ids, good = np.array(given, kind), np.array([0 <= i < 3 for i in given])
    back = np.full((ids.size + 2 * n, 3), 77, np.float32)
    losses, p = run(np.zeros((ids.size, 3), np.float32), ids)
    np.testing.assert_allclose(losses[good], np.log(3), rtol=1e-6)
    assert np.isnan(losses[~good]).all()
    np.testing.assert_allclose(p, 1 / 3, rtol=1e-6)
    softmax.cross_entropy_back(p, ids, np.full(1, ids.size, np.float32), back[n:-n])
    expected = np.array([[1, 1, -2], [-2, 1, 1]]) / 3
    np.testing.assert_allclose(back[n:-n][good], expected, rtol=1e-6)
    assert (back[n:-n][~good] == 0).all() and (back[:n] == 77).all() and (back[-n:] == 77).all()
