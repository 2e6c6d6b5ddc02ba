"""Rows of a table: which exist, and what stands for those that do not; a transposed copy."""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from .jit import jit
from .simd import flat, transpose

#: matrices of fewer rows or columns do not fill the blocks of `transpose`
FULL = 8


def index_dtype(count):
    """The dtype of indices into `count` entries: int32, or int64 where there are too many."""
    return np.int32 if count <= 2**31 else np.int64


@register_jitable
def is_row(i, rows):
    """Is i, an integer of any dtype, the index of one of `rows` rows?

    Kernels do not trust indices that come with the data: rules look at them before, but a compiled
    step works on arrays that another thread may change.
    """
    return 0 <= i < rows


def missing(table):
    """The number that a lookup gives for a missing row: NaN, or 0 in a table of integers."""
    return table.dtype.type(np.nan if table.dtype.kind == "f" else 0)


@overload(missing)
def _missing(table):
    value = np.nan if isinstance(table.dtype, types.Float) else 0
    return lambda table: table.dtype.type(value)


@jit
def turn(goal, g0, g_row, source, s0, s_row, rows, columns):
    """goal[r, c] = source[c, r]: rows of the goal, (rows, columns), are columns of the source. Of
    each flat array the first entry and the distance between rows are given.
    """
    if min(rows, columns) >= FULL:
        transpose(goal, g0, g_row, source, s0, s_row, rows, columns)
        return
    goal, source = flat(goal), flat(source)
    for r in range(rows):
        for c in range(columns):
            goal[g0 + r * g_row + c] = source[s0 + c * s_row + r]
