"""The state of a model (running statistics, streams of masks) is the same in every mode."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import kernels, nn
from minigrad.kernels.random import mask_reference
from minigrad.run.batch import separable
from minigrad.run.compiled import CompiledStep

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(45, 2, 8, 8)).astype(np.float32), RNG.integers(0, 3, 45)
MODES = ("eager", "replay", "compiled")


def model():
    mg.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(144, 8),
        nn.BatchNorm1d(8),
        nn.Tanh(),
        nn.LayerNorm(8),
        nn.Dropout(),
        nn.Linear(8, 3),
    )


def trainer(mode, made=None, loss=mg.cross_entropy, lr=0.05):
    made = made or model()
    return mg.Trainer(made, loss, mg.optim.SGD(made.parameters(), lr=lr), mode=mode)


@pytest.mark.parametrize("mode", MODES[1:])
def test_statistics_counts_and_losses_are_those_of_eager_mode(mode):
    """Two epochs of two full batches and a small one, with an evaluation after each."""
    runs = []
    for each in (MODES[0], mode):
        run = trainer(each)
        history = run.fit(X, Y, epochs=2, batch_size=20, validation=(X, Y), progress=False)
        runs.append((history, run.model))
    (eager, one), (history, other) = runs
    same = np.testing.assert_array_equal if mode == "replay" else np.testing.assert_allclose
    close = {} if mode == "replay" else {"rtol": 1e-4, "atol": 1e-5}
    same(history.batch_loss, eager.batch_loss, **close)
    same(history.validation_loss, eager.validation_loss, **close)
    for (name, a), (_, b) in zip(one.named_buffers(), other.named_buffers(), strict=True):
        if a.dtype.kind == "i":
            np.testing.assert_array_equal(a.value, b.value)
        else:
            same(a.value, b.value, err_msg=name, **close)
    assert other[1].num_batches_tracked.value == other[3].stream.value[1] == 6


class Masked(nn.Module):
    """A weight per feature, multiplied and dropped out: its gradient shows the masks."""

    def __init__(self, n):
        self.weight = mg.Variable(np.zeros(n))
        self.drop = nn.Dropout(0.25, seed=7)

    def forward(self, x):
        return self.drop(x * self.weight)


@pytest.mark.parametrize("mode", MODES)
def test_masks_are_the_same_to_the_bit(mode):
    n, made = 37, Masked(37)
    run = trainer(mode, made, lambda output, target: mg.sum(output), lr=1.0)
    for epoch in range(2):
        run.fit(np.ones((5, n)), np.zeros((5, n)), epochs=1, batch_size=1, progress=False)
        masks = np.array([mask_reference(n, 7, 1 + draw, 0.25) for draw in range(5 * (epoch + 1))])
        expected = np.zeros(n, np.float32)
        for mask in masks.astype(np.float32):
            expected -= mask
        np.testing.assert_array_equal(made.weight.value, expected)
    assert made.drop.stream.value.tolist() == [7, 10]


def test_compiling_a_step_does_not_run_it():
    run = trainer("compiled")
    before = {name: b.value.copy() for name, b in run.model.named_buffers()}
    run.compile(X, Y, batch_size=20)
    assert all((b.value == before[name]).all() for name, b in run.model.named_buffers())


def test_the_seed_is_not_in_the_source():
    """Otherwise another seed would compile another step."""
    sources = []
    for seed in (1, 2):
        made = nn.Sequential(
            nn.Linear(3, 4, seed=0), nn.Dropout(seed=seed), nn.Linear(4, 1, seed=1)
        )
        sources.append(
            trainer("compiled", made, mg.mse_loss)
            .compile(np.ones((6, 3)), np.ones((6, 1)), batch_size=6)
            .source
        )
    assert sources[0] == sources[1] and "S_int64" in sources[0]


class DropsItsWeights(nn.Module):
    """One mask for all samples."""

    def __init__(self):
        self.weight, self.drop = mg.Variable(np.ones((4, 3))), nn.Dropout(seed=0)

    def forward(self, x):
        return x * self.drop(self.weight)


class DropsTurned(nn.Module):
    """The entries of a sample are not contiguous in the mask."""

    def __init__(self):
        self.drop = nn.Dropout(seed=0)

    def forward(self, x):
        return mg.transpose(self.drop(mg.transpose(x)))


class Twice(nn.Module):
    """One layer's masks are drawn twice in each pass."""

    def __init__(self):
        self.first, self.last, self.drop = (
            nn.Linear(3, 50, seed=0),
            nn.Linear(50, 1, seed=1),
            nn.Dropout(0.3, seed=5),
        )

    def forward(self, x):
        return self.last(self.drop(mg.tanh(self.drop(self.first(x)))))


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_parts_of_a_batch_draw_their_parts_of_its_masks_and_count_once(parts):
    x, y = RNG.normal(size=(24, 3)), RNG.normal(size=(24, 1))
    made, told = Twice(), trainer("replay", Twice(), mg.mse_loss, lr=0.1)
    inputs = [mg.Constant(a[: 12 // parts]) for a in (x, y)]
    optimizer = mg.optim.SGD(made.parameters(), lr=0.1)
    loss = mg.mse_loss(made(inputs[0]), inputs[1])
    made.drop.stream.value = [5, 0]
    step = CompiledStep(
        mg.topological_sort(loss), dict(zip("xy", inputs, strict=True)), optimizer, parts
    )
    losses = np.zeros(2, np.float32)
    expected = told.fit(x, y, epochs=4, batch_size=12, shuffle=False, progress=False)
    for epoch in range(4):
        assert step.run(x.astype(np.float32), y.astype(np.float32), np.arange(24), losses) == 2
        np.testing.assert_allclose(
            losses, expected.batch_loss[2 * epoch : 2 * epoch + 2], rtol=1e-5
        )
        assert made.drop.stream.value.tolist() == [5, 4 * (epoch + 1)]
    wrong = x.astype(np.float32) * np.inf
    assert step.run(wrong, y.astype(np.float32), np.arange(24), losses) == 0
    assert made.drop.stream.value.tolist() == [5, 16] and (step.arena.S["S_int64"] == [5, 16]).all()


def normed():
    """Batch norm as first layer, in the middle without weight and bias, and over places."""
    return nn.Sequential(
        nn.BatchNorm1d(3),
        *(nn.Conv1d(3, 4, 3, seed=0), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten()),
        *(nn.Dropout(0.3, seed=1), nn.Linear(12, 3, seed=2), nn.BatchNorm1d(3, affine=False)),
        nn.Linear(3, 1, seed=3),
    )


@pytest.mark.skipif(not kernels.simd.ON, reason="steps do not stop where all parts meet")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("parts", [1, 2, 3, 6])
def test_parts_of_a_batch_meet_in_the_sums_of_batch_norm(parts, dtype):
    x, y = (RNG.normal(size=shape).astype(dtype) for shape in ((24, 3, 5), (24, 1)))
    made, told = normed().to(dtype), normed().to(dtype)
    for model in (made, told):
        model[2].weight.requires_grad = False
    inputs = [mg.Constant(a[: 12 // parts], dtype=dtype) for a in (x, y)]
    order = mg.topological_sort(mg.mse_loss(made(inputs[0]), inputs[1]))
    for buffer, start in zip(made.buffers(), told.buffers(), strict=True):
        buffer.value = start.value
    # (not Adam, which makes steps of the noise of biases that batch norm takes away)
    sgd = mg.optim.SGD(made.parameters(), lr=0.05)
    step = CompiledStep(order, dict(zip("xy", inputs, strict=True)), sgd, parts)
    losses, exact = np.zeros(2, dtype), 1e-4 if dtype == np.float32 else 1e-10
    fit = mg.Trainer(told, mg.mse_loss, mg.optim.SGD(told.parameters(), lr=0.05), mode="replay")
    expected = fit.fit(x, y, epochs=3, batch_size=12, shuffle=False, progress=False).batch_loss
    for epoch in range(3):
        assert step.run(x, y, np.arange(24), losses) == 2
        np.testing.assert_allclose(losses, expected[2 * epoch : 2 * epoch + 2], rtol=exact)
    pairs = zip(made.state_dict().items(), told.state_dict().items(), strict=True)
    for (name, array), (_, other) in pairs:
        np.testing.assert_allclose(array, other, rtol=exact, atol=exact, err_msg=name)
    assert all((rows == rows[0]).all() for rows in step.arena.S.values())


@pytest.mark.skipif(not kernels.simd.ON, reason="steps do not stop where all parts meet")
def test_batch_norm_in_parts_gives_the_same_bits_every_time():
    x, y = RNG.normal(size=(64, 3, 5)), RNG.normal(size=(64, 1))

    def bits():
        model = normed()
        fit = mg.Trainer(model, mg.mse_loss, mg.optim.Adam(model.parameters()))
        return fit.fit(x, y, epochs=3, batch_size=32, progress=False).batch_loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minigrad.run.batch.WORTH_THREADS", 0)
        first = bits()
        assert all(bits() == first for _ in range(5))


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32])
def test_constants_are_the_same_in_every_part(dtype):
    table = mg.Constant(np.array([1, 0, 1]), dtype=dtype)
    made = nn.Linear(3, 3, seed=0)
    x, y = (mg.Constant(np.zeros((4, 3))) for _ in "xy")
    loss = mg.mse_loss(mg.where(table if dtype is bool else mg.equal(table, 1), made(x), 0.0), y)
    step = CompiledStep(
        mg.topological_sort(loss), {"x": x, "y": y}, mg.optim.SGD(made.parameters(), lr=0.1), 3
    )
    losses, rows = np.zeros(1, np.float32), RNG.normal(size=(12, 3)).astype(np.float32)
    assert step.run(rows, rows, np.arange(12), losses) == 1
    expected = mg.mse_loss(
        mg.where(np.array([True, False, True]), nn.Linear(3, 3, seed=0)(rows), 0.0), rows
    )
    np.testing.assert_allclose(losses[0], expected.value, rtol=1e-5)


def test_batches_are_split_only_if_samples_are_independent():
    for layer, mode, expected in (
        (nn.BatchNorm1d(3), True, True),
        (nn.BatchNorm1d(3), False, True),
        (nn.LayerNorm(3), True, True),
        (nn.Dropout(), True, True),
        (nn.Dropout(), False, True),
        (DropsItsWeights(), True, False),
        (DropsTurned(), True, False),
    ):
        x, y = mg.Constant(np.ones((4, 3))), mg.Constant(np.ones((4, 3)))
        order = mg.topological_sort(mg.mse_loss(layer.train(mode)(x), y))
        assert separable(order, (x, y)) == expected


def test_evaluation_can_be_compiled_and_follows_the_running_statistics():
    made = nn.Sequential(nn.Linear(3, 4, seed=0), nn.BatchNorm1d(4), nn.Linear(4, 1, seed=1)).eval()
    run = trainer("compiled", made, mg.mse_loss)
    x, y = RNG.normal(size=(12, 3)).astype(np.float32), np.ones((12, 1), np.float32)
    step = run.compile(x, y, batch_size=6)
    losses = np.zeros(1, np.float32)
    for scale in (1.0, 4.0):
        made[1].running_var.value = np.full(4, scale)
        expected = mg.mse_loss(made(x[:6]), y[:6])
        assert step.run(x, y, np.arange(12), losses) == 1
        np.testing.assert_allclose(losses[0], expected.value, rtol=1e-5)
        assert made[1].num_batches_tracked.value == 0


def test_state_is_loaded_into_the_arena_and_saved_from_it(tmp_path):
    run = trainer("compiled")
    fit = {"epochs": 1, "batch_size": 20, "progress": False}
    run.fit(X, Y, **fit)
    mg.save(run, tmp_path / "t.safetensors")
    first = run.fit(X, Y, **fit).batch_loss
    mg.load(run, tmp_path / "t.safetensors")
    assert run.fit(X, Y, **fit).batch_loss == first


def test_a_buffer_as_an_operand_has_its_current_value():
    class Shifted(nn.Module):
        def __init__(self):
            self.inner, self.shift = nn.Linear(3, 1, seed=0), nn.Buffer([0.0])

        def forward(self, x):
            return self.inner(x) + self.shift

    made = Shifted()
    run = trainer("compiled", made, mg.mse_loss)
    x, y = np.ones((4, 3)), np.zeros((4, 1))
    fit = {"epochs": 1, "batch_size": 4, "progress": False}
    run.fit(x, y, **fit)
    made.shift.value = [100.0]
    assert run.fit(x, y, **fit).batch_loss[0] > 5000
