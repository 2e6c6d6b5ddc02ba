"""Long short-term memory (Hochreiter & Schmidhuber 1997) with a forget gate (Gers, Schmidhuber &
Cummins 2000).

    i, f, g, o = W x_t + V h_{t-1} + b, four blocks of rows        c_t = σ(f) c_{t-1} + σ(i) tanh(g)
                                                                   h_t = σ(o) tanh(c_t)

The skeleton is in `recurrent.py`. The forward pass keeps the four gates for the way back.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

import numpy as np

from .jit import jit
from .mathfn import sigmoid, tanh


def _logistic(x):
    return 1 / (1 + np.exp(-x))


def lstm_reference(x, w, v, b, h, c):
    """The recurrence as it is written: h and c of all steps, and the gates (steps, n, 4 hidden)."""
    hs, cs, gates = (np.zeros((len(x), len(h), k * h.shape[1]), x.dtype) for k in (1, 1, 4))
    for t, x_t in enumerate(x):
        i, f, g, o = np.split(x_t @ w.T + h @ v.T + b, 4, axis=1)
        i, f, g, o = _logistic(i), _logistic(f), np.tanh(g), _logistic(o)
        cs[t] = c = f * c + i * g
        hs[t] = h = o * np.tanh(c)
        gates[t] = np.concatenate([i, f, g, o], axis=1)
    return hs, cs, gates


@jit
def _quarters(a):
    """The four blocks of a (4 n,)."""
    n = a.size // 4
    return a[:n], a[n : 2 * n], a[2 * n : 3 * n], a[3 * n :]


@jit
def lstm_cell(gates, b, before, c, h):
    """One sample's step: gates (4 hidden,) hold W x_t + V h_{t-1}, and afterwards σ(i), σ(f),
    tanh(g), σ(o).

    A loop for each line: so many arrays in one loop would not vectorise.
    """
    n = h.size
    both, (i, f, g, o), (_, _, b_g, b_o) = gates[: 2 * n], _quarters(gates), _quarters(b)
    for j in range(both.size):
        both[j] = sigmoid(both[j] + b[j])
    for j in range(n):
        g[j] = tanh(g[j] + b_g[j])
    for j in range(n):
        o[j] = sigmoid(o[j] + b_o[j])
    for j in range(n):
        c[j] = f[j] * before[j] + i[j] * g[j]
    for j in range(n):
        h[j] = o[j] * tanh(c[j])


@jit
def lstm_cell_back(gates, before, c, dh, dc, dbefore, dpre):
    """One sample's step back: from ∂L/∂h_t and what comes to c_t from later steps to ∂L/∂(i, f, g,
    o) before their functions in dpre, ∂L/∂c_t in dc, and the part of it that goes on to c_{t-1},
    added to dbefore.
    """
    n, one = c.size, c.dtype.type(1)  # a plain 1 would make it double precision
    (i, f, g, o), (di, df, dg, do) = _quarters(gates), _quarters(dpre)
    for j in range(n):
        do[j] = tanh(c[j])
    for j in range(n):
        dc[j] += dh[j] * o[j] * (one - do[j] * do[j])
    for j in range(n):
        do[j] *= dh[j] * o[j] * (one - o[j])
    for j in range(n):
        di[j] = dc[j] * g[j] * i[j] * (one - i[j])
    for j in range(n):
        dg[j] = dc[j] * i[j] * (one - g[j] * g[j])
    for j in range(n):
        df[j] = dc[j] * before[j] * f[j] * (one - f[j])
    for j in range(n):
        dbefore[j] += dc[j] * f[j]
