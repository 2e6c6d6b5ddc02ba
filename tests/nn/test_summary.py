"""The table of a model's layers."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn


class Net(nn.Module):
    """A model with a shared weight, a layer that is not called, and an operator of its own."""

    def __init__(self):
        self.body = nn.Sequential(nn.Linear(4, 3, seed=0), nn.ReLU())
        self.twice = nn.Linear(3, 3, seed=0)
        self.unused = nn.Linear(1, 1, seed=0)

    def forward(self, x):
        h = self.twice(self.twice(self.body(x)))
        return h * 2


def test_rows_add_up_to_the_model():
    model = Net()
    table = mg.summary(model, (5, 4))
    assert list(table) == [
        ("Net", (5, 3), 0, 15),
        ("body.0 · Linear", (5, 3), 15, 2 * 5 * 3 * 4),
        ("body.1 · ReLU", (5, 3), 0, 15),
        ("twice · Linear", (5, 3), 12, 2 * (2 * 5 * 3 * 3)),
        ("unused · Linear", "–", 2, 0),
        ("total", (5, 3), sum(p.size for p in model.parameters()), 15 + 120 + 15 + 180),
    ]
    assert table[-1].flops == sum(row.flops for row in table[:-1])


def test_it_is_text_and_a_table_for_notebooks():
    table = mg.summary(nn.Linear(784, 10, seed=0), (32, 784))
    assert repr(table).splitlines() == [
        "layer   output    parameters      flops",
        "Linear  (32, 10)       7,850  502 kflop",
        "total   (32, 10)       7,850  502 kflop",
    ]
    assert table._repr_markdown_().startswith("| layer | output | parameters | flops |\n| ---")


def test_recurrent_layers_integers_and_several_inputs():
    class Reader(nn.Module):
        def __init__(self):
            self.table, self.rnn = nn.Embedding(9, 4, seed=0), nn.LSTM(4, 3, seed=0)

        def forward(self, ids, scale):
            return self.rnn(self.table(ids) * scale)[1][0]

    table = mg.summary(Reader(), np.zeros((6, 2), int), (1, 1, 4))
    assert [row.output for row in table[1:-1]] == [(6, 2, 4), (6, 2, 3)]
    assert all(row.parameters for row in table[1:])


def test_the_model_is_as_before():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2, seed=0))
    before, grads = model.state_dict(), [p.grad for p in model.parameters()]
    with mg.no_grad():
        assert mg.summary(model, (4, 3))[-1].flops
    assert all(np.array_equal(before[name], x) for name, x in model.state_dict().items())
    assert [p.grad for p in model.parameters()] == grads and model.training
    assert all(p.requires_grad for p in model.parameters())


def test_what_does_not_fit():
    with pytest.raises(TypeError, match="summary: a function; a Module was expected"):
        mg.summary(lambda x: x, (1,))
    with pytest.raises(mg.ShapeError, match="x has 5 features, the layer takes 3"):
        mg.summary(nn.Linear(3, 1, seed=0), (2, 5))
