"""A recurrent layer over all its time steps, forward and through time backward, in one call each.

h_t = f(W x_t + V h_{t-1} + b), f = tanh or relu. The batch is cut into shards; each thread takes
its samples through all steps, so threads meet once per call and not once per step. Only what a step
needs of the one before is computed step by step. The rest is one large product each: W x_t of all
steps before, the gradients of the weights and of x after. `lstm.py` and `gru.py` go about it in the
same way.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .gemm import add_nn, add_tn, nn, sum_rows, tn
from .jit import apart, jit, prange, shard
from .mathfn import tanh
from .views import flat, shaped


class RecurrentDims(NamedTuple):
    """The sizes of one recurrent layer: x (steps, n, width) gives (steps, n, hidden)."""

    steps: int
    n: int
    width: int
    hidden: int
    relu: bool = False


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


# ---------------- what all recurrent layers share
def groups_of(n: int) -> int:
    """The pieces in which samples are shared out, four each: a product with fewer rows takes as
    long, it waits for the weights.
    """
    return -(-n // 4)


def rows_of(d: Any, shards: int) -> int:
    """The most rows that one of the shards has, all steps together."""
    return int(d.steps * -(-d.n // shards))


@jit
def own_rows(a: Any, lo: int, hi: int, scratch: Any) -> Any:
    """A place for samples lo to hi of all steps of a (steps, n, width), one after the other: a
    itself, if these are all its samples, else the beginning of scratch (rows, width).
    """
    if hi - lo == a.shape[1]:
        return a
    return shaped(scratch[: a.shape[0] * (hi - lo)], (a.shape[0], hi - lo, a.shape[2]))


@jit
def _copy(a: Any, out: Any) -> None:
    source, goal = flat(a), flat(out)  # Numba's own assignment of slices is four times slower
    for j in range(source.size):
        goal[j] = source[j]


@apart
def copy_samples(a: Any, out: Any, lo: int, hi: int) -> None:
    """out = a for samples lo to hi of all steps."""
    for t in range(a.shape[0]):
        _copy(a[t, lo:hi], out[t, lo:hi])


@apart
def gather(a: Any, own: Any, lo: int, hi: int) -> None:
    """Copy the samples of a into their place."""
    if hi - lo < a.shape[1]:
        for t in range(a.shape[0]):
            _copy(a[t, lo:hi], own[t])


@apart
def scatter(own: Any, a: Any, lo: int, hi: int) -> None:
    """Copy the samples back into a."""
    if hi - lo < a.shape[1]:
        for t in range(a.shape[0]):
            _copy(own[t], a[t, lo:hi])


@jit
def by_rows(a: Any) -> Any:
    """(steps, n, width) as rows."""
    return shaped(a, (a.shape[0] * a.shape[1], a.shape[2]))


@jit
def transpose(a: Any, out: Any, lo: int, hi: int) -> None:
    """Rows lo to hi of a (m, n) as columns of out (n, m), a strip at a time."""
    for j in range(lo, hi, 16):
        end = min(j + 16, hi)
        for i in range(a.shape[1]):
            row, column = out[i, j:end], a[j:end, i]
            for k in range(row.size):
                row[k] = column[k]


@apart
def _add_outer(grad: Any, a: Any, b: Any) -> None:
    """grad += aᵀ b for a (rows, m) and b (rows, k), as many rows at a time as stay in the cache,
    equally many each time.
    """
    times = -(-a.shape[0] // 80)
    for i in range(times):
        lo, hi = shard(i, times, a.shape[0])
        add_tn(grad, a[lo:hi], b[lo:hi])


@apart
def weight_gradients(gw: Any, gv: Any, d: Any, e: Any, xs: Any, h0: Any, hs: Any) -> None:
    """gw = Σ_t d_tᵀ x_t and gv = Σ_t e_tᵀ h_{t-1}, for arrays (steps, n, …) and h0 (n, hidden)."""
    n = h0.shape[0]
    gw[:] = 0
    _add_outer(gw, by_rows(d), by_rows(xs))
    rows, before = by_rows(e), by_rows(hs)
    tn(gv, rows[:n], h0)
    _add_outer(gv, rows[n:], before[: max(before.shape[0] - n, 0)])


@jit
def column_sums(total: Any, d: Any) -> None:
    """total (m,) = the sum over steps and samples of d (steps, n, m)."""
    sum_rows(total, flat(d), d.shape[0] * d.shape[1], d.shape[2])


@apart
def input_gradient(gx: Any, d: Any, w: Any, lo: int, hi: int, scratch: Any) -> None:
    """gx = d w for samples lo to hi of all steps."""
    own = own_rows(gx, lo, hi, scratch)
    nn(by_rows(own), by_rows(d), w)
    scatter(own, gx, lo, hi)


# ---------------- the plain recurrent layer
@apart
def _forward_shard(
    x: Any,
    wt: Any,
    vt: Any,
    b: Any,
    h0: Any,
    hs: Any,
    xrows: Any,
    hrows: Any,
    d: Any,
    lo: int,
    hi: int,
) -> None:
    xs, own = own_rows(x, lo, hi, xrows), own_rows(hs, lo, hi, hrows)
    gather(x, xs, lo, hi)
    nn(by_rows(own), by_rows(xs), wt)
    for t in range(d.steps):
        h = own[t]
        add_nn(h, own[t - 1] if t > 0 else h0[lo:hi], vt)
        for i in range(hi - lo):
            row = h[i]
            if d.relu:
                for j in range(row.size):
                    pre = row[j] + b[j]
                    row[j] = row.dtype.type(0) if pre < 0 else pre
            else:
                for j in range(row.size):
                    row[j] = tanh(row[j] + b[j])
    scatter(own, hs, lo, hi)


@jit(parallel=True)
def rnn_forward(
    x: Any,
    w: Any,
    v: Any,
    b: Any,
    h0: Any,
    hs: Any,
    wt: Any,
    vt: Any,
    xrows: Any,
    hrows: Any,
    d: Any,
) -> None:
    """Write the hidden states into hs (steps, n, hidden).

    x (steps, n, width), w (hidden, width), v (hidden, hidden), b (hidden,), h0 (n, hidden). Scratch
    are wt and vt, for the transposed weights, and, for each shard, xrows (shards, rows, width) and
    hrows (shards, rows, hidden), see `rows_of`.
    """
    shards = xrows.shape[0]
    for s in prange(shards):
        lo, hi = shard(s, shards, w.shape[0])
        transpose(w, wt, lo, hi)
        transpose(v, vt, lo, hi)
    for s in prange(shards):
        lo, hi = shard(s, shards, d.n)
        _forward_shard(x, wt, vt, b, h0, hs, xrows[s], hrows[s], d, lo, hi)


@apart
def _backward_shard(
    g: Any,
    x: Any,
    w: Any,
    v: Any,
    h0: Any,
    hs: Any,
    dh: Any,
    gx: Any,
    gw: Any,
    gv: Any,
    gb: Any,
    gh0: Any,
    xrows: Any,
    hrows: Any,
    drows: Any,
    d: Any,
    lo: int,
    hi: int,
) -> None:
    dpre = shaped(drows[: d.steps * (hi - lo)], (d.steps, hi - lo, d.hidden))
    gh0[lo:hi] = 0
    copy_samples(g, dh, lo, hi)
    zero, one = dh.dtype.type(0), dh.dtype.type(1)  # a plain 1 would make it double precision
    for k in range(d.steps):
        t = d.steps - 1 - k
        for i in range(hi - lo):
            row, h, pre = dh[t, lo + i], hs[t, lo + i], dpre[t, i]
            if d.relu:
                for j in range(row.size):
                    pre[j] = row[j] if h[j] > 0 else zero
            else:
                for j in range(row.size):
                    pre[j] = row[j] * (one - h[j] * h[j])
        add_nn(dh[t - 1, lo:hi] if t > 0 else gh0[lo:hi], dpre[t], v)
    xs, own = own_rows(x, lo, hi, xrows), own_rows(hs, lo, hi, hrows)
    gather(x, xs, lo, hi)
    gather(hs, own, lo, hi)
    weight_gradients(gw, gv, dpre, dpre, xs, h0[lo:hi], own)
    column_sums(gb, dpre)
    if gx is not None:
        input_gradient(gx, dpre, w, lo, hi, xrows)


@jit(parallel=True)
def rnn_backward(
    g: Any,
    x: Any,
    w: Any,
    v: Any,
    h0: Any,
    hs: Any,
    dh: Any,
    gx: Any,
    gw: Any,
    gv: Any,
    gb: Any,
    gh0: Any,
    xrows: Any,
    hrows: Any,
    drows: Any,
    d: Any,
) -> None:
    """Write ∂L/∂h_t of every step into dh (steps, n, hidden) and the gradients of all inputs.

    gx may be None; gw, gv, gb hold one part per shard, for the caller to sum in their fixed order.
    Scratch are xrows and hrows, as in `rnn_forward`, and drows (shards, rows, hidden).
    """
    shards = gw.shape[0]
    for s in prange(shards):
        lo, hi = shard(s, shards, d.n)
        _backward_shard(
            g,
            x,
            w,
            v,
            h0,
            hs,
            dh,
            gx,
            gw[s],
            gv[s],
            gb[s],
            gh0,
            xrows[s],
            hrows[s],
            drows[s],
            d,
            lo,
            hi,
        )
