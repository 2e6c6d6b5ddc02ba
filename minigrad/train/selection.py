"""Choosing between models: repeated k-fold cross-validation and grid search, on scikit-learn's
splitters and joblib.

Fits run wherever joblib runs them: in this process by default, in others with `n_jobs=2`, on a
cluster inside `joblib.parallel_config("dask")` with a `distributed.Client`, or "ray" after
`ray.util.joblib.register_ray()`. Each fit has one thread, in Numba's kernels and in BLAS, so that
the cores are not taken twice and the scores are the same to the bit on every back end, on
processors of one kind. Where threadpoolctl cannot limit BLAS (Accelerate on macOS; a search outside
of the main thread, which has limited it before), they are the same to rounding.
`joblib.parallel_config("loky", inner_max_num_threads=2)` gives each fit two threads. A memory map
(`np.load(…, mmap_mode="r")`) stays one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import kernels, ops, optim
from ..checks import positive
from ..errors import GraphError, ShapeError
from ..nn import Module
from ..seeds import seeded
from .trainer import Trainer

MakeModel = Callable[..., Module]
Row = tuple[float, float, float, float]  # loss and accuracy: on train, on test, on train, on test


class FoldError(GraphError):
    """A fit failed; the message names its parameters and fold, `__cause__` is what it raised.

    `finished` has (parameters, fold, scores) for each fit that did not: the fold counted from 1,
    and losses on the part trained on and the part held out, then accuracies on them.
    """

    def __init__(self, message: str, finished: list[tuple[dict[str, Any], int, Row]]) -> None:
        super().__init__(message)
        self.finished = finished


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


Candidate = tuple[
    dict[str, Any], dict[str, Any], Recipe
]  # parameters as given, those of make_model, the others


@dataclass(frozen=True)
class Scores:
    """Results of the folds, in order: losses and accuracies on the part trained on and on the part
    held out.
    """

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
        return (
            f"<Scores of {len(self.test_accuracy)} folds: accuracy {self.mean:.3f} ± "
            f"{self.std:.3f}>"
        )


def _fit_fold(
    make_model: MakeModel,
    arguments: Mapping[str, Any],
    recipe: Recipe,
    x: Any,
    y: Any,
    train: Any,
    test: Any,
    seed: int,
) -> Row:
    with seeded(seed):  # the same initial weights wherever the fold runs
        model = make_model(**arguments)
    if not isinstance(model, Module):
        raise TypeError(f"{make_model!r} returned a {type(model).__name__}; a Module was expected")
    trainer = Trainer(
        model, recipe.loss, recipe.optimizer(model.parameters(), lr=recipe.lr), mode=recipe.mode
    )
    x_train, y_train = x[train], y[train]
    history = trainer.fit(
        x_train,
        y_train,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        seed=seed,
        progress=False,
    )
    if history.interrupted:  # Ctrl-C ends the search, not this fit alone
        raise KeyboardInterrupt
    on_train, on_test = trainer.evaluate(x_train, y_train), trainer.evaluate(x[test], y[test])
    return on_train["loss"], on_test["loss"], on_train["accuracy"], on_test["accuracy"]


def _tried(threads: int, *fold: Any) -> Row | Exception:
    """`_fit_fold` on so many threads, its error returned: what other workers do goes on."""
    before = kernels.jit.get_num_threads()
    try:
        kernels.jit.set_num_threads(min(threads, kernels.jit.numba.config.NUMBA_NUM_THREADS))
        with kernels.blas.blas_threads(threads):
            return _fit_fold(*fold)
    except Exception as error:
        return error
    finally:
        kernels.jit.set_num_threads(before)


def _recipe(function: str, options: Mapping[str, Any]) -> Recipe:
    """The recipe of these options. Raises `TypeError` for one that there is not, or that cannot be
    called.
    """
    known = tuple(Recipe.__dataclass_fields__)
    for name, value in options.items():
        if name not in known:
            raise TypeError(
                f"{function}: there is no option {name}; {', '.join(known)} were expected"
            )
        if name in ("loss", "optimizer") and not callable(value):
            raise TypeError(
                f"{function}: {name}={value!r}; a function was expected, such as mg.optim.Adam or "
                f"mg.mse_loss"
            )
    return Recipe(**options)


def _check(
    function: str, make_model: Any, x: Any, y: Any, folds: int, repeats: int, seed: Any
) -> None:
    """Raise an error that names the function for what would fail in the middle of the first fit."""
    if not callable(make_model) or isinstance(make_model, Module):
        found = type(make_model).__name__
        raise TypeError(
            f"{function}: make_model is a {found}; a function that makes a new model for each fold "
            f"was expected"
        )
    if not x.ndim or not y.ndim or len(x) != len(y):
        raise ShapeError(
            f"{function}: x and y have shapes {x.shape} and {y.shape}; the same number of samples "
            f"was expected"
        )
    positive(function, repeats=repeats)
    if not isinstance(folds, int | np.integer) or not 2 <= folds <= len(x):
        raise ValueError(
            f"{function}: folds={folds!r} of {len(x)} samples; an integer from 2 to {len(x)} was "
            f"expected"
        )
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"{function}: seed={seed!r}; an integer from 0 to 2³² - 1 was expected")


def _run(
    function: str,
    make_model: MakeModel,
    candidates: list[Candidate],
    x: Any,
    y: Any,
    folds: int,
    repeats: int,
    seed: int,
    n_jobs: int | None,
    progress: bool,
) -> list[Scores]:
    from joblib import Parallel, delayed
    from joblib.parallel import get_active_backend
    from sklearn.model_selection import RepeatedKFold
    from tqdm.auto import tqdm

    class Watched(Parallel):  # type: ignore[misc]
        """Moves the bar, on every back end."""

        def print_progress(self) -> None:
            bar.update(self.n_completed_tasks - bar.n)

    try:
        x, y = (data if isinstance(data, np.memmap) else np.asarray(data) for data in (x, y))
    except ValueError:
        raise ShapeError(
            f"{function}: x or y has rows of different lengths; arrays were expected"
        ) from None
    _check(function, make_model, x, y, folds, repeats, seed)
    splits = list(RepeatedKFold(n_splits=folds, n_repeats=repeats, random_state=seed).split(x))
    threads = get_active_backend()[0].inner_max_num_threads or 1
    jobs = [
        delayed(_tried)(threads, make_model, arguments, recipe, x, y, train, test, seed + k)
        for _, arguments, recipe in candidates
        for k, (train, test) in enumerate(splits)
    ]
    # BLAS is limited here, too, since threadpoolctl may obey only the first thread that asks it
    with (
        kernels.blas.blas_threads(threads),
        tqdm(total=len(jobs), unit="fit", disable=not progress, leave=False) as bar,
    ):
        rows = Watched(n_jobs=n_jobs)(jobs)
    _refuse_failed(function, [parameters for parameters, *_ in candidates], rows, len(splits))
    return [
        Scores(*zip(*rows[i : i + len(splits)], strict=True))
        for i in range(0, len(rows), len(splits))
    ]


def _refuse_failed(
    function: str, parameters: list[dict[str, Any]], rows: list[Any], splits: int
) -> None:
    """Raise `FoldError` for the first fit that failed, with all that did not."""
    named = [(parameters[i // splits], i % splits + 1, row) for i, row in enumerate(rows)]
    failed = [each for each in named if isinstance(each[2], Exception)]
    if failed:
        given, fold, error = failed[0]
        told = "".join(
            f" with {name}={value!r}" if not i else f", {name}={value!r}"
            for i, (name, value) in enumerate(given.items())
        )
        said = (
            f"{len(failed)} of {len(rows)} fits failed, the first one in fold {fold} of "
            f"{splits}{told}"
        )
        finished = [each for each in named if not isinstance(each[2], Exception)]
        raise FoldError(f"{function}: {said}: {type(error).__name__}: {error}", finished) from error


def cross_validate(
    make_model: MakeModel,
    x: Any,
    y: Any,
    *,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    n_jobs: int | None = None,
    progress: bool = False,
    **recipe: Any,
) -> Scores:
    """Fit a new model on all folds but one and score it on the one left out, for each fold,
    `repeats` times over.

    `make_model()` returns a new model; `recipe` are fields of `Recipe` (loss, optimizer, lr,
    epochs, batch_size, mode). The same seed gives the same scores on any joblib back end, as far as
    the top of this file says. Where a fit fails, the others are made nevertheless, and then a
    `FoldError` holds their scores. Ctrl-C ends all of it.
    """
    candidates: list[Candidate] = [({}, {}, _recipe("cross_validate", recipe))]
    return _run(
        "cross_validate", make_model, candidates, x, y, folds, repeats, seed, n_jobs, progress
    )[0]


@dataclass(frozen=True)
class GridResult:
    """All combinations that `grid_search` tried, as (parameters, `Scores`) in their order, and the
    best of them.
    """

    rows: tuple[tuple[dict[str, Any], Scores], ...]

    @property
    def best(self) -> tuple[dict[str, Any], Scores]:
        """The highest mean held-out accuracy, or the lowest loss where there is no accuracy; the
        first of equals.
        """
        if any(np.isnan(scores.mean) for _, scores in self.rows):
            return min(self.rows, key=lambda row: float(np.mean(row[1].test_loss)))
        return max(self.rows, key=lambda row: row[1].mean)


def grid_search(
    make_model: MakeModel,
    x: Any,
    y: Any,
    grid: Mapping[str, Iterable[Any]],
    *,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    n_jobs: int | None = None,
    progress: bool = False,
    **recipe: Any,
) -> GridResult:
    """Cross-validate every combination of the values in `grid`.

    Names in the grid that are fields of `Recipe` ("lr", "batch_size", …) go there, all others to
    `make_model`. Raises `FoldError` as `cross_validate` does.
    """
    from sklearn.model_selection import ParameterGrid

    if not isinstance(grid, Mapping):
        raise TypeError(
            f"grid_search: grid is a {type(grid).__name__}; names with lists of values were "
            f"expected"
        )
    for name, values in grid.items():
        if not isinstance(values, Iterable) or isinstance(values, str):
            raise TypeError(
                f"grid_search: {name} of the grid is {values!r}; a list of values was expected"
            )
    grid = {name: list(values) for name, values in grid.items()}
    if not all(grid.values()):
        raise ValueError(
            f"grid_search: {next(name for name in grid if not grid[name])} of the grid has no "
            f"values to try"
        )
    combinations = list(ParameterGrid(grid))
    fields = set(Recipe.__dataclass_fields__)
    candidates = [
        (
            combination,
            {name: value for name, value in combination.items() if name not in fields},
            _recipe(
                "grid_search",
                {
                    **recipe,
                    **{name: value for name, value in combination.items() if name in fields},
                },
            ),
        )
        for combination in combinations
    ]
    scores = _run(
        "grid_search", make_model, candidates, x, y, folds, repeats, seed, n_jobs, progress
    )
    return GridResult(tuple(zip(combinations, scores, strict=True)))
