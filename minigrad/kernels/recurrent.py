"""A recurrent layer over all its time steps, forward and through time backward, in one call each.

h_t = f(W x_t + V h_{t-1} + b), f = tanh or relu. The batch is cut into shards; each thread takes its samples through
all steps, so threads meet once per call and not once per step.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .gemm import add_nn, add_tn
from .jit import jit, prange, shard
from .mathfn import tanh


class RecurrentDims(NamedTuple):
    """The sizes of one recurrent layer: x (steps, n, width) gives (steps, n, hidden)."""

    steps: int
    n: int
    width: int
    hidden: int
    relu: bool


def rnn_reference(x: Any, w: Any, v: Any, b: Any, h: Any, relu: bool) -> Any:
    """The recurrence as it is written: one line per step."""
    hs = []
    for x_t in x:
        pre = x_t @ w.T + h @ v.T + b
        h = np.maximum(pre, 0) if relu else np.tanh(pre)
        hs.append(h)
    return np.array(hs).reshape(len(x), *h.shape)


def rnn_backward_reference(g: Any, x: Any, w: Any, v: Any, h0: Any, hs: Any, relu: bool) -> tuple[Any, ...]:
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
def _forward_shard(x: Any, wt: Any, vt: Any, b: Any, h0: Any, hs: Any, d: Any, lo: int, hi: int) -> None:
    for t in range(d.steps):
        h = hs[t, lo:hi]
        for i in range(hi - lo):
            h[i, :] = b
        add_nn(h, x[t, lo:hi], wt)
        add_nn(h, hs[t - 1, lo:hi] if t > 0 else h0[lo:hi], vt)
        for i in range(hi - lo):
            row = h[i]
            if d.relu:
                for j in range(row.size):
                    row[j] = row.dtype.type(0) if row[j] < 0 else row[j]
            else:
                for j in range(row.size):
                    row[j] = tanh(row[j])


@jit(parallel=True)
def rnn_forward(x: Any, wt: Any, vt: Any, b: Any, h0: Any, hs: Any, d: Any, shards: int) -> None:
    """Write the hidden states into hs (steps, n, hidden).

    x (steps, n, width), h0 (n, hidden); the weights come transposed, wt (width, hidden) and vt (hidden, hidden).
    """
    for s in prange(shards):
        lo, hi = shard(s, shards, d.n)
        _forward_shard(x, wt, vt, b, h0, hs, d, lo, hi)


@jit
def _backward_shard(
    g: Any, x: Any, w: Any, v: Any, h0: Any, hs: Any, dh: Any, dpre: Any,
    gx: Any, gw: Any, gv: Any, gb: Any, gh0: Any, d: Any, lo: int, hi: int,
) -> None:  # fmt: skip
    gw[:] = 0
    gv[:] = 0
    gb[:] = 0
    for k in range(d.steps):
        t = d.steps - 1 - k
        for i in range(lo, hi):
            row, incoming, h, pre = dh[t, i], g[t, i], hs[t, i], dpre[i]
            for j in range(row.size):  # dh[t] holds what step t + 1 sent back
                row[j] += incoming[j]
            if d.relu:
                for j in range(row.size):
                    pre[j] = row[j] if h[j] > 0 else row.dtype.type(0)
            else:
                for j in range(row.size):
                    pre[j] = row[j] * (1 - h[j] * h[j])
            for j in range(row.size):
                gb[j] += pre[j]
        pre2 = dpre[lo:hi]
        before = hs[t - 1, lo:hi] if t > 0 else h0[lo:hi]
        add_tn(gw, pre2, x[t, lo:hi])
        add_tn(gv, pre2, before)
        if gx.size:
            gx[t, lo:hi] = 0
            add_nn(gx[t, lo:hi], pre2, w)
        add_nn(dh[t - 1, lo:hi] if t > 0 else gh0[lo:hi], pre2, v)


@jit(parallel=True)
def rnn_backward(
    g: Any, x: Any, w: Any, v: Any, h0: Any, hs: Any, dh: Any, dpre: Any,
    gx: Any, gw: Any, gv: Any, gb: Any, gh0: Any, d: Any,
) -> None:  # fmt: skip
    """Write ∂L/∂h_t of every step into dh (steps, n, hidden) and the gradients of all inputs.

    dh and gh0 must be zero on entry; gx of size 0 is not computed; gw, gv, gb hold one part per shard, for the caller
    to sum in their fixed order; dpre (n, hidden) is scratch.
    """
    shards = gw.shape[0]
    for s in prange(shards):
        lo, hi = shard(s, shards, d.n)
        _backward_shard(g, x, w, v, h0, hs, dh, dpre, gx, gw[s], gv[s], gb[s], gh0, d, lo, hi)
