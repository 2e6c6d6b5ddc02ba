"""Pooling over windows of (planes, h, w), a plane being one channel of one sample; threads share
the planes.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .jit import jit, prange
from .rows import index_dtype
from .simd import flat, window_maxima


class PoolDims(NamedTuple):
    """The sizes of one pooling: planes of (h, w), windows of (kh, kw), results of (oh, ow)."""

    planes: int
    h: int
    w: int
    kh: int
    kw: int
    oh: int
    ow: int
    sh: int  # stride
    sw: int
    ph: int  # padding, on both sides
    pw: int


def winners_dtype(d: PoolDims) -> Any:
    """The dtype of positions in a plane."""
    return index_dtype(d.h * d.w)


def max_pool_reference(x: Any, d: PoolDims) -> tuple[Any, Any]:
    """Largest entry of each window and its position row * w + column; padding never wins."""
    padded = np.pad(x, ((0, 0), (d.ph, d.ph), (d.pw, d.pw)), constant_values=-np.inf)
    windows = d.planes, d.oh, d.ow
    y, winners = np.empty(windows, x.dtype), np.empty(windows, winners_dtype(d))
    for p, i, j in np.ndindex(y.shape):
        window = padded[p, i * d.sh : i * d.sh + d.kh, j * d.sw : j * d.sw + d.kw]
        row, column = np.unravel_index(np.argmax(window), window.shape)
        y[p, i, j] = window[row, column]
        winners[p, i, j] = (i * d.sh + row - d.ph) * d.w + j * d.sw + column - d.pw
    return y, winners


def avg_pool_reference(x: Any, d: PoolDims) -> Any:
    """Mean of each window, the zeros of the padding counted in, as PyTorch does by default."""
    padded = np.pad(x, ((0, 0), (d.ph, d.ph), (d.pw, d.pw)))
    y = np.empty((d.planes, d.oh, d.ow), x.dtype)
    for p, i, j in np.ndindex(y.shape):
        y[p, i, j] = padded[p, i * d.sh : i * d.sh + d.kh, j * d.sw : j * d.sw + d.kw].mean()
    return y


# No comparison branches: which entry of a window wins cannot be predicted. The first of equals
# wins; NaN wins over everything, the last NaN over others.
@jit
def _max_plane(x, y, winners, d, p):
    for i in range(d.oh):
        top, bottom = max(0, i * d.sh - d.ph), min(d.h, i * d.sh - d.ph + d.kh)
        a = (p * d.oh + i) * d.ow
        best, at, rows = y[a : a + d.ow], winners[a : a + d.ow], (top, bottom)
        window_maxima(best, at, x, p * d.h * d.w, d.w, rows, -d.pw, d.sw, d.kw)


@jit
def _max_plane_two(x, y, winners, d):
    """The same for windows of two by two side by side, which are most frequent: LLVM reads them as
    vectors.
    """
    for i in range(d.oh):
        upper, lower, best, at = x[2 * i], x[2 * i + 1], y[i], winners[i]
        start, below = at.dtype.type(2 * i * d.w), at.dtype.type((2 * i + 1) * d.w)
        for j in range(best.size):
            a, b, c, e = upper[2 * j], upper[2 * j + 1], lower[2 * j], lower[2 * j + 1]
            second, fourth = b > a or b != b, e > c or e != e
            first_row, second_row = b if second else a, e if fourth else c
            down = second_row > first_row or second_row != second_row
            best[j] = second_row if down else first_row
            place = below + at.dtype.type(fourth) if down else start + at.dtype.type(second)
            at[j] = at.dtype.type(2 * j) + place


@jit(parallel=True)
def max_forward(x, y, winners, d):
    """Write the maxima into y and the winning positions (row * w + column) into winners.

    Both are (planes, oh, ow), winners int32 or int64, see `winners_dtype`.
    """
    two = d.kh == 2 and d.kw == 2 and d.sh == 2 and d.sw == 2 and d.ph == 0 and d.pw == 0
    two = two and 2 * d.oh <= d.h and 2 * d.ow <= d.w  # no window reaches over an edge
    numbers, best, at = flat(x), flat(y), flat(winners)
    for p in prange(d.planes):
        if two:
            _max_plane_two(x[p], y[p], winners[p], d)
        else:
            _max_plane(numbers, best, at, d, p)


@jit(parallel=True)
def max_backward(g, winners, gx, d):
    """Write into gx (planes, h * w): each window's gradient goes to its winner; windows may
    overlap.
    """
    goals, sources, places, many = flat(gx), flat(g), flat(winners), d.oh * d.ow
    for p in prange(d.planes):  # pieces of flat arrays, of which no references are counted
        goal, source = (
            goals[p * d.h * d.w : (p + 1) * d.h * d.w],
            sources[p * many : (p + 1) * many],
        )
        at = places[p * many : (p + 1) * many]
        goal[:] = 0
        for q in range(source.size):
            goal[np.uint64(at[q])] += source[q]


@jit
def _avg_plane(x, y, d):
    share = x.dtype.type(1) / x.dtype.type(d.kh * d.kw)
    for i in range(d.oh):
        top, bottom = max(0, i * d.sh - d.ph), min(d.h, i * d.sh - d.ph + d.kh)
        for j in range(d.ow):
            left, right = max(0, j * d.sw - d.pw), min(d.w, j * d.sw - d.pw + d.kw)
            total = x.dtype.type(0)
            for r in range(top, bottom):
                for c in range(left, right):
                    total += x[r, c]
            y[i, j] = total * share


@jit(parallel=True)
def avg_forward(x, y, d):
    """Write the means into y (planes, oh, ow)."""
    for p in prange(d.planes):
        _avg_plane(x[p], y[p], d)


@jit
def _avg_plane_back(g, gx, d):
    share = g.dtype.type(1) / g.dtype.type(d.kh * d.kw)
    gx[:] = 0
    for i in range(d.oh):
        top, bottom = max(0, i * d.sh - d.ph), min(d.h, i * d.sh - d.ph + d.kh)
        for j in range(d.ow):
            left, right = max(0, j * d.sw - d.pw), min(d.w, j * d.sw - d.pw + d.kw)
            part = g[i, j] * share
            for r in range(top, bottom):
                for c in range(left, right):
                    gx[r, c] += part


@jit(parallel=True)
def avg_backward(g, gx, d):
    """Write into gx (planes, h, w): the entries of each window share its gradient."""
    for p in prange(d.planes):
        _avg_plane_back(g[p], gx[p], d)
