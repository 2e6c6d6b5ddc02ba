"""Convolution of pictures with many channels, which lie side by side meanwhile.

Each sample is copied, with its padding, so that all channels of a place are neighbours: (rows,
columns, channels). A row of results is then, for each row of the kernel, a matrix product of the
places that it reads, which are equally far apart whatever the stride, with the weights; vectors run
over channels, so small pictures fill them as well as large ones. Likewise the gradients: that of
the weights sums over the places, that of the picture is added up kernel entry by kernel entry.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

import numpy as np
from numba.extending import register_jitable

from .gemm import NONE
from .jit import compiled_separately
from .rows import turn
from .simd import ACROSS, ADD, FRESH, Begin, Entries, Rows, Sizes, block

turn = compiled_separately(turn)

#: with fewer channels, in or out, rows of a picture fill vectors better
MANY_CHANNELS = 16


@register_jitable
def per_group(d):
    """Of one group: channels of the picture, channels of the output, taps; and output positions."""
    return d.c // d.groups, d.o // d.groups, d.c // d.groups * d.kh * d.kw, d.oh * d.ow


@register_jitable
def _wide(d):
    """The length of a row of the padded picture, in numbers."""
    return (d.w + 2 * d.pw) * (d.c // d.groups)


@register_jitable
def _together(d):
    """The kernel entries whose places lie side by side: a row of them, or one."""
    return d.kw if d.dw == 1 else 1


@register_jitable
def room(d):
    """How many numbers of scratch are needed for a sample's picture, weights, and results."""
    _, og, taps, area = per_group(d)
    return (d.h + 2 * d.ph) * _wide(d), d.o * taps, og * area


def offsets(d):
    """How far apart lie the weights of neighbours in a row of places, (entries · channels,), and
    the places that each output position reads, (oh · ow,); of int64.
    """
    cg, kernel = d.c // d.groups, d.kh * d.kw
    weights = (np.arange(cg) * kernel + np.arange(_together(d))[:, None]) * d.o
    rows, columns = np.ogrid[: d.oh, : d.ow]
    places = rows * d.sh * _wide(d) + columns * d.sw * cg
    return np.concatenate([weights.reshape(-1), places.reshape(-1)]).astype(np.int64)


@register_jitable
def _corner(tap, d):
    """Where a kernel entry reads for the first output position."""
    return tap // d.kw * d.dh * _wide(d) + tap % d.kw * d.dw * (d.c // d.groups)


@compiled_separately
def _exchange(x, n, k, last, d, back):
    """Copy group k of sample n into the middle of `last`, or back."""
    cg, area = d.c // d.groups, d.h * d.w
    # without a border between them all rows are one
    rows, width = (d.h, d.w) if d.pw > 0 else (1, area)
    for i in range(rows):
        here, there = (n * d.c + k * cg) * area + i * width, (i + d.ph) * _wide(d) + d.pw * cg
        if back:
            turn(x, here, area, last, there, cg, cg, width)
        else:
            turn(last, there, cg, x, here, area, width, cg)


@compiled_separately
def _exchange_weights(w, last, d, back):
    """Copy weights (o, channels, entries) into (o, entries, channels), or back."""
    cg, kernel = d.c // d.groups, d.kh * d.kw
    for o in range(d.o):
        first = o * cg * kernel
        if back:
            turn(w, first, kernel, last, first, cg, cg, kernel)
        else:
            turn(last, first, cg, w, first, kernel, kernel, cg)


@register_jitable
def _carve(scratch, d):
    """The pieces of the scratch, see `room`."""
    picture, weights, _ = room(d)
    return scratch[:picture], scratch[picture:][:weights], scratch[picture + weights :]


@compiled_separately
def forward_shard(x, w, b, y, scratch, offsets, d, least, span):
    """`conv.forward` of some samples."""
    (cg, og, taps, area), together = per_group(d), _together(d)
    last, weights, results = _carve(scratch, d)
    turn(weights, 0, d.o, w, 0, taps, taps, d.o)
    table, goal, final = offsets[: together * cg], Rows(0, og, d.ow * og), d.kh * d.kw - together
    sizes = Sizes(d.ow, together * cg, og, d.oh)
    last[:] = 0
    for n in range(span[0], span[1]):
        for k in range(d.groups):
            _exchange(x, n, k, last, d, False)
            for tap in range(0, d.kh * d.kw, together):
                places = Entries(_corner(tap, d), d.sw * cg, 1, d.sh * _wide(d))
                kind = ADD if tap > 0 else ACROSS if b.size else FRESH
                begin, lowest = Begin(kind, k * og), least if tap == final else -np.inf
                rows = Rows(k * og + tap * d.o, 0, 0)
                block(results, goal, last, places, weights, rows, table, 0, sizes, b, begin, lowest)
            turn(y, (n * d.o + k * og) * area, area, results, 0, og, og, area)


@compiled_separately
def weights_back(g, x, gw, scratch, offsets, d, span):
    """Write what some samples contribute to the gradient of the weights."""
    (cg, og, taps, area), together = per_group(d), _together(d)
    last, weights, _ = _carve(scratch, d)
    table, sizes, begin = offsets[together * cg :], Sizes(og, area, together * cg, 1), Begin(ADD, 0)
    last[:], weights[:] = 0, 0
    for n in range(span[0], span[1]):
        for k in range(d.groups):
            _exchange(x, n, k, last, d, False)
            ones = Entries((n * d.o + k * og) * area, area, 1, 0)
            for tap in range(0, d.kh * d.kw, together):
                goal, rows = Rows(k * og * taps + tap * cg, taps, 0), Rows(_corner(tap, d), 0, 0)
                block(weights, goal, g, ones, last, rows, table, 0, sizes, g, begin, -np.inf)
    _exchange_weights(gw, weights, d, True)


@compiled_separately
def picture_back(g, w, gx, scratch, offsets, d, span):
    """Write the gradient of some samples."""
    (cg, og, taps, area), begin = per_group(d), Begin(ADD, 0)
    last, weights, results = _carve(scratch, d)
    ones, sizes = Entries(0, og, 1, d.ow * og), Sizes(d.ow, og, cg, d.oh)
    _exchange_weights(w, weights, d, False)
    for n in range(span[0], span[1]):
        for k in range(d.groups):
            turn(results, 0, og, g, (n * d.o + k * og) * area, area, area, og)
            last[:] = 0
            for tap in range(d.kh * d.kw):
                goal = Rows(_corner(tap, d), d.sw * cg, d.sh * _wide(d))
                rows = Rows(k * og * taps + tap * cg, taps, 0)
                block(last, goal, results, ones, weights, rows, NONE, 0, sizes, g, begin, -np.inf)
            _exchange(gx, n, k, last, d, True)
