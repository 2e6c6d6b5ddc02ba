"""Convolutions over rows that were looked up, against lookup and convolution one after the other;
into poisoned memory.
"""

import numpy as np
import pytest

from minigrad.kernels import conv, embedding, lookup_conv


def forward_reference(table, ids, w, b, d):
    """Look up, put channels before positions, convolve."""
    x = table[ids].reshape(d.n, 1, d.w, d.c).transpose(0, 3, 1, 2)
    return conv.conv2d_reference(x, w.reshape(d.o, d.c, 1, d.kw), b, d)


def backward_reference(g, table, ids, w, d):
    """The gradients of the table, w and b."""
    x = table[ids].reshape(d.n, 1, d.w, d.c).transpose(0, 3, 1, 2)
    gx, gw, gb = conv.conv2d_backward_reference(g, x, w.reshape(d.o, d.c, 1, d.kw), d)
    return (
        embedding.scatter_reference(
            gx.transpose(0, 2, 3, 1).reshape(ids.size, d.c), ids, len(table)
        ),
        gw.reshape(w.shape),
        gb,
    )


def dims(n, width, c, o, taps, padding):
    return conv.ConvDims(
        n, c, 1, width, o, 1, taps, 1, width + 2 * padding - taps + 1, 1, 1, 0, padding, 1, 1, 1
    )


def random_dims(rng):
    taps = int(rng.integers(1, 6))
    padding = int(rng.integers(0, taps))
    width = int(rng.integers(max(1, taps - 2 * padding), 40))
    return dims(
        int(rng.integers(0, 4)),
        width,
        int(rng.integers(1, 40)),
        int(rng.integers(1, 40)),
        taps,
        padding,
    )


SPECIAL = [
    dims(2, 130, 50, 8, 3, 0),
    dims(1, 1, 1, 1, 1, 0),
    dims(3, 20, 5, 16, 2, 1),
    dims(2, 3, 4, 17, 5, 2),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("d", SPECIAL, ids=lambda d: ",".join(map(str, d)))
def test_forward_and_backward(d, bias, dtype, rows=9):
    rng = np.random.default_rng(0)

    def poisoned(*shape, kind=dtype):
        return np.full(shape, np.nan if kind is dtype else -7, kind)

    table, w = (
        rng.normal(size=(rows, d.c)).astype(dtype),
        rng.normal(size=(d.o, d.c * d.kw)).astype(dtype),
    )
    b = rng.normal(size=d.o).astype(dtype) if bias else np.empty(0, dtype)
    ids, y, count = (
        rng.integers(0, rows, d.n * d.w),
        poisoned(d.n, d.o, d.ow),
        poisoned(1, kind=np.int64),
    )
    slots = rng.integers(-3, rows + 3, rows).astype(np.int32)  # whatever was there before
    words, places = (
        poisoned(ids.size, kind=np.int32),
        poisoned(d.n * (d.w + 2 * d.pw), kind=np.int64),
    )
    seen, scratch = poisoned(ids.size * d.c), poisoned(sum(lookup_conv.room(d)))
    least = 0.0 if bias else -np.inf
    lookup_conv.forward(table, ids, w, b, y, slots, words, places, count, seen, scratch, d, least)
    expected = forward_reference(table, ids, w, b if bias else None, d)[:, :, 0]
    close = {"rtol": 1e-4, "atol": 1e-4} if dtype is np.float32 else {"atol": 1e-12}
    np.testing.assert_allclose(y, np.maximum(expected, least), **close)
    assert sorted(words[: count[0]]) == sorted(set(ids))

    g, scratch[:] = rng.normal(size=y.shape).astype(dtype), np.nan
    gw, gb, grad = poisoned(1, *w.shape), poisoned(1, d.o) if bias else None, poisoned(*table.shape)
    lookup_conv.backward(g, w, gw, gb, words, places, count, seen, scratch, d, ids, grad)
    back = backward_reference(g[:, :, None], table, ids, w, d)
    for found, expected in zip((grad, gw[0], *(gb if bias else ())), back[: 2 + bias], strict=True):
        np.testing.assert_allclose(found, expected, **close)


def test_weights_that_are_not_trained_get_no_gradient():
    d, f = SPECIAL[2], np.float32
    table, ids, w = np.ones((4, d.c), f), np.arange(d.n * d.w) % 4, np.ones((d.o, d.c * d.kw), f)
    kept = (
        np.zeros(ids.size, np.int32),
        np.zeros(d.n * (d.w + 2 * d.pw), np.int64),
        np.zeros(1, np.int64),
        np.zeros(ids.size * d.c, f),
    )
    y, scratch = np.zeros((d.n, d.o, d.ow), f), np.zeros(sum(lookup_conv.room(d)), f)
    lookup_conv.forward(
        table, ids, w, np.zeros(d.o, f), y, np.zeros(4, np.int32), *kept, scratch, d, -np.inf
    )
    grad = np.zeros_like(table)
    lookup_conv.backward(np.ones_like(y), w, None, None, *kept, scratch, d, ids, grad)
    assert grad.sum() == d.n * d.ow * d.kw * d.c * d.o - _beside(d)


def _beside(d):
    """How many products of ones fall into the padding."""
    missing = sum(not 0 <= t + k - d.pw < d.w for t in range(d.ow) for k in range(d.kw))
    return d.n * missing * d.c * d.o


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint64])
def test_ids_of_no_row_touch_nothing(kind, rows=9, fence=500):
    """What stands beside them is NaN; the other words, and their gradients, are as before."""
    d, f = dims(2, 12, 5, 4, 3, 1), np.float32
    rng, limits = np.random.default_rng(0), np.iinfo(kind)
    ids = rng.integers(0, rows, d.n * d.w).astype(kind)
    far = [i for i in (-1, rows, 10**12, -(10**12), limits.max) if limits.min <= i <= limits.max]
    ids[: len(far)] = far

    def fenced(size, dtype):
        whole = np.full(size + 2 * fence, 77, dtype)
        return whole[fence:-fence], whole

    table, w = rng.normal(size=(rows, d.c)).astype(f), rng.normal(size=(d.o, d.c * d.kw)).astype(f)
    (slots, by_slots), (words, by_words) = fenced(rows, np.int32), fenced(ids.size, np.int32)
    places, by_places = fenced(d.n * (d.w + 2 * d.pw), np.int64)
    grad, by_grad = fenced(rows * d.c, f)
    y, b, grad = np.zeros((d.n, d.o, d.ow), f), np.zeros(d.o, f), grad.reshape(rows, d.c)
    kept = words, places, np.zeros(1, np.int64), np.zeros(ids.size * d.c, f)
    scratch = np.zeros(sum(lookup_conv.room(d)), f)
    lookup_conv.forward(table, ids, w, b, y, slots, *kept, scratch, d, -np.inf)
    right = np.where(np.arange(ids.size) < len(far), 0, ids).astype(int)
    expected = forward_reference(table, right, w, None, d)[:, :, 0]
    bad = len(far) + d.pw  # the windows that such a word is in
    assert np.isnan(y[0, :, :bad]).all()
    np.testing.assert_allclose(y[0, :, bad:], expected[0, :, bad:], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(y[1], expected[1], rtol=1e-4, atol=1e-5)

    g = np.ones_like(y)
    lookup_conv.backward(g, w, None, None, *kept, scratch, d, ids, grad)
    share = backward_reference(g[:, :, None], table, right, w, d)[0]
    others = np.delete(np.arange(rows), 0)  # row 0 stands in their place in what is expected
    np.testing.assert_allclose(grad[others], share[others], rtol=1e-4, atol=1e-5)
    for whole in (by_slots, by_words, by_places, by_grad):
        assert (whole[:fence] == 77).all() and (whole[-fence:] == 77).all()


OTHERS = [
    {"h": 2},
    {"kh": 2},
    {"sh": 2},
    {"sw": 2},
    {"ph": 1},
    {"dw": 2},
    {"groups": 2},
    {"o": 300},
]


@pytest.mark.parametrize("change", OTHERS)
def test_others_do_not_suit(change):
    assert lookup_conv.suits(SPECIAL[0]) and not lookup_conv.suits(SPECIAL[0]._replace(**change))
