"""The recurrent kernels against the recurrence as it is written, for one shard and several, into poisoned memory."""
import numpy as np
import pytest

from minigrad.kernels import recurrent


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("relu", [False, True], ids=["tanh", "relu"])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (6, 5, 3, 4), (3, 2, 7, 9), (0, 2, 3, 4), (4, 0, 2, 3)], ids=str)
def test_forward_and_backward(sizes, relu, shards):
    steps, n, width, hidden = sizes
    rng = np.random.default_rng(0)
    d = recurrent.RecurrentDims(*sizes, relu)
    x, h0 = rng.normal(size=(steps, n, width)), rng.normal(size=(n, hidden))
    w, v, b = rng.normal(size=(hidden, width)), rng.normal(size=(hidden, hidden)), rng.normal(size=hidden)
    hs = np.full((steps, n, hidden), 666.666)
    recurrent.rnn_forward(x, w.T.copy(), v.T.copy(), b, h0, hs, d, shards)
    np.testing.assert_allclose(hs, recurrent.rnn_reference(x, w, v, b, h0, relu), rtol=1e-9, atol=1e-9)

    g = rng.normal(size=hs.shape)
    shapes = h0.shape, x.shape, (shards, *w.shape), (shards, *v.shape), (shards, hidden)
    dpre, gx, gw, gv, gb = (np.full(shape, 666.666) for shape in shapes)
    dh, gh0 = np.zeros_like(hs), np.zeros_like(h0)  # the two that must come as zeros
    recurrent.rnn_backward(g, x, w, v, h0, hs, dh, dpre, gx, gw, gv, gb, gh0, d)
    expected = recurrent.rnn_backward_reference(g, x, w, v, h0, hs, relu)
    for actual, right in zip((gx, gw.sum(0), gv.sum(0), gb.sum(0), gh0), expected, strict=True):
        np.testing.assert_allclose(actual, right, rtol=1e-9, atol=1e-9)


def test_without_the_inputs_gradient():
    """An embedding below may be frozen: gx of size 0 is left alone, the others are as before."""
    rng = np.random.default_rng(0)
    d = recurrent.RecurrentDims(3, 2, 2, 3, False)
    x, h0, w, v = (rng.normal(size=s) for s in ((3, 2, 2), (2, 3), (3, 2), (3, 3)))
    hs = recurrent.rnn_reference(x, w, v, np.zeros(3), h0, False)
    results = []
    for gx in (np.empty_like(x), np.empty((0, 0, 0))):
        grads = [np.empty((1, 3, 2)), np.empty((1, 3, 3)), np.empty((1, 3)), np.zeros((2, 3))]
        recurrent.rnn_backward(np.ones_like(hs), x, w, v, h0, hs, np.zeros_like(hs), np.empty((2, 3)), gx, *grads, d)
        results.append(grads)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
