"""The doors of `simd` in machine code: each has its plain form's name and arguments."""

from functools import wraps

import numpy as np
from numba import carray, types
from numba.extending import overload
from numba.np.numpy_support import from_dtype

from ..options import FORMULAS
from . import plain, products, vectors
from .copies import add, copy, prefetch, transpose_block
from .disk import compiled
from .maxima import extreme
from .maxima import window_maxima as _window_maxima
from .symbols import address_of, call_at, called_by_symbol
from .vectors import address, entry, lanes

#: the widest vector in bytes
BYTES = vectors.BYTES


def _door(plain_form, **options):
    """A function that is the plain form in Python, and the decorated function in compiled code."""

    def decorate(machine_form):
        @wraps(plain_form)
        def door(*args):
            return plain_form(*args)

        overload(door, options, strict=False)(lambda *args: machine_form)
        return door

    return decorate


def compiled_separately(function):
    """Compile a function by itself, see `symbols.py`. A compiled function stays as it is."""
    made = function
    if not hasattr(function, "py_func"):
        wrappers = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
        made = compiled(function, nogil=True, **wrappers, **FORMULAS)
    return called_by_symbol(made)


_block, _sums = compiled_separately(products.block), compiled_separately(products.sums)


@_door(plain.block)
def block(out, c, left, a, right, b, table, slide, sizes, start, begin, least):
    arrays = address(out), address(left), address(right), address(table), address(start)
    steps = 1 if table.size > 1 else 0, slide
    _block(arrays, c, a, b, steps, begin, out.dtype.type(least), sizes)


@_door(plain.sums)
def sums(out, c, left, a, right, b, table, sizes, fresh):
    arrays = address(out), address(left), address(right), address(table)
    _sums(arrays, c, a, b, 1 if table.size > 1 else 0, fresh, sizes)


@_door(plain.add_row)
def add_row(goal, g0, source, s0, count):
    add(address(goal), g0, address(source), s0, count)


@_door(plain.copy_rows, forceinline=True)  # masks are computed once, before a loop around it
def copy_rows(goal, g0, g_row, source, s0, s_row, rows, count):
    to, of = address(goal), address(source)
    for i in range(rows):
        copy(to, g0 + i * g_row, of, s0 + i * s_row, count)


@_door(plain.transpose)
def transpose(goal, g0, g_row, source, s0, s_row, rows, columns):
    to, of = address(goal), address(source)
    size = lanes(to)
    for i in range(0, columns, size):
        for j in range(0, rows, size):
            g, s = g0 + j * g_row + i, s0 + i * s_row + j
            h, w = min(size, columns - i), min(size, rows - j)
            transpose_block(to, g, g_row, of, s, s_row, h, w)


@_door(plain.prefetch_row)
def prefetch_row(source, row, width):
    start = address(source)
    for j in range(0, width, lanes(start)):  # a constant, unlike `source.itemsize`
        prefetch(start, np.int64(row) * width + j)


@_door(plain.window_maxima)
def window_maxima(best, places, x, start, width, rows, left, step, columns):
    to, spots, of = address(best), address(places), address(x)
    size = lanes(to)
    for j in range(0, best.size, size):
        at, count = left + j * step, min(size, best.size - j)
        _window_maxima(to, spots, j, of, start, width, rows, at, step, columns, count)


def _extreme(plain_form, instruction):
    @wraps(plain_form)
    def door(total, x):
        return plain_form(total, x)

    @overload(door)
    def choose(total, x):
        form = instruction if isinstance(total, types.Float) else plain_form
        return lambda total, x: form(total, x)

    return door


larger = _extreme(plain.larger, extreme("maximum"))
smaller = _extreme(plain.smaller, extreme("minimum"))


@wraps(plain.shaped)
def shaped(array, shape):
    return plain.shaped(array, shape)


@overload(shaped)
def _shaped(array, shape):
    if array.layout == "C" and array.mutable:
        # without a reference to the array's memory
        return lambda array, shape: carray(address(array), shape)
    return lambda array, shape: array.reshape(shape)


@_door(plain.flat)
def flat(array):
    return shaped(array, (array.size,))


@_door(plain.row)
def row(array, start, size):
    return carray(entry(array, start), (size,))


@_door(plain.launch)
def launch(addresses, begin, end, starts, table, sizes, floats, first):
    for i in range(begin, end):
        numbers = entry(sizes, starts[i, 0]), entry(floats, starts[i, 1])
        call_at(addresses[i], address(table), *numbers, first)


view = plain.view


@_door(plain.opened)
def opened(array):
    return carray(array, (1,))  # of which no size is known, and none is asked


def linked(functions, floats):
    """The addresses of functions for `launch`, compiled for arrays of this dtype of floats."""
    numbers = types.CPointer(types.intp), types.CPointer(from_dtype(floats))
    kinds = types.CPointer(types.intp), *numbers, types.intp
    return np.array([address_of(function.dispatcher, kinds) for function in functions], np.intp)
