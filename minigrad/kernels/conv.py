"""Convolution in two dimensions (one dimension is a picture of height 1).

A convolution is a matrix product: weights times the picture unrolled into columns, one row per kernel entry and one column
per output position ("im2col", Chellapilla et al. 2006). Where a row of that matrix is a piece of a row of the picture, as it
is without padding and with a horizontal stride of 1, it is read where it lies and nothing is unrolled. Otherwise each
sample is unrolled, so that stride, padding and dilation are dealt with in one place. Samples are shared out over threads.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .gemm import add_nn, add_nt, add_tn, block, sums
from .jit import jit, prange, shard


class ConvDims(NamedTuple):
    """The sizes of one convolution: x (n, c, h, w) and weight (o, c // groups, kh, kw) give (n, o, oh, ow)."""

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
    def taps(self) -> int:
        """Products per output number: channels of one group times kernel size."""
        return self.c // self.groups * self.kh * self.kw

    @property
    def positions(self) -> int:
        """Output positions per channel."""
        return self.oh * self.ow


def conv2d_reference(x: Any, w: Any, b: Any, d: ConvDims) -> Any:
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


def conv2d_backward_reference(g: Any, x: Any, w: Any, d: ConvDims) -> tuple[Any, Any, Any]:
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
def _span(offset: int, stride: int, size: int, count: int) -> tuple[int, int]:
    """Which output positions q in [0, count) have 0 <= q * stride + offset < size."""
    lo = 0 if offset >= 0 else (-offset + stride - 1) // stride
    hi = 0 if offset >= size else (size - 1 - offset) // stride + 1
    hi = min(hi, count)
    return min(lo, hi), hi


@jit
def _unroll(x: Any, col: Any, d: Any) -> None:
    """x (channels, h, w) -> col (channels * kh * kw, oh * ow); padding becomes zeros."""
    for r in range(col.shape[0]):
        c, tap = r // (d.kh * d.kw), r % (d.kh * d.kw)
        ki, kj = tap // d.kw, tap % d.kw
        row = col[r]
        first = kj * d.dw - d.pw
        lo, hi = _span(first, d.sw, d.w, d.ow)
        for i in range(d.oh):
            line = row[i * d.ow : (i + 1) * d.ow]
            y = i * d.sh - d.ph + ki * d.dh
            if y < 0 or y >= d.h:
                line[:] = 0
                continue
            line[:lo] = 0
            line[hi:] = 0
            source, goal = x[c, y, lo * d.sw + first :], line[lo:hi]
            if d.sw == 1:
                for j in range(goal.size):
                    goal[j] = source[j]
            else:
                for j in range(goal.size):
                    goal[j] = source[j * d.sw]


@jit
def _roll(col: Any, x: Any, d: Any) -> None:
    """The way back of `_unroll`: add each entry of col to the place in x that it was read from."""
    for r in range(col.shape[0]):
        c, tap = r // (d.kh * d.kw), r % (d.kh * d.kw)
        ki, kj = tap // d.kw, tap % d.kw
        row = col[r]
        first = kj * d.dw - d.pw
        lo, hi = _span(first, d.sw, d.w, d.ow)
        for i in range(d.oh):
            y = i * d.sh - d.ph + ki * d.dh
            if y < 0 or y >= d.h:
                continue
            source, goal = row[i * d.ow + lo : i * d.ow + hi], x[c, y, lo * d.sw + first :]
            if d.sw == 1:
                for j in range(source.size):
                    goal[j] += source[j]
            else:
                for j in range(source.size):
                    goal[j * d.sw] += source[j]


@jit
def _lies_in_rows(d: Any) -> bool:
    """Is a row of the unrolled picture, for one row of the output, a piece of a row of the picture itself?"""
    return d.sw == 1 and d.ph == 0 and d.pw == 0


@jit
def _taps(offsets: Any, d: Any) -> None:
    """How far from an output position's corner each kernel entry reads, in a picture of one sample."""
    for r in range(offsets.size):
        c, tap = r // (d.kh * d.kw), r % (d.kh * d.kw)
        offsets[r] = (c * d.h + tap // d.kw * d.dh) * d.w + tap % d.kw * d.dw


@jit
def _forward_shard(x: Any, w: Any, b: Any, y: Any, col: Any, offsets: Any, d: Any, lo: int, hi: int) -> None:
    cg, og, taps, area = d.c // d.groups, d.o // d.groups, w.shape[1], d.oh * d.ow
    for n in range(lo, hi):
        for k in range(d.groups):
            out = y[n, k * og : (k + 1) * og]
            for o in range(og):
                out[o, :] = b[k * og + o] if b.size else 0
            if _lies_in_rows(d):
                corner, start = (n * d.c + k * cg) * d.h * d.w, (n * d.o + k * og) * area
                block(y, start, area, og, d.ow, w, k * og * taps, taps, 1, x, corner, 0, offsets, 1, taps, d.oh, d.ow,
                      d.sh * d.w, False)  # fmt: skip
            else:
                _unroll(x[n, k * cg : (k + 1) * cg], col, d)
                add_nn(out, w[k * og : (k + 1) * og], col)


@jit(parallel=True)
def forward(x: Any, w: Any, b: Any, y: Any, col: Any, offsets: Any, d: Any) -> None:
    """Write the convolution into y (n, o, oh * ow).

    x (n, c, h, w), w (o, c // groups * kh * kw), b (o,) or (0,) for none; scratch are col,
    (shards, c // groups * kh * kw, oh * ow), and offsets, (c // groups * kh * kw,) of int64.
    """
    shards = col.shape[0]
    _taps(offsets, d)
    for s in prange(shards):
        lo, hi = shard(s, shards, d.n)
        _forward_shard(x, w, b, y, col[s], offsets, d, lo, hi)


@jit
def _backward_shard(
    g: Any, x: Any, w: Any, gx: Any, gw: Any, gb: Any, col: Any, offsets: Any, d: Any, lo: int, hi: int
) -> None:
    cg, og, taps, area = d.c // d.groups, d.o // d.groups, w.shape[1], d.oh * d.ow
    gw[:] = 0
    gb[:] = 0
    for n in range(lo, hi):
        for k in range(d.groups):
            gy = g[n, k * og : (k + 1) * og]
            if gw.size and _lies_in_rows(d):
                corner, start = (n * d.c + k * cg) * d.h * d.w, (n * d.o + k * og) * area
                sums(gw, k * og * taps, og, taps, g, start, area, x, corner, 0, offsets, 1, d.ow, d.oh, d.ow, d.sh * d.w,
                     False)  # fmt: skip
            elif gw.size:
                _unroll(x[n, k * cg : (k + 1) * cg], col, d)
                add_nt(gw[k * og : (k + 1) * og], gy, col)
            if gx.size:
                col[:] = 0
                add_tn(col, w[k * og : (k + 1) * og], gy)
                goal = gx[n, k * cg : (k + 1) * cg]
                goal[:] = 0
                _roll(col, goal, d)
        for o in range(gb.size):
            line = g[n, o]
            total = line.dtype.type(0)
            for p in range(line.size):
                total += line[p]
            gb[o] += total


@jit(parallel=True)
def backward(g: Any, x: Any, w: Any, gx: Any, gw: Any, gb: Any, col: Any, offsets: Any, d: Any) -> None:
    """Write the gradients that are asked for: an array of size 0 stands for one that is not.

    g (n, o, oh * ow); gx as x; gw (shards, o, taps) and gb (shards, o) hold one part per shard, for the caller to sum,
    in a fixed order: the bits do not depend on which thread was first.
    """
    shards = col.shape[0]
    _taps(offsets, d)
    for s in prange(shards):
        lo, hi = shard(s, shards, d.n)
        _backward_shard(g, x, w, gx, gw[s], gb[s], col[s], offsets, d, lo, hi)
