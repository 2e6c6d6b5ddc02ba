"""Looking up rows of a table, and adding gradients back to the rows that were looked up."""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

import numpy as np

from .jit import compiled_separately, jit, prange, shard
from .rows import is_row, missing
from .simd import add_row, copy_rows, flat, prefetch_row

#: rows lie anywhere in memory, so the processor is told this many rows early which ones come
AHEAD = 8


def gather_reference(table, ids):
    """The row of each id: fancy indexing."""
    return table[ids]


def scatter_reference(g, ids, rows):
    """The gradient of the table: rows that were looked up twice collect twice."""
    grad = np.zeros((rows, g.shape[-1]), g.dtype)
    np.add.at(grad, ids, g)
    return grad


@compiled_separately
def gather_some(table, ids, out, lo, hi):
    """`gather` for lo <= i < hi."""
    (rows, width), goal = table.shape, flat(out)
    for i in range(lo, hi):
        prefetch_row(table, ids[min(i + AHEAD, hi - 1)], width)
        row = ids[i]
        if is_row(row, rows):
            copy_rows(out, i * width, 0, table, np.int64(row) * width, 0, 1, width)
        else:
            for j in range(i * width, (i + 1) * width):
                goal[j] = missing(table)


@jit(parallel=True)
def gather(table, ids, out, shards):
    """out[i] = table[ids[i]] for ids (n,), out (n, width), shared out over threads.

    For an id of no row it is NaN, or 0 in a table of integers.
    """
    for s in prange(shards):
        lo, hi = shard(s, shards, ids.size)
        gather_some(table, ids, out, lo, hi)


@jit
def scatter(g, ids, grad):
    """grad[ids[i]] += g[i], from zero; one thread, because two could meet in one row.

    Ids of no row are left out.
    """
    grad[:] = 0
    scatter_more(g, ids, grad)


@jit
def scatter_more(g, ids, grad):
    """grad[ids[i]] += g[i]."""
    rows, width = grad.shape
    for i in range(ids.size):
        prefetch_row(grad, ids[min(i + AHEAD, ids.size - 1)], width)
        row = ids[i]
        if is_row(row, rows):
            add_row(grad, np.int64(row) * width, g, i * width, width)


@jit
def clear(ids, grad):
    """grad[ids[i]] = 0: undoes `scatter_more` without going through rows that were never
    touched.
    """
    for i in range(ids.size):
        row = ids[i]
        if is_row(row, grad.shape[0]):
            grad[np.int64(row)] = 0


@jit
def mark_outside(ids, low, high, but, mark):
    """mark[0] = NaN where one of the ids lies outside of [low, high) and is not `but`."""
    wrong = 0
    for i in range(ids.size):
        wrong += ((ids[i] < low) | (ids[i] >= high)) & (ids[i] != but)
    if wrong:
        mark[0] = np.nan


#: in a compiled step the table's gradient is kept at zero between steps: another kernel for
#: `scatter`, and one that clears
scatter.touches_rows = scatter_more, clear
