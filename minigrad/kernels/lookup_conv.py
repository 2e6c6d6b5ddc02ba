"""A one-dimensional convolution over rows that were looked up in a table, for compiled steps.

A batch of text repeats its words, and the contribution of a word to the results around it does not
depend on its place: it is the word's row times the weights of each tap. So each distinct word is
multiplied once, by all taps side by side (its `shares`), and a result is the sum of one share of
each word in its window,

    y[n, t] = b + Σ_k shares[place of the word at (n, t + k), k],
    shares[u, k] = row of word u @ w[:, :, k]ᵀ.

On the way back the gradients of a word's shares are collected from all its places; then its row and
the weights get theirs, again once per distinct word. Taps lie in reverse order within a word's
shares, so that the gradients that one place of a text collects lie side by side. Stride and
dilation are 1, there is one group; one thread.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

import numpy as np
from numba.extending import register_jitable

from .conv import bias_back
from .embedding import clear, gather_some
from .gemm import one, product_nn, product_tn
from .jit import compiled_separately, jit
from .rows import is_row
from .simd import ACROSS, FRESH, Begin, Entries, Rows, Sizes, add_row, block, copy_rows, transpose

#: shares of a word begin at a multiple of this: they are added in whole vectors, because a read
#: soon after a masked write waits for it
WHOLE = 16


#: the shares of a word may take this many times the memory of its row
MOST = 16


def suits(d):
    """Can these kernels compute the convolution?"""
    plain = d.h == d.kh == d.sh == d.sw == d.dw == d.groups == 1 and d.ph == 0
    return plain and d.kw * d.o <= MOST * d.c


@register_jitable
def distance(d):
    """The distance between the shares of one word and the next."""
    return -(-d.kw * d.o // WHOLE) * WHOLE


@register_jitable
def room(d):
    """The sizes of the scratch: weights twice, shares of all words, one sample's results or
    gradients.
    """
    step = distance(d)
    return 2 * d.c * step, (d.n * d.w + 1) * step, (d.ow + 2 * d.kw) * d.o + WHOLE


@jit
def _carve(scratch, d):
    """The pieces of the scratch, see `room`."""
    first, second, _ = room(d)
    weights, lines = scratch[:first], scratch[first + second :]
    return weights[: first // 2], weights[first // 2 :], scratch[first : first + second], lines


@compiled_separately
def _distinct(ids, slots, words, places, step, d):
    """Write each distinct word into `words` and where the shares of each word of the text begin
    into `places`, in which `d.pw` more places stand before and after each sample: the shares after
    the last word's. Returns how many words.

    `slots` says where a word stands among the distinct ones, if it does: a slot never written to
    holds any number, which is noticed because no such word stands there (the sparse set of Briggs
    and Torczon 1993), so nothing is reset for the next batch. An id of no row is a word of its own,
    -1, at each place; its row is NaN.
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


@compiled_separately
def _sum_up(shares, places, lines, b, y, d, least):
    """Write into y (n, o, ow) the sum of the shares in each window."""
    goal, share = Rows(0, 0, d.o), Rows((d.kw - 1) * d.o, -d.o, 0)
    sizes, begin = Sizes(1, d.kw, d.o, d.ow), Begin(ACROSS if b.size else FRESH, 0)
    for n in range(d.n):
        first, ones = places[n * (d.w + 2 * d.pw) :], Entries(0, 0, 0, 0)
        block(lines, goal, one(y), ones, shares, share, first, 1, sizes, b, begin, least)
        transpose(y, n * d.o * d.ow, d.ow, lines, 0, d.o, d.o, d.ow)


@compiled_separately
def _exchange(w, columns, c_step, at_step, into_w, d):
    """Copy weights (o, c * kw) into `columns`, or back: the entry of channel c and share `at`, of
    which the taps lie in reverse order, is at c · c_step + at · at_step.
    """
    if not into_w:
        columns[:] = 0
    for c in range(d.c):
        for k in range(d.kw):
            for o in range(d.o):
                place = c * c_step + ((d.kw - 1 - k) * d.o + o) * at_step
                if into_w:
                    w[o, c * d.kw + k] = columns[place]
                else:
                    columns[place] = w[o, c * d.kw + k]


@jit
def forward(table, ids, w, b, y, slots, words, places, count, seen, scratch, d, least):
    """Write the convolution of table (rows, c), looked up at ids (n * w,), into y (n, o, ow); see
    `conv.forward`.

    For `backward` are kept: `words` (n * w,), `places` (n * (w + 2 * pw),) of int64, `count` (1,)
    and the rows of the distinct words, `seen` (n * w * c,). Scratch are `slots` (rows,) and
    `scratch` (the sum of `room`,).
    """
    step, (weights, _, shares, lines) = distance(d), _carve(scratch, d)
    u = _distinct(ids, slots, words, places, step, d)
    count[0] = u
    gather_some(table, words, seen, 0, u)
    _exchange(w, weights, step, 1, False, d)
    product_nn(shares, seen, weights, u, d.c, step)
    shares[u * step : (u + 1) * step] = 0  # of the padding
    _sum_up(shares, places, lines, b, y, d, least)


@compiled_separately
def _collect(g, places, lines, gathered, d):
    """Add to the gradients of each word's shares what all its places collect; g is (n, o, ow)."""
    before, step, wide = (d.kw - 1) * d.o, distance(d), d.w + 2 * d.pw
    lines[:] = 0
    for n in range(d.n):
        transpose(lines, before, d.o, g, n * d.o * d.ow, d.ow, d.ow, d.o)
        for t in range(wide):
            add_row(gathered, places[n * wide + t], lines, t * d.o, step)


@jit
def backward_more(g, w, gw, gb, words, places, count, seen, scratch, d, ids, grad):
    """`backward` where the rows of `grad` that occur are zero already, and the others are not to be
    written.
    """
    step, u, (weights, turned, gathered, lines) = distance(d), count[0], _carve(scratch, d)
    gathered[: (u + 1) * step] = 0
    _collect(g, places, lines, gathered, d)
    if gw is not None:
        product_tn(turned, seen, gathered, d.c, u, step)
        _exchange(gw[0], turned, step, 1, True, d)
    _exchange(w, weights, 1, d.c, False, d)
    product_nn(seen, gathered, weights, u, step, d.c)
    for i in range(u):
        if words[i] >= 0:
            copy_rows(grad, words[i] * d.c, 0, seen, i * d.c, 0, 1, d.c)
    if gb is not None:
        bias_back(g, gb[0], 0, d.n)


@jit
def backward(g, w, gw, gb, words, places, count, seen, scratch, d, ids, grad):
    """Write the gradients: of w, gw (1, o, c * kw), of b, gb (1, o), each may be None, and of the
    table, grad (rows, c).

    g (n, o, ow); the rest is what `forward` has kept, of which `seen` is overwritten.
    """
    grad[:] = 0
    backward_more(g, w, gw, gb, words, places, count, seen, scratch, d, ids, grad)


#: in a compiled step the table's gradient is kept at zero between steps
backward.touches_rows = backward_more, clear
