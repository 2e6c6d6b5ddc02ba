"""The recurrent layer as one node against the same layer written step by step in other
operators.
"""

import numpy as np
import pytest

import minigrad as mg


def layer(steps, n, width, hidden, seed=0):
    rng = np.random.default_rng(seed)
    scale = 1 / np.sqrt(hidden)
    shapes = [
        (steps, n, width),
        (n, hidden),
        (hidden, width),
        (hidden, hidden),
        (hidden,),
        (hidden,),
    ]
    return [
        mg.Variable(rng.normal(size=s) * (scale if i > 1 else 1), dtype=np.float64)
        for i, s in enumerate(shapes)
    ]


def unrolled(x, h, w, v, b, c, nonlinearity):
    f, hs = getattr(mg, nonlinearity), []
    for t in range(len(x)):
        h = f(x[t] @ w.T + b + h @ v.T + c)
        hs.append(h)
    return mg.stack(hs)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize(
    "sizes", [(1, 1, 1, 1), (7, 1, 2, 3), (5, 4, 3, 9), (300, 2, 3, 4)], ids=str
)
def test_agrees_with_the_unrolled_layer(sizes, nonlinearity):
    """300 steps share their weights, so that the gradients are sums over all of them."""
    results = []
    for run in (mg.rnn, unrolled):
        inputs = layer(*sizes)
        y = run(*inputs, nonlinearity)
        y.backward(np.random.default_rng(1).normal(size=y.shape))
        results.append([y.value, *(x.grad for x in inputs)])
    for fused, stepwise in zip(*results, strict=True):
        np.testing.assert_allclose(fused, stepwise, rtol=1e-9, atol=1e-9 * np.abs(stepwise).max())


def test_gradients_of_the_states_are_there_to_read():
    x, *others = layer(3, 2, 2, 4)
    y = mg.rnn(x, *others)
    y[-1].sum().backward()
    dh = y.work["dh"]
    np.testing.assert_array_equal(dh[-1], 1)
    before = ((1 - y.value[-1] ** 2) * dh[-1]) @ others[2].value
    np.testing.assert_allclose(dh[-2], before, rtol=1e-12)


def test_one_bias_for_both():
    x, h, w, v, b, _ = layer(3, 2, 2, 4)
    mg.rnn(x, h, w, v, b, b).sum().backward()
    once = b.grad.copy()
    b.zero_grad()
    mg.rnn(x, h, w, v, b, b.value).sum().backward()
    np.testing.assert_allclose(once, 2 * b.grad, rtol=1e-12)


def test_float32_agrees_with_float64():
    """The compiled tanh of float32 is an approximation of its own."""
    inputs = layer(20, 3, 4, 5)
    y = mg.rnn(*inputs)
    y32 = mg.rnn(*(mg.Variable(x.value, dtype=np.float32) for x in inputs))
    assert y32.dtype == np.float32
    np.testing.assert_allclose(y32.value, y.value, atol=2e-6)


@pytest.mark.parametrize("layer", [mg.nn.RNN, mg.nn.LSTM, mg.nn.GRU])
def test_saturated_float32_layers_have_no_slope(layer):
    """In every mode the kernel works with a tanh of its own."""
    made = layer(3, 4, seed=0)
    for name, p in made.named_parameters():
        p.value = np.full(p.shape, 15.0 if "bias" in name else 0.1)
        if layer is mg.nn.GRU and "bias" in name:
            p.value = np.repeat([15.0, -50.0, 15.0], 4)  # z = 0: only the new state counts
    x = mg.Variable(np.ones((5, 2, 3)))
    mg.sum(made(x)[0]).backward()
    for grad in (x.grad, *(p.grad for p in made.parameters())):
        np.testing.assert_array_equal(grad, np.zeros_like(grad))


@pytest.mark.parametrize(("steps", "n"), [(0, 2), (3, 0), (3, 2)])
def test_gradients_of_the_inputs_of_each_step_are_there_to_read(steps, n):
    y = mg.rnn(*layer(steps, n, 2, 4))
    y.backward(np.ones(y.shape))
    assert y.rule.input_grads(y).shape == (steps, n, 4)


# ---------------- LSTM: what it hands out, and what it knows of its steps
def layer_lstm(steps, n, width, hidden, seed=0):
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


def unrolled_lstm(x, h, c, w, v, b, d):
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
def test_agrees_with_the_unrolled_layer_lstm(sizes):
    """300 steps share their weights, so that the gradients are sums over all of them."""
    results = []
    for run in (mg.lstm, unrolled_lstm):
        inputs, rng = layer_lstm(*sizes), np.random.default_rng(1)
        y, c = run(*inputs)
        ((y * rng.normal(size=y.shape)).sum() + (c * rng.normal(size=c.shape)).sum()).backward()
        results.append([y.value, c.value, *(x.grad for x in inputs)])
    for fused, stepwise in zip(*results, strict=True):
        np.testing.assert_allclose(fused, stepwise, rtol=1e-9, atol=1e-9 * np.abs(stepwise).max())


@pytest.mark.parametrize("part", [0, 1])
def test_one_of_the_results_may_be_left_alone(part):
    results = []
    for run in (mg.lstm, unrolled_lstm):
        inputs = layer_lstm(4, 3, 2, 5)
        run(*inputs)[part].sum().backward()
        results.append([x.grad for x in inputs])
    for fused, stepwise in zip(*results, strict=True):
        np.testing.assert_allclose(fused, stepwise, rtol=1e-9, atol=1e-12)


def test_states_and_their_gradients_are_there_to_read():
    inputs = layer_lstm(4, 3, 2, 5)
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
            later, c = unrolled_lstm(
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


def test_one_bias_for_both_lstm():
    x, h, c, w, v, b, _ = layer_lstm(3, 2, 2, 4)
    mg.lstm(x, h, c, w, v, b, b)[0].sum().backward()
    once = b.grad.copy()
    b.zero_grad()
    mg.lstm(x, h, c, w, v, b, b.value)[0].sum().backward()
    np.testing.assert_allclose(once, 2 * b.grad, rtol=1e-12)


def test_float32_agrees_with_float64_lstm():
    """The compiled functions of float32 are approximations of their own."""
    inputs = layer_lstm(20, 3, 4, 5)
    y, c = mg.lstm(*inputs)
    y32, c32 = mg.lstm(*(mg.Variable(x.value, dtype=np.float32) for x in inputs))
    assert y32.dtype == c32.dtype == np.float32
    np.testing.assert_allclose(y32.value, y.value, atol=2e-6)
    np.testing.assert_allclose(c32.value, c.value, atol=4e-6)


def test_without_recording():
    inputs = layer_lstm(3, 2, 2, 4)
    y, c = mg.lstm(*inputs)
    with mg.no_grad():
        same = mg.lstm(*inputs)
    np.testing.assert_array_equal(same[0].value, y.value)
    np.testing.assert_array_equal(same[1].value, c.value)


# ---------------- GRU
def layer_gru(steps, n, width, hidden, seed=0):
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


def unrolled_gru(x, h, w, v, b, c):
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
def test_agrees_with_the_unrolled_layer_gru(sizes):
    """300 steps share their weights, so that the gradients are sums over all of them."""
    results = []
    for run in (mg.gru, unrolled_gru):
        inputs = layer_gru(*sizes)
        y = run(*inputs)
        y.backward(np.random.default_rng(1).normal(size=y.shape))
        results.append([y.value, *(x.grad for x in inputs)])
    for fused, stepwise in zip(*results, strict=True):
        np.testing.assert_allclose(fused, stepwise, rtol=1e-9, atol=1e-9 * np.abs(stepwise).max())


def test_gradients_of_the_states_are_there_to_read_gru():
    """∂L/∂h_t is what a layer_gru that begins after step t sends back to its first state."""
    x, *others = layer_gru(5, 2, 3, 4)
    y = mg.gru(x, *others)
    mg.sum(y**2).backward()
    for t in range(5):
        h = mg.Variable(y.value[t], dtype=np.float64)
        later = mg.gru(x.value[t + 1 :], h, *others[1:])
        (mg.sum(later**2) + mg.sum(h**2)).backward()
        np.testing.assert_allclose(mg.kernel_info(y)["hidden_grads"][t], h.grad, rtol=1e-12)


def test_float32_agrees_with_float64_gru():
    """The compiled functions of float32 are approximations of their own."""
    inputs = layer_gru(20, 3, 4, 5)
    y = mg.gru(*inputs)
    y32 = mg.gru(*(mg.Variable(x.value, dtype=np.float32) for x in inputs))
    assert y32.dtype == np.float32
    np.testing.assert_allclose(y32.value, y.value, atol=2e-6)
