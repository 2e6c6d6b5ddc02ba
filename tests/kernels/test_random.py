"""Random numbers give what their references say, whatever part of a draw is asked for."""

import numpy as np
import pytest

from minigrad.kernels import random

STREAMS = [(0, 0), (1, 7), (2**63 - 1, 2**40)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("seed", "draw"), STREAMS)
def test_numbers_are_those_of_the_reference(seed, draw, dtype):
    for name in ("uniform", "normal"):
        expected = getattr(random, f"{name}_reference")(1003, seed, draw)
        for first, size in ((0, 1003), (0, 10), (700, 10)):
            made = np.full(size, 66, dtype)
            getattr(random, name)(np.array([seed, draw]), made, np.array([first]))
            part = expected[first : first + size]
            np.testing.assert_allclose(made, part, atol=1e-14 if dtype == np.float64 else 1e-6)


def test_numbers_in_float32_are_below_1():
    made, wide = np.empty(10**6, np.float32), np.empty(10**6)
    for array in (made, wide):
        random.uniform(np.array([5, 1]), array, np.array([0]))
    assert made.max() < 1 and made.min() >= 0
    np.testing.assert_array_equal(made, np.floor(wide * 2**24) / 2**24)


def test_numbers_have_the_moments_of_their_distributions():
    """Within five standard deviations of what independent numbers would give."""
    n = 200_000
    u, z = random.uniform_reference(n, 3, 1), random.normal_reference(n, 3, 1)
    for x, moments in ((u, (1 / 2, 1 / 3, 1 / 4, 1 / 5)), (z, (0, 1, 0, 3))):
        for k, moment in enumerate(moments, 1):
            assert abs((x**k).mean() - moment) < 5 * (x**k).std() / np.sqrt(n)
    later = random.normal_reference(n, 3, 2)
    for a, b in ((z, later), (z[1:], z[:-1]), (z[64:], z[:-64])):
        assert abs(np.mean(a * b)) < 5 / np.sqrt(len(a))


# ---------------- masks
def mask(size, seed, draw, p, dtype=np.float32, first=0):
    made = np.full(size, 66, dtype)
    random.mask(np.array([seed, draw]), p, made, np.array([first]))
    return made


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize(("seed", "draw"), [(0, 0), (1, 7), (2**63 - 1, 2**40)])
def test_masks_are_those_of_the_reference_in_either_dtype(p, seed, draw):
    expected = random.mask_reference(1003, seed, draw, p)
    np.testing.assert_array_equal(mask(1003, seed, draw, p, np.float64), expected)
    np.testing.assert_array_equal(mask(1003, seed, draw, p), expected.astype(np.float32))
    np.testing.assert_array_equal(mask(10, seed, draw, p), mask(1003, seed, draw, p)[:10])
    np.testing.assert_array_equal(
        mask(10, seed, draw, p, first=700), mask(1003, seed, draw, p)[700:710]
    )


def test_the_generator_is_splitmix64():
    """The first numbers from seed 1234567, as Vigna's program prints them."""
    bits = random._mixed(
        np.array([1234567], np.uint64) + np.arange(1, 4, dtype=np.uint64) * random._GOLDEN
    )
    assert bits.tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_the_share_kept_and_neighbours_seeds_and_draws_are_independent(p):
    """Within five standard deviations of what independent coins would give."""
    n = 100_000
    one, later, other = (mask(n, *which, p) > 0 for which in ((3, 1), (3, 2), (4, 1)))
    limit = 5 * np.sqrt(p * (1 - p) / n)
    assert abs(one.mean() - (1 - p)) < limit
    for a, b in ((one, later), (one, other), (one[1:], one[:-1]), (one[64:], one[:-64])):
        assert abs(np.mean((a - (1 - p)) * (b - (1 - p)))) < 5 * p * (1 - p) / np.sqrt(len(a))
