"""The optimisers' loops against their formulas in NumPy, over several steps."""

import numpy as np
import pytest

from minigrad.kernels import update

STEPS = [np.random.default_rng(seed).normal(size=9) for seed in range(4)]
START = np.linspace(-1, 1, 9)
LR, DECAY = 0.1, 0.01


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd(momentum, nesterov):
    p, q, v = START.copy(), START.copy(), 0
    velocity = np.zeros(9)
    for g in STEPS:
        if momentum:
            update.momentum(p, g, velocity, LR, DECAY, momentum, float(nesterov))
        else:
            update.sgd(p, g, LR, DECAY)
        step = g + DECAY * q
        v = momentum * v + step
        q = q - LR * (step + momentum * v if nesterov else v)
    np.testing.assert_allclose(p, q, rtol=1e-13)


@pytest.mark.parametrize(("coupled", "decoupled"), [(0.0, 0.0), (DECAY, 0.0), (0.0, DECAY)])
def test_adam(coupled, decoupled):
    p, q, m, v, mean, square = START.copy(), START.copy(), np.zeros(9), np.zeros(9), 0, 0
    b1, b2, eps = 0.9, 0.999, 1e-8
    for t, g in enumerate(STEPS, 1):
        update.adam(p, g, m, v, LR, b1, b2, eps, 1 - b1**t, 1 - b2**t, coupled, decoupled)
        g = g + coupled * q
        mean, square = b1 * mean + (1 - b1) * g, b2 * square + (1 - b2) * g * g
        q = q * (1 - LR * decoupled) - LR * (mean / (1 - b1**t)) / (
            np.sqrt(square / (1 - b2**t)) + eps
        )
    np.testing.assert_allclose(p, q, rtol=1e-12)


def test_rmsprop():
    p, q, v, square, alpha, eps = START.copy(), START.copy(), np.zeros(9), 0, 0.99, 1e-8
    for g in STEPS:
        update.rmsprop(p, g, v, LR, alpha, eps, DECAY)
        g = g + DECAY * q
        square = alpha * square + (1 - alpha) * g * g
        q = q - LR * g / (np.sqrt(square) + eps)
    np.testing.assert_allclose(p, q, rtol=1e-12)


def test_float32_stays_float32():
    p, lr = START.astype(np.float32), np.float32(LR)
    update.sgd(p, STEPS[0].astype(np.float32), lr, np.float32(0))
    np.testing.assert_allclose(p, START - LR * STEPS[0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("width", [0, 1, 3, 40])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_samples_are_gathered_in_their_order_up_to_the_last(width, dtype):
    rows, order = np.arange(7 * width).reshape(7, width).astype(dtype), np.array([6, 0, 3, 3, 5])
    for start, count in ((0, 5), (3, 2), (4, 1), (5, 0)):
        out = np.full(count * width, 77, dtype)
        update.gather(rows.reshape(-1), width, order, start, out, 1)
        np.testing.assert_array_equal(out, rows[order[start : start + count]].ravel())


@pytest.mark.parametrize(("pieces", "wide"), [(1, 5), (4, 1), (3, 20), (2, 0)])
def test_pieces_of_samples_are_gathered_first_ones_first(pieces, wide):
    rows, order = (
        np.arange(7 * pieces * wide, dtype=np.float32).reshape(7, pieces * wide),
        np.array([6, 0, 3, 3, 5]),
    )
    for start, count in ((0, 5), (3, 2), (5, 0)):
        out = np.full(count * pieces * wide, 77, np.float32)
        update.gather(rows.reshape(-1), pieces * wide, order, start, out, pieces)
        expected = rows[order[start : start + count]].reshape(count, pieces, wide).swapaxes(0, 1)
        np.testing.assert_array_equal(out, expected.ravel())


def test_results_are_put_behind_those_of_the_samples_before():
    out = np.full(12, 77.0)
    update.put(out, 2, 3, np.arange(6.0))
    assert out.tolist() == [77] * 6 + [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_row_gets_the_sum_of_all(dtype):
    rows = np.array([[1, 2, 3, 4], [10, 20, 30, 40], [100, 200, 300, 400]], dtype)
    update.sum_over_rows(rows, 1, 2)
    assert rows.tolist() == [[1, 222, 333, 4], [10, 222, 333, 40], [100, 222, 333, 400]]
