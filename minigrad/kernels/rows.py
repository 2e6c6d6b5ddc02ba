"""Rows of numbers and their turning, in vectors whatever the sizes (see `tile.py`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import overload
from numba.np.numpy_support import as_dtype

from .jit import jit
from .tile import address, bits, lanes, move, prefetch, turn_block


def put(goal: Any, g0: int, source: Any, s0: int, count: int) -> None:
    """goal[g0 : g0 + count] = source[s0 : s0 + count], both read as flat arrays. This is the plain
    form.
    """
    goal.reshape(-1)[g0 : g0 + count] = source.reshape(-1)[s0 : s0 + count]


def add(goal: Any, g0: int, source: Any, s0: int, count: int) -> None:
    """goal[g0 : g0 + count] += source[s0 : s0 + count]. This is the plain form."""
    goal.reshape(-1)[g0 : g0 + count] += source.reshape(-1)[s0 : s0 + count]


def put_rows(
    goal: Any, g0: int, g_row: int, source: Any, s0: int, s_row: int, rows: int, count: int
) -> None:
    """`put` for several rows of `count` numbers, that begin so far apart. This is the plain
    form.
    """
    for i in range(rows):
        put(goal, g0 + i * g_row, source, s0 + i * s_row, count)


@overload(put_rows)
def _put_rows(goal, g0, g_row, source, s0, s_row, rows, count):  # type: ignore[no-untyped-def]
    # a constant: moving a vector is one instruction to read and one to write
    size = lanes(bits(goal.dtype) // 8)

    def run(goal, g0, g_row, source, s0, s_row, rows, count):  # type: ignore[no-untyped-def]
        to, of, last = address(goal), address(source), count - size
        if last < 0:
            for i in range(rows):
                move(to, g0 + i * g_row, of, s0 + i * s_row, count, 0)
            return
        for i in range(rows):
            g, s = g0 + i * g_row, s0 + i * s_row
            for j in range(0, last, size):
                move(to, g + j, of, s + j, size, 0)
            move(to, g + last, of, s + last, size, 0)

    return run


@overload(put)
def _put(goal, g0, source, s0, count):  # type: ignore[no-untyped-def]
    return lambda goal, g0, source, s0, count: move(
        address(goal), g0, address(source), s0, count, 0
    )


@overload(add)
def _add(goal, g0, source, s0, count):  # type: ignore[no-untyped-def]
    return lambda goal, g0, source, s0, count: move(
        address(goal), g0, address(source), s0, count, 1
    )


def is_row(i: Any, rows: int) -> bool:
    """Is i, an integer of any dtype, the index of one of so many rows?

    Kernels do not trust indices that come with the data: rules look at them before, but a compiled
    step works on arrays that another thread may change.
    """
    return bool(0 <= i < rows)


@overload(is_row)
def _is_row(i, rows):  # type: ignore[no-untyped-def]
    # as unsigned numbers, negative ones are large ones
    return lambda i, rows: np.uint64(np.int64(i)) < np.uint64(rows)


def missing(table: Any) -> Any:
    """What a lookup gives for a row that is not there: NaN, or 0 if the table holds no floats."""
    return table.dtype.type(np.nan if table.dtype.kind == "f" else 0)


@overload(missing)
def _missing(table):  # type: ignore[no-untyped-def]
    value = missing(np.empty(0, as_dtype(table.dtype)))
    return lambda table: value


def fetch(source: Any, row: Any, width: int) -> None:
    """Tell the processor that a row of so many numbers will soon be read; plain code has no way to
    say so. If there is no such row, nothing happens."""


@overload(fetch)
def _fetch(source, row, width):  # type: ignore[no-untyped-def]
    line = 64 // (bits(source.dtype) // 8)

    def run(source, row, width):  # type: ignore[no-untyped-def]
        for j in range(0, width, line):
            prefetch(address(source), np.int64(row) * width + j)

    return run


def turn_piece(
    goal: Any, g0: int, g_row: int, source: Any, s0: int, s_row: int, h: int, w: int
) -> None:
    """goal[g0 + j · g_row + i] = source[s0 + i · s_row + j] for i < h and j < w, a vector's length
    at most; plain form.
    """
    goal, source = goal.reshape(-1), source.reshape(-1)
    for i in range(h):
        for j in range(w):
            goal[g0 + j * g_row + i] = source[s0 + i * s_row + j]


@overload(turn_piece)
def _turn_piece(goal, g0, g_row, source, s0, s_row, h, w):  # type: ignore[no-untyped-def]
    size = lanes(bits(goal.dtype) // 8)

    def run(goal, g0, g_row, source, s0, s_row, h, w):  # type: ignore[no-untyped-def]
        if h == size and w == size:
            turn_block(address(goal), g0, g_row, address(source), s0, s_row, h, w, 1)
        else:
            turn_block(address(goal), g0, g_row, address(source), s0, s_row, h, w, 0)

    return run


@jit
def turn(
    goal: Any, g0: int, g_row: int, source: Any, s0: int, s_row: int, rows: int, columns: int
) -> None:
    """goal[r, c] = source[c, r]: rows of the goal, (rows, columns), are columns of the source. Of
    each flat array the first entry and the distance between rows are given.
    """
    size = lanes(goal.itemsize)
    for i in range(0, columns, size):
        for j in range(0, rows, size):
            turn_piece(
                goal,
                g0 + j * g_row + i,
                g_row,
                source,
                s0 + i * s_row + j,
                s_row,
                min(size, columns - i),
                min(size, rows - j),
            )
