"""Rows of numbers and their turning, in vectors whatever the sizes (see `tile.py`)."""
from __future__ import annotations

from typing import Any

from numba.extending import overload

from .jit import jit
from .tile import address, lanes, move, prefetch, turn_block


def put(goal: Any, g0: int, source: Any, s0: int, count: int) -> None:
    """goal[g0 : g0 + count] = source[s0 : s0 + count], both read as flat arrays. This is the plain form."""
    goal.reshape(-1)[g0 : g0 + count] = source.reshape(-1)[s0 : s0 + count]


def add(goal: Any, g0: int, source: Any, s0: int, count: int) -> None:
    """goal[g0 : g0 + count] += source[s0 : s0 + count]. This is the plain form."""
    goal.reshape(-1)[g0 : g0 + count] += source.reshape(-1)[s0 : s0 + count]


def put_rows(goal: Any, g0: int, g_row: int, source: Any, s0: int, s_row: int, rows: int, count: int) -> None:
    """`put` for several rows of `count` numbers, that begin so far apart. This is the plain form."""
    for i in range(rows):
        put(goal, g0 + i * g_row, source, s0 + i * s_row, count)


@overload(put_rows)
def _put_rows(goal, g0, g_row, source, s0, s_row, rows, count):  # type: ignore[no-untyped-def]
    size = lanes(goal.dtype.bitwidth // 8)  # a constant: moving a vector is one instruction to read and one to write

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
    return lambda goal, g0, source, s0, count: move(address(goal), g0, address(source), s0, count, 0)


@overload(add)
def _add(goal, g0, source, s0, count):  # type: ignore[no-untyped-def]
    return lambda goal, g0, source, s0, count: move(address(goal), g0, address(source), s0, count, 1)


def fetch(source: Any, s0: int, count: int) -> None:
    """Tell the processor that source[s0 : s0 + count] will soon be read; plain code has no way to say so."""


@overload(fetch)
def _fetch(source, s0, count):  # type: ignore[no-untyped-def]
    line = 64 // (source.dtype.bitwidth // 8)

    def run(source, s0, count):  # type: ignore[no-untyped-def]
        for j in range(0, count, line):
            prefetch(address(source), s0 + j)

    return run


def turn_piece(goal: Any, g0: int, g_row: int, source: Any, s0: int, s_row: int, h: int, w: int) -> None:
    """goal[g0 + j · g_row + i] = source[s0 + i · s_row + j] for i < h and j < w, a vector's length at most; plain form."""
    goal, source = goal.reshape(-1), source.reshape(-1)
    for i in range(h):
        for j in range(w):
            goal[g0 + j * g_row + i] = source[s0 + i * s_row + j]


@overload(turn_piece)
def _turn_piece(goal, g0, g_row, source, s0, s_row, h, w):  # type: ignore[no-untyped-def]
    size = lanes(goal.dtype.bitwidth // 8)

    def run(goal, g0, g_row, source, s0, s_row, h, w):  # type: ignore[no-untyped-def]
        if h == size and w == size:
            turn_block(address(goal), g0, g_row, address(source), s0, s_row, h, w, 1)
        else:
            turn_block(address(goal), g0, g_row, address(source), s0, s_row, h, w, 0)

    return run


@jit
def turn(goal: Any, g0: int, g_row: int, source: Any, s0: int, s_row: int, rows: int, columns: int) -> None:
    """goal[r, c] = source[c, r]: rows of the goal, (rows, columns), are columns of the source. Of each flat array the first
    entry and the distance between rows are given."""
    size = lanes(goal.itemsize)
    for i in range(0, columns, size):
        for j in range(0, rows, size):
            turn_piece(goal, g0 + j * g_row + i, g_row, source, s0 + i * s_row + j, s_row, min(size, columns - i),
                       min(size, rows - j))  # fmt: skip
