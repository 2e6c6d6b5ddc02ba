"""Choosing between models: repeated k-fold cross-validation and grid search, on scikit-learn's splitters and joblib.

Fits run wherever joblib runs them: in this process by default, in others with `n_jobs=2` or inside
`joblib.parallel_config(...)`.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ops, optim
from ..nn import Module, init
from .trainer import Trainer

MakeModel = Callable[..., Module]


@dataclass(frozen=True)
class Recipe:
    """How one model is fitted: the arguments of the optimiser and of `Trainer.fit`.

    `optimizer` is called as `optimizer(parameters, lr=lr)`.
    """

    loss: Callable[..., Any] = ops.mse_loss
    optimizer: Callable[..., optim.Optimizer] = optim.Adam
    lr: float = 1e-3
    epochs: int = 10
    batch_size: int = 32
    mode: str = "compiled"


@dataclass(frozen=True)
class Scores:
    """Results of the folds, in order: losses and accuracies on the part trained on and on the part held out."""

    train_loss: tuple[float, ...]
    test_loss: tuple[float, ...]
    train_accuracy: tuple[float, ...]
    test_accuracy: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean held-out accuracy."""
        return float(np.mean(self.test_accuracy))

    @property
    def std(self) -> float:
        """Standard deviation of the held-out accuracy over the folds."""
        return float(np.std(self.test_accuracy))

    def __repr__(self) -> str:
        return f"<Scores of {len(self.test_accuracy)} folds: accuracy {self.mean:.3f} ± {self.std:.3f}>"


def _fit_fold(
    make_model: MakeModel, arguments: Mapping[str, Any], recipe: Recipe, x: Any, y: Any, train: Any, test: Any, seed: int
) -> tuple[float, ...]:
    init.manual_seed(seed)  # wherever the fold runs, and whatever ran there before, its model starts from the same numbers
    model = make_model(**arguments)
    trainer = Trainer(model, recipe.loss, recipe.optimizer(model.parameters(), lr=recipe.lr), mode=recipe.mode)
    trainer.fit(x[train], y[train], epochs=recipe.epochs, batch_size=recipe.batch_size, seed=seed, progress=False)
    on_train, on_test = trainer.evaluate(x[train], y[train]), trainer.evaluate(x[test], y[test])
    return on_train["loss"], on_test["loss"], on_train["accuracy"], on_test["accuracy"]


def _run(
    make_model: MakeModel, candidates: list[tuple[dict[str, Any], Recipe]], x: Any, y: Any,
    folds: int, repeats: int, seed: int, n_jobs: int | None, progress: bool,
) -> list[Scores]:  # fmt: skip
    from joblib import Parallel, delayed
    from sklearn.model_selection import RepeatedKFold
    from tqdm.auto import tqdm

    x, y = np.asarray(x), np.asarray(y)
    splits = list(RepeatedKFold(n_splits=folds, n_repeats=repeats, random_state=seed).split(x))
    jobs = [
        delayed(_fit_fold)(make_model, arguments, recipe, x, y, train, test, seed + k)
        for arguments, recipe in candidates
        for k, (train, test) in enumerate(splits)
    ]
    results = Parallel(n_jobs=n_jobs, return_as="generator")(jobs)
    rows = list(tqdm(results, total=len(jobs), unit="fit", disable=not progress, leave=False))
    return [Scores(*zip(*rows[i : i + len(splits)], strict=True)) for i in range(0, len(rows), len(splits))]


def cross_validate(
    make_model: MakeModel, x: Any, y: Any, *, folds: int = 5, repeats: int = 1, seed: int = 0,
    n_jobs: int | None = None, progress: bool = False, **recipe: Any,
) -> Scores:  # fmt: skip
    """Fit a new model on all folds but one and score it on the one left out, for each fold, `repeats` times over.

    `make_model()` returns a new model; `recipe` are fields of `Recipe` (loss, optimizer, lr, epochs, batch_size, mode).
    The same seed gives the same scores, on any joblib back end.
    """
    return _run(make_model, [({}, Recipe(**recipe))], x, y, folds, repeats, seed, n_jobs, progress)[0]


@dataclass(frozen=True)
class GridResult:
    """All combinations that `grid_search` tried, as (parameters, `Scores`) in their order, and the best of them."""

    rows: tuple[tuple[dict[str, Any], Scores], ...]

    @property
    def best(self) -> tuple[dict[str, Any], Scores]:
        """The highest mean held-out accuracy, or the lowest loss where there is no accuracy; the first of equals."""
        if any(np.isnan(scores.mean) for _, scores in self.rows):
            return min(self.rows, key=lambda row: float(np.mean(row[1].test_loss)))
        return max(self.rows, key=lambda row: row[1].mean)


def grid_search(
    make_model: MakeModel, x: Any, y: Any, grid: Mapping[str, Iterable[Any]], *, folds: int = 5, repeats: int = 1,
    seed: int = 0, n_jobs: int | None = None, progress: bool = False, **recipe: Any,
) -> GridResult:  # fmt: skip
    """Cross-validate every combination of the values in `grid`.

    Names in the grid that are fields of `Recipe` ("lr", "batch_size", …) go there, all others to `make_model`.
    """
    from sklearn.model_selection import ParameterGrid

    combinations = list(ParameterGrid({name: list(values) for name, values in grid.items()}))
    fields = set(Recipe.__dataclass_fields__)
    candidates = [
        (
            {name: value for name, value in combination.items() if name not in fields},
            Recipe(**{**recipe, **{name: value for name, value in combination.items() if name in fields}}),
        )
        for combination in combinations
    ]
    scores = _run(make_model, candidates, x, y, folds, repeats, seed, n_jobs, progress)
    return GridResult(tuple(zip(combinations, scores, strict=True)))
