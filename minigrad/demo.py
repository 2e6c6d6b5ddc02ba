"""The main job: train and validate every experiment, compare with the papers, draw the pictures.

All files are the same on every run; times are printed and not stored.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import ops, viz
from .errors import DataError
from .experiments import EXPERIMENTS, gradient_error, prepare, train_once
from .graph.node import Variable
from .models import ACTIVATIONS, mlp
from .train import cross_validate, grid_search
from .viz.tables import aligned

LEARNING_RATES = (1e-3, 3e-3, 1e-2)


class Result(NamedTuple):
    """One line of the table; `check` is the gradient error."""

    experiment: str
    quantity: str
    measured: str
    paper: str
    check: str = ""


def run_experiment(name: str, seeds: int, out: Path) -> list[Result]:
    """Train an experiment with several seeds (or the paper's), check gradients, draw the pictures.

    Returns its lines of the table.
    """
    experiment = EXPERIMENTS[name]
    arrays = prepare(experiment)
    title = experiment.title + ", shipped sample only" * arrays.sample
    print(f"{title}: {arrays.source}")
    fresh = train_once(experiment, arrays, samples=32, epochs=1, progress=False).trainer.model
    error = gradient_error(fresh, experiment.loss, arrays.x_train[:32], arrays.y_train[:32])
    runs, histories = [], {}
    for seed in experiment.seeds or range(seeds):
        run = train_once(experiment, arrays, seed=seed, follow=not experiment.paper_loss)
        if run.history.interrupted:
            raise KeyboardInterrupt
        runs.append(run)
        histories[f"seed {seed}"] = run.history
        seconds = sum(run.history.epoch_seconds)
        print(f"  seed {seed}: held-out accuracy {run.test['accuracy']:.4f}, {seconds:.1f} s")
    loss = runs[0].loss(arrays)
    loss.backward()
    viz.draw(loss, title=experiment.title).save(out / f"{name}-graph.svg")
    curves = viz.training_curves(histories, title=experiment.title)
    viz.save_figure(curves, out / f"{name}-curves.svg")
    train = _median(run.train["accuracy"] for run in runs)
    test = _median(run.test["accuracy"] for run in runs)
    results = [
        Result(title, "training accuracy", train, experiment.paper_train, f"{error:.0e}"),
        Result(title, experiment.held_out, test, experiment.paper),
    ]
    if experiment.paper_loss:
        losses = _median(run.train["loss"] for run in runs)
        results.append(Result(title, "training loss", losses, experiment.paper_loss))
    return results


def _median(values: Iterable[float]) -> str:
    """The median, and the range if there are several values."""
    found = sorted(values)
    middle = f"{np.median(found):.4f}"
    return middle if len(found) == 1 else f"{middle} ({found[0]:.4f}–{found[-1]:.4f})"


def run_mlp(repeats: int, jobs: int) -> list[Result]:
    """The six variants of the MLP, each with the best learning rate of a 5-fold grid search.

    Each is measured by repeated 5-fold cross-validation.
    """
    experiment = EXPERIMENTS["mlp"]
    arrays = prepare(experiment)
    print(f"{experiment.title}: {arrays.source}")
    x, y = (np.concatenate(parts) for parts in (arrays[::2], arrays[1::2]))
    options: dict[str, Any] = {"n_jobs": jobs, "progress": True}
    for name in ("loss", "optimizer", "epochs", "batch_size"):
        options[name] = getattr(experiment, name)
    results, means = [], []
    for activation in ACTIVATIONS:
        for clipped in (False, True):
            make = partial(mlp, activation, clipped)
            rates = {"lr": LEARNING_RATES}
            search = grid_search(make, arrays.x_train, arrays.y_train, rates, **options)
            lr = search.best[0]["lr"]
            scores = cross_validate(make, x, y, repeats=repeats, lr=lr, **options)
            train = f"{np.mean(scores.train_accuracy):.3f} ± {np.std(scores.train_accuracy):.3f}"
            test = f"{scores.mean:.3f} ± {scores.std:.3f}"
            name = f"MLP {activation}{', clipped' * clipped}, lr {lr:g}"
            quantity = f"train / held-out accuracy, {repeats} × 5 folds"
            results.append(Result(name, quantity, f"{train} / {test}", ""))
            means.append(scores.mean)
            print(f"  {name}: {test}")
    best = int(np.argmax(means))  # the paper gives one number, that of its best variant
    results[best] = results[best]._replace(paper=experiment.paper)
    return results


def demo(out: Path, *, seeds: int = 3, only: Iterable[str] = (), jobs: int = 2) -> list[Result]:
    """Run all experiments, or `only` some, `seeds` times each.

    Pictures and `results.json` are written to `out`.
    """
    out.mkdir(parents=True, exist_ok=True)
    started, results = time.perf_counter(), []
    y = ops.sin(Variable(2.0, name="x") ** 2)
    y.backward()
    viz.draw(y, title="sin(x²)").save(out / "sin-x2.svg")
    for name in only or EXPERIMENTS:
        try:
            results += run_mlp(2, jobs) if name == "mlp" else []
            results += run_experiment(name, seeds, out)
        except DataError as error:
            title, paper = EXPERIMENTS[name].title, EXPERIMENTS[name].paper
            print(f"{title}: left out. {error}")
            results.append(Result(title, "left out: no data", "–", paper))
    head = ("experiment", "quantity", "measured", "paper", "gradient error")
    print("\n".join(["", *aligned([head, *results], left=len(head))]))
    print(
        "\nmeasured: median (range) over seeds; gradient error: against central differences in "
        "float64, one real batch"
    )
    if not only:
        rows = [result._asdict() for result in results]
        numbers = json.dumps(rows, indent=1, ensure_ascii=False)
        (out / "results.json").write_text(numbers + "\n", encoding="utf-8")
    print(f"pictures and numbers are in {out}/; {time.perf_counter() - started:.0f} s in all")
    return results
