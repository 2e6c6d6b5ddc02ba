"""The jobs that are timed, as data: the papers' models, other sizes of them, single operators.

A job is what the report calls by a name; its `Task` is what the contenders get.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from .. import data, models, nn, ops, optim
from .peers.task import Array, Task, model_and_loss

SEED = 0


_OWN = {"textcnn": models.TextCNN, "rnn": models.RowRNN}


def model_of(kind: str) -> tuple[Callable[..., nn.Module], Any]:
    """The class of minigrad's model of a kind, and its loss; of an operator, its layer and None."""
    return model_and_loss(kind, nn, ops, _OWN)


OPTIMIZERS: Mapping[str, Callable[..., optim.Optimizer]] = {"sgd": optim.SGD, "adam": optim.Adam}


@dataclass(frozen=True)
class Job:
    """A training job, or an operator; the fields are those of `Task`.

    `arrays` makes the samples and targets of a training job, or the operator's operands.
    """

    title: str
    kind: str
    options: tuple[int, ...]
    arrays: Callable[[], tuple[Array, ...]]
    batch: int = 1
    lr: float = 0.0
    optimizer: str = "sgd"
    direction: str = ""

    def task(self) -> Task:
        """The task with its arrays and, from a fixed seed, the model's initial weights.

        Raises `DataError` where the data is missing.
        """
        nn.init.manual_seed(SEED)
        make, _ = model_of(self.kind)
        arrays = dict(zip("xy", self.arrays(), strict=False))
        arrays |= make(*self.options).state_dict()
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        recipe = self.optimizer, self.lr, self.batch, self.direction
        return Task(self.kind, self.options, contiguous, *recipe)


# ---------------- the papers' models
def _fives(samples: int = 2000) -> tuple[Array, ...]:
    d = data.mnist()
    chosen = np.arange(samples) % len(d.x_train)
    return d.x_train[chosen, None], (d.y_train[chosen] == 5).astype(np.float32)


def _reviews() -> tuple[Array, ...]:
    d = data.imdb()
    return d.x_train, d.y_train


def _rows() -> tuple[Array, ...]:
    """63 MB, twice what the caches of most machines hold."""
    d = data.mnist()
    return d.x_train[:20_000], d.y_train[:20_000]


def _quarters() -> tuple[Array, ...]:
    x, y = _rows()
    return x.reshape(-1, 4, 196), y


def _points() -> tuple[Array, ...]:
    d = data.circle(12_500, seed=1)
    return d.x_train, d.y_train


_CNN = (1, 4, 3, 28)  # channels, filters, kernel, pixels
_TEXT = (12_849, 50, 8, 8, 130)  # vocabulary, width, filters, pool, length
JOBS = {
    "J1a": Job("CNN, is it a five?", "cnn", _CNN, _fives, 100, 0.05),
    "J1b": Job("CNN, is it a five?", "cnn", _CNN, _fives, 1, 0.01),
    "J2": Job("text-CNN on IMDB, Adam", "textcnn", _TEXT, _reviews, 64, 1e-3, "adam"),
    "J3a": Job("RNN, 4 × 196 pixels", "rnn", (196, 64), _quarters, 100, 0.05),
    "J3b": Job("RNN, 28 rows", "rnn", (28, 64), _rows, 100, 0.05),
    "J4a": Job("MLP on a circle", "mlp", (2, 25), _points, 1, 0.05),
    "J4b": Job("MLP on a circle", "mlp", (2, 25), _points, 32, 0.1),
}


def drawn(shape: tuple[int, ...], *ids: int) -> Callable[[], tuple[Array, ...]]:
    """Normal numbers of this shape, and if asked for, so many ids below a number."""

    def draw() -> tuple[Array, ...]:
        rng = np.random.default_rng(0)
        x = rng.standard_normal(shape, np.float32)
        return (x, rng.integers(0, ids[1], ids[0])) if ids else (x,)

    return draw


# ---------------- the same with other sizes
AXES = {
    "batch": "samples in a batch of the CNN J1",
    "steps": "time steps of an RNN, 32 × 28 → 64",
    "channels": "channels in and out of a 3 × 3 convolution, 16 × 16²",
    "threads": "threads, CNN J1a",
}
SCALING = {
    "batch": (1, 4, 16, 64, 256, 1024, 4096),
    "steps": (4, 16, 64, 256, 1024),
    "channels": (1, 4, 16, 64, 256),
}


def scaled(axis: str, size: int) -> Job:
    """The job at one point of an axis of `SCALING`; on random numbers if no data set fits."""
    if axis == "batch":
        return replace(JOBS["J1a"], batch=size, arrays=partial(_fives, 4096))
    if axis == "steps":
        sequences = drawn((256, size, 28), 256, 10)
        return replace(JOBS["J3b"], batch=32, lr=1e-3, arrays=sequences)
    images = drawn((128, size, 16, 16))
    return replace(
        JOBS["J1a"],
        options=(size, size, 3, 16),
        batch=16,
        lr=1e-3,
        arrays=lambda: (*images(), np.zeros(128, np.float32)),
    )


# ---------------- operators: models of one layer
def _words() -> tuple[Array, ...]:
    return (np.random.default_rng(0).integers(0, 12_849, (64, 130)),)


#: One input is used again and again: each is too large for a processor to learn its branches.
#: Minigrad writes into memory that it has already, as in a graph that runs again; PyTorch
#: allocates its results, as it always does.
OPERATORS = {
    "conv 16→32": Job(
        "32×16×32², 3×3, padding 1", "Conv2d", (16, 32, 3, 1, 1), drawn((32, 16, 32, 32))
    ),
    "conv 64→64": Job(
        "64×64×28², 3×3, padding 1", "Conv2d", (64, 64, 3, 1, 1), drawn((64, 64, 28, 28))
    ),
    "conv 1→20": Job("64×1×28², 5×5 (LeNet)", "Conv2d", (1, 20, 5), drawn((64, 1, 28, 28))),
    "max-pool": Job("64×20×24², 2×2", "MaxPool2d", (2,), drawn((64, 20, 24, 24))),
    "cross-entropy": Job("4096×1000", "cross_entropy", (), drawn((4096, 1000), 4096, 1000)),
    "linear": Job("256×784→512", "Linear", (784, 512), drawn((256, 784))),
    "RNN": Job("28 steps, 100×28→64", "RNN", (28, 64), drawn((28, 100, 28))),
    "LSTM": Job("64 steps, 32×128→128", "LSTM", (128, 128), drawn((64, 32, 128))),
    "embedding": Job("64×130 of 12849×50", "Embedding", (12_849, 50), _words),
}
