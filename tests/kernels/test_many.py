"""The kernels against their readable twins on random sizes, by the tests of each: poisoned memory,
one thread and two.

MINIGRAD_KERNELS says how many sizes each family gets. With NUMBA_DISABLE_JIT=1 the same loops run
in plain Python.
"""

import os

import numba
import numpy as np
import pytest
from kernels import (
    test_conv,
    test_embedding,
    test_gemm,
    test_lookup_conv,
    test_norm,
    test_pool,
    test_random,
    test_recurrent,
    test_rows,
    test_scan,
    test_softmax,
)
from proof.tally import COUNTS

SIZES = int(os.environ.get("MINIGRAD_KERNELS", "150"))
FLOATS = [np.float32, np.float64]


def conv(rng, threads):
    test_conv.test_forward_and_backward(test_conv.random_dims(rng), threads)


def max_pool(rng, threads):
    test_pool.test_max(test_pool.random_dims(rng), bool(rng.integers(2)), FLOATS[rng.integers(2)])


def avg_pool(rng, threads):
    test_pool.test_avg(test_pool.random_dims(rng))


def layer(rng):
    """Steps, samples, inputs and hidden units, few or past what fits into vectors."""
    return tuple(
        int(n)
        for n in (rng.integers(0, 5), rng.integers(0, 10), *rng.integers(1, rng.choice([4, 40]), 2))
    )


def rnn(rng, threads):
    test_recurrent.test_rnn(layer(rng), bool(rng.integers(2)), threads)


def lstm(rng, threads):
    test_recurrent.test_lstm(layer(rng), threads)


def gru(rng, threads):
    test_recurrent.test_gru(layer(rng), threads)


def softmax(rng, threads):
    test_softmax.test_agrees_with_the_plain_code(
        rng.integers(0, 40), rng.integers(1, 40), threads, FLOATS[rng.integers(2)]
    )


def embedding(rng, threads):
    rows, width, count, shards = *rng.integers(1, 30, 2), rng.integers(0, 60), rng.integers(1, 4)
    test_embedding.test_gather_and_scatter(rows, width, count, FLOATS[rng.integers(2)], shards)


def norm(rng, threads):
    shape = int(rng.integers(1, 6)), int(rng.integers(1, 8)), int(rng.integers(2, 70))
    test_norm.test_forward(shape)
    test_norm.test_backward(shape)


def mask(rng, threads):
    seed, draw = (int(n) for n in rng.integers(0, 2**62, 2))
    test_random.test_masks_are_those_of_the_reference_in_either_dtype(
        float(rng.random()), seed, draw
    )


def gemm(rng, threads):
    test_gemm.test_adds_the_product(
        *rng.integers(0, 50, 2), rng.integers(0, 50), FLOATS[rng.integers(2)]
    )


def turn(rng, threads):
    test_rows.test_turning_a_matrix_of_any_size_within_a_larger_one(
        *rng.integers(1, 70, 2), FLOATS[rng.integers(2)]
    )


def lookup_conv(rng, threads):
    d, flag = test_lookup_conv.random_dims(rng), bool(rng.integers(2))
    test_lookup_conv.test_forward_and_backward(
        d, flag, FLOATS[rng.integers(2)], int(rng.integers(1, 30))
    )


def scan(rng, threads):
    shape, dtype = tuple(int(n) for n in rng.integers(1, 9, 3)), FLOATS[rng.integers(2)]
    for name in ("cumsum", "cumprod"):
        test_scan.test_totals_so_far(name, shape, dtype)
    test_scan.test_gradient_of_products(shape, dtype)
    test_scan.test_places_of_extremes(bool(rng.integers(2)), shape, dtype)


FAMILIES = [
    conv,
    max_pool,
    avg_pool,
    rnn,
    lstm,
    gru,
    softmax,
    embedding,
    norm,
    mask,
    gemm,
    turn,
    lookup_conv,
    scan,
]


@pytest.fixture(params=[1, 2])
def threads(request):
    before = numba.get_num_threads()
    if request.param > numba.config.NUMBA_NUM_THREADS:
        pytest.skip("one thread only")
    numba.set_num_threads(request.param)
    yield request.param
    numba.set_num_threads(before)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_many_sizes(family, threads):
    for seed in range(SIZES):
        family(np.random.default_rng([seed, threads]), threads)
    COUNTS["sizes of kernels"] += SIZES
