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
