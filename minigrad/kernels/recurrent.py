"""A recurrent layer over all its time steps, forward and through time backward, in one call each.

The batch is cut into shards; each thread takes its samples through all steps, so threads meet once
per call and not once per step. Only what depends on the step before is computed step by step. W x_t
of all steps is computed before, the gradients of the weights and of x after: with one shard in one
large product, else in one per step. The layers differ in their cell only, the functions that take
one sample one step on or back:

* RNN: h_t = f(W x_t + V h_{t-1} + b), f = tanh or relu, below;
* LSTM, with a cell state, in `lstm.py`;
* GRU, where V h_{t-1} is not added to W x_t, in `gru.py`.

The arguments of the others are None in a call, and their cells are not compiled.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

from typing import NamedTuple

import numpy as np

from .gemm import add_rows, nn, tn
from .gru import gru_cell, gru_cell_back
from .jit import compiled_separately, jit, prange, shard
from .lstm import lstm_cell, lstm_cell_back
from .mathfn import tanh
from .simd import ADD, copy_rows, shaped, transpose


class RecurrentDims(NamedTuple):
    """The sizes of one recurrent layer: x (steps, n, width) gives (steps, n, hidden)."""

    steps: int
    n: int
    width: int
    hidden: int
    relu: bool = False


# ---------------- the plain recurrent layer
def rnn_reference(x, w, v, b, h, relu):
    """The recurrence as it is written: one line per step."""
    hs = []
    for x_t in x:
        pre = x_t @ w.T + h @ v.T + b
        h = np.maximum(pre, 0) if relu else np.tanh(pre)
        hs.append(h)
    return np.array(hs).reshape(len(x), *h.shape)


def rnn_backward_reference(g, x, w, v, h0, hs, relu):
    """Backpropagation through time (Werbos 1990): gradients of x, w, v, b and h0."""
    gx, gw, gv, gb, back = (np.zeros_like(a) for a in (x, w, v, w[:, 0], h0))
    for t in reversed(range(len(x))):
        dh = g[t] + back
        dpre = dh * (hs[t] > 0) if relu else dh * (1 - hs[t] ** 2)
        gx[t], back = dpre @ w, dpre @ v
        gw += dpre.T @ x[t]
        gv += dpre.T @ (hs[t - 1] if t else h0)
        gb += dpre.sum(0)
    return gx, gw, gv, gb, back


@jit
def _rnn_cell(h, b, relu):
    """One sample's step: h (hidden,) holds W x_t + V h_{t-1}, and afterwards h_t."""
    if relu:
        for j in range(h.size):
            pre = h[j] + b[j]
            h[j] = h.dtype.type(0) if pre < 0 else pre
    else:
        for j in range(h.size):
            h[j] = tanh(h[j] + b[j])


@jit
def _rnn_cell_back(h, dh, dpre, relu):
    """One sample's step back: from ∂L/∂h_t to the gradient before the nonlinearity in dpre."""
    zero, one = h.dtype.type(0), h.dtype.type(1)  # a plain 1 would make it double precision
    if relu:
        for j in range(h.size):
            dpre[j] = dh[j] if h[j] > 0 else zero
    else:
        for j in range(h.size):
            dpre[j] = dh[j] * (one - h[j] * h[j])


# ---------------- the skeleton
def groups_of(n):
    """The pieces in which samples are cut, four each: a product with fewer rows takes as long,
    because it waits for the weights.
    """
    return -(-n // 4)


@jit
def _by_rows(a):
    """(steps, n, width) as rows."""
    return shaped(a, (a.shape[0] * a.shape[1], a.shape[2]))


@compiled_separately
def _each_step(out, a, b, lo, hi):
    """out[t] = a[t] @ b for samples lo to hi of every step."""
    if hi - lo == a.shape[1]:
        nn(_by_rows(out), _by_rows(a), b)
    else:
        for t in range(a.shape[0]):
            nn(out[t, lo:hi], a[t, lo:hi], b)


@compiled_separately
def _forward_shard(x, b, c, h0, c0, y, gates, q, rest, wt, vt, d, span):
    (lo, hi), hs = span, y[0]
    pre = hs if gates is None else gates
    _each_step(pre, x, wt, lo, hi)
    for t in range(d.steps):
        before = hs[t - 1] if t > 0 else h0
        if q is None:
            nn(pre[t, lo:hi], before[lo:hi], vt, ADD)
        else:
            nn(rest[lo:hi], before[lo:hi], vt)
        for n in range(lo, hi):
            if q is not None:
                gru_cell(pre[t, n], rest[n], b, c, before[n], q[t, n], hs[t, n])
            elif c0 is not None:
                cell = y[1, t - 1, n] if t > 0 else c0[n]
                lstm_cell(pre[t, n], b, cell, y[1, t, n], hs[t, n])
            else:
                _rnn_cell(hs[t, n], b, d.relu)


@jit(parallel=True)
def forward(x, w, v, b, c, h0, c0, y, gates, q, rest, wt, vt, shards, d):
    """Write the states into y (states, steps, n, hidden): h, and for an LSTM the cell state.

    x (steps, n, width), w (m, width), v (m, hidden), b (m,), h0 and c0 (n, hidden), with m = 1, 3
    or 4 · hidden. Kept for the way back: `gates` (steps, n, m) of LSTM and GRU, and of a GRU, which
    has a second bias c, q (steps, n, hidden). Scratch are wt and vt, for the transposed weights,
    and for a GRU rest (n, m).
    """
    transpose(wt, 0, w.shape[0], w, 0, d.width, d.width, w.shape[0])
    transpose(vt, 0, v.shape[0], v, 0, d.hidden, d.hidden, v.shape[0])
    for s in prange(shards):
        span = shard(s, shards, d.n)
        _forward_shard(x, b, c, h0, c0, y, gates, q, rest, wt, vt, d, span)


@compiled_separately
def _add_outer(grads, totals, s, a, b, lo, hi, n):
    """grads[s] += aᵀ b, and totals[s] += the sum of the rows of a, for rows lo to hi of every n of
    a (rows, m) and b (rows, k); `totals` may be None.

    All rows are cut into equal pieces that stay in the cache.
    """
    rows, whole = a.shape[0], hi - lo == n
    times = -(-rows // 40) if whole else rows // n
    for i in range(times):
        first, last = shard(i, times, rows) if whole else (i * n + lo, i * n + hi)
        tn(grads[s], a[first:last], b[first:last], ADD)
        if totals is not None:
            add_rows(totals[s], a[first:last])


@compiled_separately
def _backward_shard(
    g, x, w, v, h0, c0, y, gates, q, dy, gx, gw, gv, gb, gc, gh0, gc0, dpre, drest, d, s
):
    (lo, hi), hs, dh = shard(s, gw.shape[0], d.n), y[0], dy[0]
    gh0[lo:hi] = 0
    if c0 is not None:
        gc0[lo:hi] = 0
    for k in range(y.shape[0]):  # for each state, its gradient at every step
        row, count = d.n * d.hidden, (hi - lo) * d.hidden
        copy_rows(dy[k], lo * d.hidden, row, g[k], lo * d.hidden, row, d.steps, count)
    for t in range(d.steps - 1, -1, -1):
        dbefore = dh[t - 1] if t > 0 else gh0
        for n in range(lo, hi):
            if q is not None:
                before, kept, dq = hs[t - 1, n] if t > 0 else h0[n], gates[t, n], drest[t, n]
                gru_cell_back(kept, before, q[t, n], dh[t, n], dbefore[n], dpre[t, n], dq)
            elif c0 is not None:
                cell, dcell = (y[1, t - 1, n], dy[1, t - 1, n]) if t > 0 else (c0[n], gc0[n])
                kept, dc = gates[t, n], dy[1, t, n]
                lstm_cell_back(kept, cell, y[1, t, n], dh[t, n], dc, dcell, dpre[t, n])
            else:
                _rnn_cell_back(hs[t, n], dh[t, n], dpre[t, n], d.relu)
        nn(dbefore[lo:hi], drest[t, lo:hi], v, ADD)
    if gx is not None:
        _each_step(gx, dpre, w, lo, hi)
    gw[s], gv[s], gb[s] = 0, 0, 0
    if gc is not None:
        gc[s] = 0
    rows = _by_rows(drest)
    _add_outer(gw, gb, s, _by_rows(dpre), _by_rows(x), lo, hi, d.n)
    _add_outer(gv, gc, s, rows[: d.n], h0, lo, hi, d.n)
    _add_outer(gv, gc, s, rows[d.n :], _by_rows(hs), lo, hi, d.n)


@jit(parallel=True)
def backward(g, x, w, v, h0, c0, y, gates, q, dy, gx, gw, gv, gb, gc, gh0, gc0, dpre, drest, d):
    """Write ∂L/∂state_t of every step into dy, as y and g (states, steps, n, hidden), and the
    gradients of all inputs.

    gx may be None; gw, gv, gb, and for a GRU gc, hold one part per shard, for the caller to sum in
    their fixed order. dpre (steps, n, m) becomes ∂L/∂(W x_t + b), and drest ∂L/∂(V h_{t-1} + c):
    the same array but for a GRU. The rest is as in `forward`.
    """
    for s in prange(gw.shape[0]):
        _backward_shard(
            g, x, w, v, h0, c0, y, gates, q, dy, gx, gw, gv, gb, gc, gh0, gc0, dpre, drest, d, s
        )


# ---------------- sequences of different lengths
@jit
def reverse(x, lengths, y):
    """y[:, t, n] = x[:, lengths[n] - 1 - t, n], and 0 where there is no such step.

    x and y are (planes, steps, n, width), lengths (n,) integers.
    """
    for p in range(x.shape[0]):
        for t in range(x.shape[1]):
            for n in range(lengths.size):
                source = np.int64(lengths[n]) - 1 - t
                if 0 <= source < x.shape[1]:
                    y[p, t, n] = x[p, source, n]
                else:
                    y[p, t, n] = 0
