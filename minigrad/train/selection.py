"""Model selection: repeated k-fold cross-validation and grid search, on joblib.

The folds are scikit-learn's. Fits run wherever joblib runs them: in this process by default, in
others with `n_jobs=2`, on a cluster inside `joblib.parallel_config("dask")` with a
`distributed.Client`, or "ray" after `ray.util.joblib.register_ray()`. Each fit has one thread, in
Numba's kernels and in BLAS, so that cores are not used twice and scores are the same to the bit on
every back end, on processors of one kind. Where threadpoolctl cannot limit BLAS (Accelerate on
macOS; a search outside of the main thread, which has limited it before), they are the same to
rounding. `joblib.parallel_config("loky", inner_max_num_threads=2)` gives each fit two threads. A
memory map (`np.load(…, mmap_mode="r")`) is passed on as a memory map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import kernels, ops, optim
from ..checks import positive
from ..errors import GraphError, ShapeError
from ..graph.conversion import Array
from ..nn import Module
from ..seeds import seeded
from .batch_graph import Loss
from .trainer import Trainer

MakeModel = Callable[..., Module]
Row = tuple[float, float, float, float]  # losses (training, held out), accuracies


class FoldError(GraphError):
    """A fit failed; the message names its parameters and fold, `__cause__` is its error.

    `finished` has (parameters, fold, scores) for each fit that did not fail: folds are counted from
    1, scores are the losses on the training part and the held-out part, then the accuracies.
    """

    def __init__(self, message: str, finished: list[tuple[dict[str, Any], int, Row]]) -> None:
        super().__init__(message)
        self.finished = finished


@dataclass(frozen=True)
class Recipe:
    """How one model is fitted: the arguments of the optimiser and of `Trainer.fit`.

    `optimizer` is called as `optimizer(parameters, lr=lr)`.

    >>> mg.train.Recipe(lr=0.1, epochs=3).batch_size
    32
    """

    loss: Loss = ops.mse_loss
    optimizer: Callable[..., optim.Optimizer] = optim.Adam
    lr: float = 1e-3
    epochs: int = 10
    batch_size: int = 32
    mode: str = "compiled"


@dataclass(frozen=True)
class Scores:
    """Losses and accuracies of the folds, in order, on the training part and the held-out part.

    >>> scores = mg.train.Scores((0.1, 0.2), (0.3, 0.4), (1.0, 1.0), (0.8, 0.9))
    >>> scores
    <Scores of 2 folds: accuracy 0.850 ± 0.050>
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


@dataclass(frozen=True)
class GridResult:
    """The combinations that `grid_search` tried, in order, as (parameters, `Scores`).

    >>> scores = mg.train.Scores((0.1,), (0.2,), (1.0,), (0.9,))
    >>> mg.train.GridResult((({"lr": 0.1}, scores),)).best[0]
    {'lr': 0.1}
    """

    rows: tuple[tuple[dict[str, Any], Scores], ...]

    @property
    def best(self) -> tuple[dict[str, Any], Scores]:
        """The row with the highest mean held-out accuracy; the lowest loss where there is none."""
        if any(np.isnan(scores.mean) for _, scores in self.rows):
            return min(self.rows, key=lambda row: float(np.mean(row[1].test_loss)))
        return max(self.rows, key=lambda row: row[1].mean)


def cross_validate(
    make_model: MakeModel,
    x: ArrayLike,
    y: ArrayLike,
    *,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    n_jobs: int | None = None,
    progress: bool = False,
    **recipe: Any,
) -> Scores:
    """Fit a new model on all folds but one and score it on the one left out, for each fold.

    All of it is done `repeats` times with other folds. `make_model()` returns a new model; `recipe`
    are fields of `Recipe` (loss, optimizer, lr, epochs, batch_size, mode). The same seed gives the
    same scores on any joblib back end. Where a fit fails, the others are made nevertheless, and
    then a `FoldError` has their scores. Ctrl-C ends the search.

    >>> x = np.linspace(0, 1, 40).reshape(-1, 1)
    >>> make_model = lambda: mg.nn.Linear(1, 1)
    >>> scores = mg.train.cross_validate(make_model, x, 2 * x, folds=4, epochs=2, mode="eager")
    >>> len(scores.test_loss)
    4
    """
    search = _Search("cross_validate", make_model, recipe, folds, repeats, seed)
    return search.run(x, y, {}, n_jobs, progress).rows[0][1]


def grid_search(
    make_model: MakeModel,
    x: ArrayLike,
    y: ArrayLike,
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

    >>> x = np.linspace(0, 1, 40).reshape(-1, 1)
    >>> def make_model(hidden):
    ...     return mg.nn.Sequential(mg.nn.Linear(1, hidden), mg.nn.Linear(hidden, 1))
    >>> grid = {"hidden": [2, 4], "lr": [0.01, 0.1]}
    >>> result = mg.train.grid_search(make_model, x, 2 * x, grid, folds=2, epochs=1)
    >>> len(result.rows), sorted(result.best[0])
    (4, ['hidden', 'lr'])
    """
    search = _Search("grid_search", make_model, recipe, folds, repeats, seed)
    return search.run(x, y, grid, n_jobs, progress)


@dataclass
class _Search:
    """The fits of every fold of every combination. Errors name `function`."""

    function: str
    make_model: MakeModel
    recipe: dict[str, Any]
    folds: int
    repeats: int
    seed: int

    def run(
        self,
        x: ArrayLike,
        y: ArrayLike,
        grid: Mapping[str, Iterable[Any]],
        n_jobs: int | None,
        progress: bool,
    ) -> GridResult:
        from joblib import Parallel, delayed
        from joblib.parallel import get_active_backend
        from sklearn.model_selection import ParameterGrid, RepeatedKFold
        from tqdm.auto import tqdm

        class Watched(Parallel):  # type: ignore[misc]
            """Moves the bar, on every back end."""

            def print_progress(self) -> None:
                bar.update(self.n_completed_tasks - bar.n)

        combinations = list(ParameterGrid(self._check_grid(grid)))
        candidates = [self._candidate(combination) for combination in combinations]
        data = self._check_data(x, y)
        splitter = RepeatedKFold(
            n_splits=self.folds, n_repeats=self.repeats, random_state=self.seed
        )
        splits = list(splitter.split(data[0]))
        threads = get_active_backend()[0].inner_max_num_threads or 1
        jobs = [
            delayed(_tried)(threads, self.make_model, *candidate, *data, *split, self.seed + k)
            for candidate in candidates
            for k, split in enumerate(splits)
        ]
        # BLAS is limited here, too, since threadpoolctl may obey only the first thread that asks it
        with (
            kernels.blas.blas_threads(threads),
            tqdm(total=len(jobs), unit="fit", disable=not progress, leave=False) as bar,
        ):
            results = Watched(n_jobs=n_jobs)(jobs)
        places = product(combinations, range(1, len(splits) + 1))
        fits = [(*place, result) for place, result in zip(places, results, strict=True)]
        self._raise_failed(fits, len(splits))
        starts = range(0, len(results), len(splits))
        scores = [Scores(*zip(*results[i : i + len(splits)], strict=True)) for i in starts]
        return GridResult(tuple(zip(combinations, scores, strict=True)))

    def _candidate(self, combination: dict[str, Any]) -> tuple[dict[str, Any], Recipe]:
        """The arguments of `make_model` and the recipe. Raises `TypeError` for a bad option."""
        known = tuple(Recipe.__dataclass_fields__)
        arguments = {name: x for name, x in combination.items() if name not in known}
        options = self.recipe | {name: x for name, x in combination.items() if name in known}
        for name, value in options.items():
            if name not in known:
                raise TypeError(
                    f"{self.function}: there is no option {name}; {', '.join(known)} were expected"
                )
            if name in ("loss", "optimizer") and not callable(value):
                raise TypeError(
                    f"{self.function}: {name}={value!r}; a function was expected, such as "
                    f"mg.optim.Adam or mg.mse_loss"
                )
        return arguments, Recipe(**options)

    def _check_grid(self, grid: Mapping[str, Iterable[Any]]) -> dict[str, list[Any]]:
        if not isinstance(grid, Mapping):
            raise TypeError(
                f"{self.function}: grid is a {type(grid).__name__}; names with lists of values "
                f"were expected"
            )
        for name, values in grid.items():
            if not isinstance(values, Iterable) or isinstance(values, str):
                raise TypeError(
                    f"{self.function}: {name} of the grid is {values!r}; a list of values was "
                    f"expected"
                )
        lists = {name: list(values) for name, values in grid.items()}
        for name, values in lists.items():
            if not values:
                raise ValueError(f"{self.function}: {name} of the grid has no values to try")
        return lists

    def _check_data(self, x: Any, y: Any) -> tuple[Array, Array]:
        """x and y as arrays; raises an error for what would fail in the middle of the first fit."""
        function, folds, seed = self.function, self.folds, self.seed
        try:
            x, y = (data if isinstance(data, np.memmap) else np.asarray(data) for data in (x, y))
        except ValueError:
            raise ShapeError(
                f"{function}: x or y has rows of different lengths; arrays were expected"
            ) from None
        if not callable(self.make_model) or isinstance(self.make_model, Module):
            raise TypeError(
                f"{function}: make_model is a {type(self.make_model).__name__}; a function that "
                f"makes a new model for each fold was expected"
            )
        if not x.ndim or not y.ndim or len(x) != len(y):
            raise ShapeError(
                f"{function}: x and y have shapes {x.shape} and {y.shape}; the same number of "
                f"samples was expected"
            )
        positive(function, repeats=self.repeats)
        if not isinstance(folds, int | np.integer) or not 2 <= folds <= len(x):
            raise ValueError(
                f"{function}: folds={folds!r} of {len(x)} samples; an integer from 2 to {len(x)} "
                f"was expected"
            )
        if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
            raise ValueError(
                f"{function}: seed={seed!r}; an integer from 0 to 2³² - 1 was expected"
            )
        return x, y

    def _raise_failed(self, fits: list[tuple[dict[str, Any], int, Any]], splits: int) -> None:
        """Raise `FoldError` for the first fit that failed, with the scores of all others."""
        finished = [fit for fit in fits if not isinstance(fit[2], Exception)]
        failed = [fit for fit in fits if isinstance(fit[2], Exception)]
        if not failed:
            return
        combination, fold, error = failed[0]
        parameters = ", ".join(f"{name}={value!r}" for name, value in combination.items())
        which = f"fold {fold} of {splits}" + (f" with {parameters}" if parameters else "")
        raise FoldError(
            f"{self.function}: {len(failed)} of {len(fits)} fits failed, the first one in {which}: "
            f"{type(error).__name__}: {error}",
            finished,
        ) from error


def _tried(threads: int, *fold: Any) -> Row | Exception:
    """`_fit_fold` on this many threads; an error is returned, so that other fits go on."""
    before = kernels.jit.get_num_threads()
    try:
        kernels.jit.set_num_threads(min(threads, kernels.options.config.NUMBA_NUM_THREADS))
        with kernels.blas.blas_threads(threads):
            return _fit_fold(*fold)
    except Exception as error:
        return error
    finally:
        kernels.jit.set_num_threads(before)


def _fit_fold(
    make_model: MakeModel,
    arguments: Mapping[str, Any],
    recipe: Recipe,
    x: Array,
    y: Array,
    train: Array,
    test: Array,
    seed: int,
) -> Row:
    with seeded(seed):  # the same initial weights wherever the fold runs
        model = make_model(**arguments)
    if not isinstance(model, Module):
        raise TypeError(f"{make_model!r} returned a {type(model).__name__}; a Module was expected")
    optimizer = recipe.optimizer(model.parameters(), lr=recipe.lr)
    trainer = Trainer(model, recipe.loss, optimizer, mode=recipe.mode)
    history = trainer.fit(
        x[train],
        y[train],
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        seed=seed,
        progress=False,
    )
    if history.interrupted:  # Ctrl-C ends the search, not this fit alone
        raise KeyboardInterrupt
    a, b = trainer.evaluate(x[train], y[train]), trainer.evaluate(x[test], y[test])
    return a["loss"], b["loss"], a["accuracy"], b["accuracy"]
