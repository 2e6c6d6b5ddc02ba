"""Pooling over windows of (planes, h, w), a plane being one channel of one sample; threads share
the planes.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

from typing import NamedTuple

import numpy as np

from .jit import jit, prange
from .rows import index_dtype
from .simd import flat, shaped, window_maxima


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
    dh: int = 1  # dilation
    dw: int = 1


def winners_dtype(d):
    """The dtype of positions in a plane."""
    return index_dtype(d.h * d.w)


def _windows(x, d, fill):
    """The place of each result, and the window of the padded picture that it is computed from."""
    padded = np.pad(x, ((0, 0), (d.ph, d.ph), (d.pw, d.pw)), constant_values=fill)
    for p, i, j in np.ndindex(d.planes, d.oh, d.ow):
        rows = slice(i * d.sh, i * d.sh + d.kh * d.dh, d.dh)
        yield (p, i, j), padded[p, rows, j * d.sw : j * d.sw + d.kw * d.dw : d.dw]


def max_pool_reference(x, d):
    """Largest entry of each window and its position row * w + column; padding never wins."""
    sizes = d.planes, d.oh, d.ow
    y, winners = np.empty(sizes, x.dtype), np.empty(sizes, winners_dtype(d))
    for (p, i, j), window in _windows(x, d, -np.inf):
        row, column = np.unravel_index(np.argmax(window), window.shape)
        y[p, i, j] = window[row, column]
        row, column = i * d.sh + row * d.dh - d.ph, j * d.sw + column * d.dw - d.pw
        winners[p, i, j] = row * d.w + column
    return y, winners


def avg_pool_reference(x, d):
    """Mean of each window, the zeros of the padding counted in, as PyTorch does by default."""
    y = np.empty((d.planes, d.oh, d.ow), x.dtype)
    for place, window in _windows(x, d, 0):
        y[place] = window.mean()
    return y


@jit
def _range(i, stride, padding, kernel, size):
    """The entries of a picture along one axis that are in the i-th window: first, and one beyond
    the last.
    """
    first = i * stride - padding
    return max(0, first), min(size, first + kernel)


# No comparison branches: which entry of a window wins cannot be predicted. The first of equals
# wins; NaN wins over everything, the last NaN over others.
@jit
def _max_plane(x, y, winners, d, p):
    for i in range(d.oh):
        rows, row = _range(i, d.sh, d.ph, d.kh, d.h), p * d.oh + i
        window_maxima(y[row], winners[row], x, p * d.h * d.w, d.w, rows, -d.pw, d.sw, d.kw)


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


@jit
def _max_plane_apart(x, y, winners, d):
    """The same for windows with gaps between their entries."""
    for i in range(d.oh):
        for j in range(d.ow):
            top, left, best, at = i * d.sh - d.ph, j * d.sw - d.pw, x.dtype.type(-np.inf), -1
            for r in range(top, top + d.kh * d.dh, d.dh):
                for c in range(left, left + d.kw * d.dw, d.dw):
                    if 0 <= r < d.h and 0 <= c < d.w:
                        v = x[r, c]
                        if v > best or v != v or at < 0:
                            best, at = v, r * d.w + c
            y[i, j], winners[i, j] = best, max(at, 0)  # of padding alone it is -inf


@jit(parallel=True)
def max_forward(x, y, winners, d):
    """Write the maxima into y and the winning positions (row * w + column) into winners.

    Both are (planes, oh, ow), winners int32 or int64, see `winners_dtype`.
    """
    two = d.kh == d.kw == d.sh == d.sw == 2 and d.ph == d.pw == 0
    two = two and 2 * d.oh <= d.h and 2 * d.ow <= d.w  # no window reaches over an edge
    apart = d.dh > 1 or d.dw > 1
    # views of which no references are counted
    rows = d.planes * d.oh, d.ow
    numbers, best, at = flat(x), shaped(y, rows), shaped(winners, rows)
    for p in prange(d.planes):
        if apart:
            _max_plane_apart(x[p], y[p], winners[p], d)
        elif two:
            _max_plane_two(x[p], y[p], winners[p], d)
        else:
            _max_plane(numbers, best, at, d, p)


@jit(parallel=True)
def max_backward(g, winners, gx, d):
    """Write into gx (planes, h * w): each window's gradient goes to its winner; windows may
    overlap.
    """
    # views of which no references are counted
    windows = d.planes, d.oh * d.ow
    goals, sources, places = shaped(gx, gx.shape), shaped(g, windows), shaped(winners, windows)
    for p in prange(d.planes):
        goal, source, at = goals[p], sources[p], places[p]
        goal[:] = 0
        for q in range(source.size):
            goal[np.uint64(at[q])] += source[q]


@jit
def _avg_plane(x, y, d):
    share = x.dtype.type(1) / x.dtype.type(d.kh * d.kw)
    for i in range(d.oh):
        top, bottom = _range(i, d.sh, d.ph, d.kh, d.h)
        for j in range(d.ow):
            left, right = _range(j, d.sw, d.pw, d.kw, d.w)
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
        top, bottom = _range(i, d.sh, d.ph, d.kh, d.h)
        for j in range(d.ow):
            left, right = _range(j, d.sw, d.pw, d.kw, d.w)
            part = g[i, j] * share
            for r in range(top, bottom):
                for c in range(left, right):
                    gx[r, c] += part


@jit(parallel=True)
def avg_backward(g, gx, d):
    """Write into gx (planes, h, w): the entries of each window share its gradient."""
    for p in prange(d.planes):
        _avg_plane_back(g[p], gx[p], d)
