"""The doors of `simd` in machine code: each has its plain form's name and arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from numba.extending import overload

from ..options import FORMULAS
from . import plain, products, vectors
from .copies import copy_or_add, prefetch, transpose_block
from .disk import compiled
from .maxima import row_maximum as _row_maximum
from .maxima import window_maxima as _window_maxima
from .symbols import called_by_symbol
from .vectors import address, lanes, view

#: the widest vector in bytes
BYTES = vectors.BYTES


def _door(plain_form: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A function that is the plain form in Python, and the decorated function in compiled code."""

    def decorate(machine_form: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(plain_form)
        def door(*args: Any) -> Any:
            return plain_form(*args)

        overload(door, strict=False)(lambda *args: machine_form)
        return door

    return decorate


def compiled_separately(function: Callable[..., Any]) -> Any:
    """Compile a function by itself, see `symbols.py`. A compiled function stays as it is."""
    made = function
    if not hasattr(function, "py_func"):
        made = compiled(function, nogil=True, no_cpython_wrapper=True, **FORMULAS)
    return called_by_symbol(made)


_block, _sums = compiled_separately(products.block), compiled_separately(products.sums)


@_door(plain.block)
def block(out, c, left, a, right, b, table, slide, sizes, start, begin, least):  # type: ignore[no-untyped-def]
    to, ones, others, shifts = address(out), address(left), address(right), address(table)
    steps, first, floor = (1 if table.size > 1 else 0, slide), address(start), out.dtype.type(least)
    _block(to, c, ones, a, others, b, shifts, steps, first, begin, floor, sizes)


@_door(plain.sums)
def sums(out, c, left, a, right, b, table, sizes, fresh):  # type: ignore[no-untyped-def]
    step = 1 if table.size > 1 else 0
    to, ones, others, shifts = address(out), address(left), address(right), address(table)
    _sums(to, c, ones, a, others, b, shifts, step, fresh, sizes)


@_door(plain.copy_row)
def copy_row(goal, g0, source, s0, count):  # type: ignore[no-untyped-def]
    copy_or_add(address(goal), g0, address(source), s0, count, 0)


@_door(plain.add_row)
def add_row(goal, g0, source, s0, count):  # type: ignore[no-untyped-def]
    copy_or_add(address(goal), g0, address(source), s0, count, 1)


@_door(plain.copy_rows)
def copy_rows(goal, g0, g_row, source, s0, s_row, rows, count):  # type: ignore[no-untyped-def]
    to, of = address(goal), address(source)
    size = lanes(to)  # a constant: copying a vector is one instruction to read and one to write
    last = count - size
    if last < 0:
        for i in range(rows):
            copy_or_add(to, g0 + i * g_row, of, s0 + i * s_row, count, 0)
        return
    for i in range(rows):
        g, s = g0 + i * g_row, s0 + i * s_row
        for j in range(0, last, size):
            copy_or_add(to, g + j, of, s + j, size, 0)
        copy_or_add(to, g + last, of, s + last, size, 0)


@_door(plain.transpose)
def transpose(goal, g0, g_row, source, s0, s_row, rows, columns):  # type: ignore[no-untyped-def]
    to, of = address(goal), address(source)
    size = lanes(to)
    for i in range(0, columns, size):
        for j in range(0, rows, size):
            g, s = g0 + j * g_row + i, s0 + i * s_row + j
            h, w = min(size, columns - i), min(size, rows - j)
            if h == size and w == size:
                transpose_block(to, g, g_row, of, s, s_row, h, w, 1)
            else:
                transpose_block(to, g, g_row, of, s, s_row, h, w, 0)


@_door(plain.prefetch_row)
def prefetch_row(source, row, width):  # type: ignore[no-untyped-def]
    start = address(source)
    for j in range(0, width, lanes(start)):  # a constant, unlike `source.itemsize`
        prefetch(start, np.int64(row) * width + j)


@_door(plain.row_maximum)
def row_maximum(row):  # type: ignore[no-untyped-def]
    return _row_maximum(address(row), row.size)


@_door(plain.window_maxima)
def window_maxima(best, places, x, start, width, rows, left, step, columns):  # type: ignore[no-untyped-def]
    to, spots, of = address(best), address(places), address(x)
    size = lanes(to)
    for j in range(0, best.size, size):
        at, count = left + j * step, min(size, best.size - j)
        if step == 1:
            _window_maxima(to, spots, j, of, start, width, rows, at, 1, columns, count, 1)
        else:
            _window_maxima(to, spots, j, of, start, width, rows, at, step, columns, count, 0)


@_door(plain.shaped)
def shaped(array, shape):  # type: ignore[no-untyped-def]
    return view(array, shape)


@_door(plain.flat)
def flat(array):  # type: ignore[no-untyped-def]
    return view(array, (array.size,))
