"""Gated recurrent unit (Cho et al. 2014), in the form that PyTorch and cuDNN compute: r acts on V
h_{t-1} + c.

    r, z, p = W x_t + b and r', z', q = V h_{t-1} + c, three blocks of rows each
    h_t = (1 - σ(z + z')) tanh(p + σ(r + r') q) + σ(z + z') h_{t-1}

Shards and products as in `recurrent.py`. The forward pass keeps the gates and q for the way back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .gemm import add_nn, nn
from .jit import apart, jit, prange, shard
from .mathfn import sigmoid, tanh
from .recurrent import (
    by_rows,
    column_sums,
    copy_samples,
    gather,
    input_gradient,
    own_rows,
    scatter,
    transpose,
    weight_gradients,
)
from .views import shaped


def gru_reference(x: Any, w: Any, v: Any, b: Any, c: Any, h: Any) -> tuple[Any, Any, Any]:
    """The recurrence as it is written: h of all steps, the gates (steps, n, 3 hidden) and q (steps,
    n, hidden).
    """
    hs, gates, qs = (np.zeros((len(x), len(h), k * h.shape[1]), x.dtype) for k in (1, 3, 1))
    for t, x_t in enumerate(x):
        (r, z, p), (r2, z2, q) = (
            np.split(x_t @ w.T + b, 3, axis=1),
            np.split(h @ v.T + c, 3, axis=1),
        )
        r, z = 1 / (1 + np.exp(-r - r2)), 1 / (1 + np.exp(-z - z2))
        new = np.tanh(p + r * q)
        hs[t] = h = (1 - z) * new + z * h
        gates[t], qs[t] = np.concatenate([r, z, new], axis=1), q
    return hs, gates, qs


def gru_backward_reference(
    g: Any, x: Any, w: Any, v: Any, h0: Any, hs: Any, gates: Any, qs: Any
) -> tuple[Any, ...]:
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


@jit
def _cell(gates: Any, rest: Any, b: Any, c: Any, before: Any, q: Any, h: Any) -> None:
    """One sample's step: gates hold W x_t and rest V h_{t-1} (3 hidden,); gates become σ(r), σ(z)
    and tanh(p + σ(r) q).
    """
    n, one = h.size, h.dtype.type(1)  # a plain 1 would make it double precision
    both, r, z, new = gates[: 2 * n], gates[:n], gates[n : 2 * n], gates[2 * n :]
    rest_both, b_both, c_both = rest[: 2 * n], b[: 2 * n], c[: 2 * n]
    rest_q, b_p, c_q = rest[2 * n :], b[2 * n :], c[2 * n :]
    for j in range(both.size):
        both[j] = sigmoid(both[j] + rest_both[j] + b_both[j] + c_both[j])
    for j in range(n):
        q[j] = rest_q[j] + c_q[j]
    for j in range(n):
        new[j] = tanh(new[j] + b_p[j] + r[j] * q[j])
    for j in range(n):
        h[j] = (one - z[j]) * new[j] + z[j] * before[j]


@apart
def _forward_shard(
    x: Any,
    wt: Any,
    vt: Any,
    b: Any,
    c: Any,
    h0: Any,
    hs: Any,
    gates: Any,
    qs: Any,
    rest: Any,
    xrows: Any,
    hrows: Any,
    d: Any,
    lo: int,
    hi: int,
) -> None:
    xs, own = own_rows(x, lo, hi, xrows), own_rows(hs, lo, hi, hrows)
    pre = shaped(gates[: d.steps * (hi - lo)], (d.steps, hi - lo, 3 * d.hidden))
    gather(x, xs, lo, hi)
    nn(by_rows(pre), by_rows(xs), wt)
    for t in range(d.steps):
        before = own[t - 1] if t > 0 else h0[lo:hi]
        nn(rest[: hi - lo], before, vt)
        for i in range(hi - lo):
            _cell(pre[t, i], rest[i], b, c, before[i], qs[t, lo + i], own[t, i])
    scatter(own, hs, lo, hi)


@jit(parallel=True)
def gru_forward(
    x: Any,
    w: Any,
    v: Any,
    b: Any,
    c: Any,
    h0: Any,
    hs: Any,
    gates: Any,
    qs: Any,
    rest: Any,
    wt: Any,
    vt: Any,
    xrows: Any,
    hrows: Any,
    d: Any,
) -> None:
    """Write the hidden states into hs and q into qs (steps, n, hidden), the gates into gates
    (shards, rows, 3 hidden).

    x (steps, n, width), w (3 hidden, width), v (3 hidden, hidden), b and c (3 hidden,), h0 (n,
    hidden). Scratch are rest, (shards, n, 3 hidden), and wt, vt, xrows and hrows, as in
    `recurrent.rnn_forward`.
    """
    shards = gates.shape[0]
    for s in prange(shards):
        lo, hi = shard(s, shards, w.shape[0])
        transpose(w, wt, lo, hi)
        transpose(v, vt, lo, hi)
    for s in prange(shards):
        lo, hi = shard(s, shards, d.n)
        _forward_shard(
            x, wt, vt, b, c, h0, hs, gates[s], qs, rest[s], xrows[s], hrows[s], d, lo, hi
        )


@jit
def _cell_back(
    gates: Any, before: Any, q: Any, dh: Any, dbefore: Any, dpre: Any, drest: Any
) -> None:
    """One sample's step back: from ∂L/∂h_t to the gradients of W x_t + b and of V h_{t-1} + c, in
    dpre and drest, and what goes on to h_{t-1} directly, added to dbefore.
    """
    n, one = q.size, q.dtype.type(1)
    r, z, new = gates[:n], gates[n : 2 * n], gates[2 * n :]
    dr, dz, dp, dq = dpre[:n], dpre[n : 2 * n], dpre[2 * n :], drest[2 * n :]
    for j in range(n):
        dp[j] = dh[j] * (one - z[j]) * (one - new[j] * new[j])
    for j in range(n):
        dz[j] = dh[j] * (before[j] - new[j]) * z[j] * (one - z[j])
    for j in range(n):
        dr[j] = dp[j] * q[j] * r[j] * (one - r[j])
    for j in range(n):
        dq[j] = dp[j] * r[j]
    for j in range(n):
        dbefore[j] += dh[j] * z[j]
    for j in range(2 * n):
        drest[j] = dpre[j]


@apart
def _backward_shard(
    g: Any,
    x: Any,
    w: Any,
    v: Any,
    h0: Any,
    hs: Any,
    gates: Any,
    qs: Any,
    dh: Any,
    gx: Any,
    gw: Any,
    gv: Any,
    gb: Any,
    gc: Any,
    gh0: Any,
    xrows: Any,
    hrows: Any,
    drows: Any,
    erows: Any,
    d: Any,
    lo: int,
    hi: int,
) -> None:
    rows = d.steps * (hi - lo)
    kept = shaped(gates[:rows], (d.steps, hi - lo, 3 * d.hidden))
    dpre = shaped(drows[:rows], (d.steps, hi - lo, 3 * d.hidden))
    drest = shaped(erows[:rows], (d.steps, hi - lo, 3 * d.hidden))
    gh0[lo:hi] = 0
    copy_samples(g, dh, lo, hi)
    for k in range(d.steps):
        t = d.steps - 1 - k
        before, dbefore = (hs[t - 1, lo:hi], dh[t - 1, lo:hi]) if t > 0 else (h0[lo:hi], gh0[lo:hi])
        for i in range(hi - lo):
            _cell_back(
                kept[t, i],
                before[i],
                qs[t, lo + i],
                dh[t, lo + i],
                dbefore[i],
                dpre[t, i],
                drest[t, i],
            )
        add_nn(dbefore, drest[t], v)
    xs, own = own_rows(x, lo, hi, xrows), own_rows(hs, lo, hi, hrows)
    gather(x, xs, lo, hi)
    gather(hs, own, lo, hi)
    weight_gradients(gw, gv, dpre, drest, xs, h0[lo:hi], own)
    column_sums(gb, dpre)
    column_sums(gc, drest)
    if gx is not None:
        input_gradient(gx, dpre, w, lo, hi, xrows)


@jit(parallel=True)
def gru_backward(
    g: Any,
    x: Any,
    w: Any,
    v: Any,
    h0: Any,
    hs: Any,
    gates: Any,
    qs: Any,
    dh: Any,
    gx: Any,
    gw: Any,
    gv: Any,
    gb: Any,
    gc: Any,
    gh0: Any,
    xrows: Any,
    hrows: Any,
    drows: Any,
    erows: Any,
    d: Any,
) -> None:
    """Write ∂L/∂h_t of every step into dh (steps, n, hidden) and the gradients of all inputs.

    gates and qs are those of `gru_forward`. gx may be None; gw, gv, gb, gc hold one part per shard,
    for the caller to sum in their fixed order. Scratch are xrows and hrows, as there, drows and
    erows (shards, rows, 3 hidden).
    """
    shards = gates.shape[0]
    for s in prange(shards):
        lo, hi = shard(s, shards, d.n)
        _backward_shard(
            g,
            x,
            w,
            v,
            h0,
            hs,
            gates[s],
            qs,
            dh,
            gx,
            gw[s],
            gv[s],
            gb[s],
            gc[s],
            gh0,
            xrows[s],
            hrows[s],
            drows[s],
            erows[s],
            d,
            lo,
            hi,
        )
