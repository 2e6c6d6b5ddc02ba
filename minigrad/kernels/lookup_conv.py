"""A one-dimensional convolution over rows that were looked up in a table, for compiled steps.

A batch of text says the same words again and again, and what a word gives to the results around it
does not depend on where it stands: its row times the weights of each tap. So each distinct word is
multiplied once, by all taps side by side (its `shares`), and a result is the sum of one share of
each word in its window,

    y[n, t] = b + Σ_k shares[place of the word at (n, t + k), k],  shares[u, k] = row of word u @ w[:, :, k]ᵀ.

On the way back the gradients of a word's shares are collected wherever it stands; then its row and
the weights get theirs, again once per distinct word. Taps lie in reverse order within a word's
shares: so the gradients that one place of a text collects lie side by side. Stride and dilation are
1, there is one group; one thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import overload, register_jitable

from .conv import bias_back, conv2d_backward_reference, conv2d_reference
from .embedding import clear, gather_some, scatter_reference
from .gemm import NONE, block
from .jit import apart, jit
from .rows import add, is_row, put, turn
from .tile import ACROSS, FRESH, address, lanes, tile
from .views import flat

#: shares of a word begin a multiple of so many numbers after the first word's: they are added in
#: whole vectors, for a read soon after a masked write waits for it
WHOLE = 16


def forward_reference(table: Any, ids: Any, w: Any, b: Any, d: Any) -> Any:
    """Look up, put channels before positions, convolve."""
    x = table[ids].reshape(d.n, 1, d.w, d.c).transpose(0, 3, 1, 2)
    return conv2d_reference(x, w.reshape(d.o, d.c, 1, d.kw), b, d)


def backward_reference(g: Any, table: Any, ids: Any, w: Any, d: Any) -> tuple[Any, Any, Any]:
    """The gradients of the table, w and b."""
    x = table[ids].reshape(d.n, 1, d.w, d.c).transpose(0, 3, 1, 2)
    gx, gw, gb = conv2d_backward_reference(g, x, w.reshape(d.o, d.c, 1, d.kw), d)
    return (
        scatter_reference(gx.transpose(0, 2, 3, 1).reshape(ids.size, d.c), ids, len(table)),
        gw.reshape(w.shape),
        gb,
    )


#: the shares of a word may take so many times the memory of its row
MOST = 16


def suits(d: Any) -> bool:
    """Is a convolution one that these kernels compute?"""
    plain = d.h == d.kh == d.sh == d.sw == d.dw == d.groups == 1 and d.ph == 0
    return bool(plain and d.kw * d.o <= MOST * d.c)


@register_jitable
def apart_by(d: Any) -> int:
    """How far the shares of one word are from those of the next."""
    return -(-d.kw * d.o // WHOLE) * WHOLE


@register_jitable
def room(d: Any) -> tuple[int, int, int]:
    """How many numbers the scratch holds: weights twice, shares of all words, one sample's results
    or gradients.
    """
    return 2 * d.c * d.kw * d.o, (d.n * d.w + 1) * apart_by(d), (d.ow + 2 * d.kw) * d.o + WHOLE


@apart
def _distinct(ids: Any, slots: Any, words: Any, places: Any, step: int, d: Any) -> int:
    """Write each distinct word into `words` and where the shares of each word of the text begin
    into `places`, in which `d.pw` more places stand before and after each sample: the shares after
    the last word's. Returns how many words.

    `slots` says where a word stands among the distinct ones, if it does: a slot never written to
    holds any number, and is seen through because no such word stands there (the sparse set of
    Briggs and Torczon 1993). So nothing has to be set back for the next batch. An id of no row is a
    word of its own, -1, wherever it stands; its row is NaN.
    """
    count, wide = 0, d.w + 2 * d.pw
    for n in range(d.n):
        for t in range(d.w):
            given = ids[n * d.w + t]
            word = np.int64(given) if is_row(given, slots.size) else np.int64(-1)
            slot = slots[word] if word >= 0 else count
            if not (0 <= slot < count and words[slot] == word):
                slot = count
                words[count] = word
                count += 1
                if word >= 0:
                    slots[word] = slot
            places[n * wide + d.pw + t] = slot * step
    for n in range(d.n):
        places[n * wide : n * wide + d.pw] = count * step
        places[(n + 1) * wide - d.pw : (n + 1) * wide] = count * step
    return count


def sum_shares(
    lines: Any,
    count: int,
    o: int,
    shares: Any,
    places: Any,
    first: int,
    taps: int,
    b: Any,
    one: Any,
    least: float,
) -> None:
    """Row t of `lines`, of o numbers, = max(least, b + Σ_k the share of tap k at places[first + t +
    k]) for t < count.

    This is the plain form; in compiled code one[0], which is 1, is what shares are multiplied by.
    """
    for t in range(count):
        total = b.copy() if b.size else np.zeros(o, lines.dtype)
        for k in range(taps):
            start = places[first + t + k] + (taps - 1 - k) * o
            total += shares[start : start + o]
        lines[t * o : (t + 1) * o] = np.maximum(total, least)


@overload(sum_shares)
def _sum_shares(lines, count, o, shares, places, first, taps, b, one, least):  # type: ignore[no-untyped-def]
    size, floor = lanes(lines.dtype.bitwidth // 8), lines.dtype

    def run(lines, count, o, shares, places, first, taps, b, one, least):  # type: ignore[no-untyped-def]
        begin = ACROSS if b.size else FRESH
        for j in range(0, o, size):
            for t in range(count):
                tile(
                    address(lines),
                    t * o + j,
                    0,
                    address(one),
                    0,
                    0,
                    0,
                    address(shares),
                    (taps - 1) * o + j,
                    -o,
                    address(places[first + t :]),
                    1,
                    taps,
                    min(o - j, size),
                    address(b),
                    j,
                    begin,
                    floor(least),
                    0,
                    0,
                    1,
                    1,
                    1,
                )

    return run


@apart
def _sum_up(
    shares: Any, places: Any, lines: Any, b: Any, one: Any, y: Any, d: Any, least: float
) -> None:
    """Write into y (n, o, ow) what the words of each window give together."""
    lines, shares, places, b, one, y = (
        flat(lines),
        flat(shares),
        flat(places),
        flat(b),
        flat(one),
        flat(y),
    )
    for n in range(d.n):
        sum_shares(lines, d.ow, d.o, shares, places, n * (d.w + 2 * d.pw), d.kw, b, one, least)
        turn(y, n * d.o * d.ow, d.ow, lines, 0, d.o, d.o, d.ow)


@jit
def forward(
    table: Any,
    ids: Any,
    w: Any,
    b: Any,
    y: Any,
    slots: Any,
    words: Any,
    places: Any,
    count: Any,
    seen: Any,
    scratch: Any,
    d: Any,
    least: float,
) -> None:
    """Write the convolution of table (rows, c), looked up at ids (n * w,), into y (n, o, ow); see
    `conv.forward`.

    For `backward` are kept: `words` (n * w,), `places` (n * (w + 2 * pw),) of int64, `count` (1,)
    and the rows of the distinct words, `seen` (n * w * c,). Scratch are `slots` (rows,) and
    `scratch` (the sum of `room`,).
    """
    columns, step = d.kw * d.o, apart_by(d)
    u = _distinct(ids, slots, words, places, step, d)
    count[0] = u
    gather_some(table, words, seen, 0, u)
    first, second, _ = room(d)
    weights, shares, lines = (
        scratch[:first],
        scratch[first : first + second],
        scratch[first + second :],
    )
    for c in range(d.c):
        for k in range(d.kw):
            for o in range(d.o):
                weights[c * columns + (d.kw - 1 - k) * d.o + o] = w[o, c * d.kw + k]
    block(
        shares,
        0,
        step,
        u,
        columns,
        seen,
        0,
        d.c,
        1,
        weights,
        0,
        columns,
        NONE,
        0,
        d.c,
        1,
        0,
        0,
        b,
        0,
        FRESH,
        -np.inf,
    )
    shares[u * step : (u + 1) * step] = 0  # of what stands in the padding
    one = weights[:1]  # of weights that are not needed any more
    one[0] = 1
    _sum_up(shares, places, lines, b, one, y, d, least)


@apart
def _collect(g: Any, places: Any, lines: Any, gathered: Any, d: Any) -> None:
    """Add to the gradients of each word's shares what all its places collect; g is (n, o, ow)."""
    g, lines, gathered, before, step = (
        flat(g),
        flat(lines),
        flat(gathered),
        (d.kw - 1) * d.o,
        apart_by(d),
    )
    lines[:] = 0
    for n in range(d.n):
        turn(lines, before, d.o, g, n * d.o * d.ow, d.ow, d.ow, d.o)
        wide = d.w + 2 * d.pw
        for t in range(wide):
            add(gathered, places[n * wide + t], lines, t * d.o, step)


@jit
def backward_more(
    g: Any,
    w: Any,
    gw: Any,
    gb: Any,
    words: Any,
    places: Any,
    count: Any,
    seen: Any,
    scratch: Any,
    d: Any,
    ids: Any,
    grad: Any,
) -> None:
    """`backward` where the rows of `grad` that occur are zero already, and the others are not to be
    written.
    """
    columns, step, u = d.kw * d.o, apart_by(d), count[0]
    first, second, _ = room(d)
    half = first // 2
    weights, turned, gathered = scratch[:half], scratch[half:first], scratch[first : first + second]
    gathered[: (u + 1) * step] = 0
    _collect(g, places, scratch[first + second :], gathered, d)
    block(
        turned,
        0,
        columns,
        d.c,
        columns,
        seen,
        0,
        1,
        d.c,
        gathered,
        0,
        step,
        NONE,
        0,
        u,
        1,
        0,
        0,
        w,
        0,
        FRESH,
        -np.inf,
    )
    for c in range(d.c):
        for k in range(d.kw):
            for o in range(d.o):
                at = (d.kw - 1 - k) * d.o + o
                weights[at * d.c + c] = w[o, c * d.kw + k]
                if gw is not None:
                    gw[0, o, c * d.kw + k] = turned[c * columns + at]
    block(
        seen,
        0,
        d.c,
        u,
        d.c,
        gathered,
        0,
        step,
        1,
        weights,
        0,
        d.c,
        NONE,
        0,
        columns,
        1,
        0,
        0,
        w,
        0,
        FRESH,
        -np.inf,
    )
    for i in range(u):
        if words[i] >= 0:
            put(grad, words[i] * d.c, seen, i * d.c, d.c)
    if gb is not None:
        bias_back(g, gb[0], 0, d.n)


@jit
def backward(
    g: Any,
    w: Any,
    gw: Any,
    gb: Any,
    words: Any,
    places: Any,
    count: Any,
    seen: Any,
    scratch: Any,
    d: Any,
    ids: Any,
    grad: Any,
) -> None:
    """Write the gradients: of w, gw (1, o, c * kw), of b, gb (1, o), each may be None, and of the
    table, grad (rows, c).

    g (n, o, ow); the rest is what `forward` has kept, of which `seen` is overwritten.
    """
    grad[:] = 0
    backward_more(g, w, gw, gb, words, places, count, seen, scratch, d, ids, grad)


#: in a compiled step the table's gradient is kept at zero between steps
backward.touches_rows = backward_more, clear
