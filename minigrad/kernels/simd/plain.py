"""The doors of `simd` as plain loops: what they compute, and what runs where nothing else may."""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

import ctypes
from contextlib import suppress
from typing import NamedTuple

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic, overload, register_jitable

from .. import cache
from ..options import FORMULAS, SUMS, config

#: bytes in a vector, as far as plain code needs to know
BYTES = 32

#: what a row of a product begins with: what is there already, zeros, a number for each row, or one
#: row for all
ADD, FRESH, START, ACROSS = 0, 1, 2, 3


class Sizes(NamedTuple):
    """The sizes of a product (rows, depth) @ (depth, columns), made `times` times."""

    rows: int
    depth: int
    columns: int
    times: int


class Rows(NamedTuple):
    """Where rows of contiguous numbers lie in a flat array: the first number, the distance between
    rows, and how far on the rows of the next time begin.
    """

    first: int
    row: int
    next: int


class Entries(NamedTuple):
    """Where single numbers of a matrix lie in a flat array: the first number, the distance between
    rows, between columns, and how far on the matrix of the next time begins.
    """

    first: int
    row: int
    column: int
    next: int


class Begin(NamedTuple):
    """What rows of a product begin with: ADD, FRESH, START or ACROSS, and from where on."""

    kind: int
    first: int


@register_jitable(**FORMULAS)
def block(out, c, left, a, right, b, table, slide, sizes, start, begin, least):
    """C = max(least, what its rows begin with + A @ B), `sizes.times` times.

    `out`, `left` and `right` hold C (`Rows`), A (`Entries`) and B (`Rows`). Row p of B begins
    table[p + q · slide] numbers further on at time q, because a convolution reads shifted rows of a
    picture; a table of one number holds for all rows. `least` is -inf, or 0 for a ReLU, which
    keeps NaN.
    """
    out, left, right, start = flat(out), flat(left), flat(right), flat(start)
    for q in range(sizes.times):
        for r in range(sizes.rows):
            first = c.first + q * c.next + r * c.row
            row = out[first : first + sizes.columns]
            for j in range(row.size):
                if begin.kind == FRESH:
                    row[j] = 0
                elif begin.kind == START:
                    row[j] = start[begin.first + r]
                elif begin.kind == ACROSS:
                    row[j] = start[begin.first + j]
            for p in range(sizes.depth):
                first = (
                    b.first + q * b.next + p * b.row + table[p + q * slide if table.size > 1 else 0]
                )
                factor = left[a.first + q * a.next + r * a.row + p * a.column]
                other = right[first : first + sizes.columns]
                for j in range(row.size):
                    row[j] += factor * other[j]
            for j in range(row.size):
                if row[j] < least:
                    row[j] = least


@register_jitable(**SUMS)
def sums(out, c, left, a, right, b, table, sizes, fresh):
    """C (+)= A @ Bᵀ summed over `sizes.times` pairs of A and B, all `Rows`; `fresh` overwrites C.

    Row u of B begins table[u] numbers further on, as in `block`.
    """
    out, left, right = flat(out), flat(left), flat(right)
    for r in range(sizes.rows):
        for u in range(sizes.columns):
            total = out.dtype.type(0)
            for q in range(sizes.times):
                first = a.first + r * a.row + q * a.next
                one = left[first : first + sizes.depth]
                first = b.first + u * b.row + q * b.next + table[u if table.size > 1 else 0]
                other = right[first : first + sizes.depth]
                for p in range(one.size):
                    total += one[p] * other[p]
            place = c.first + r * c.row + u
            out[place] = total if fresh else out[place] + total


@register_jitable(**FORMULAS)
def add_row(goal, g0, source, s0, count):
    """goal[g0 : g0 + count] += source[s0 : s0 + count], both read as flat arrays."""
    goal, source = flat(goal)[g0 : g0 + count], flat(source)[s0 : s0 + count]
    goal += source


@register_jitable(**FORMULAS)
def copy_rows(goal, g0, g_row, source, s0, s_row, rows, count):
    """goal[g0 : g0 + count] = source[s0 : s0 + count], both read as flat arrays, for several rows;
    `g_row` and `s_row` are the distances between rows.
    """
    goal, source = flat(goal), flat(source)
    for i in range(rows):
        for j in range(count):
            goal[g0 + i * g_row + j] = source[s0 + i * s_row + j]


@register_jitable(**FORMULAS)
def transpose(goal, g0, g_row, source, s0, s_row, rows, columns):
    """goal[r, c] = source[c, r] for r < rows and c < columns; arguments as in `copy_rows`."""
    goal, source = flat(goal), flat(source)
    for r in range(rows):
        for c in range(columns):
            goal[g0 + r * g_row + c] = source[s0 + c * s_row + r]


@register_jitable(**FORMULAS)
def prefetch_row(source, row, width):
    """Tell the processor that row `row` of `width` numbers will soon be read; plain code cannot.

    A row that does not exist does no harm.
    """


@register_jitable(**FORMULAS)
def window_maxima(best, places, x, start, width, rows, left, step, columns):
    """best[j] = the largest entry of window j of a picture, places[j] = where it is.

    The picture begins at x[start], from where places are counted, and its rows have `width`
    numbers. Each window spans the rows from rows[0] to rows[1] and `columns` columns from
    left + j · step on, without those outside the picture. The first of equals wins; NaN wins over
    everything, the last NaN over others.
    """
    for j in range(best.size):
        lo, hi = max(left + j * step, 0), min(left + j * step + columns, width)
        best[j], places[j] = -np.inf, rows[0] * width + lo
        for r in range(rows[0], rows[1]):
            for c in range(lo, hi):
                v = x[start + r * width + c]
                if v > best[j] or v != v:
                    best[j], places[j] = v, r * width + c


@register_jitable(**FORMULAS)
def shaped(array, shape):
    """A C-contiguous array in another shape of as many numbers, which compiled code does not
    check.
    """
    return array.reshape(shape)


@register_jitable(**FORMULAS)
def flat(array):
    """A C-contiguous array as one row of numbers."""
    return array.reshape(-1)


@register_jitable
def larger(a, b):
    """The larger of two numbers; NaN if one of them is NaN."""
    return a if a > b or a != a else b


@register_jitable
def smaller(a, b):
    """The smaller of two numbers; NaN if one of them is NaN."""
    return a if a < b or a != a else b


@register_jitable(**FORMULAS)
def row(array, start, size):
    """`size` numbers of a flat array from `start` on, which compiled code does not check."""
    return array[start : start + size]


def view(table, i, dtype):
    """The flat array of `dtype` whose address and size are entries 2 i and 2 i + 1 of a table."""
    address, size = int(table[2 * i]), int(table[2 * i + 1])
    memory = (ctypes.c_byte * (size * np.dtype(dtype).itemsize)).from_address(address)
    return np.ndarray(size, dtype, memory)


@intrinsic
def _pointer(context, address):
    def generate(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.intp), generate


@overload(view, FORMULAS)
def _view(table, i, dtype):
    # (annotations of Numba leave out what an intrinsic is given, and `carray`)
    return lambda table, i, dtype: numba.carray(  # type: ignore[attr-defined]
        _pointer(table[2 * i]),  # type: ignore[call-arg]
        (table[2 * i + 1],),
        dtype,
    )


@register_jitable
def launch(function, begin, end, starts, table, sizes, floats, first):
    """Call functions number `begin` up to `end`, f(table, sizes, floats, first), each with its part
    of the numbers: those from starts[i] on. Here there is but one.
    """
    function(table, sizes, floats, first)


@register_jitable
def opened(array):
    """The array that `launch` gives a function, which compiled code may give as an address."""
    return array


def linked(functions, floats):
    """What `launch` takes: functions that `compiled_separately` gave, for this dtype of floats."""
    (function,) = functions
    return function


def compiled(function, below="", **options):
    """Compile a function with Numba at its first call, and keep it on disk, in a folder below the
    others' if that is named; in memory only where there is no source file, or nowhere to write.
    """
    if not config.DISABLE_JIT:
        with cache.numba_keeps_in(f"plain/{below}") as folder, suppress(RuntimeError):
            if cache.usable(folder):
                return numba.njit(function, cache=True, **options)
    return numba.njit(function, **options)


def compiled_separately(function):
    """Compile a function; a compiled one stays as it is. It is compiled into its callers."""
    if hasattr(function, "py_func"):
        return function
    return compiled(function, nogil=True, **FORMULAS)
