"""Layers: shapes, names and layouts as in PyTorch, initial weights by seed, clear errors."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

LAYERS = [
    (lambda **o: nn.Linear(3, 5, **o), (2, 3), (2, 5), {"weight": (5, 3), "bias": (5,)}),
    (lambda **o: nn.Linear(3, 5, bias=False, **o), (7, 2, 3), (7, 2, 5), {"weight": (5, 3)}),
    (
        lambda **o: nn.Conv1d(4, 6, 3, groups=2, **o),
        (2, 4, 9),
        (2, 6, 7),
        {"weight": (6, 2, 3), "bias": (6,)},
    ),
    (
        lambda **o: nn.Conv2d(2, 3, (3, 2), stride=2, padding=(1, 0), **o),
        (2, 2, 7, 6),
        (2, 3, 4, 3),
        {"weight": (3, 2, 3, 2), "bias": (3,)},
    ),
    (lambda **o: nn.MaxPool1d(2), (2, 3, 7), (2, 3, 3), {}),
    (lambda **o: nn.AvgPool1d(3, 1, 1), (2, 3, 7), (2, 3, 7), {}),
    (lambda **o: nn.MaxPool2d(2), (2, 3, 6, 5), (2, 3, 3, 2), {}),
    (lambda **o: nn.AvgPool2d((2, 1)), (2, 3, 6, 5), (2, 3, 3, 5), {}),
    (lambda **o: nn.Flatten(), (2, 3, 4), (2, 12), {}),
    (lambda **o: nn.ReLU(), (2, 3), (2, 3), {}),
    (lambda **o: nn.Tanh(), (2, 3), (2, 3), {}),
    (lambda **o: nn.Sigmoid(), (2, 3), (2, 3), {}),
]


@pytest.mark.parametrize(("make", "given", "expected", "parameters"), LAYERS)
def test_shapes_names_and_dtypes(make, given, expected, parameters):
    x = np.random.default_rng(0).normal(size=given)
    layer = make(seed=3)
    assert layer(x).shape == expected
    assert {name: p.shape for name, p in layer.named_parameters()} == parameters
    again = make(seed=3)
    assert all(
        np.array_equal(a, again.state_dict()[name]) for name, a in layer.state_dict().items()
    )
    if parameters:
        assert make(dtype=np.float64, seed=3)(x).dtype == np.float64


def test_embedding_keeps_integer_ids():
    layer = nn.Embedding(10, 4, seed=0)
    ids = np.array([[1, 2, 1]], dtype=np.int32)
    assert np.array_equal(layer(ids).value, layer.weight.value[ids])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Linear(0, 3), "Linear: in_features=0"),
        (lambda: nn.Linear(2, 2.5), "Linear: out_features=2.5"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "Conv2d: groups=2 must divide"),
        (lambda: nn.Conv1d(3, 4, (3, 3)), "Conv1d: kernel_size=(3, 3)"),
        (lambda: nn.Embedding(5, -1), "Embedding: embedding_dim=-1"),
        (lambda: nn.RNN(3, 4, nonlinearity="sin"), "RNN: nonlinearity='sin'"),
        (lambda: nn.RNN(3, 4, num_layers=0), "RNN: num_layers=0"),
        (lambda: nn.LSTM(3, 0), "LSTM: hidden_size=0"),
        (lambda: nn.GRU(3.0, 4), "GRU: input_size=3.0"),
    ],
)
def test_impossible_layers_are_refused_by_name(make, words):
    with pytest.raises(ValueError) as caught:
        make()
    assert words in str(caught.value)


def test_manual_seed_determines_layers_without_a_seed():
    mg.manual_seed(5)
    first = nn.Linear(3, 3).weight.value.copy()
    assert not np.array_equal(first, nn.Linear(3, 3).weight.value)
    mg.manual_seed(5)
    assert np.array_equal(first, nn.Linear(3, 3).weight.value)
