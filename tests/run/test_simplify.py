"""What a compiled step leaves out, and that it still computes the same (the other half of which is test_compiled.py)."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.run.compiled import CompiledStep
from minigrad.run.traced import Assign, Call, MatMul, View


def step_of(model, x, y, loss=mg.mse_loss, **options):
    x, y = mg.Constant(x, name="x", dtype=x.dtype), mg.Constant(y, name="y", dtype=y.dtype)
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1, **options)
    return CompiledStep(mg.topological_sort(loss(model(x), y)), {"x": x, "y": y}, optimizer, 1)


IMAGES, TARGET = np.zeros((2, 1, 6, 6), np.float32), np.zeros((2, 32), np.float32)


def calls(step, name):
    statements = [s for group in step.arena.groups for s in group]
    return [s for s in statements if isinstance(s, Call) and s.kernel.__name__ == name]


def test_a_convolution_does_the_relu_after_it():
    step = step_of(nn.Sequential(nn.Conv2d(1, 2, 3, seed=0), nn.ReLU(), nn.Flatten()), IMAGES, TARGET)
    (forward,) = calls(step, "forward")
    assert forward.args[-1] == 0.0 and "maximum(" not in step.source.split("def part")[1]


@pytest.mark.parametrize("after", [nn.Tanh(), nn.Sequential()])
def test_and_nothing_else_is_taken_for_one(after):
    step = step_of(nn.Sequential(nn.Conv2d(1, 2, 3, seed=0), after, nn.Flatten()), IMAGES, TARGET)
    (forward,) = calls(step, "forward")
    assert forward.args[-1] == -np.inf


def test_a_relu_whose_operand_is_needed_elsewhere_stays():
    class Both(nn.Module):
        def __init__(self):
            self.conv = nn.Conv2d(1, 2, 3, seed=0)

        def forward(self, x):
            y = self.conv(x)
            return mg.flatten(mg.relu(y) + mg.sin(y), start_axis=1)

    (forward,) = calls(step_of(Both(), IMAGES, TARGET), "forward")
    assert forward.args[-1] == -np.inf


def test_a_gradient_that_is_handed_on_as_it_is_takes_no_memory():
    class Sum(nn.Module):
        def __init__(self):
            self.left, self.right = nn.Linear(3, 4, seed=0), nn.Linear(3, 4, seed=1)

        def forward(self, x):
            return mg.tanh(self.left(x) + self.right(x))

    step = step_of(Sum(), np.zeros((5, 3), np.float32), np.zeros((5, 4), np.float32))
    statements = [s for group in step.arena.groups for s in group]
    copies = [s for s in statements if isinstance(s, Assign) and isinstance(s.value, View)]
    assert not [s for s in copies if s.target.buffer.name.startswith("grad_")]


def test_a_bias_is_what_a_product_begins_with():
    step = step_of(nn.Linear(3, 4, seed=0), np.zeros((5, 3), np.float32), np.zeros((5, 4), np.float32))
    (product,) = [s for group in step.arena.groups for s in group if isinstance(s, MatMul) and s.bias is not None]
    assert product.bias.shape == (4,) and "product_bias(" in step.source


def test_of_the_gradient_of_a_table_only_rows_that_occur_are_set_back():
    ids, y = np.array([[1, 2], [2, 0]]), np.zeros((2, 6), np.float32)
    model = nn.Sequential(nn.Embedding(50, 3, seed=0), nn.Flatten())
    step = step_of(model, ids, y)
    assert len(step.arena.clearing) == 1 and "scatter_more" in step.source and "embedding_clear(x[s, 0:4]" in step.source
    losses = np.zeros(3, np.float32)
    step.run(np.array([[1, 2], [2, 0], [7, 7], [9, 1]]), np.ones((4, 6), np.float32), np.array([0, 1, 2, 3, 2, 3]), losses)
    gradient = step.arena.G[0].reshape(50, 3)
    assert set(np.flatnonzero(gradient.any(1))) == {1, 7, 9}  # of the last batch; nothing is left of the first


def test_a_table_that_is_used_twice_is_written_from_zero():
    class Twice(nn.Module):
        def __init__(self):
            self.table = nn.Embedding(5, 3, seed=0)

        def forward(self, ids):
            return mg.flatten(self.table(ids) * self.table(ids), start_axis=1)

    step = step_of(Twice(), np.array([[1, 2], [2, 0]]), np.zeros((2, 6), np.float32))
    assert not step.arena.clearing and "scatter_more" not in step.source
