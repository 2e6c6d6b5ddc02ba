"""Cross-validation and grid search."""
import numpy as np
import pytest
from joblib import Parallel, cpu_count, delayed

import minigrad as mg
from minigrad import nn
from minigrad.kernels import jit
from minigrad.train import cross_validate, grid_search

DATA = mg.data.circle(200)


def make(hidden=8):
    return nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 1))


RECIPE = {"epochs": 2, "batch_size": 20, "lr": 0.02, "optimizer": mg.optim.Adam}


def test_every_fold_is_scored_and_processes_give_the_same_bits():
    here = cross_validate(make, DATA.x_train, DATA.y_train, folds=4, repeats=2, **RECIPE)
    there = cross_validate(make, DATA.x_train, DATA.y_train, folds=4, repeats=2, n_jobs=2, **RECIPE)
    assert len(here.test_accuracy) == 8
    assert here == there
    assert here.mean == pytest.approx(np.mean(here.test_accuracy))
    assert "8 folds" in repr(here)


def threads_of_a_step():
    trainer = mg.Trainer(model := make(600), mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1))
    return trainer.compile(np.zeros((400, 2)), np.zeros((400, 1)), batch_size=400).parts, jit.threads(1000)


def test_processes_share_the_cores_between_them():
    """joblib tells each of its processes how many threads are its own, and compiled steps keep to that."""
    for parts, threads in Parallel(n_jobs=2)(delayed(threads_of_a_step)() for _ in range(2)):
        assert parts <= threads <= max(1, cpu_count() // 2)
    assert threads_of_a_step()[0] == jit.threads(400)  # here there is work for all


def test_the_grid_reaches_recipe_and_model_and_the_best_is_found():
    result = grid_search(
        make, DATA.x_train, DATA.y_train, {"lr": [1e-6, 0.05], "hidden": [4, 8]}, folds=2, **{**RECIPE, "epochs": 15}
    )
    assert len(result.rows) == 4
    assert result.best[0]["lr"] == 0.05
    assert result.best[1].mean == max(scores.mean for _, scores in result.rows)
