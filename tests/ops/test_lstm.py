"""The LSTM as one node: what it hands out, and what it knows of its steps."""

import numpy as np
import pytest

import minigrad as mg


def layer(steps, n, width, hidden, seed=0):
    rng = np.random.default_rng(seed)
    shapes = [
        (steps, n, width),
        (n, hidden),
        (n, hidden),
        (4 * hidden, width),
        (4 * hidden, hidden),
        (4 * hidden,),
        (4 * hidden,),
    ]
    scale = 1 / np.sqrt(hidden)
    return [
        mg.Variable(rng.normal(size=s) * (scale if i > 2 else 1), dtype=np.float64)
        for i, s in enumerate(shapes)
    ]


def unrolled(x, h, c, w, v, b, d):
    hs, n = [], h.shape[1]
    for t in range(len(x)):
        i, f, g, o = ((x[t] @ w.T + b + h @ v.T + d)[:, k * n : (k + 1) * n] for k in range(4))
        c = mg.sigmoid(f) * c + mg.sigmoid(i) * mg.tanh(g)
        h = mg.sigmoid(o) * mg.tanh(c)
        hs.append(h)
    return mg.stack(hs), c


@pytest.mark.parametrize(
    "sizes", [(1, 1, 1, 1), (7, 1, 2, 3), (5, 9, 3, 4), (300, 2, 3, 4)], ids=str
)
def test_agrees_with_the_unrolled_layer(sizes):
    """300 steps share their weights, so that the gradients are sums over all of them."""
    results = []
    for run in (mg.lstm, unrolled):
        inputs, rng = layer(*sizes), np.random.default_rng(1)
        y, c = run(*inputs)
        ((y * rng.normal(size=y.shape)).sum() + (c * rng.normal(size=c.shape)).sum()).backward()
        results.append([y.value, c.value, *(x.grad for x in inputs)])
    for fused, stepwise in zip(*results, strict=True):
        np.testing.assert_allclose(fused, stepwise, rtol=1e-9, atol=1e-9 * np.abs(stepwise).max())


@pytest.mark.parametrize("part", [0, 1])
def test_one_of_the_results_may_be_left_alone(part):
    results = []
    for run in (mg.lstm, unrolled):
        inputs = layer(4, 3, 2, 5)
        run(*inputs)[part].sum().backward()
        results.append([x.grad for x in inputs])
    for fused, stepwise in zip(*results, strict=True):
        np.testing.assert_allclose(fused, stepwise, rtol=1e-9, atol=1e-12)


def test_states_and_their_gradients_are_there_to_read():
    inputs = layer(4, 3, 2, 5)
    y, c = mg.lstm(*inputs)
    node = y.inputs[0]
    assert mg.kernel_info(node)["hidden_grads"] is mg.kernel_info(node)["cell_grads"] is None
    ((y**2).sum() + c.sum()).backward()
    facts = mg.kernel_info(node)
    np.testing.assert_array_equal(facts["hidden"], y.value)
    np.testing.assert_array_equal(facts["cells"][-1], c.value)

    def loss_from(t, h, c):
        """L as a function of the state after step t, the later ones following from it."""
        x, _, _, *parameters = (p.value for p in inputs)
        with mg.default_dtype("float64"):
            later, c = unrolled(
                x[t + 1 :], mg.Constant(h), mg.Constant(c), *map(mg.Constant, parameters)
            )
        return (h**2).sum() + (later.value**2).sum() + c.value.sum()

    for t, n, k in ((0, 1, 2), (2, 0, 0), (1, 2, 4)):
        step = np.zeros((3, 5))
        step[n, k] = 1e-6
        h, c, squashed = facts["hidden"][t], facts["cells"][t], np.tanh(facts["cells"][t])
        slope = (loss_from(t, h + step, c) - loss_from(t, h - step, c)) / 2e-6
        assert facts["hidden_grads"][t, n, k] == pytest.approx(slope, rel=1e-6)
        o = h / squashed  # a change of c_t changes h_t, too
        ends = [loss_from(t, o * np.tanh(c + s), c + s) for s in (step, -step)]
        assert facts["cell_grads"][t, n, k] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)


def test_one_bias_for_both():
    x, h, c, w, v, b, _ = layer(3, 2, 2, 4)
    mg.lstm(x, h, c, w, v, b, b)[0].sum().backward()
    once = b.grad.copy()
    b.zero_grad()
    mg.lstm(x, h, c, w, v, b, b.value)[0].sum().backward()
    np.testing.assert_allclose(once, 2 * b.grad, rtol=1e-12)


def test_float32_agrees_with_float64():
    """The compiled functions of float32 are approximations of their own."""
    inputs = layer(20, 3, 4, 5)
    y, c = mg.lstm(*inputs)
    y32, c32 = mg.lstm(*(mg.Variable(x.value, dtype=np.float32) for x in inputs))
    assert y32.dtype == c32.dtype == np.float32
    np.testing.assert_allclose(y32.value, y.value, atol=2e-6)
    np.testing.assert_allclose(c32.value, c.value, atol=4e-6)


def test_without_recording():
    inputs = layer(3, 2, 2, 4)
    y, c = mg.lstm(*inputs)
    with mg.no_grad():
        same = mg.lstm(*inputs)
    np.testing.assert_array_equal(same[0].value, y.value)
    np.testing.assert_array_equal(same[1].value, c.value)
