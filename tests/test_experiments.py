"""The experiments on a small scale: shapes fit, gradients are right on real data, seeds decide, the
table is honest.
"""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pages import README, SITE

import minigrad as mg
from minigrad import data, demo
from minigrad.errors import DataError
from minigrad.experiments import EXPERIMENTS, gradient_error, prepare, train_once, warm_up
from minigrad.run.compiled import CompiledStep

AS_THEY_ARE = dict(EXPERIMENTS)
MNIST = data.mnist


@pytest.fixture(autouse=True)
def _only_what_ships(monkeypatch, tmp_path):
    """Nothing is downloaded: the shipped sample of MNIST, and invented token ids instead of
    reviews.
    """
    rng = np.random.default_rng(0)

    def reviews(vocabulary=12_849, length=130):
        x, y = (
            rng.integers(0, vocabulary, (40, length)).astype(np.int32),
            (np.arange(40) % 2).astype(np.float32),
        )
        return data.Dataset(x[:32], y[:32], x[32:], y[32:], source="invented ids")

    monkeypatch.setattr(data, "mnist", data.mnist_sample)
    ships = {MNIST: data.mnist_sample, data.imdb: reviews}
    for name, experiment in list(EXPERIMENTS.items()):
        load = ships.get(experiment.load, experiment.load)
        if isinstance(load, partial):
            load = partial(reviews, **load.keywords)
        monkeypatch.setitem(EXPERIMENTS, name, replace(experiment, load=load))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_gradients_on_a_real_batch_and_a_short_training(name):
    experiment = EXPERIMENTS[name]
    arrays = prepare(experiment)
    few = arrays.with_arrays(*(array[:64] for array in arrays))
    run = train_once(experiment, few, epochs=1, batch_size=16, progress=False, mode="replay")
    again = train_once(experiment, few, epochs=1, batch_size=16, progress=False, mode="eager")
    assert run.history.batch_loss == again.history.batch_loss
    assert (
        gradient_error(run.trainer.model, experiment.loss, few.x_train[:8], few.y_train[:8]) < 1e-4
    )


def test_a_gradient_wrong_by_a_thousandth_is_noticed(monkeypatch):
    experiment = EXPERIMENTS["mlp"]
    arrays, model = prepare(experiment), experiment.make()
    x, y = arrays.x_train[:16], arrays.y_train[:16]
    assert gradient_error(model, mg.mse_loss, x, y) < 1e-6
    rule = mg.tanh
    monkeypatch.setattr(rule, "derivatives", (lambda g, y, x: 1.001 * g * (1 - y * y),))
    assert gradient_error(model, mg.mse_loss, x, y) > 1e-4


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_warming_up_compiles_the_very_step_that_training_runs(name, monkeypatch):
    experiment, loaded = AS_THEY_ARE[name], []
    monkeypatch.setattr(CompiledStep, "load", lambda step: loaded.append(step))
    warm_up(experiment)
    (step,) = loaded
    arrays = prepare(EXPERIMENTS[name])
    model = experiment.make()
    trainer = mg.Trainer(model, experiment.loss, experiment.optimizer(model.parameters(), lr=1.0))
    several = -(-experiment.batch_size // len(arrays.x_train))
    x, y = (np.concatenate([array] * several) for array in (arrays.x_train, arrays.y_train))
    assert trainer.compile(x, y, batch_size=experiment.batch_size).source == step.source


def test_the_demo_writes_pictures_and_leaves_out_what_has_no_data(tmp_path, monkeypatch, capsys):
    def nowhere():
        raise DataError("no network; the next step is to fetch it")

    monkeypatch.setitem(EXPERIMENTS, "textcnn", replace(EXPERIMENTS["textcnn"], load=nowhere))
    rows = demo.demo(tmp_path, seeds=1, only=["cnn-five", "textcnn"])
    assert [row.quantity for row in rows if row.measured == "–"] == ["left out: no data"]
    assert "the next step" in capsys.readouterr().out
    assert {p.name for p in tmp_path.iterdir()} == {
        "sin-x2.svg",
        "cnn-five-graph.svg",
        "cnn-five-curves.svg",
    }


def test_the_same_run_leaves_the_same_bytes(tmp_path):
    for folder in ("one", "two"):
        demo.demo(tmp_path / folder, seeds=1, only=["cnn-five"])
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_the_committed_results_are_those_of_the_experiments_and_of_the_pages():
    rows = json.loads(
        (Path(__file__).parents[1] / "figures" / "results.json").read_text(encoding="utf-8")
    )
    page = (SITE / "results.md").read_text("utf-8")
    assert [row for row in rows if f"| {' | '.join(row.values())} |" not in page] == []
    short = README.read_text("utf-8").partition("## Results")[2].partition("\n[")[0]
    told = [line.strip("| ").split(" | ") for line in short.splitlines() if line.startswith("| ")]
    found = {(row["experiment"], row["measured"], row["paper"]) for row in rows}
    assert {tuple(line) for line in told[2:]} <= found
    assert {experiment.title for experiment in EXPERIMENTS.values()} <= {
        row["experiment"] for row in rows
    }
