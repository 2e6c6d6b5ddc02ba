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
        self.d = recurrent.RecurrentDims(*sizes, **options)
        width, hidden = sizes[2:]
        rows = recurrent.rows_of(self.d, shards)
        some, m = rows if shards > 1 else 0, gates * hidden
        self.wt, self.vt, *self.rows = poisoned(
            (width, m), (hidden, m), (shards, some, width), (shards, some, hidden)
        )
        self.gates, self.drows, self.erows = poisoned(*[(shards, rows, m)] * 3)
        self.scratch = (self.wt, self.vt, *self.rows)


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


def agree(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def seed(*shape):
    return np.random.default_rng(1).normal(size=shape)


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("relu", [False, True], ids=["tanh", "relu"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_rnn(sizes, relu, shards):
    m, (x, h0, w, v, b, _) = Memory(sizes, 1, shards, relu=relu), operands(sizes, 1, 1)
    hs, dh, gx, gh0 = poisoned(
        (*x.shape[:2], sizes[3]), (*x.shape[:2], sizes[3]), x.shape, h0.shape
    )
    recurrent.rnn_forward(x, w, v, b, h0, hs, *m.scratch, m.d)
    agree([hs], [recurrent.rnn_reference(x, w, v, b, h0, relu)])
    g, (gw, gv, gb) = seed(*hs.shape), poisoned(*((shards, *p.shape) for p in (w, v, b)))
    recurrent.rnn_backward(g, x, w, v, h0, hs, dh, gx, gw, gv, gb, gh0, *m.rows, m.drows, m.d)
    expected = recurrent.rnn_backward_reference(g, x, w, v, h0, hs, relu)
    agree((gx, gw.sum(0), gv.sum(0), gb.sum(0), gh0), expected)


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_lstm(sizes, shards):
    m, (x, h0, c0, w, v, b, _) = Memory(sizes, 4, shards), operands(sizes, 4, 2)
    y, dy, gx, gh0, gc0 = poisoned(*[(2, *x.shape[:2], sizes[3])] * 2, x.shape, h0.shape, c0.shape)
    lstm.lstm_forward(x, w, v, b, h0, c0, *y, m.gates, *m.scratch, m.d)
    hs, cs, gates = lstm.lstm_reference(x, w, v, b, h0, c0)
    agree(y, (hs, cs))
    g, (gw, gv, gb) = seed(*y.shape), poisoned(*((shards, *p.shape) for p in (w, v, b)))
    lstm.lstm_backward(
        g, x, w, v, h0, c0, y, m.gates, dy, gx, gw, gv, gb, gh0, gc0, *m.rows, m.drows, m.d
    )
    expected = lstm.lstm_backward_reference(*g, x, w, v, h0, c0, hs, cs, gates)
    agree((gx, gw.sum(0), gv.sum(0), gb.sum(0), gh0, gc0), expected)


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_gru(sizes, shards):
    m, (x, h0, w, v, b, c) = Memory(sizes, 3, shards), operands(sizes, 3, 1)
    hs, dh, q, gx, gh0, rest = poisoned(
        *[(*x.shape[:2], sizes[3])] * 3, x.shape, h0.shape, (shards, len(h0), len(b))
    )
    gru.gru_forward(x, w, v, b, c, h0, hs, m.gates, q, rest, *m.scratch, m.d)
    right, gates, qs = gru.gru_reference(x, w, v, b, c, h0)
    agree((hs, q), (right, qs))
    g, (gw, gv, gb, gc) = seed(*hs.shape), poisoned(*((shards, *p.shape) for p in (w, v, b, c)))
    gru.gru_backward(
        g, x, w, v, h0, hs, m.gates, q, dh, gx, gw, gv, gb, gc, gh0, *m.rows, m.drows, m.erows, m.d
    )
    expected = gru.gru_backward_reference(g, x, w, v, h0, right, gates, qs)
    agree((gx, gw.sum(0), gv.sum(0), gb.sum(0), gc.sum(0), gh0), expected)


def test_without_the_inputs_gradient():
    """An embedding below may be frozen: gx is not computed, the others are as before."""
    sizes = (3, 2, 2, 3)
    m, (x, h0, w, v, b, _) = Memory(sizes, 1, 1), operands(sizes, 1, 1)
    hs = recurrent.rnn_reference(x, w, v, b, h0, False)
    results = []
    for gx in (np.empty_like(x), None):
        grads = poisoned((1, *w.shape), (1, *v.shape), (1, *b.shape), h0.shape)
        recurrent.rnn_backward(
            np.ones_like(hs), x, w, v, h0, hs, np.empty_like(hs), gx, *grads, *m.rows, m.drows, m.d
        )
        results.append(grads)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("shape", [(1, 1), (16, 3), (33, 20)], ids=str)
def test_transpose(shape):
    a = np.random.default_rng(0).normal(size=shape)
    (out,) = poisoned(shape[::-1])
    recurrent.transpose(a, out, 0, shape[0] // 2)
    recurrent.transpose(a, out, shape[0] // 2, shape[0])
    np.testing.assert_array_equal(out, a.T)


def test_a_shard_has_at_least_four_samples():
    assert [recurrent.groups_of(n) for n in (0, 1, 4, 5, 8, 9)] == [0, 1, 1, 2, 2, 3]
