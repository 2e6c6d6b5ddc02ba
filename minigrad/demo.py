"""The main job: train and validate every experiment, print what came out beside the papers, leave
pictures and numbers.

Everything that is written is the same on every run; times are printed and not kept.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from . import ops, viz
from .data import Dataset
from .errors import DataError
from .experiments import EXPERIMENTS, Experiment, Run, gradient_error, prepare, train_once
from .graph.node import Constant, GraphNode, Variable
from .models import ACTIVATIONS, mlp
from .train import cross_validate, grid_search
from .train.batch_graph import target_for

LEARNING_RATES = (1e-3, 3e-3, 1e-2)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, and what the paper says of it. `check` is the
    gradient error.
    """

    experiment: str
    quantity: str
    measured: str
    paper: str
    check: str = ""


def median_of(values: Iterable[float]) -> str:
    """The median, and the range if there are several values."""
    found = sorted(values)
    middle = f"{np.median(found):.4f}"
    return middle if len(found) == 1 else f"{middle} ({found[0]:.4f}–{found[-1]:.4f})"


def run_experiment(name: str, seeds: int, out: Path, say: Say) -> list[Row]:
    """Train with so many seeds (or the paper's), check gradients, draw graph and curves; the rows
    for the table.
    """
    experiment = EXPERIMENTS[name]
    arrays = prepare(experiment)
    title = experiment.title + ", shipped sample only" * arrays.sample
    say(f"{title}: {arrays.source}")
    x, y = arrays.x_train[:32], arrays.y_train[:32]
    fresh = train_once(experiment, arrays.with_arrays(x, y, x, y), epochs=1, progress=False)
    check = f"{gradient_error(fresh.trainer.model, experiment.loss, x, y):.0e}"
    runs = []
    for seed in experiment.seeds or range(seeds):
        started = time.perf_counter()
        run = train_once(experiment, arrays, seed=seed, follow=not experiment.paper_loss)
        if run.history.interrupted:
            raise KeyboardInterrupt
        runs.append(run)
        say(
            f"  seed {seed}: held-out accuracy {run.test['accuracy']:.4f}, "
            f"{time.perf_counter() - started:.1f} s"
        )
    loss = loss_on_samples(experiment, runs[0], arrays)
    loss.backward()
    viz.draw(loss, title=experiment.title).save(out / f"{name}-graph.svg")
    curves = viz.training_curves(
        {f"seed {run.seed}": run.history for run in runs}, title=experiment.title
    )
    viz.save_figure(curves, out / f"{name}-curves.svg")
    rows = [
        Row(
            title,
            "training accuracy",
            median_of(run.train["accuracy"] for run in runs),
            experiment.paper_train,
            check,
        ),
        Row(
            title,
            experiment.held_out,
            median_of(run.test["accuracy"] for run in runs),
            experiment.paper,
        ),
    ]
    if experiment.paper_loss:
        rows.append(
            Row(
                title,
                "training loss",
                median_of(run.train["loss"] for run in runs),
                experiment.paper_loss,
            )
        )
    return rows


def run_mlp(repeats: int, n_jobs: int, out: Path, say: Say) -> list[Row]:
    """The six variants: learning rate by 5-fold grid search, then repeated 5-fold cross-validation
    with it.
    """
    experiment = EXPERIMENTS["mlp"]
    arrays = prepare(experiment)
    say(f"{experiment.title}: {arrays.source}")
    x, y = (
        np.concatenate([arrays.x_train, arrays.x_test]),
        np.concatenate([arrays.y_train, arrays.y_test]),
    )
    recipe: dict[str, Any] = {
        "loss": experiment.loss,
        "optimizer": experiment.optimizer,
        "epochs": experiment.epochs,
        "batch_size": experiment.batch_size,
    }
    rows, means = [], []
    for activation in ACTIVATIONS:
        for clipped in (False, True):
            started = time.perf_counter()

            def make(activation: str = activation, clipped: bool = clipped) -> Any:
                return mlp(activation, clipped)

            search = grid_search(
                make,
                arrays.x_train,
                arrays.y_train,
                {"lr": LEARNING_RATES},
                n_jobs=n_jobs,
                progress=True,
                **recipe,
            )
            lr = search.best[0]["lr"]
            scores = cross_validate(
                make, x, y, repeats=repeats, n_jobs=n_jobs, progress=True, lr=lr, **recipe
            )
            train = f"{np.mean(scores.train_accuracy):.3f} ± {np.std(scores.train_accuracy):.3f}"
            test = f"{scores.mean:.3f} ± {scores.std:.3f}"
            name = f"MLP {activation}{', clipped' * clipped}, lr {lr:g}"
            rows.append(
                Row(
                    name, f"train / held-out accuracy, {repeats} × 5 folds", f"{train} / {test}", ""
                )
            )
            means.append(scores.mean)
            say(f"  {name}: {test}, {time.perf_counter() - started:.1f} s")
    best = int(np.argmax(means))  # the paper gives one number, that of its best
    rows[best] = replace(rows[best], paper=experiment.paper)
    return rows


def loss_on_samples(experiment: Experiment, run: Run, arrays: Dataset) -> GraphNode:
    """The loss of the trained model on the first four samples, without gradients."""
    model = run.trainer.model
    x, y = arrays.x_train[:4], arrays.y_train[:4]
    model.zero_grad()
    output = model(Constant(x, name="x", dtype=x.dtype))
    loss: GraphNode = experiment.loss(output, target_for(output, y))
    loss.name = "loss"
    return loss


def first_picture(path: Path) -> None:
    """sin(x²) at x = 2: values above the edges, gradients below."""
    x = Variable(2.0, name="x")
    y = ops.sin(x**2)
    y.backward()
    viz.draw(y, title="sin(x²)").save(path)


def table(rows: list[Row]) -> str:
    """The rows in columns."""
    head = ("experiment", "quantity", "measured", "paper", "gradient error")
    lines = [head, *((r.experiment, r.quantity, r.measured, r.paper, r.check) for r in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = [
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([text[0], "  ".join("-" * w for w in widths), *text[1:]])


def demo(
    out: Path, *, seeds: int = 3, only: Iterable[str] = (), n_jobs: int = 2, say: Say = print
) -> list[Row]:
    """Run all experiments, or `only` some, `seeds` times each; write pictures and `results.json` to
    `out`.
    """
    out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    chosen = list(only) or list(EXPERIMENTS)
    rows: list[Row] = []
    first_picture(out / "sin-x2.svg")
    for name in chosen:
        try:
            if name == "mlp":
                rows += run_mlp(2, n_jobs, out, say)
            rows += run_experiment(name, seeds, out, say)
        except DataError as error:
            say(f"{EXPERIMENTS[name].title}: left out. {error}")
            rows.append(
                Row(EXPERIMENTS[name].title, "left out: no data", "–", EXPERIMENTS[name].paper)
            )
    say("\n" + table(rows))
    say(
        "\nmeasured: median (range) over seeds; gradient error: against central differences in "
        "float64, one real batch"
    )
    if chosen == list(EXPERIMENTS):
        numbers = json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False)
        (out / "results.json").write_text(numbers + "\n", encoding="utf-8")
    say(f"pictures and numbers are in {out}/; {time.perf_counter() - started:.0f} s in all")
    return rows
