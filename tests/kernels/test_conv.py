"""The convolution kernels against the seven loops of the definition, on random sizes and into
poisoned memory.
"""

import numpy as np
import pytest

from minigrad.kernels import conv, conv_rows
from minigrad.ops.conv import window_count

POISON = 666.666


def random_dims(seed):
    """Sizes in which H and W differ in everything; a third have a stride that leaves a tail."""
    rng = np.random.default_rng(seed)
    while True:
        groups = int(rng.integers(1, 4))
        n, (cg, og) = int(rng.integers(0, 4)), rng.integers(1, 4, 2)
        size, kernel, stride = rng.integers(1, 10, 2), rng.integers(1, 5, 2), rng.integers(1, 4, 2)
        padding, dilation = rng.integers(0, 4, 2), rng.integers(1, 4, 2)
        out = [
            window_count(*map(int, q))
            for q in zip(size, kernel, stride, padding, dilation, strict=True)
        ]
        if min(out) >= 1:
            sizes = (
                n,
                cg * groups,
                *size,
                og * groups,
                *kernel,
                *out,
                *stride,
                *padding,
                *dilation,
                groups,
            )
            return conv.ConvDims(*map(int, sizes))


SPECIAL = [
    conv.ConvDims(2, 3, 4, 5, 2, 4, 5, 1, 1, 1, 1, 0, 0, 1, 1, 1),  # kernel == input
    conv.ConvDims(2, 3, 4, 5, 2, 1, 1, 4, 5, 1, 1, 0, 0, 1, 1, 1),  # 1×1
    conv.ConvDims(
        1, 1, 1, 1, 1, 3, 3, 5, 5, 1, 1, 3, 3, 1, 1, 1
    ),  # border windows see padding only
    conv.ConvDims(1, 1, 5, 7, 1, 2, 3, 1, 1, 1, 1, 0, 0, 4, 3, 1),  # dilated kernel == input
    conv.ConvDims(1, 1, 8, 8, 1, 6, 6, 3, 3, 1, 1, 0, 0, 1, 1, 1),  # 36 taps
    conv.ConvDims(2, 1, 28, 28, 4, 3, 3, 26, 26, 1, 1, 0, 0, 1, 1, 1),  # rows that fill vectors
    conv.ConvDims(1, 3, 9, 40, 5, 3, 3, 9, 40, 1, 1, 1, 1, 1, 1, 1),  # the same, padded
    conv.ConvDims(1, 2, 9, 40, 2, 3, 3, 4, 38, 2, 1, 0, 0, 1, 1, 1),  # every other row
    conv.ConvDims(
        2, 4, 6, 12, 6, 3, 5, 6, 8, 1, 1, 1, 0, 1, 1, 2
    ),  # short rows, computed as wide as the picture
    conv.ConvDims(
        1, 2, 5, 5, 3, 1, 1, 7, 7, 1, 1, 1, 1, 1, 1, 1
    ),  # more padding than the kernel reaches
]
SPECIAL += [
    conv.ConvDims(2, 16, 7, 9, 32, 3, 3, 7, 9, 1, 1, 1, 1, 1, 1, 1),  # many channels
    conv.ConvDims(2, 32, 8, 9, 17, 3, 2, 2, 4, 2, 2, 0, 1, 2, 3, 1),  # dilated, every other place
    conv.ConvDims(2, 40, 5, 6, 34, 1, 1, 3, 3, 2, 2, 0, 0, 1, 1, 2),  # 1×1, in two groups
]
DIMS = SPECIAL + [random_dims(seed) for seed in range(40)]


def operands(d, dtype):
    rng = np.random.default_rng(1)
    x, w = (
        rng.normal(size=(d.n, d.c, d.h, d.w)),
        rng.normal(size=(d.o, d.c // d.groups, d.kh, d.kw)),
    )
    b, g = rng.normal(size=d.o), rng.normal(size=(d.n, d.o, d.oh, d.ow))
    return [a.astype(dtype) for a in (x, w, b, g)]


def poisoned(*shape, dtype):
    return np.full(shape, POISON, dtype)


def room(d, shards, dtype):
    """Scratch for forward and backward, and offsets."""
    return poisoned(shards, conv.room(d), dtype=dtype), conv.offsets(d)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("d", DIMS, ids=lambda d: ",".join(map(str, d)))
def test_forward_and_backward(d, shards, dtype=np.float64):
    x, w, b, g = operands(d, dtype)
    scratch, offsets = room(d, shards, dtype)
    y = poisoned(d.n, d.o, d.positions, dtype=dtype)
    for least in (0.0, -np.inf):
        conv.forward(x, w.reshape(d.o, -1), b, y, scratch, offsets, d, least)
        expected = np.maximum(conv.conv2d_reference(x, w, b, d), least)
        np.testing.assert_allclose(y.reshape(g.shape), expected, atol=1e-12)

    gx, gw, gb = (
        poisoned(*shape, dtype=dtype) for shape in (x.shape, (shards, d.o, d.taps), (shards, d.o))
    )
    scratch[:] = POISON
    conv.backward(g.reshape(y.shape), x, w.reshape(d.o, -1), gx, gw, gb, scratch, offsets, d)
    expected = conv.conv2d_backward_reference(g, x, w, d)
    for actual, right in zip((gx, gw.sum(0).reshape(w.shape), gb.sum(0)), expected, strict=True):
        np.testing.assert_allclose(actual, right, atol=1e-12)


def test_float32_and_no_bias():
    d = DIMS[-1]
    x, w, _, g = operands(d, np.float32)
    y = poisoned(d.n, d.o, d.positions, dtype=np.float32)
    conv.forward(
        x, w.reshape(d.o, -1), np.empty(0, np.float32), y, *room(d, 2, np.float32), d, -np.inf
    )
    np.testing.assert_allclose(
        y.reshape(g.shape), conv.conv2d_reference(x, w, None, d), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_only_what_is_asked_for(wanted):
    """The others are None, and what is left is the same to the bit."""
    d = next(d for d in DIMS if d.n > 1 and d.groups > 1)
    x, w, _, g = operands(d, np.float64)

    def run(*asked):
        shapes = enumerate([x.shape, (2, d.o, d.taps), (2, d.o)])
        grads = [np.full(shape, POISON) if i in asked else None for i, shape in shapes]
        flat = g.reshape(d.n, d.o, -1), x, w.reshape(d.o, -1)
        conv.backward(*flat, *grads, *room(d, 2, np.float64), d)
        return grads[wanted]

    np.testing.assert_array_equal(run(wanted), run(0, 1, 2))


def test_offsets_are_where_kernel_entries_read():
    d = SPECIAL[6]._replace(c=2, o=3, dh=2, dw=3, h=11, w=44)
    there, back = np.split(conv_rows.offsets(d), [2 * 9])
    picture = np.arange(2 * 13 * 46).reshape(2, 13, 46)  # with its padding
    np.testing.assert_array_equal(there, picture[:, : 2 * 3 : 2, : 3 * 3 : 3].ravel())
    (bh, bw) = conv_rows.border(d)
    gradient = np.arange(3 * (9 + 2 * bh) * (40 + 2 * bw)).reshape(3, 9 + 2 * bh, -1)
    np.testing.assert_array_equal(back, gradient[:, : 2 * 3 : 2, : 3 * 3 : 3].ravel())


def test_the_layout_follows_channels_and_stride():
    few = SPECIAL[6]
    many = few._replace(c=16, o=16)
    assert conv_rows.suits(few) and not conv_rows.suits(many)
    assert conv_rows.suits(many._replace(groups=8)) and not conv_rows.suits(few._replace(sw=2))
    assert conv_rows.suits(many._replace(o=4)) and not conv_rows.suits(few._replace(ph=3, kh=3))
