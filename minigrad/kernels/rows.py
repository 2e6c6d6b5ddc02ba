"""Copying and adding short rows of numbers, in vectors whatever their length (see `tile.move`)."""
from __future__ import annotations

from typing import Any

from numba.extending import overload

from .tile import address, move


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
