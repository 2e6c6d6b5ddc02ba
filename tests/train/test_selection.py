"""Cross-validation and grid search."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np
import pytest
from joblib import Parallel, cpu_count, delayed, parallel_config
from needs import need
from systems import needs_signals
from threadpoolctl import threadpool_info

import minigrad as mg
from minigrad import nn
from minigrad.kernels import cache, jit
from minigrad.run.compiled import LOADING
from minigrad.run.step_module import load
from minigrad.train import FoldError, cross_validate, grid_search

DATA = mg.data.circle(200)


def make(hidden=8):
    return nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 1))


RECIPE = {"epochs": 2, "batch_size": 20, "lr": 0.02, "optimizer": mg.optim.Adam}


def test_every_fold_is_scored_and_processes_give_the_same_bits(monkeypatch):
    monkeypatch.setattr("minigrad.run.compiled.LOADING", LOADING)
    here = cross_validate(make, DATA.x_train, DATA.y_train, folds=4, repeats=2, **RECIPE)
    there = cross_validate(make, DATA.x_train, DATA.y_train, folds=4, repeats=2, n_jobs=2, **RECIPE)
    assert len(here.test_accuracy) == 8
    assert here == there
    assert here.mean == pytest.approx(np.mean(here.test_accuracy))
    assert "8 folds" in repr(here)


def wide():
    return nn.Sequential(nn.Linear(784, 100), nn.Tanh(), nn.Linear(100, 1))


@pytest.mark.parametrize("engine", ["loky", "threading"])
@pytest.mark.skipif(
    sys.platform == "darwin", reason="the number of Accelerate's threads cannot be set"
)
def test_long_products_give_the_same_bits_in_processes(engine):
    """BLAS has one thread in joblib's processes, and adds products in another order than two."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1200, 784)), rng.integers(0, 2, (1200, 1)).astype(np.float32)
    recipe = {"folds": 2, "epochs": 1, "batch_size": 200, "mode": "replay"}
    here = cross_validate(wide, x, y, **recipe)
    with parallel_config(engine, n_jobs=2):
        assert cross_validate(wide, x, y, **recipe) == here


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_blas_keeps_to_one_thread_while_any_fit_runs():
    seen, before = [], blas_threads()

    def made():
        model = make()
        model.register_forward_hook(lambda module, output: seen.append(blas_threads()))
        return model

    recipe = {**RECIPE, "folds": 6, "mode": "replay"}
    with parallel_config("threading", n_jobs=3):
        cross_validate(made, DATA.x_train, DATA.y_train, **recipe)
    assert len(seen) > 6 and all(threads <= {1} for threads in seen)
    assert blas_threads() == before


def threads_of_a_step():
    trainer = mg.Trainer(model := make(600), mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1))
    return trainer.compile(
        np.zeros((400, 2)), np.zeros((400, 1)), batch_size=400
    ).parts, jit.threads(1000)


def test_processes_share_the_cores_between_them():
    """joblib tells each of its processes how many threads it may use; compiled steps obey."""
    for parts, threads in Parallel(n_jobs=2)(delayed(threads_of_a_step)() for _ in range(2)):
        assert parts <= threads <= max(1, cpu_count() // 2)
    assert threads_of_a_step()[0] == jit.threads(400)  # enough work for all threads


def unusual(output, target):
    """A loss whose pieces no other test has."""
    return mg.mean(mg.log1p(mg.square(output - target)) * mg.exp(-mg.abs(output)))


def compiles(folder):
    """Compile a new step at the same time as another process; returns whether this one did."""
    before, cache.FOLDER = cache.FOLDER, str(folder)
    try:
        trainer = mg.Trainer(model := make(13), unusual, mg.optim.SGD(model.parameters(), lr=0.1))
        step = trainer.compile(DATA.x_train, DATA.y_train, batch_size=20)
        (folder / str(os.getpid())).touch()
        since = time.monotonic()
        while (
            len([path for path in folder.iterdir() if path.name.isdigit()]) < 2
            and time.monotonic() - since < 60
        ):
            time.sleep(0.01)
        step.load()
    finally:
        cache.FOLDER = before
    pieces = [load(text).piece for text in dict.fromkeys(step.codes[0].texts)]
    found = [getattr(piece, "dispatcher", piece).stats for piece in pieces]
    return any(s.cache_misses for s in found)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_one_process_compiles_a_step_that_several_need(tmp_path):
    compiled = Parallel(n_jobs=2)(delayed(compiles)(tmp_path) for _ in range(2))
    assert sorted(compiled) == [False, True]


def test_the_grid_reaches_recipe_and_model_and_the_best_is_found():
    result = grid_search(
        make,
        DATA.x_train,
        DATA.y_train,
        {"lr": [1e-6, 0.05], "hidden": [4, 8]},
        folds=2,
        **{**RECIPE, "epochs": 15},
    )
    assert len(result.rows) == 4
    assert result.best[0]["lr"] == 0.05
    assert result.best[1].mean == max(scores.mean for _, scores in result.rows)


# ---------------- engines
SCRIPT = Path(__file__).with_name("engines.py")


def searched(engine, folder, *more):
    """What the script prints, before its last line and as that."""
    env = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2]), "PYTHONWARNINGS": "default"}
    words = [sys.executable, SCRIPT, engine, folder, *more]
    ran = subprocess.run(words, capture_output=True, encoding="utf-8", timeout=240, env=env)
    assert ran.returncode == 0, ran.stderr[-2000:]
    *before, last = ran.stdout.splitlines()
    assert "16/16" not in before  # the progress bar is not on standard output
    return before, json.loads(last), ran.stderr


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return searched("sequential", tmp_path_factory.mktemp("fits"))[1]


def test_an_error_names_parameters_and_fold_and_the_others_are_kept(alone):
    message, finished = alone["failed"].values()
    assert message.startswith(
        "grid_search: 8 of 16 fits failed, the first one in fold 1 of 4 with hidden=0, lr=0.02: "
        "ArithmeticError: no neurons"
    )
    assert [fold for _, fold, _ in finished] == [1, 2, 3, 4] * 2
    four = [[*row] for scores in alone["scores"][:2] for row in zip(*scores, strict=True)]
    assert [row for _, _, row in finished] == four


@pytest.mark.parametrize("engine", ["loky", "threading", "dask", "ray"])
def test_every_engine_gives_the_same_bits(engine, alone, tmp_path):
    needed = {"dask": "distributed"}.get(engine, engine)
    if engine in ("dask", "ray"):
        need(needed, "distributed")
    _, found, bars = searched(engine, tmp_path)
    assert found == alone
    assert bars.count("0/16") >= 1
    assert bars.count("0/4") == 0  # none for each fit


@needs_signals
def test_a_dask_worker_killed_in_the_middle_is_replaced(alone, tmp_path):
    need("distributed", "distributed")
    before, found, _ = searched("dask", tmp_path, "kill")
    assert before == ["replaced 1"]
    assert found["fits"] >= alone["fits"]
    assert {**found, "fits": 0} == {**alone, "fits": 0}


# ---------------- in this process
def threads_of_a_fit(seen):
    def made():
        seen.append(jit.threads(1000))
        return make()

    return made


def test_a_fit_has_one_thread_or_as_many_as_joblib_says():
    seen, before = [], jit.threads(1000)
    cross_validate(threads_of_a_fit(seen), DATA.x_train, DATA.y_train, folds=2, **RECIPE)
    with parallel_config("threading", n_jobs=2):
        cross_validate(threads_of_a_fit(seen), DATA.x_train, DATA.y_train, folds=2, **RECIPE)
    assert seen == [1] * 4
    assert jit.threads(1000) == before


def test_the_generator_of_initial_weights_is_left_unchanged():
    mg.manual_seed(5)
    expected = nn.Linear(2, 2).weight.value.copy()
    mg.manual_seed(5)
    cross_validate(make, DATA.x_train, DATA.y_train, folds=2, **RECIPE)
    np.testing.assert_array_equal(nn.Linear(2, 2).weight.value, expected)


def test_ctrl_c_ends_the_whole_search():
    begun = []

    def made():
        begun.append(make())
        begun[-1].register_forward_hook(lambda module, output: signal.raise_signal(signal.SIGINT))
        return begun[-1]

    with pytest.raises(KeyboardInterrupt):
        cross_validate(made, DATA.x_train, DATA.y_train, folds=4, **{**RECIPE, "mode": "replay"})
    assert len(begun) == 1


def test_a_memory_map_stays_a_memory_map(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", DATA.x_train)
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    seen = []
    monkeypatch.setattr(
        "minigrad.train.selection._fit_fold", lambda *fold: seen.append(fold[3]) or (0.0,) * 4
    )
    cross_validate(make, x, DATA.y_train, folds=2, **RECIPE)
    assert seen[0] is x


def test_the_first_failure_is_the_cause():
    said = "cross_validate: 2 of 2 fits failed, the first one in fold 1 of 2: TypeError: "
    with pytest.raises(FoldError, match=said) as raised:
        cross_validate(lambda: 3, DATA.x_train, DATA.y_train, folds=2, **RECIPE)
    assert isinstance(raised.value.__cause__, TypeError)
    assert raised.value.finished == []
