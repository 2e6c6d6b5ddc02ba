"""Products of stacks of matrices: one loop over the pairs, which threads share.

Where the matrices lie is a table, so leading axes of any number, broadcast or in another order, are
one case.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .gemm import NONE
from .jit import compiled_separately, jit, prange, shard
from .simd import FRESH, Begin, Entries, Rows, Sizes, block, sums, transpose

#: with fewer rows, turning B costs more than it saves
FEW_ROWS = 4


class Layout(NamedTuple):
    """How each matrix of three stacks lies in memory, in numbers: out (m, n) = a (m, k) @ b (k, n).

    `row` and `column` are the distances between rows and columns. Rows of `out` are contiguous;
    `b_row` or `b_column` is 1.
    """

    m: int
    k: int
    n: int
    out_row: int
    a_row: int
    a_column: int
    b_row: int
    b_column: int


@lru_cache(maxsize=256)
def places(shape: tuple[int, ...], *stacks: tuple[int, tuple[int, ...]]) -> Any:
    """The first number of each matrix: (matrices, stacks) of int64.

    `shape` is the common shape of the leading axes. Each stack is given by the offset of its first
    number and the strides of its leading axes, in numbers; 0 where it is broadcast.
    """
    table = np.zeros((*shape, len(stacks)), np.int64)
    for i, (offset, strides) in enumerate(stacks):
        table[..., i] = offset
        for axis, stride in enumerate(strides):
            after = (1,) * (len(shape) - axis - 1)
            table[..., i] += stride * np.arange(shape[axis]).reshape(-1, *after)
    return table.reshape(-1, len(stacks))


def arguments(a: Any, b: Any, out: Any, shards: int) -> tuple[Any, ...]:
    """What `products` takes for out = a @ b of arrays (…, m, k), (…, k, n) and (…, m, n).

    Leading axes broadcast; `out` is C-contiguous. Operands with gaps are copied.
    """
    batch, (m, n), k = out.shape[:-2], out.shape[-2:], a.shape[-1]
    (left, at, (a_row, a_column)), (right, to, (b_row, b_column)) = (
        _flat(x, batch) for x in (a, b)
    )
    _, goal, (out_row, _) = _flat(out, batch)
    layout = Layout(m, k, n, out_row, a_row, a_column, b_row, b_column)
    work = np.empty((shards, 0 if b_column == 1 else k * n), out.dtype)
    return out.reshape(-1), left, right, places(batch, (0, goal), (0, at), (0, to)), layout, work


def _flat(x: Any, batch: tuple[int, ...]) -> tuple[Any, tuple[int, ...], tuple[int, ...]]:
    """A stack as a flat array, its leading strides and those of its matrices, in numbers."""
    turned = not x.flags.c_contiguous and x.swapaxes(-1, -2).flags.c_contiguous
    whole = x.swapaxes(-1, -2) if turned else np.ascontiguousarray(x)
    wide = np.broadcast_to(whole, (*batch, *whole.shape[-2:]))
    row = whole.shape[-1]
    strides = tuple(stride // x.itemsize for stride in wide.strides[:-2])
    return whole.reshape(-1), strides, (1, row) if turned else (row, 1)


@compiled_separately
def _some(out, a, b, table, layout, work):
    m, k, n, out_row, a_row, a_column, b_row, b_column = layout
    sizes = Sizes(m, k, n, 1)
    for s in range(len(table)):
        goal, left, first = Rows(table[s, 0], out_row, 0), table[s, 1], table[s, 2]
        ones = Entries(left, a_row, a_column, 0)
        if b_column == 1:
            right, rows = b, Rows(first, b_row, 0)
        elif m < FEW_ROWS and a_column == 1:
            sums(out, goal, a, Rows(left, a_row, 0), b, Rows(first, b_column, 0), NONE, sizes, True)
            continue
        else:
            transpose(work, 0, n, b, first, b_column, k, n)
            right, rows = work, Rows(0, n, 0)
        block(out, goal, a, ones, right, rows, NONE, 0, sizes, out, Begin(FRESH, 0), -np.inf)


@jit(parallel=True)
def products(out, a, b, table, layout, work):
    """out = a @ b for each row of the table, as `places` makes it and `layout` (a `Layout`) says.

    `out`, `a` and `b` are flat. `work` is (shards, k · n), or (shards, 0) where columns of b are
    contiguous.
    """
    for s in prange(len(work)):
        lo, hi = shard(s, len(work), len(table))
        _some(out, a, b, table[lo:hi], layout, work[s])
