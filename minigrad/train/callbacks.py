"""Callbacks for a `Trainer`: stopping early, keeping the best model, lines and files of numbers.

`monitor` names a number of `History.last`: "loss" is that of the validation data, where there are
some. `mode` says whether smaller ("min") or larger ("max") numbers are better; None does where the
name tells: losses and errors, or accuracies and scores.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from os import PathLike
from typing import Any

from ..checks import number, one_of, positive
from ..files import as_path
from .checkpoint import save
from .history import History
from .trainer import Trainer

_TELLING = {
    "min": ("loss", "err", "mae", "mse", "deviation", "nll", "perplexity"),
    "max": ("accuracy", "f1", "top", "auc", "precision", "recall", "score", "r2"),
}


class _Best:
    """Knows the best number since the training began, times -1 where larger ones are better."""

    only_looks = True
    monitor: str
    mode: str | None
    min_delta = 0.0
    best = math.inf

    def _choose(self) -> None:
        """Set `mode` by the name of the number. Raises `ValueError` where that does not tell."""
        owner, named = type(self).__name__, self.monitor.lower()
        if self.mode is None:
            kinds = {mode for mode, parts in _TELLING.items() if any(x in named for x in parts)}
            self.mode = kinds.pop() if len(kinds) == 1 else None
        one_of(f"{owner}: monitor={self.monitor!r}", "mode", self.mode, ("min", "max"))

    def improved(self, trainer: Trainer, history: History) -> bool:
        """Is the present number the best one, by more than `min_delta`?"""
        found = history.watched(self.monitor) * (-1 if self.mode == "max" else 1)
        if math.isnan(found):
            where = f"{self.monitor} is nan in epoch {trainer.state.epoch}"
            raise ValueError(f"{type(self).__name__}: {where}; a number was expected")
        if trainer.state.epoch == 1:  # another training
            self.best = math.inf
        better = self.best - found > self.min_delta
        self.best = found if better else self.best
        return better


@dataclass
class EarlyStopping(_Best):
    """Ends a training whose number has not improved, by `min_delta` at least, for some epochs.

    These are `patience` epochs. Of the number `monitor` smaller ones are better with `mode="min"`,
    larger ones with "max"; None goes by its name, or is a `ValueError`. With `restore_best` the
    model then has the parameters of its best epoch; so it has where the training comes to its end
    before. The best epoch is not kept in checkpoints: a training that another process resumes looks
    for it anew.

    >>> x, model = np.linspace(0, 1, 40).reshape(-1, 1), mg.nn.Linear(1, 1)
    >>> stop = mg.train.EarlyStopping(patience=3)
    >>> optimizer = mg.optim.Adam(model.parameters(), lr=0.1)
    >>> trainer = mg.Trainer(model, mg.mse_loss, optimizer, mode="replay", callbacks=[stop])
    >>> history = trainer.fit(x, 2 * x, epochs=500, batch_size=10, progress=False)
    >>> len(history.epoch_loss) < 500
    True
    """

    patience: int
    min_delta: float = 0.0
    monitor: str = "loss"
    restore_best: bool = True
    mode: str | None = None

    def __post_init__(self) -> None:
        self._choose()
        positive("EarlyStopping", patience=self.patience)
        number("EarlyStopping", "≥ 0", lambda x: x >= 0, min_delta=self.min_delta)
        self._waited, self._state = 0, dict[str, Any]()

    def __call__(self, trainer: Trainer, history: History) -> bool:
        """Return whether the training ends."""
        self._waited += 1
        if self.improved(trainer, history):
            self._waited, self._state = 0, trainer.model.state_dict() if self.restore_best else {}
        ends = self._waited >= self.patience
        if self._state and (ends or trainer.state.epoch == trainer.state.epochs):
            trainer.model.load_state_dict(self._state)
        return ends


@dataclass
class SaveBest(_Best):
    """Saves the model to a file after each epoch that is the best one so far; see `mg.save`.

    Of the number `monitor` smaller ones are better with `mode="min"`, larger ones with "max".

    >>> import os, tempfile
    >>> x, model = np.ones((10, 1)), mg.nn.Linear(1, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     best = mg.train.SaveBest(f"{folder}/best.safetensors")
    ...     optimizer = mg.optim.SGD(model.parameters(), lr=0.1)
    ...     trainer = mg.Trainer(model, mg.mse_loss, optimizer, mode="eager", callbacks=[best])
    ...     history = trainer.fit(x, 2 * x, epochs=2, batch_size=5, progress=False)
    ...     os.listdir(folder)
    ['best.safetensors']
    """

    path: str | PathLike[str]
    monitor: str = "loss"
    mode: str | None = None

    def __post_init__(self) -> None:
        self._choose()

    def __call__(self, trainer: Trainer, history: History) -> None:
        if self.improved(trainer, history) and trainer.ranks.first:
            save(trainer.model, self.path)


class LogEpochs:
    """Prints a line after each epoch, which stays when the progress bar is gone.

    >>> x, model = np.ones((10, 1)), mg.nn.Linear(1, 1, bias=False)
    >>> model.weight.value = [[0.0]]
    >>> optimizer, log = mg.optim.SGD(model.parameters(), lr=0.25), mg.train.LogEpochs()
    >>> trainer = mg.Trainer(model, mg.mse_loss, optimizer, mode="eager", callbacks=[log])
    >>> history = trainer.fit(x, 2 * x, epochs=2, batch_size=10, progress=False)
    epoch 1/2  loss 4  seconds ...
    epoch 2/2  loss 1  seconds ...
    """

    only_looks = True

    def __call__(self, trainer: Trainer, history: History) -> None:
        from tqdm import tqdm

        if trainer.ranks.first:
            epoch = f"epoch {trainer.state.epoch}/{trainer.state.epochs}"
            shown = {name: x for name, x in history.last.items() if not math.isnan(x)}
            tqdm.write("  ".join([epoch, *(f"{name} {x:.4g}" for name, x in shown.items())]))


@dataclass
class CSVLogger:
    """Writes the numbers of each epoch to a file, a line each, with the learning rate.

    A resumed training adds to the file. Raises `ValueError` where that has other columns.

    >>> import tempfile
    >>> x, model = np.ones((10, 1)), mg.nn.Linear(1, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = mg.train.CSVLogger(f"{folder}/log.csv")
    ...     optimizer = mg.optim.SGD(model.parameters(), lr=0.25)
    ...     trainer = mg.Trainer(model, mg.mse_loss, optimizer, mode="eager", callbacks=[log])
    ...     history = trainer.fit(x, 2 * x, epochs=2, batch_size=5, progress=False)
    ...     with open(log.path, encoding="utf-8") as file:
    ...         print(file.readline().strip())
    epoch,loss,seconds,lr
    """

    path: str | PathLike[str]
    only_looks = True

    def __call__(self, trainer: Trainer, history: History) -> None:
        row = {"epoch": trainer.state.epoch, **history.last, "lr": trainer.optimizer.lr}
        path = as_path("CSVLogger", self.path)
        if not trainer.ranks.first:
            return
        if trainer.state.epoch == 1 or not path.exists():
            path.write_text(",".join(row) + "\n", encoding="utf-8")
        with path.open("r+", newline="", encoding="utf-8") as file:
            if (columns := next(csv.reader(file), [])) != [*row]:
                found = f"{path} has the columns {', '.join(columns)}"
                raise ValueError(f"CSVLogger: {found}; {', '.join(row)} were expected")
            file.seek(0, 2)
            csv.writer(file, lineterminator="\n").writerow(row.values())
