"""Evaluation and prediction compute the same in every mode, compiled or not."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError

import minigrad as mg
from minigrad import kernels, models, nn
from minigrad.run.forward import CompiledForward
from minigrad.train import evaluation

RNG = np.random.default_rng(3)
MODES = ("eager", "replay", "compiled")


class Block(nn.Module):
    """A transformer block on ids (N, 6), with two heads."""

    def __init__(self):
        self.embedding, self.out = nn.Embedding(9, 8, seed=0), nn.Linear(8, 3, seed=1)
        self.q, self.k, self.v = (nn.Linear(8, 8, seed=i) for i in range(3))
        self.norm = nn.LayerNorm(8)

    def heads(self, x):
        return mg.transpose(x.reshape(x.shape[0], 6, 2, 4), (0, 2, 1, 3))

    def forward(self, ids):
        x = self.embedding(ids)
        q, k, v = (self.heads(layer(self.norm(x))) for layer in (self.q, self.k, self.v))
        weights = mg.softmax(q @ mg.transpose(k, (0, 1, 3, 2)) / 2, axis=-1)
        mixed = mg.transpose(weights @ v, (0, 2, 1, 3)).reshape(*x.shape)
        return self.out(mg.mean(mg.gelu(x + mixed), axis=1))


class Last(nn.Module):
    """The last state of a recurrent layer on (N, 5, 3), then three outputs."""

    def __init__(self, layer):
        self.layer, self.out = layer, nn.Linear(4, 3, seed=1)

    def forward(self, x):
        states, _ = self.layer(mg.transpose(x, (1, 0, 2)))
        return self.out(states[-1])


def mlp():
    return nn.Sequential(nn.Linear(3, 4, seed=0), nn.Tanh(), nn.Linear(4, 3, seed=1))


def normed():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, seed=0),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(2 * 16, 3, seed=1),
    )


def floats(*shape):
    return lambda n: RNG.normal(size=(n, *shape))


def ids(high, *shape):
    return lambda n: RNG.integers(0, high, (n, *shape))


KINDS = {
    "mlp": (mlp, floats(3)),
    "cnn": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 2, 3, seed=0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)
        ),
        floats(1, 6, 6),
    ),
    "text-CNN": (lambda: models.TextCNN(9, 4, 2, 4, 10, probability=False), ids(9, 10)),
    "rnn": (lambda: Last(nn.RNN(3, 4, seed=0)), floats(5, 3)),
    "lstm": (lambda: Last(nn.LSTM(3, 4, seed=0)), floats(5, 3)),
    "norm and dropout": (normed, floats(1, 6, 6)),
    "transformer": (Block, ids(9, 6)),
}
LOSS = {"text-CNN": mg.binary_cross_entropy_with_logits}


@pytest.fixture(autouse=True)
def runs(monkeypatch):
    """Small models are worth compiling, too; how many samples each compiled run was given."""
    given, run = [], CompiledForward.run
    monkeypatch.setattr(evaluation, "WORTH_COMPILING", 0)

    def counted(self, order, x, samples):
        given.append(len(samples))
        return run(self, order, x, samples)

    monkeypatch.setattr(CompiledForward, "run", counted)
    return given


def trainers(model, loss=mg.cross_entropy):
    """A trainer of one model in each mode."""
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1)
    return [mg.Trainer(model, loss, optimizer, mode=mode) for mode in MODES]


def assert_agree(given, x, y):
    """All trainers predict and evaluate alike, to rounding; returns the last one's outputs."""
    rtol = 1e-12 if given[0].dtype == np.float64 else 2e-5
    outputs = [t.predict(x) for t in given]
    scores = [t.evaluate(x, y) for t in given]
    for output, score in zip(outputs, scores, strict=True):
        assert output.dtype == outputs[0].dtype and output.shape == outputs[0].shape
        np.testing.assert_allclose(output, outputs[0], rtol, atol=rtol)
        assert score == pytest.approx(scores[0], rel=rtol, nan_ok=True)
    return outputs[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_every_mode_computes_the_same_on_any_number_of_samples(kind, runs):
    make, data = KINDS[kind]
    mg.manual_seed(0)
    given = trainers(make(), LOSS.get(kind, mg.cross_entropy))
    x, y = data(1000), RNG.integers(0, 2, 1000)
    y = y.astype(float) if kind in LOSS else y
    for n in (1, 249, 250, 251, 1000):
        before = len(runs)
        first = assert_agree(given, x[:n], y[:n])
        assert len(runs) - before == (0 if n <= 250 else 2)
        assert given[-1].predict(x[:n]).tobytes() == first.tobytes()


@pytest.mark.parametrize("kind", ["mlp", "norm and dropout"])
def test_double_precision(kind, runs):
    make, data = KINDS[kind]
    assert_agree(trainers(make().to(np.float64)), data(300), RNG.integers(0, 3, 300))
    assert runs == [300, 300]


def test_present_parameters_and_statistics_are_used_without_compiling_again(monkeypatch, runs):
    model, (_, data) = normed(), KINDS["norm and dropout"]
    given, x, y = trainers(model), data(300), RNG.integers(0, 3, 300)
    assert_agree(given, x, y)
    monkeypatch.setattr(CompiledForward, "__init__", None)
    for n, change in enumerate(
        (
            lambda: [t.fit(x, y, epochs=1, batch_size=100, progress=False) for t in given],
            lambda: setattr(model[0].weight, "value", model[0].weight.value + 1),
            lambda: model.load_state_dict(normed().state_dict()),
            lambda: setattr(model[1].running_var, "value", np.full(2, 9.0)),
        ),
        2,
    ):
        before = given[-1].predict(x)
        change()
        assert np.abs(assert_agree(given, x, y) - before).max() > 1e-3
        assert len(runs) == 3 * n - 1


class Scaled(nn.Module):
    def __init__(self):
        self.inner, self.norm, self.scale = nn.Linear(3, 3, seed=0), nn.BatchNorm1d(3), 1.0

    def forward(self, x):
        return self.norm(self.inner(x)) * self.scale


def replaced_statistics(model):
    model.norm = nn.BatchNorm1d(3)
    model.norm.running_mean.value = [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model, "inner", nn.Linear(3, 3, seed=1)),
        lambda model: setattr(model, "inner", nn.Sequential(nn.Linear(3, 3, seed=1), nn.Tanh())),
        lambda model: setattr(model, "scale", 2.0),
        replaced_statistics,
    ],
)
def test_changes_of_the_model_are_seen(change, runs):
    model = Scaled()
    given, x, y = trainers(model), RNG.normal(size=(300, 3)), RNG.integers(0, 3, 300)
    before = assert_agree(given, x, y)
    change(model)
    assert np.abs(assert_agree(given, x, y) - before).max() > 1e-3
    assert runs == [300] * 4


def test_a_layer_that_has_replaced_an_equal_one_is_followed():
    model = Scaled()
    given, x, y = trainers(model), RNG.normal(size=(300, 3)), RNG.integers(0, 3, 300)
    before = assert_agree(given, x, y)
    model.inner = copy.deepcopy(model.inner)
    np.testing.assert_array_equal(assert_agree(given, x, y), before)
    model.inner.weight.value = model.inner.weight.value * 2
    assert np.abs(assert_agree(given, x, y) - before).max() > 1e-3


@pytest.mark.parametrize("shape", [(300,), (300, 1)])
def test_targets_with_and_without_a_column(shape, runs):
    given = trainers(nn.Linear(3, 1, seed=0), mg.mse_loss)
    assert_agree(given, RNG.normal(size=(300, 3)), RNG.normal(size=shape))
    assert runs == [300, 300]


def test_data_in_files(tmp_path, runs):
    x, y = RNG.normal(size=(4300, 3)), RNG.integers(0, 3, 4300)
    np.save(tmp_path / "x.npy", x)
    given = trainers(mlp())
    expected = assert_agree(given, x, y)
    found = assert_agree(given, np.load(tmp_path / "x.npy", mmap_mode="r"), y)
    assert found.tobytes() == expected.tobytes() and runs == [4000, 300] * 4


def test_outputs_that_are_not_finite(runs):
    x = RNG.normal(size=(300, 3))
    x[260] = np.inf
    given = trainers(nn.Sequential(nn.Linear(3, 3, seed=0), nn.Sigmoid()), mg.mse_loss)
    with np.errstate(invalid="ignore"):
        assert np.isnan(assert_agree(given, x, RNG.normal(size=(300, 3)))[260]).any()
    assert runs == [300, 300]


def said(ask):
    with pytest.raises(IndexError) as caught:
        ask()
    return str(caught.value), getattr(caught.value, "__notes__", [])


def test_ids_out_of_range_are_the_errors_of_replay(runs):
    make, data = KINDS["text-CNN"]
    _, replay, compiled = trainers(make(), LOSS["text-CNN"])
    x, y = data(600), np.zeros(600)
    x[300, 3] = 9
    assert said(lambda: compiled.predict(x)) == said(lambda: replay.predict(x))
    assert said(lambda: compiled.evaluate(x, y)) == said(lambda: replay.evaluate(x, y))
    assert runs == [600, 600]
    classes = RNG.integers(0, 3, 600)
    classes[300] = 3  # of targets, the loss finds them
    _, replay, compiled = trainers(mlp())
    x = RNG.normal(size=(600, 3))
    assert said(lambda: compiled.evaluate(x, classes)) == said(lambda: replay.evaluate(x, classes))


class Picks(nn.Module):
    """Rows of a table at some of the ids, which no one checks before they are computed."""

    def __init__(self):
        self.table, self.out = nn.Embedding(8, 3, seed=0), nn.Linear(3, 3, seed=1)

    def forward(self, ids):
        return self.out(mg.mean(self.table(ids[:, 1:]), axis=1))


def test_computed_indices_out_of_range_are_the_errors_of_replay(runs):
    _, replay, compiled = given = trainers(Picks())
    x, y = RNG.integers(0, 8, (600, 4)), RNG.integers(0, 3, 600)
    x[100, 0] = 9  # nobody looks at it
    assert_agree(given, x, y)
    x[555, 2] = 8
    assert said(lambda: compiled.predict(x)) == said(lambda: replay.predict(x))
    assert len(runs) == 3


def test_hooks_are_called_as_in_replay(runs):
    model, x, seen = mlp(), RNG.normal(size=(600, 3)), []
    _, replay, compiled = trainers(model)
    handle = model[1].register_forward_hook(lambda *args: seen.append(1))
    replay.predict(x)
    expected = len(seen)
    compiled.predict(x)
    assert len(seen) == 2 * expected > 0 == len(runs)
    handle.remove()
    compiled.predict(x)
    assert runs == [600]


class Watched(nn.Module):
    """A model whose loss looks at more than its output."""

    def __init__(self):
        self.inner, self.out = nn.Linear(3, 4, seed=0), nn.Linear(4, 3, seed=1)

    def forward(self, x):
        self.hidden = mg.tanh(self.inner(x))
        return self.out(self.hidden)


def test_a_loss_that_sees_the_inside_of_the_model_runs_in_replay(runs):
    model = Watched()
    given = trainers(model, lambda y, t: mg.cross_entropy(y, t) + mg.mean(model.hidden**2))
    x, y = RNG.normal(size=(600, 3)), RNG.integers(0, 3, 600)
    assert_agree(given, x, y)
    assert runs == [600]  # the prediction


class Centred(nn.Module):
    def __init__(self):
        self.inner = nn.Linear(3, 3, seed=0)

    def forward(self, x):
        return self.inner(x - mg.mean(x, axis=0))


class Rolls(nn.Module):
    """Dropout at evaluation, too, which moves its random stream."""

    def __init__(self):
        self.inner, self.drop = nn.Linear(3, 3, seed=0), nn.Dropout(0.5, seed=1)

    def forward(self, x):
        return mg.dropout(self.inner(x), 0.5, True, seed=self.drop.stream)


half = mg.operator(lambda x: x / 2, lambda g, y, x: g / 2, name="half")


class Own(nn.Module):
    def __init__(self):
        self.inner = nn.Linear(3, 3, seed=0)

    def forward(self, x):
        return half(self.inner(x))


@pytest.mark.parametrize("make", [Centred, Rolls, Own])
def test_other_models_run_in_replay(make):
    x, y = RNG.normal(size=(600, 3)), RNG.integers(0, 3, 600)
    for ask in (lambda t: t.predict(x), lambda t: t.evaluate(x, y)):
        found = [[ask(t), ask(t)] for t in (trainers(make())[i] for i in (1, 2))]
        np.testing.assert_equal(*found)


def test_what_numba_refuses_runs_in_replay(monkeypatch):
    _, replay, compiled = trainers(mlp())
    x = RNG.normal(size=(600, 3))

    def refuse(*args):
        raise TypingError("no such function")

    monkeypatch.setattr(kernels.simd, "linked", refuse)
    for _ in range(2):
        assert compiled.predict(x).tobytes() == replay.predict(x).tobytes()


def test_the_bits_do_not_depend_on_threads_or_on_what_was_in_memory(runs):
    trainer, x = trainers(normed())[-1], RNG.normal(size=(700, 1, 6, 6))
    expected = trainer.predict(x).tobytes()
    _, forward = trainer._evaluator._kept
    threads = numba.get_num_threads()
    assert not any(
        s.kind == "constant" and s.dtype.kind == "f" for s in forward.trace.program.storages
    )
    for rows in (*forward.arena.V.values(), *forward.arena.inputs):
        if rows.dtype.kind == "f":
            rows[...] = np.nan
    try:
        numba.set_num_threads(1)
        assert trainer.predict(x).tobytes() == expected
        assert copy.deepcopy(trainer).predict(x).tobytes() == expected
    finally:
        numba.set_num_threads(threads)
    assert len(runs) == 3


def test_two_threads_may_predict_at_once():
    trainer, x = trainers(mlp())[-1], RNG.normal(size=(2, 5000, 3))
    expected = [trainer.predict(part).tobytes() for part in x]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            found = pool.map(lambda part: trainer.predict(part).tobytes(), x)
            assert list(found) == expected


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_a_trainer_can_be_copied_after_a_compiled_prediction(duplicate):
    trainer, x = trainers(mlp())[-1], RNG.normal(size=(300, 3))
    expected = trainer.predict(x)
    twin = duplicate(trainer)
    for p in trainer.model.parameters():
        p.value = p.value + 1
    np.testing.assert_array_equal(twin.predict(x), expected)


def test_few_samples_and_little_work_are_not_compiled(monkeypatch, runs):
    monkeypatch.setattr(evaluation, "WORTH_COMPILING", 300 * 11)  # 4 + 4 + 3 numbers of a sample
    trainer, x = trainers(mlp())[-1], RNG.normal(size=(300, 3))
    trainer.predict(x[:299])
    assert not runs
    trainer.predict(x)
    assert runs == [300]


def test_a_loss_that_is_a_module_knows_what_its_function_classifies_by():
    """Logits by their sign."""
    x, y = np.array([[-1.0], [0.2], [0.4], [1.0]]), np.array([[0.0], [1], [1], [1]])
    model = nn.Linear(1, 1)
    model.load_state_dict({"weight": [[1.0]], "bias": [0.0]})
    for loss in (mg.binary_cross_entropy_with_logits, nn.BCEWithLogitsLoss()):
        trainer = mg.Trainer(model, loss, mg.optim.SGD(model.parameters(), lr=0.1))
        assert trainer.evaluate(x, y)["accuracy"] == 1
