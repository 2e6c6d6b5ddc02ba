"""The loops over training steps, and over slices of samples, which run pieces of a graph."""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

import numpy as np

from ..kernels.jit import jit, prange
from ..kernels.simd import launch


@jit(parallel=True)
def steps(part, numbers, ends, update, more, shards, size, table, state, each, scalars, losses):
    """Make as many steps as there are `losses`, up to the first loss that is not finite.

    Returns how many were made. `part` and `update` are code for `launch`, `numbers` and `more` its
    starts, sizes and floats. A batch has a part for each row of `table`, which says where its
    arrays are, with `size` samples, and writes its loss to `each`. Pieces number `ends` are run
    once for all parts, when they have come so far; the last end is the number of pieces. `state`
    are the bytes of the model's buffers. `scalars` has the optimiser's numbers for each step; so
    many `shards` share the update.
    """
    starts, sizes, floats = numbers
    new_starts, new_sizes, _ = more
    parts, before = len(table), state.copy()
    for t in range(losses.size):
        before[:] = state
        begin = 0
        for end in ends:
            if begin > 0:
                launch(part, begin - 1, begin, starts, table[0], sizes, floats, 0)
            for s in prange(parts):
                first = (t * parts + s) * size
                launch(part, begin, end, starts, table[s], sizes, floats, first)
            begin = end + 1
        # a plain loop: Numba's own sum would load a module that a cached start does without
        total = each[0, 0]
        for s in range(1, parts):
            total += each[s, 0]
        losses[t] = total / parts
        if not abs(losses[t]) < np.inf:  # NaN compares false
            state[:] = before  # a step that is not made leaves nothing behind
            return t
        if shards == 1:
            launch(update, 0, 1, new_starts, table[0], new_sizes, scalars[t], 0)
            continue
        for s in prange(shards):
            launch(update, 0, 1, new_starts, table[0], new_sizes, scalars[t], s)
    return losses.size


@jit(parallel=True)
def slices(part, numbers, table, each, size, count):
    """Run a forward pass on `count` slices of `size` samples, in a thread for each row of `table`.

    Returns whether all computed indices were in range: `each` is NaN where one was not. The other
    arguments are those of `steps`.
    """
    starts, sizes, floats = numbers
    threads = len(table)
    inside = np.ones(threads, np.bool_)
    for s in prange(threads):
        for i in range(s, count, threads):
            launch(part, 0, len(starts) - 1, starts, table[s], sizes, floats, i * size)
            if each[s, 0] != each[s, 0]:
                inside[s] = False
    return inside.all()
