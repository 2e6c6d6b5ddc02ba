"""Gated recurrent unit (Cho et al. 2014), in the form that PyTorch and cuDNN compute: r acts on V
h_{t-1} + c.

    r, z, p = W x_t + b and r', z', q = V h_{t-1} + c, three blocks of rows each
    h_t = (1 - σ(z + z')) tanh(p + σ(r + r') q) + σ(z + z') h_{t-1}

The skeleton is in `recurrent.py`. The forward pass keeps the gates and q for the way back.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

import numpy as np

from .jit import jit
from .mathfn import sigmoid, tanh


def gru_reference(x, w, v, b, c, h):
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


@jit
def _thirds(a):
    """The three blocks of a (3 n,)."""
    n = a.size // 3
    return a[:n], a[n : 2 * n], a[2 * n :]


@jit
def gru_cell(gates, rest, b, c, before, q, h):
    """One sample's step: gates hold W x_t and rest V h_{t-1} (3 hidden,); gates become σ(r), σ(z)
    and tanh(p + σ(r) q).
    """
    n, one = h.size, h.dtype.type(1)  # a plain 1 would make it double precision
    both, (r, z, new) = gates[: 2 * n], _thirds(gates)
    rest_q, b_p, c_q = rest[2 * n :], b[2 * n :], c[2 * n :]
    for j in range(both.size):
        both[j] = sigmoid(both[j] + rest[j] + b[j] + c[j])
    for j in range(n):
        q[j] = rest_q[j] + c_q[j]
    for j in range(n):
        new[j] = tanh(new[j] + b_p[j] + r[j] * q[j])
    for j in range(n):
        h[j] = (one - z[j]) * new[j] + z[j] * before[j]


@jit
def gru_cell_back(gates, before, q, dh, dbefore, dpre, drest):
    """One sample's step back: from ∂L/∂h_t to the gradients of W x_t + b and of V h_{t-1} + c, in
    dpre and drest, and what goes on to h_{t-1} directly, added to dbefore.
    """
    n, one = q.size, q.dtype.type(1)
    (r, z, new), (dr, dz, dp), dq = _thirds(gates), _thirds(dpre), drest[2 * n :]
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
