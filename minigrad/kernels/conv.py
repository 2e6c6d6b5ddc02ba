"""Convolution in two dimensions; one dimension is a picture of height 1. Threads share samples.

A convolution is a matrix product: weights times the picture unrolled into columns, one row per
kernel entry and one column per output position ("im2col", Chellapilla et al. 2006). Nothing is
unrolled here; the rows are read where they lie in a padded copy of the picture. That is laid out
for vectors: along its rows where there are few channels (`conv_rows.py`), else along its channels
(`conv_channels.py`).
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from . import conv_channels, conv_rows
from .jit import jit, prange, shard
from .simd import flat


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


@register_jitable
def room(d):
    """How many numbers of scratch a thread needs."""
    return sum(conv_rows.room(d)) if conv_rows.suits(d) else sum(conv_channels.room(d))


def offsets(d):
    """The tables that say where rows begin, one after the other; of int64."""
    return (conv_rows if conv_rows.suits(d) else conv_channels).offsets(d)


@jit
def _forward_shard(x, w, b, y, scratch, offsets, d, least, span):
    # flat, so that what is called is compiled for one kind of array
    x, w, y = flat(x), flat(w), flat(y)
    if conv_rows.suits(d):
        conv_rows.forward_shard(x, w, b, y, scratch, offsets, d, least, span)
    else:
        conv_channels.forward_shard(x, w, b, y, scratch, offsets, d, least, span)


@jit(parallel=True)
def forward(x, w, b, y, scratch, offsets, d, least):
    """Write the convolution into y (n, o, oh * ow); smaller numbers than `least`, -inf, or 0 for a
    ReLU, become it.

    x (n, c, h, w), w (o, c // groups * kh * kw), b (o,) or (0,) for none; `offsets` are those of
    the function of that name. `scratch` is (shards, `room`).
    """
    shards = scratch.shape[0]
    for s in prange(shards):
        _forward_shard(x, w, b, y, scratch[s], offsets, d, least, shard(s, shards, d.n))


#: its last argument is `least`: a compiled step lets it do the work of a ReLU after it
forward.rectifies = True


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


@jit
def _backward_shard(g, x, w, gx, gw, gb, scratch, offsets, d, s):
    """Write the gradients that are asked for, as far as the s-th shard's samples contribute."""
    span, own, rows = shard(s, scratch.shape[0], d.n), scratch[s], conv_rows.suits(d)
    if gw is not None:
        given = flat(g), flat(x), flat(gw[s]), own, offsets, d, span
        if rows:
            conv_rows.weights_back(*given)
        else:
            conv_channels.weights_back(*given)
    if gx is not None:
        more = flat(g), flat(w), flat(gx), own, offsets, d, span
        if rows:
            conv_rows.picture_back(*more)
        else:
            conv_channels.picture_back(*more)
    if gb is not None:
        bias_back(g, gb[s], span[0], span[1])


@jit(parallel=True)
def backward(g, x, w, gx, gw, gb, scratch, offsets, d):
    """Write the gradients that are asked for: None stands for one that is not, and what computes it
    is not compiled.

    g (n, o, oh * ow); gx as x; gw (shards, o, taps) and gb (shards, o) hold one part per shard, for
    the caller to sum, in a fixed order: the bits do not depend on which thread was first. `scratch`
    and `offsets` as in `forward`.
    """
    for s in prange(scratch.shape[0]):
        _backward_shard(g, x, w, gx, gw, gb, scratch, offsets, d, s)
