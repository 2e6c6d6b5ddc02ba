"""A recurrent layer over all its time steps, forward and through time backward, in one call each.

The batch is cut into shards; each thread takes its samples through all steps, so threads meet once
per call and not once per step. Only what a step needs of the one before is computed step by step.
The rest is one large product each: W x_t of all steps before, the gradients of the weights and of x
after. The layers differ in their cell only, the functions that take one sample one step on or
back:

* RNN: h_t = f(W x_t + V h_{t-1} + b), f = tanh or relu, below;
* LSTM, with a cell state, in `lstm.py`;
* GRU, where V h_{t-1} is not added to W x_t, in `gru.py`.

The arguments of the others are None in a call, and their cells are not compiled.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .gemm import add_nn, add_tn, nn, sum_rows, tn
from .gru import gru_cell, gru_cell_back
from .jit import compiled_separately, jit, prange, shard
from .lstm import lstm_cell, lstm_cell_back
from .mathfn import tanh
from .simd import copy_rows, flat, shaped, transpose


class RecurrentDims(NamedTuple):
    """The sizes of one recurrent layer: x (steps, n, width) gives (steps, n, hidden)."""

    steps: int
    n: int
    width: int
    hidden: int
    relu: bool = False


# ---------------- the plain recurrent layer
def rnn_reference(x: Any, w: Any, v: Any, b: Any, h: Any, relu: bool) -> Any:
    """The recurrence as it is written: one line per step."""
    hs = []
    for x_t in x:
        pre = x_t @ w.T + h @ v.T + b
        h = np.maximum(pre, 0) if relu else np.tanh(pre)
        hs.append(h)
    return np.array(hs).reshape(len(x), *h.shape)


def rnn_backward_reference(
    g: Any, x: Any, w: Any, v: Any, h0: Any, hs: Any, relu: bool
) -> tuple[Any, ...]:
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
def groups_of(n: int) -> int:
    """The pieces in which samples are cut, four each: a product with fewer rows takes as long,
    because it waits for the weights.
    """
    return -(-n // 4)


def rows_of(d: Any, shards: int) -> int:
    """The most rows that one of the shards has, all steps together."""
    return int(d.steps * -(-d.n // shards))


@compiled_separately
def _copy_samples(goal, g0, source, s0, count):
    """goal[:, g0 : g0 + count] = source[:, s0 : s0 + count] for arrays (steps, n, width)."""
    steps, n, width = source.shape
    row = goal.shape[1] * width
    copy_rows(goal, g0 * width, row, source, s0 * width, n * width, steps, count * width)


@jit
def _own_rows(a, lo, hi, scratch):
    """A place for samples lo to hi of all steps of a (steps, n, width), side by side: a itself,
    if these are all its samples, else the beginning of scratch (rows, width).
    """
    if hi - lo == a.shape[1]:
        return a
    return shaped(scratch[: a.shape[0] * (hi - lo)], (a.shape[0], hi - lo, a.shape[2]))


@jit
def _own_copy(a, lo, hi, scratch):
    """The samples lo to hi in their own place."""
    own = _own_rows(a, lo, hi, scratch)
    if hi - lo < a.shape[1]:
        _copy_samples(own, 0, a, lo, hi - lo)
    return own


@jit
def _copy_back(own, a, lo, hi):
    """The samples from their own place back into a."""
    if hi - lo < a.shape[1]:
        _copy_samples(a, lo, own, 0, hi - lo)


@jit
def _by_rows(a):
    """(steps, n, width) as rows."""
    return shaped(a, (a.shape[0] * a.shape[1], a.shape[2]))


@jit
def _transposed(a, out, lo, hi):
    """Rows lo to hi of a (m, n) as columns of out (n, m)."""
    m, n = a.shape
    transpose(out, lo, m, a, lo * n, n, n, hi - lo)


@compiled_separately
def _forward_shard(x, b, c, h0, c0, y, gates, q, rest, wt, vt, xrows, hrows, d, s):
    lo, hi = shard(s, xrows.shape[0], d.n)
    xs, own = _own_copy(x, lo, hi, xrows[s]), _own_rows(y[0], lo, hi, hrows[s])
    if gates is None:
        pre = own
    else:
        pre = shaped(gates[s, : d.steps * (hi - lo)], (d.steps, hi - lo, gates.shape[2]))
    nn(_by_rows(pre), _by_rows(xs), wt)
    for t in range(d.steps):
        before = own[t - 1] if t > 0 else h0[lo:hi]
        if q is None:
            add_nn(pre[t], before, vt)
        else:
            nn(rest[s, : hi - lo], before, vt)
        for i in range(hi - lo):
            n = lo + i
            if q is not None:
                gru_cell(pre[t, i], rest[s, i], b, c, before[i], q[t, n], own[t, i])
            elif c0 is not None:
                cell = y[1, t - 1, n] if t > 0 else c0[n]
                lstm_cell(pre[t, i], b, cell, y[1, t, n], own[t, i])
            else:
                _rnn_cell(own[t, i], b, d.relu)
    _copy_back(own, y[0], lo, hi)


@jit(parallel=True)
def forward(x, w, v, b, c, h0, c0, y, gates, q, rest, wt, vt, xrows, hrows, d):
    """Write the states into y (states, steps, n, hidden): h, and for an LSTM the cell state.

    x (steps, n, width), w (m, width), v (m, hidden), b (m,), h0 and c0 (n, hidden), with m = 1, 3
    or 4 · hidden. Kept for the way back: `gates` (shards, rows, m), see `rows_of`, of LSTM and GRU,
    and of a GRU, which has a second bias c, q (steps, n, hidden). Scratch are wt and vt, for the
    transposed weights, for each shard xrows (shards, rows, width) and hrows (shards, rows, hidden),
    and for a GRU rest (shards, n, m).
    """
    shards = xrows.shape[0]
    for s in prange(shards):
        lo, hi = shard(s, shards, w.shape[0])
        _transposed(w, wt, lo, hi)
        _transposed(v, vt, lo, hi)
    for s in prange(shards):
        _forward_shard(x, b, c, h0, c0, y, gates, q, rest, wt, vt, xrows, hrows, d, s)


@compiled_separately
def _add_outer(grad, a, b):
    """grad += aᵀ b for a (rows, m) and b (rows, k), as many rows at a time as stay in the cache,
    equally many each time.
    """
    times = -(-a.shape[0] // 80)
    for i in range(times):
        lo, hi = shard(i, times, a.shape[0])
        add_tn(grad, a[lo:hi], b[lo:hi])


@compiled_separately
def _weight_gradients(gw, gv, d, e, xs, h0, hs):
    """gw = Σ_t d_tᵀ x_t and gv = Σ_t e_tᵀ h_{t-1}, for arrays (steps, n, …) and h0 (n, hidden)."""
    n = h0.shape[0]
    gw[:] = 0
    _add_outer(gw, _by_rows(d), _by_rows(xs))
    rows, before = _by_rows(e), _by_rows(hs)
    tn(gv, rows[:n], h0)
    _add_outer(gv, rows[n:], before[: max(before.shape[0] - n, 0)])


@jit
def _column_sums(total, d):
    """total (m,) = the sum over steps and samples of d (steps, n, m)."""
    sum_rows(total, flat(d), d.shape[0] * d.shape[1], d.shape[2])


@compiled_separately
def _backward_shard(
    g,
    x,
    w,
    v,
    h0,
    c0,
    y,
    gates,
    q,
    dy,
    gx,
    gw,
    gv,
    gb,
    gc,
    gh0,
    gc0,
    xrows,
    hrows,
    drows,
    erows,
    d,
    s,
):
    lo, hi = shard(s, xrows.shape[0], d.n)
    rows, sizes = d.steps * (hi - lo), (d.steps, hi - lo, w.shape[0])
    dpre, hs, dh = shaped(drows[s, :rows], sizes), y[0], dy[0]
    drest = dpre if q is None else shaped(erows[s, :rows], sizes)
    gh0[lo:hi] = 0
    _copy_samples(dh, lo, g[0], lo, hi - lo)
    if c0 is not None:
        gc0[lo:hi] = 0
        _copy_samples(dy[1], lo, g[1], lo, hi - lo)
    for k in range(d.steps):
        t = d.steps - 1 - k
        dbefore = dh[t - 1, lo:hi] if t > 0 else gh0[lo:hi]
        for i in range(hi - lo):
            n, row = lo + i, t * (hi - lo) + i
            if q is not None:
                before = hs[t - 1, n] if t > 0 else h0[n]
                kept, dq = gates[s, row], drest[t, i]
                gru_cell_back(kept, before, q[t, n], dh[t, n], dbefore[i], dpre[t, i], dq)
            elif c0 is not None:
                cell, dcell = (y[1, t - 1, n], dy[1, t - 1, n]) if t > 0 else (c0[n], gc0[n])
                kept, dc = gates[s, row], dy[1, t, n]
                lstm_cell_back(kept, cell, y[1, t, n], dh[t, n], dc, dcell, dpre[t, i])
            else:
                _rnn_cell_back(hs[t, n], dh[t, n], dpre[t, i], d.relu)
        add_nn(dbefore, drest[t], v)
    xs, own = _own_copy(x, lo, hi, xrows[s]), _own_copy(hs, lo, hi, hrows[s])
    _weight_gradients(gw[s], gv[s], dpre, drest, xs, h0[lo:hi], own)
    _column_sums(gb[s], dpre)
    if q is not None:
        _column_sums(gc[s], drest)
    if gx is not None:
        mine = _own_rows(gx, lo, hi, xrows[s])
        nn(_by_rows(mine), _by_rows(dpre), w)
        _copy_back(mine, gx, lo, hi)


@jit(parallel=True)
def backward(
    g, x, w, v, h0, c0, y, gates, q, dy, gx, gw, gv, gb, gc, gh0, gc0, xrows, hrows, drows, erows, d
):
    """Write ∂L/∂state_t of every step into dy, as y and g (states, steps, n, hidden), and the
    gradients of all inputs.

    gx may be None; gw, gv, gb, and for a GRU gc, hold one part per shard, for the caller to sum in
    their fixed order. The rest is as in `forward`, with scratch drows, and for a GRU erows (shards,
    rows, m).
    """
    for s in prange(xrows.shape[0]):
        _backward_shard(
            g,
            x,
            w,
            v,
            h0,
            c0,
            y,
            gates,
            q,
            dy,
            gx,
            gw,
            gv,
            gb,
            gc,
            gh0,
            gc0,
            xrows,
            hrows,
            drows,
            erows,
            d,
            s,
        )
