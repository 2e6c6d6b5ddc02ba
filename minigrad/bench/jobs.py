"""The training jobs that are timed, as data: the models of the papers, with other sizes for the
scaling plots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import data, models, nn, ops, optim
from .peers.task import Task

SEED = 0


def _cnn(channels: int, filters: int, kernel: int, pixels: int) -> nn.Module:
    flat = filters * (pixels - kernel + 1) ** 2
    layers = (
        nn.Conv2d(channels, filters, kernel),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(flat, 1),
        nn.Sigmoid(),
    )
    return nn.Sequential(*layers)


def _mlp(inputs: int, hidden: int) -> nn.Module:
    layers = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
    return nn.Sequential(
        *(part for layer in layers for part in (layer, nn.Tanh())), nn.Linear(hidden, 1)
    )


#: by the names that `Task` uses
MODELS: Mapping[str, Callable[..., nn.Module]] = {
    "cnn": _cnn,
    "textcnn": models.TextCNN,
    "rnn": models.RowRNN,
    "mlp": _mlp,
}
LOSSES: Mapping[str, Callable[..., Any]] = {
    "mse": ops.mse_loss,
    "bce": ops.binary_cross_entropy,
    "cross_entropy": ops.cross_entropy,
}
OPTIMIZERS: Mapping[str, Callable[..., optim.Optimizer]] = {"sgd": optim.SGD, "adam": optim.Adam}
LOSS_OF = {"cnn": "mse", "textcnn": "bce", "rnn": "cross_entropy", "mlp": "mse"}


@dataclass(frozen=True)
class Job:
    """A model, its data and a recipe; `paper` is a time that the model's paper gives, in words, if
    it gives one.
    """

    title: str
    kind: str
    sizes: dict[str, int]
    samples: Callable[[], tuple[Any, Any]]
    batch: int
    lr: float
    optimizer: str = "sgd"
    paper: str = ""

    def task(self) -> Task:
        """The job as contenders get it, with first values from a fixed seed. Raises `DataError`
        where data is missing.
        """
        nn.init.manual_seed(SEED)
        first = MODELS[self.kind](**self.sizes).state_dict()
        x, y = (np.ascontiguousarray(array) for array in self.samples())
        return Task(
            self.kind,
            self.sizes,
            LOSS_OF[self.kind],
            self.optimizer,
            self.lr,
            self.batch,
            x,
            y,
            first,
        )


def _fives() -> tuple[Any, Any]:
    d = data.mnist()
    return d.x_train[:2000, None], (d.y_train[:2000] == 5).astype(np.float32)


def _reviews() -> tuple[Any, Any]:
    d = data.imdb()
    return d.x_train, d.y_train


def _rows() -> tuple[Any, Any]:
    d = data.mnist()
    return d.x_train[:20_000], d.y_train[
        :20_000
    ]  # 63 MB, twice what the caches of most machines hold


def _pixels() -> tuple[Any, Any]:
    x, y = _rows()
    return x.reshape(-1, 4, 196), y


def _points() -> tuple[Any, Any]:
    d = data.circle(12_500, seed=1)
    return d.x_train, d.y_train


CNN = {"channels": 1, "filters": 4, "kernel": 3, "pixels": 28}
TEXT = {"vocabulary": 12_849, "width": 50, "filters": 8, "pool": 8, "length": 130}
MLP = {"inputs": 2, "hidden": 25}

JOBS = {
    "J1a": Job("CNN, is it a five?", "cnn", CNN, _fives, batch=100, lr=0.05),
    "J1b": Job("CNN, is it a five?", "cnn", CNN, _fives, batch=1, lr=0.01),
    "J2": Job(
        "text-CNN on IMDB, Adam", "textcnn", TEXT, _reviews, batch=64, lr=1e-3, optimizer="adam"
    ),
    "J3a": Job(
        "RNN, 4 × 196 pixels", "rnn", {"width": 196, "hidden": 64}, _pixels, batch=100, lr=0.05
    ),
    "J3b": Job("RNN, 28 rows", "rnn", {"width": 28, "hidden": 64}, _rows, batch=100, lr=0.05),
    "J4a": Job("MLP on a circle", "mlp", MLP, _points, batch=1, lr=0.05),
    "J4b": Job("MLP on a circle", "mlp", MLP, _points, batch=32, lr=0.1),
}
