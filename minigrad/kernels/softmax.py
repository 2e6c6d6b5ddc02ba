"""Softmax and cross-entropy of rows in one pass, without overflow."""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

import numpy as np

from .jit import compiled_separately, jit, prange, shard
from .mathfn import exp
from .rows import is_row
from .simd import flat, larger

#: numbers whose exponentials are computed together, because short rows do not fill vectors
TOGETHER = 1024


def cross_entropy_reference(logits, ids):
    """-log softmax(logits)[id] per row, and the softmax; the row's maximum comes off first, so exp
    cannot overflow.
    """
    shifted = logits - logits.max(1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(1, keepdims=True)
    losses = np.log(total[:, 0]) - shifted[np.arange(len(ids)), ids]
    return losses, exponentials / total


@jit(reassociate=True)
def _sum(row):
    """The sum of the entries in any order; not part of formulas, which rely on theirs."""
    total = row.dtype.type(0)
    for j in range(row.size):
        total += row[j]
    return total


@jit
def _top(row):
    """The largest entry; NaN where there is one."""
    total = row.dtype.type(-np.inf)
    for j in range(row.size):
        total = larger(total, row[j])
    return total


@jit
def _some_rows(logits, ids, losses, p):
    for i in range(ids.size):
        row, out = logits[i], p[i]
        top = _top(row)
        for j in range(row.size):
            out[j] = row[j] - top
        chosen = ids[i]
        losses[i] = out[np.int64(chosen)] if is_row(chosen, out.size) else logits.dtype.type(np.nan)
    all_of_them = flat(p)
    for j in range(all_of_them.size):
        all_of_them[j] = exp(all_of_them[j])
    for i in range(ids.size):
        out = p[i]
        total = _sum(out)
        losses[i] = np.log(total) - losses[i]
        scale = logits.dtype.type(1) / total
        for j in range(out.size):
            out[j] *= scale


@compiled_separately
def _rows(logits, ids, losses, p, lo, hi):
    some = max(1, TOGETHER // max(logits.shape[1], 1))
    for i in range(lo, hi, some):
        end = min(i + some, hi)
        _some_rows(logits[i:end], ids[i:end], losses[i:end], p[i:end])


@jit(parallel=True)
def cross_entropy(logits, ids, losses, p, shards):
    """Write the losses (n,) and the softmax p (n, classes).

    Logits are (n, classes), class ids (n,). The loss is NaN for an id of no class.
    """
    for s in prange(shards):
        lo, hi = shard(s, shards, ids.size)
        _rows(logits, ids, losses, p, lo, hi)


@jit
def cross_entropy_back(p, ids, g, grad):
    """Write g[0] / n · (p - onehot(ids)) into grad (n, classes).

    This is the gradient of the mean of the losses. It is 0 for an id of no class.
    """
    scale = g[0] / g.dtype.type(ids.size)
    for i in range(ids.size):
        source, goal, chosen = p[i], grad[i], ids[i]
        if is_row(chosen, grad.shape[1]):
            for j in range(goal.size):
                goal[j] = source[j] * scale
            goal[np.int64(chosen)] -= scale
        else:
            goal[:] = 0
