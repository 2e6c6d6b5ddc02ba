"""The recurrent kernels against the recurrence as it is written, for one shard and several, into
poisoned memory.
"""

import numpy as np
import pytest

from minigrad.kernels import gru, lstm, recurrent

SIZES = [(1, 1, 1, 1), (6, 5, 3, 4), (3, 2, 7, 9), (0, 2, 3, 4), (4, 0, 2, 3), (5, 9, 30, 20)]


def poisoned(*shapes):
    return [np.full(shape, 666.666) for shape in shapes]


class Memory:
    """What the kernels need besides operands: scratch, and a row of gates for each step and
    sample.
    """

    def __init__(self, sizes, gates, shards, **options):
        self.d, self.gate_count = recurrent.RecurrentDims(*sizes, **options), gates
        (steps, n, width, hidden), self.shards = sizes, shards
        m = gates * hidden
        self.scratch = poisoned((width, m), (hidden, m))
        self.gates, self.dpre, self.drest = poisoned(*[(steps, n, m)] * 3)


def operands(sizes, gates, states):
    """x, the first states, w, v and two biases."""
    steps, n, width, hidden = sizes
    m = gates * hidden
    shapes = [(steps, n, width), *[(n, hidden)] * states, (m, width), (m, hidden), (m,), (m,)]
    rng = np.random.default_rng(0)
    return [
        rng.normal(size=shape) / (1 if i <= states else np.sqrt(hidden))
        for i, shape in enumerate(shapes)
    ]


def lstm_backward_reference(gh, gc, x, w, v, h0, c0, hs, cs, gates):
    """Backpropagation through time: gradients of x, w, v, b, h0 and c0."""
    gx, gw, gv, gb, dh, dc = (np.zeros_like(a) for a in (x, w, v, w[:, 0], h0, c0))
    for t in reversed(range(len(x))):
        i, f, g, o = np.split(gates[t], 4, axis=1)
        squashed = np.tanh(cs[t])
        dh = dh + gh[t]
        dc = dc + gc[t] + dh * o * (1 - squashed**2)
        d = np.concatenate(
            [
                dc * g * i * (1 - i),
                dc * (cs[t - 1] if t else c0) * f * (1 - f),
                dc * i * (1 - g**2),
                dh * squashed * o * (1 - o),
            ],
            axis=1,
        )
        gw += d.T @ x[t]
        gv += d.T @ (hs[t - 1] if t else h0)
        gb += d.sum(0)
        gx[t], dh, dc = d @ w, d @ v, dc * f
    return gx, gw, gv, gb, dh, dc


def gru_backward_reference(g, x, w, v, h0, hs, gates, qs):
    """Backpropagation through time: gradients of x, w, v, b, c and h0."""
    gx, gw, gv, gb, gc, dh = (np.zeros_like(a) for a in (x, w, v, w[:, 0], w[:, 0], h0))
    for t in reversed(range(len(x))):
        r, z, new = np.split(gates[t], 3, axis=1)
        before = hs[t - 1] if t else h0
        dh = dh + g[t]
        dp = dh * (1 - z) * (1 - new**2)
        dr, dz = dp * qs[t] * r * (1 - r), dh * (before - new) * z * (1 - z)
        d, e = np.concatenate([dr, dz, dp], axis=1), np.concatenate([dr, dz, dp * r], axis=1)
        gw += d.T @ x[t]
        gv += e.T @ before
        gb += d.sum(0)
        gc += e.sum(0)
        gx[t], dh = d @ w, dh * z + e @ v
    return gx, gw, gv, gb, gc, dh


def agree(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def seed(*shape):
    return np.random.default_rng(1).normal(size=shape)


def run(m, g, inputs, states=1, y=None, with_gx=True):
    """y and dy (states, steps, n, hidden), and the gradients of all inputs, by the kernels."""
    x, h0, *more, w, v, b, c = inputs
    c0, q, rest = more[0] if more else None, None, None
    gru, shape = m.gate_count == 3, (states, *x.shape[:2], h0.shape[1])
    gates = m.gates if m.gate_count > 1 else None
    if gru:
        q, rest = poisoned(shape[1:], (len(h0), len(b)))
    if y is None:
        (y,) = poisoned(shape)
        second = c if gru else None
        args = x, w, v, b, second, h0, c0, y, gates, q, rest, *m.scratch, m.shards, m.d
        recurrent.forward(*args)
    dy, gx, gh0, *gmore = poisoned(shape, x.shape, h0.shape, *(a.shape for a in more))
    parts = poisoned(*((m.shards, *p.shape) for p in (w, v, b, c)))
    parts[3] = parts[3] if gru else None
    gc0, gx = gmore[0] if more else None, gx if with_gx else None
    kept = g, x, w, v, h0, c0, y, gates, q
    scratch = m.dpre, m.drest if gru else m.dpre
    recurrent.backward(*kept, dy, gx, *parts, gh0, gc0, *scratch, m.d)
    sums = [p.sum(0) for p in parts if p is not None]
    return y, q, [gx, *sums, gh0, *gmore]


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("relu", [False, True], ids=["tanh", "relu"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_rnn(sizes, relu, shards):
    m, (x, h0, w, v, b, c) = Memory(sizes, 1, shards, relu=relu), operands(sizes, 1, 1)
    g = seed(1, *x.shape[:2], sizes[3])
    y, _, grads = run(m, g, (x, h0, w, v, b, c))
    hs = recurrent.rnn_reference(x, w, v, b, h0, relu)
    agree([y[0]], [hs])
    agree(grads, recurrent.rnn_backward_reference(g[0], x, w, v, h0, hs, relu))


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_lstm(sizes, shards):
    m, (x, h0, c0, w, v, b, c) = Memory(sizes, 4, shards), operands(sizes, 4, 2)
    g = seed(2, *x.shape[:2], sizes[3])
    y, _, grads = run(m, g, (x, h0, c0, w, v, b, c), 2)
    hs, cs, gates = lstm.lstm_reference(x, w, v, b, h0, c0)
    agree(y, (hs, cs))
    agree(grads, lstm_backward_reference(*g, x, w, v, h0, c0, hs, cs, gates))


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_gru(sizes, shards):
    m, (x, h0, w, v, b, c) = Memory(sizes, 3, shards), operands(sizes, 3, 1)
    g = seed(1, *x.shape[:2], sizes[3])
    y, q, grads = run(m, g, (x, h0, w, v, b, c))
    hs, gates, qs = gru.gru_reference(x, w, v, b, c, h0)
    agree((y[0], q), (hs, qs))
    agree(grads, gru_backward_reference(g[0], x, w, v, h0, hs, gates, qs))


def test_without_the_inputs_gradient():
    """An embedding below may be frozen: gx is not computed, the others are as before."""
    sizes = (3, 2, 2, 3)
    m, inputs = Memory(sizes, 1, 1), operands(sizes, 1, 1)
    x, h0, w, v, b, _ = inputs
    y = recurrent.rnn_reference(x, w, v, b, h0, False)[None]
    all_of_them = run(m, np.ones_like(y), inputs, y=y)[2]
    others = run(m, np.ones_like(y), inputs, y=y, with_gx=False)[2]
    for one, other in zip(all_of_them[1:], others[1:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_shard_has_at_least_four_samples():
    assert [recurrent.groups_of(n) for n in (0, 1, 4, 5, 8, 9)] == [0, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("lengths", [[3, 1, 4], [4, 4, 4], [0, 2, 7]])
def test_sequences_are_reversed_up_to_their_lengths(lengths):
    """A length beyond the steps, which the rule refuses, reads nothing beyond them either."""
    x = np.random.default_rng(0).normal(size=(2, 4, 3, 5))
    (y,) = poisoned(x.shape)
    recurrent.reverse(x, np.array(lengths), y)
    for (p, t, n), row in zip(np.ndindex(x.shape[:3]), y.reshape(-1, 5), strict=True):
        source = lengths[n] - 1 - t
        np.testing.assert_array_equal(row, x[p, source, n] if 0 <= source < 4 else 0)
