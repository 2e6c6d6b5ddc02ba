"""Passes over the program of a compiled step: what is fused or removed. That the result is the same
is tested in test_compiled.py, too.
"""

import re

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.run.compiled import CompiledStep
from minigrad.run.symbolic import Assign, Call, View, formula


def step_of(model, x, y, loss=mg.mse_loss, **options):
    x, y = mg.Constant(x, name="x", dtype=x.dtype), mg.Constant(y, name="y", dtype=y.dtype)
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1, **options)
    return CompiledStep(mg.topological_sort(loss(model(x), y)), {"x": x, "y": y}, optimizer, 1)


IMAGES, TARGET = np.zeros((2, 1, 6, 6), np.float32), np.zeros((2, 32), np.float32)


def calls(step, name):
    statements = [s for group in step.arena.groups for s in group]
    return [s for s in statements if isinstance(s, Call) and s.kernel.__name__ == name]


def test_a_relu_is_fused_into_the_convolution():
    step = step_of(
        nn.Sequential(nn.Conv2d(1, 2, 3, seed=0), nn.ReLU(), nn.Flatten()), IMAGES, TARGET
    )
    (forward,) = calls(step, "forward")
    assert forward.args[-1] == 0.0 and "maximum(" not in step.source.split("def part")[1]


@pytest.mark.parametrize("after", [nn.Tanh(), nn.Sequential()])
def test_other_functions_are_not_fused_into_it(after):
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


def test_a_gradient_that_is_passed_on_takes_no_memory():
    class Sum(nn.Module):
        def __init__(self):
            self.left, self.right = nn.Linear(3, 4, seed=0), nn.Linear(3, 4, seed=1)

        def forward(self, x):
            return mg.tanh(self.left(x) + self.right(x))

    step = step_of(Sum(), np.zeros((5, 3), np.float32), np.zeros((5, 4), np.float32))
    statements = [s for group in step.arena.groups for s in group]
    copies = [s for s in map(formula, statements) if s and isinstance(s.value, View)]
    assert not [s for s in copies if s.target.storage.name.startswith("grad_")]


def test_a_bias_is_fused_into_the_product():
    step = step_of(
        nn.Linear(3, 4, seed=0), np.zeros((5, 3), np.float32), np.zeros((5, 4), np.float32)
    )
    (product,) = [
        s
        for group in step.arena.groups
        for s in group
        if isinstance(s, Assign) and s.op == "matmul" and len(s.args) == 3
    ]
    assert product.args[2].shape == (4,) and "product_bias(" in step.source


def test_sparse_gradients_clear_only_the_rows_that_occurred():
    ids, y = np.array([[1, 2], [2, 0]]), np.zeros((2, 6), np.float32)
    model = nn.Sequential(nn.Embedding(50, 3, seed=0), nn.Flatten())
    step = step_of(model, ids, y)
    assert (
        len(step.arena.clearing) == 1
        and "scatter_more" in step.source
        and "embedding_clear(x, " in step.source
    )
    losses = np.zeros(3, np.float32)
    step.run(
        np.array([[1, 2], [2, 0], [7, 7], [9, 1]]),
        np.ones((4, 6), np.float32),
        np.array([0, 1, 2, 3, 2, 3]),
        losses,
    )
    gradient = step.arena.G[0, :150].reshape(50, 3)
    assert set(np.flatnonzero(gradient.any(1))) == {
        1,
        7,
        9,
    }  # of the last batch; the rows of the first are cleared


def test_the_gradient_of_a_table_that_is_used_twice_is_dense():
    class Twice(nn.Module):
        def __init__(self):
            self.table = nn.Embedding(5, 3, seed=0)

        def forward(self, ids):
            return mg.flatten(self.table(ids) * self.table(ids), start_axis=1)

    step = step_of(Twice(), np.array([[1, 2], [2, 0]]), np.zeros((2, 6), np.float32))
    assert not step.arena.clearing and "scatter_more" not in step.source


def test_constants_of_a_kernel_are_written_once():
    step = step_of(nn.Sequential(nn.Conv2d(1, 2, 3, seed=0), nn.Flatten()), IMAGES, TARGET)
    (storage,) = [s for s in step.trace.program.storages if s.kind == "constant"]
    row = step.arena.V[storage.array][0]
    np.testing.assert_array_equal(row[storage.start :][:9], [0, 1, 2, 6, 7, 8, 12, 13, 14])


class Transposing(nn.Module):
    """A layer over what `turn` makes of samples (5, 4, 3)."""

    def __init__(self, turn):
        self.turn, self.linear = turn, nn.Linear(3, 2, seed=0)

    def forward(self, x):
        return self.linear(self.turn(x))


SAMPLES = np.random.default_rng(0).normal(size=(9, 4, 3)).astype(np.float32)


def trained(turn):
    """The step of a `Transposing` on five samples, and its loss on others, compiled and eager."""
    model, batch = Transposing(turn), SAMPLES[[8, 0, 4, 4, 2]]
    target = np.zeros((9, *model(batch).shape[1:]), np.float32)
    step, eager, losses = (
        step_of(model, SAMPLES[:5], target[: len(model(batch))]),
        model(batch),
        np.zeros(1, np.float32),
    )
    step.run(SAMPLES, target, np.array([8, 0, 4, 4, 2]), losses)
    return step, losses[0], (eager.value**2).mean()


def test_samples_that_are_only_transposed_are_gathered_in_that_order():
    step, loss, expected = trained(lambda x: mg.transpose(x, (1, 0, 2))[:, :5])
    assert (
        "    # n1 transpose (4, 5, 3)\n    update_gather(X, 12, order, first, x, 4)" in step.source
    )
    assert step.source.count("n1 transpose") == 1
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "turn",
    [
        lambda x: mg.transpose(x, (1, 0, 2)) + mg.transpose(x, (1, 0, 2)),  # read twice
        lambda x: mg.transpose(mg.transpose(x, (1, 2, 0)), (0, 2, 1))[
            :, :5
        ],  # transposed in another way
        lambda x: mg.transpose(x, (1, 0, 2)) * mg.mean(x),
        lambda x: mg.transpose(x[:, :2], (1, 0, 2)),  # not all of it
        lambda x: mg.transpose(x * 2, (1, 0, 2)),
    ],
)
def test_other_samples_are_gathered_as_they_are(turn):
    step, loss, expected = trained(turn)
    assert re.search(r"update_gather\(X, \d+, order, first, x, 1\)", step.source)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize(("n", "width"), [(5, 1), (1, 4), (1, 1)])
def test_a_copy_of_samples_is_not_a_transpose(n, width):
    """An array with one row or one column has the same layout in both orders."""

    class Copying(nn.Module):
        def __init__(self):
            self.w = mg.Variable(np.float32(2))

        def forward(self, x):
            return mg.concatenate([x]) * self.w

    samples = np.arange(7.0 * width, dtype=np.float32).reshape(7, width)
    step = step_of(Copying(), samples[:n], np.zeros((n, width), np.float32))
    losses, order = np.zeros(1, np.float32), np.array([6, 0, 3, 3, 5])[:n]
    step.run(samples, np.zeros((7, width), np.float32), order, losses)
    np.testing.assert_allclose(losses[0], (4.0 * samples[order] ** 2).mean(), rtol=1e-6)


def test_narrow_products_are_computed_transposed():
    step = step_of(
        nn.Linear(2, 25, seed=0), np.zeros((16, 2), np.float32), np.zeros((16, 25), np.float32)
    )
    assert "product_tn(product, x, grad_n3, 2, 16, 25)" in step.source


def test_sums_of_rows_are_one_call():
    step = step_of(
        nn.Linear(3, 4, seed=0), np.zeros((5, 3), np.float32), np.zeros((5, 4), np.float32)
    )
    assert "sum_rows(grad_n2_variable, " in step.source


def test_all_arrays_begin_with_a_cache_line():
    step = step_of(
        nn.Linear(3, 5, seed=0), np.zeros((5, 3), np.float32), np.zeros((5, 5), np.float32)
    )
    assert not any(
        array.ctypes.data % 64
        for array in (
            step.arena.P,
            step.arena.G,
            step.arena.T,
            *step.arena.M,
            *step.arena.V.values(),
        )
    )
    norm = step_of(nn.BatchNorm1d(5), np.zeros((5, 5), np.float32), np.zeros((5, 5), np.float32))
    assert norm.arena.S and not any(array.ctypes.data % 64 for array in norm.arena.S.values())
    assert [*step.arena.starts.values()] == [0, 16] and step.arena.trained == 32
