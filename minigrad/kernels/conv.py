"""Convolution in two dimensions (one dimension is a picture of height 1).

A convolution is a matrix product: weights times the picture unrolled into columns, one row per
kernel entry and one column per output position ("im2col", Chellapilla et al. 2006). With a
horizontal stride of 1, a row of that matrix is, for one row of the output, a piece of a row of the
(padded) picture: it is read where it lies and nothing is unrolled. Where such pieces are too short
to fill vectors, all rows are computed together, as wide as the picture's, and the surplus is
dropped. With other strides each sample is unrolled, and its output is one long row. In both cases a
table says where the row of each kernel entry begins. The gradient of the picture is a convolution
too: of the padded gradient with the flipped weights. Threads share the samples.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from .gemm import NONE
from .jit import compiled_separately, jit, prange, shard
from .simd import (
    FRESH,
    START,
    Begin,
    Entries,
    Rows,
    Sizes,
    block,
    copy_rows,
    flat,
    shaped,
    sums,
)

#: taps for which a copy of the gradient in wider rows pays: it is read once for each
MANY = 16
#: samples whose sums are finished together: fewer are slower to finish, more leave the cache
FEW = 4


class ConvDims(NamedTuple):
    """The sizes of one convolution: x (n, c, h, w) and weight (o, c // groups, kh, kw) give (n, o,
    oh, ow).
    """

    n: int
    c: int
    h: int
    w: int
    o: int
    kh: int
    kw: int
    oh: int
    ow: int
    sh: int  # stride
    sw: int
    ph: int  # padding, on both sides
    pw: int
    dh: int  # dilation
    dw: int
    groups: int

    @property
    def taps(self):
        """Products per output number: channels of one group times kernel size."""
        return self.c // self.groups * self.kh * self.kw

    @property
    def positions(self):
        """Output positions per channel."""
        return self.oh * self.ow


def conv2d_reference(x, w, b, d):
    """The definition of convolution, as seven loops: what `forward` computes."""
    y = np.zeros((d.n, d.o, d.oh, d.ow), x.dtype)
    cg, og = d.c // d.groups, d.o // d.groups
    for n, o, i, j in np.ndindex(y.shape):
        total = b[o] if b is not None else 0
        for c, ki, kj in np.ndindex(cg, d.kh, d.kw):
            row, column = i * d.sh - d.ph + ki * d.dh, j * d.sw - d.pw + kj * d.dw
            if 0 <= row < d.h and 0 <= column < d.w:
                total += w[o, c, ki, kj] * x[n, o // og * cg + c, row, column]
        y[n, o, i, j] = total
    return y


def conv2d_backward_reference(g, x, w, d):
    """The gradients of x, w and b, by following each product of the forward loops back."""
    gx, gw, gb = np.zeros_like(x), np.zeros_like(w), g.sum((0, 2, 3))
    cg, og = d.c // d.groups, d.o // d.groups
    for n, o, i, j in np.ndindex(g.shape):
        for c, ki, kj in np.ndindex(cg, d.kh, d.kw):
            row, column = i * d.sh - d.ph + ki * d.dh, j * d.sw - d.pw + kj * d.dw
            if 0 <= row < d.h and 0 <= column < d.w:
                gx[n, o // og * cg + c, row, column] += g[n, o, i, j] * w[o, c, ki, kj]
                gw[o, c, ki, kj] += g[n, o, i, j] * x[n, o // og * cg + c, row, column]
    return gx, gw, gb


@jit
def _span(offset, stride, size, count):
    """The output positions [lo, hi) of `count` with 0 <= position * stride + offset < size."""
    lo = 0 if offset >= 0 else (-offset + stride - 1) // stride
    hi = 0 if offset >= size else (size - 1 - offset) // stride + 1
    hi = min(hi, count)
    return min(lo, hi), hi


@jit
def _spans(tap, d):
    """Where a tap of the kernel reads from output position (0, 0), and the output rows and columns
    for which that is in the picture.
    """
    row, column = tap // d.kw * d.dh - d.ph, tap % d.kw * d.dw - d.pw
    return row, column, _span(row, d.sh, d.h, d.oh), _span(column, d.sw, d.w, d.ow)


@compiled_separately
def _unroll(x, col, d):
    """x (channels, h, w) -> col (channels * kh * kw, oh * ow); padding becomes zeros."""
    col[:] = 0
    for r in range(col.shape[0]):
        row, column, (top, bottom), (lo, hi) = _spans(r % (d.kh * d.kw), d)
        plane = x[r // (d.kh * d.kw)]
        for i in range(top, bottom):
            goal = col[r, i * d.ow + lo : i * d.ow + hi]
            source = plane[i * d.sh + row, lo * d.sw + column :]
            for j in range(goal.size):
                goal[j] = source[j * d.sw]


@compiled_separately
def _roll(col, x, d):
    """The way back of `_unroll`: add each entry of col to the place in x that it was read from."""
    for r in range(col.shape[0]):
        row, column, (top, bottom), (lo, hi) = _spans(r % (d.kh * d.kw), d)
        plane = x[r // (d.kh * d.kw)]
        for i in range(top, bottom):
            source = col[r, i * d.ow + lo : i * d.ow + hi]
            goal = plane[i * d.sh + row, lo * d.sw + column :]
            for j in range(source.size):
                goal[j * d.sw] += source[j]


@register_jitable
def _per_group(d):
    """Of one group: channels of the picture, channels of the output, taps; and output positions."""
    return d.c // d.groups, d.o // d.groups, d.c // d.groups * d.kh * d.kw, d.oh * d.ow


# ---------------- rows that are read in place
@register_jitable
def in_rows(d):
    """Does the convolution read rows of the padded picture? Not if it would drop most of its
    results.
    """
    return d.sw == 1 and (_fills(d.ow) or (d.sh == 1 and 2 * d.ow >= d.w + 2 * d.pw))


@register_jitable
def _in_place(d):
    """Are these rows read from the picture itself, because it needs no padding?"""
    return in_rows(d) and d.ph + d.pw == 0


@register_jitable
def _output_rows(d):
    """The rows of the output and their length, how long the rows of the picture are that they are
    computed from, and how far apart for one output row and the next.
    """
    if not in_rows(d):
        return 1, d.oh * d.ow, d.oh * d.ow, 0
    wide = d.w + 2 * d.pw
    return d.oh, d.ow, wide, d.sh * wide


@register_jitable
def back_in_rows(d):
    """Is the picture's gradient computed from rows of the padded gradient?"""
    return d.sh == 1 and d.sw == 1 and min(border(d)) >= 0


@register_jitable
def border(d):
    """The padding of the gradient with which a convolution has the picture's size."""
    return d.dh * (d.kh - 1) - d.ph, d.dw * (d.kw - 1) - d.pw


@register_jitable
def _fills(width):
    """Do rows of this width fill several vectors of 16 well enough?"""
    return width > 16 and 10 * width >= 6 * 16 * ((width + 15) // 16)


@register_jitable
def sums_long(d):
    """Are the weights' gradients one long sum over all rows, of the gradient in rows as wide as the
    picture's?
    """
    many = _per_group(d)[2] >= MANY
    return in_rows(d) and d.sh == 1 and d.oh > 1 and (many or not _fills(d.ow))


@register_jitable
def room(d):
    """How many numbers of scratch are needed for a sample's picture (padded or unrolled), for its
    gradient (likewise), and for results in rows as wide as the picture's.
    """
    (cg, og, taps, area), (bh, bw), wide = _per_group(d), border(d), d.w + 2 * d.pw
    padded = cg * (d.h + 2 * d.ph) * wide if d.ph + d.pw > 0 else 0
    back = og * (d.oh + 2 * bh) * (d.ow + 2 * bw)
    return (
        padded if in_rows(d) else taps * area,
        back if back_in_rows(d) else taps * area,
        max(og * d.oh * wide, cg * d.h * (d.ow + 2 * bw)),
    )


def offsets(d):
    """How far from an output position's corner each kernel entry reads: in the (padded or unrolled)
    picture, (c // groups * kh * kw,), and after those, for the way back, in the padded gradient,
    (o // groups * kh * kw,); of int64.
    """

    def taps(planes, height, width):
        c, i, j = np.ogrid[:planes, : d.kh, : d.kw]
        return ((c * height + i * d.dh) * width + j * d.dw).reshape(-1)

    (bh, bw), there = border(d), np.arange(d.taps) * d.positions
    if in_rows(d):
        there = taps(d.c // d.groups, d.h + 2 * d.ph, d.w + 2 * d.pw)
    back = taps(d.o // d.groups, d.oh + 2 * bh, d.ow + 2 * bw)
    return np.concatenate([there, back]).astype(np.int64)


@compiled_separately
def _pad(source, start, sizes, goal, border):
    """Copy planes, of sizes (planes, h, w), into the middle of planes with a border around each."""
    (planes, h, w), (ph, pw) = sizes, border
    wide = w + 2 * pw
    for c in range(planes):
        first = (c * (h + 2 * ph) + ph) * wide + pw
        copy_rows(goal, first, wide, source, start + c * h * w, w, h, w)


@compiled_separately
def _correlate(out, first, sizes, weights, w0, source, lies, table, spare, b, begin, least):
    """Write planes, of sizes (planes, h, w), from out[first] on: weights (planes, taps) times rows
    of a picture, each as far from the picture's corner as `table` says.

    `lies` says where the corner is, how long the picture's rows are, and how far the rows for one
    output row and the next are apart.
    """
    taps = table.size
    (planes, h, w), (corner, wide, down), factors = sizes, lies, Entries(w0, taps, 1)
    if _fills(w) or h == 1 or down != wide:
        goal, rows, shape = Rows(first, h * w, w), Rows(corner, 0, down), Sizes(planes, taps, w, h)
        block(out, goal, weights, factors, source, rows, table, 0, shape, b, begin, least)
    else:
        goal, rows = Rows(0, h * wide, 0), Rows(corner, 0, 0)
        shape = Sizes(planes, taps, (h - 1) * wide + w, 1)
        block(spare, goal, weights, factors, source, rows, table, 0, shape, b, begin, least)
        for c in range(planes):
            copy_rows(out, first + c * h * w, w, spare, c * h * wide, wide, h, w)


@compiled_separately
def _lay_out(x, n, k, scratch, d):
    """Pad or unroll group k of sample n into scratch, where needed; returns where it begins, there
    or in x.
    """
    cg, _, taps, area = _per_group(d)
    corner = (n * d.c + k * cg) * d.h * d.w
    if _in_place(d):
        return corner
    if in_rows(d):
        _pad(x, corner, (cg, d.h, d.w), scratch, (d.ph, d.pw))
    else:
        _unroll(x[n, k * cg : (k + 1) * cg], shaped(scratch[: taps * area], (taps, area)), d)
    return 0


# ---------------- forward
@compiled_separately
def _forward_shard(x, w, b, y, scratch, offsets, d, least, span):
    (_, og, taps, area), (ahead, back, _) = _per_group(d), room(d)
    rows, columns, wide, down = _output_rows(d)
    # chosen before the loop: references are counted at each choice
    source = flat(x) if _in_place(d) else scratch
    kind, table, spare = START if b.size else FRESH, offsets[:taps], scratch[ahead + back :]
    scratch[:ahead] = 0
    for n in range(span[0], span[1]):
        for k in range(d.groups):
            lies, start = (_lay_out(x, n, k, scratch, d), wide, down), (n * d.o + k * og) * area
            w0, begin = k * og * taps, Begin(kind, k * og)
            planes = og, rows, columns
            _correlate(y, start, planes, w, w0, source, lies, table, spare, b, begin, least)


@jit(parallel=True)
def forward(x, w, b, y, scratch, offsets, d, least):
    """Write the convolution into y (n, o, oh * ow); smaller numbers than `least`, -inf, or 0 for a
    ReLU, become it.

    x (n, c, h, w), w (o, c // groups * kh * kw), b (o,) or (0,) for none; `offsets` are those of
    the function of that name. `scratch` is (shards, the sum of `room`).
    """
    shards = scratch.shape[0]
    for s in prange(shards):
        _forward_shard(x, w, b, y, scratch[s], offsets, d, least, shard(s, shards, d.n))


#: its last argument is `least`: a compiled step lets it do the work of a ReLU after it
forward.rectifies = True


# ---------------- backward
@compiled_separately
def _flip(w, flipped, d):
    """Weights (o, c // groups, taps) for the way back: (c, o // groups, taps), the taps in reverse
    order.
    """
    (cg, og, _, _), kernel = _per_group(d), d.kh * d.kw
    source = shaped(w, (d.groups, og, cg, kernel))
    goal = shaped(flipped, (d.groups, cg, og, kernel))
    for k in range(d.groups):
        for c in range(cg):
            for o in range(og):
                for t in range(kernel):
                    goal[k, c, o, kernel - 1 - t] = source[k, o, c, t]


@jit(reassociate=True)
def bias_back(g, gb, lo, hi):
    """gb (o,) = the sum over samples lo to hi and positions of g (n, o, positions)."""
    gb[:] = 0
    for n in range(lo, hi):
        for o in range(gb.size):
            line = g[n, o]
            total = line.dtype.type(0)
            for p in range(line.size):
                total += line[p]
            gb[o] += total


@compiled_separately
def _weights_back(g, x, gw, scratch, spare, offsets, d, span):
    """Add to gw what the samples contribute."""
    (_, og, taps, area), (h, w, wide, down), (lo, hi) = _per_group(d), _output_rows(d), span
    source, left = flat(x) if _in_place(d) else scratch, flat(g)
    # several samples at once where each has one row, rows one by one, or all as one long row
    some = FEW if _in_place(d) and d.oh == 1 else 1
    g_row, g_next, x_next = area, w, down
    if some > 1:
        g_next, x_next = d.o * area, d.c * d.h * d.w
    elif sums_long(d):
        g_row = h * wide
        left = spare
        spare[:] = 0
    for n in range(lo, hi, some):
        for k in range(d.groups):
            corner, start = _lay_out(x, n, k, scratch, d), (n * d.o + k * og) * area
            sizes = Sizes(og, w, taps, h if some == 1 else min(some, hi - n))
            if sums_long(d):
                for o in range(og):
                    copy_rows(spare, o * g_row, wide, g, start + o * area, w, h, w)
                start, sizes = 0, Sizes(og, (h - 1) * wide + w, taps, 1)
            ones, others = Rows(start, g_row, g_next), Rows(corner, 0, x_next)
            sums(
                gw, Rows(k * og * taps, taps, 0), left, ones, source, others, offsets, sizes, False
            )


@compiled_separately
def _picture_back(g, w, flipped, gx, scratch, spare, table, d, span):
    """Write the gradient of the samples."""
    (cg, og, taps, area), (bh, bw), begin = _per_group(d), border(d), Begin(FRESH, 0)
    planes, wide = (cg, d.h, d.w), d.ow + 2 * bw
    for n in range(span[0], span[1]):
        for k in range(d.groups):
            corner, start = (n * d.c + k * cg) * d.h * d.w, (n * d.o + k * og) * area
            if back_in_rows(d):
                _pad(g, start, (og, d.oh, d.ow), scratch, (bh, bw))
                w0, lies = k * cg * table.size, (0, wide, wide)
                _correlate(
                    gx, corner, planes, flipped, w0, scratch, lies, table, spare, g, begin, -np.inf
                )
            else:
                goal, factors = Rows(0, area, 0), Entries(k * og * taps, 1, taps)
                sizes, source = Sizes(taps, og, area, 1), Rows(start, area, 0)
                block(scratch, goal, w, factors, g, source, NONE, 0, sizes, g, begin, -np.inf)
                picture = gx[n, k * cg : (k + 1) * cg]
                picture[:] = 0
                _roll(shaped(scratch[: taps * area], (taps, area)), picture, d)


@compiled_separately
def _backward_shard(g, x, w, flipped, gx, gw, gb, scratch, offsets, d, s):
    """Write the gradients that are asked for, as far as the s-th shard's samples contribute."""
    (ahead, back, _), span, own = room(d), shard(s, scratch.shape[0], d.n), scratch[s]
    taps, spare = _per_group(d)[2], own[ahead + back :]
    if gw is not None:
        gw[s] = 0
        own[:ahead] = 0
        _weights_back(g, x, gw[s], own[:ahead], spare, offsets, d, span)
    if gx is not None:
        padded = own[ahead : ahead + back]
        padded[:] = 0
        _picture_back(g, w, flipped, gx, padded, spare, offsets[taps:], d, span)
    if gb is not None:
        bias_back(g, gb[s], span[0], span[1])


@jit(parallel=True)
def backward(g, x, w, flipped, gx, gw, gb, scratch, offsets, d):
    """Write the gradients that are asked for: None stands for one that is not, and what computes it
    is not compiled.

    g (n, o, oh * ow); gx as x; gw (shards, o, taps) and gb (shards, o) hold one part per shard, for
    the caller to sum, in a fixed order: the bits do not depend on which thread was first. Scratch
    are `flipped`, of w's size (None without gx), and `scratch` (shards, the sum of
    `room`); `offsets` as in `forward`.
    """
    if gx is not None:
        _flip(w, flipped, d)
    for s in prange(scratch.shape[0]):
        _backward_shard(g, x, w, flipped, gx, gw, gb, scratch, offsets, d, s)
