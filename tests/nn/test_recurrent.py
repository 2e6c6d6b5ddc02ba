"""The recurrent layer: fused equals unrolled, shapes as in PyTorch."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import nn


def outputs_and_gradients(unroll, layers, nonlinearity, start):
    rng = np.random.default_rng(0)
    layer = nn.RNN(3, 4, layers, nonlinearity, unroll=unroll, dtype=np.float64, seed=7)
    x = mg.Variable(rng.normal(size=(5, 2, 3)), dtype=np.float64)
    h0 = mg.Variable(rng.normal(size=(layers, 2, 4)), dtype=np.float64) if start else None
    out, state = layer(x, h0)
    ((out * rng.normal(size=out.shape)).sum() + (state * rng.normal(size=state.shape)).sum()).backward()
    leaves = [x, *layer.parameters()] + ([h0] if start else [])
    return [out.value, state.value, *(leaf.grad for leaf in leaves)]


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("start", [False, True])
def test_fused_equals_unrolled(layers, nonlinearity, start):
    fused = outputs_and_gradients(False, layers, nonlinearity, start)
    unrolled = outputs_and_gradients(True, layers, nonlinearity, start)
    for a, b in zip(fused, unrolled, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_shapes_and_names():
    layer = nn.RNN(3, 4, num_layers=2)
    out, state = layer(np.zeros((6, 5, 3)))
    assert out.shape == (6, 5, 4)
    assert state.shape == (2, 5, 4)
    assert layer.state_dict()["weight_ih_l1"].shape == (4, 4)


@pytest.mark.parametrize(
    ("x", "h0", "words"), [(np.zeros((6, 3)), None, "(6, 3)"), (np.zeros((6, 5, 3)), np.zeros((5, 4)), "(5, 4)")]
)
def test_wrong_shapes_are_named(x, h0, words):
    with pytest.raises(mg.ShapeError) as caught:
        nn.RNN(3, 4)(x, h0)
    assert "RNN" in str(caught.value)
    assert words in str(caught.value)
