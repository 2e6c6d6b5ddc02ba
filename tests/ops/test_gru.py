"""The GRU as one node against the same layer written step by step in other operators."""

import numpy as np
import pytest

import minigrad as mg


def layer(steps, n, width, hidden, seed=0):
    rng = np.random.default_rng(seed)
    shapes = [
        (steps, n, width),
        (n, hidden),
        (3 * hidden, width),
        (3 * hidden, hidden),
        (3 * hidden,),
        (3 * hidden,),
    ]
    scale = 1 / np.sqrt(hidden)
    return [
        mg.Variable(rng.normal(size=s) * (scale if i > 1 else 1), dtype=np.float64)
        for i, s in enumerate(shapes)
    ]


def unrolled(x, h, w, v, b, c):
    hs, n = [], h.shape[1]
    for t in range(len(x)):
        r, z, p = ((x[t] @ w.T + b)[:, k * n : (k + 1) * n] for k in range(3))
        r2, z2, q = ((h @ v.T + c)[:, k * n : (k + 1) * n] for k in range(3))
        z = mg.sigmoid(z + z2)
        h = (1 - z) * mg.tanh(p + mg.sigmoid(r + r2) * q) + z * h
        hs.append(h)
    return mg.stack(hs)


@pytest.mark.parametrize(
    "sizes", [(1, 1, 1, 1), (7, 1, 2, 3), (5, 9, 3, 4), (300, 2, 3, 4)], ids=str
)
def test_agrees_with_the_unrolled_layer(sizes):
    """300 steps share their weights, so that the gradients are sums over all of them."""
    results = []
    for run in (mg.gru, unrolled):
        inputs = layer(*sizes)
        y = run(*inputs)
        y.backward(np.random.default_rng(1).normal(size=y.shape))
        results.append([y.value, *(x.grad for x in inputs)])
    for fused, stepwise in zip(*results, strict=True):
        np.testing.assert_allclose(fused, stepwise, rtol=1e-9, atol=1e-9 * np.abs(stepwise).max())


def test_gradients_of_the_states_are_there_to_read():
    """∂L/∂h_t is what a layer that begins after step t sends back to its first state."""
    x, *others = layer(5, 2, 3, 4)
    y = mg.gru(x, *others)
    mg.sum(y**2).backward()
    for t in range(5):
        h = mg.Variable(y.value[t], dtype=np.float64)
        later = mg.gru(x.value[t + 1 :], h, *others[1:])
        (mg.sum(later**2) + mg.sum(h**2)).backward()
        np.testing.assert_allclose(mg.kernel_info(y)["hidden_grads"][t], h.grad, rtol=1e-12)


def test_float32_agrees_with_float64():
    """The compiled functions of float32 are approximations of their own."""
    inputs = layer(20, 3, 4, 5)
    y = mg.gru(*inputs)
    y32 = mg.gru(*(mg.Variable(x.value, dtype=np.float32) for x in inputs))
    assert y32.dtype == np.float32
    np.testing.assert_allclose(y32.value, y.value, atol=2e-6)
