"""One pass over a parameter, its gradient and the optimiser's memory of it; all arrays flat and of
one dtype.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

import numpy as np

from .jit import jit
from .simd import copy_rows, prefetch_row

#: samples that the processor is told of early
AHEAD = 2


@jit
def sgd(p, g, lr, decay):
    """Stochastic gradient descent."""
    for i in range(p.size):
        p[i] -= lr * (g[i] + decay * p[i])


@jit
def momentum(p, g, velocity, lr, decay, rate, nesterov):
    """Gradient descent with momentum (Polyak 1964); where `nesterov` is not 0, looking one step
    ahead (Nesterov 1983).
    """
    for i in range(p.size):
        step = g[i] + decay * p[i]
        velocity[i] = rate * velocity[i] + step
        p[i] -= lr * (step + rate * velocity[i] if nesterov != 0 else velocity[i])


@jit
def adam(p, g, m, v, lr, b1, b2, eps, c1, c2, coupled, decoupled):
    """Adam (Kingma & Ba 2015); c1 = 1 - b1^t and c2 = 1 - b2^t correct the bias of the averages.

    `coupled` weight decay is added to the gradient, `decoupled` shrinks the parameter (AdamW,
    Loshchilov & Hutter 2019).
    """
    one = p.dtype.type(1)
    scale = one / np.sqrt(c2)  # a product takes less time than a division
    for i in range(p.size):
        step = g[i] + coupled * p[i]
        m[i] = b1 * m[i] + (one - b1) * step
        v[i] = b2 * v[i] + (one - b2) * step * step
        p[i] -= lr * decoupled * p[i]
        p[i] -= lr / c1 * m[i] / (np.sqrt(v[i]) * scale + eps)


@jit
def rmsprop(p, g, v, lr, alpha, eps, decay):
    """RMSprop (Tieleman & Hinton 2012), PyTorch's form: eps is outside of the root."""
    one = p.dtype.type(1)
    for i in range(p.size):
        step = g[i] + decay * p[i]
        v[i] = alpha * v[i] + (one - alpha) * step * step
        p[i] -= lr * step / (np.sqrt(v[i]) + eps)


@jit
def add_up(parts, a, b, total):
    """The sum of parts[:, a:b] over the parts, in their order, in the first b - a places of
    `total`, which are returned.
    """
    total = total[: b - a]
    total[:] = parts[0, a:b]
    for s in range(1, parts.shape[0]):
        part = parts[s, a:b]
        for i in range(total.size):
            total[i] += part[i]
    return total


@jit
def put(out, first, width, values):
    """Put the results of some samples, `width` numbers each, into `out` from sample `first` on."""
    out[first * width : first * width + values.size] = values


@jit
def sum_over_rows(rows, start, size):
    """Put the sum of all rows, in their order, into each of them, from `start` on."""
    total = add_up(rows, start, start + size, rows[0, start:])
    for row in rows:
        row[start : start + size] = total


@jit(reassociate=True)
def clip_norm(g, limit):
    """Scale g so that its Euclidean norm is at most `limit` (Pascanu, Mikolov and Bengio 2013)."""
    total = g.dtype.type(0)
    for i in range(g.size):
        total += g[i] * g[i]
    norm = np.sqrt(total)
    if norm > limit:
        for i in range(g.size):
            g[i] *= limit / norm


@jit
def gather(samples, width, order, first, out, pieces):
    """The samples order[first], order[first + 1], … of a batch, side by side in `out`.

    `samples` and `out` are flat, a sample has `width` numbers. Of samples that have several pieces
    the first ones of all samples come first, then the second ones, and so on, so that `out` is
    (pieces, samples, …). Samples lie anywhere in memory, so the processor is told early which ones
    come.
    """
    if width == 1:  # labels
        for i in range(out.size):
            out[i] = samples[order[first + i]]
        return
    n, wide = out.size // max(width, 1), width // pieces
    for i in range(n):
        if first + i + AHEAD < order.size:
            prefetch_row(samples, order[first + i + AHEAD], width)
        start = order[first + i] * width
        copy_rows(out, i * wide, n * wide, samples, start, wide, pieces, wide)
