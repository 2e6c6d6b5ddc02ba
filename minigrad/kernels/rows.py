"""Rows of numbers and their turning, in vectors whatever the sizes (see `tile.py`)."""
from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import overload

from .jit import jit
from .tile import address, lanes, move, top, turn_block


def put(goal: Any, g0: int, source: Any, s0: int, count: int) -> None:
    """goal[g0 : g0 + count] = source[s0 : s0 + count], both read as flat arrays. This is the plain form."""
    goal.reshape(-1)[g0 : g0 + count] = source.reshape(-1)[s0 : s0 + count]


def add(goal: Any, g0: int, source: Any, s0: int, count: int) -> None:
    """goal[g0 : g0 + count] += source[s0 : s0 + count]. This is the plain form."""
    goal.reshape(-1)[g0 : g0 + count] += source.reshape(-1)[s0 : s0 + count]


@overload(put)
def _put(goal, g0, source, s0, count):  # type: ignore[no-untyped-def]
    return lambda goal, g0, source, s0, count: move(address(goal), g0, address(source), s0, count, 0)


@overload(add)
def _add(goal, g0, source, s0, count):  # type: ignore[no-untyped-def]
    return lambda goal, g0, source, s0, count: move(address(goal), g0, address(source), s0, count, 1)


def largest(row: Any) -> Any:
    """The largest number of a row (n,), NaN left out; -inf if nothing is left. This is the plain form."""
    return np.fmax.reduce(row, initial=-np.inf)


@overload(largest)
def _largest(row):  # type: ignore[no-untyped-def]
    return lambda row: top(address(row), row.size)


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
