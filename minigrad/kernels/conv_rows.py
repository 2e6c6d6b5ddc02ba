"""Convolution of pictures with few channels, along the rows of the picture.

With a stride of 1, what one kernel entry reads for one row of the output is a piece of a row of the
padded picture. So the output is a matrix product, weights times such pieces, which are read where
they lie; a table says how far from the first each begins. Where pieces are too short to fill
vectors, all rows are computed together, as wide as the picture's, and the surplus is dropped. The
gradient of the picture is a convolution too: of the padded gradient with the flipped weights.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

import numpy as np
from numba.extending import register_jitable

from .conv_channels import MANY_CHANNELS, per_group
from .jit import compiled_separately
from .simd import FRESH, START, Begin, Entries, Rows, Sizes, block, copy_rows, shaped, sums

#: taps for which a copy of the gradient in wider rows pays: it is read once for each
MANY = 16


@register_jitable
def suits(d):
    """Are there too few channels to fill vectors, and rows that can be read in place, without
    dropping most of the results?
    """
    few = min(d.c, d.o) < MANY_CHANNELS * d.groups
    dense = d.sh == 1 and d.sw == 1 and 2 * d.ow >= d.w + 2 * d.pw
    return few and dense and min(border(d)) >= 0


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
    return d.oh > 1 and (per_group(d)[2] >= MANY or not _fills(d.ow))


@register_jitable
def room(d):
    """How many numbers of scratch are needed for a sample's padded picture, for its gradient,
    likewise, for results in rows as wide as the picture's, and for weights.
    """
    (cg, og, taps, _), (bh, bw), wide = per_group(d), border(d), d.w + 2 * d.pw
    return (
        cg * (d.h + 2 * d.ph) * wide if d.ph + d.pw > 0 else 0,
        og * (d.oh + 2 * bh) * (d.ow + 2 * bw),
        max(og * d.oh * wide, cg * d.h * (d.ow + 2 * bw)),
        d.o * taps,
    )


@register_jitable
def _carve(scratch, d):
    """The pieces of the scratch, see `room`."""
    ahead, back, more, _ = room(d)
    spare = scratch[ahead + back :]
    return scratch[:ahead], scratch[ahead : ahead + back], spare[:more], spare[more:]


def offsets(d):
    """How far from an output position's corner each kernel entry reads: in the padded picture,
    (c // groups * kh * kw,), and after those, for the way back, in the padded gradient, (o //
    groups * kh * kw,); of int64.
    """

    def taps(planes, height, width):
        c, i, j = np.ogrid[:planes, : d.kh, : d.kw]
        return ((c * height + i * d.dh) * width + j * d.dw).reshape(-1)

    bh, bw = border(d)
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

    `lies` says where the corner is, and how long the picture's rows are.
    """
    taps = table.size
    (planes, h, w), (corner, wide), factors = sizes, lies, Entries(w0, taps, 1, 0)
    if _fills(w) or h == 1:
        goal, rows, shape = Rows(first, h * w, w), Rows(corner, 0, wide), Sizes(planes, taps, w, h)
        block(out, goal, weights, factors, source, rows, table, 0, shape, b, begin, least)
    else:
        goal, rows = Rows(0, h * wide, 0), Rows(corner, 0, 0)
        shape = Sizes(planes, taps, (h - 1) * wide + w, 1)
        block(spare, goal, weights, factors, source, rows, table, 0, shape, b, begin, least)
        for c in range(planes):
            copy_rows(out, first + c * h * w, w, spare, c * h * wide, wide, h, w)


@compiled_separately
def _lay_out(x, n, k, scratch, d):
    """Pad group k of sample n into scratch, if it needs that; returns where it begins, there or in
    x.
    """
    cg = d.c // d.groups
    corner = (n * d.c + k * cg) * d.h * d.w
    if not scratch.size:
        return corner
    _pad(x, corner, (cg, d.h, d.w), scratch, (d.ph, d.pw))
    return 0


@compiled_separately
def forward_shard(x, w, b, y, scratch, offsets, d, least, span):
    """`conv.forward` of some samples."""
    (_, og, taps, area), (padded, _, spare, _) = per_group(d), _carve(scratch, d)
    # chosen before the loop: references are counted at each choice
    source = padded if padded.size else x
    kind, table, planes = START if b.size else FRESH, offsets[:taps], (og, d.oh, d.ow)
    padded[:] = 0
    for n in range(span[0], span[1]):
        for k in range(d.groups):
            lies, start = (_lay_out(x, n, k, padded, d), d.w + 2 * d.pw), (n * d.o + k * og) * area
            w0, begin = k * og * taps, Begin(kind, k * og)
            _correlate(y, start, planes, w, w0, source, lies, table, spare, b, begin, least)


@compiled_separately
def weights_back(g, x, gw, scratch, offsets, d, span):
    """Write what some samples contribute to the gradient of the weights."""
    (_, og, taps, area), (padded, _, spare, _) = per_group(d), _carve(scratch, d)
    h, w, wide = d.oh, d.ow, d.w + 2 * d.pw
    source, left, row, sizes = padded if padded.size else x, g, area, Sizes(og, w, taps, h)
    padded[:], gw[:] = 0, 0
    if sums_long(d):
        row, left, sizes = h * wide, spare, Sizes(og, (h - 1) * wide + w, taps, 1)
        spare[:] = 0
    for n in range(span[0], span[1]):
        for k in range(d.groups):
            corner, start = _lay_out(x, n, k, padded, d), (n * d.o + k * og) * area
            if sums_long(d):
                for o in range(og):
                    copy_rows(spare, o * row, wide, g, start + o * area, w, h, w)
                start = 0
            goal, ones = Rows(k * og * taps, taps, 0), Rows(start, row, w)
            others = Rows(corner, 0, wide)
            sums(gw, goal, left, ones, source, others, offsets, sizes, False)


@compiled_separately
def _flip(w, flipped, d):
    """Weights (o, c // groups, taps) for the way back: (c, o // groups, taps), the taps in reverse
    order.
    """
    (cg, og, _, _), kernel = per_group(d), d.kh * d.kw
    source = shaped(w, (d.groups, og, cg, kernel))
    goal = shaped(flipped, (d.groups, cg, og, kernel))
    for k in range(d.groups):
        for c in range(cg):
            for o in range(og):
                for t in range(kernel):
                    goal[k, c, o, kernel - 1 - t] = source[k, o, c, t]


@compiled_separately
def picture_back(g, w, gx, scratch, offsets, d, span):
    """Write the gradient of some samples."""
    (cg, og, taps, area), (bh, bw), begin = per_group(d), border(d), Begin(FRESH, 0)
    (_, padded, spare, flipped), table = _carve(scratch, d), offsets[taps:]
    lies, planes = (0, d.ow + 2 * bw), (cg, d.h, d.w)
    padded[:] = 0
    _flip(w, flipped, d)
    for n in range(span[0], span[1]):
        for k in range(d.groups):
            corner, w0 = (n * d.c + k * cg) * d.h * d.w, k * cg * table.size
            _pad(g, (n * d.o + k * og) * area, (og, d.oh, d.ow), padded, (bh, bw))
            _correlate(
                gx, corner, planes, flipped, w0, padded, lies, table, spare, g, begin, -np.inf
            )
