"""Running sums and products along an axis, and the places of extremes and in order.

All arrays are (outer, n, inner), the axis in the middle; one thread.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

import numpy as np

from .jit import jit


def cumprod_back_reference(g, x):
    """∂L/∂x of y = cumprod(x), as a sum over all y[t] that an entry is a factor of: g[t] times the
    product of the others.
    """
    grad, n = np.zeros_like(x), x.shape[1]
    for i in range(n):
        others = x.copy()
        others[:, i] = 1
        grad[:, i] = (g * np.cumprod(others, 1))[:, i:].sum(1)
    return grad


@jit
def running(x, y, product):
    """y[:, i] = the sum, or the product, of x[:, 0] to x[:, i]; the plain forms are `np.cumsum` and
    `np.cumprod`.
    """
    outer, n, inner = x.shape
    for o in range(outer):
        for j in range(inner if n else 0):
            y[o, 0, j] = x[o, 0, j]
        for i in range(1, n):
            for j in range(inner):
                y[o, i, j] = y[o, i - 1, j] * x[o, i, j] if product else y[o, i - 1, j] + x[o, i, j]


@jit
def cumprod_back(g, x, y, grad):
    """Write ∂L/∂x of y = cumprod(x), from g = ∂L/∂y.

    Nothing is divided, so zeros do no harm: with r[i] = g[i] + x[i + 1] r[i + 1], grad[i] = y[i -
    1] r[i].
    """
    outer, n, inner = x.shape
    for o in range(outer):
        for i in range(n - 1, -1, -1):
            for j in range(inner):
                grad[o, i, j] = (
                    g[o, i, j] + x[o, i + 1, j] * grad[o, i + 1, j] if i + 1 < n else g[o, i, j]
                )
        for i in range(1, n):
            for j in range(inner):
                grad[o, i, j] *= y[o, i - 1, j]


@jit
def argmax(x, places, sign):
    """places (outer, inner) = where along the axis sign · x is largest first, or first no number;
    as `np.argmax`.
    """
    outer, n, inner = x.shape
    for o in range(outer):
        for j in range(inner):
            best = 0
            for i in range(1, n):
                if not sign * x[o, i, j] <= sign * x[o, best, j] and x[o, best, j] == x[o, best, j]:
                    best = i
            places[o, j] = best


@jit
def argsort(x, places):
    """places[:, i] = where along the axis the entry is that comes i-th in rising order; equal ones
    in their own order, NaN last, as `np.argsort` with kind="stable".
    """
    outer, _, inner = x.shape
    for o in range(outer):
        for j in range(inner):
            places[o, :, j] = np.argsort(x[o, :, j].copy(), kind="mergesort")
