"""What is timed, as data: the papers' models, the same with other sizes, and single operators.

A job is what the report calls by a name; its `Task` is what the contenders get.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from .. import data, models, nn, ops, optim
from .peers.task import Array, Task, cnn, mlp

SEED = 0


#: model and loss, by the names that `Task.kind` uses
MODELS: Mapping[str, tuple[Callable[..., nn.Module], Callable[..., Any]]] = {
    "cnn": (partial(cnn, nn), ops.mse_loss),
    "textcnn": (models.TextCNN, ops.binary_cross_entropy),
    "rnn": (models.RowRNN, ops.cross_entropy),
    "mlp": (partial(mlp, nn), ops.mse_loss),
    "cross_entropy": (nn.Sequential, ops.cross_entropy),
}


def model_of(kind: str) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
    """The model and the loss of a training job; the layer of an operator, and None."""
    return MODELS.get(kind) or (getattr(nn, kind), None)


OPTIMIZERS: Mapping[str, Callable[..., optim.Optimizer]] = {"sgd": optim.SGD, "adam": optim.Adam}


@dataclass(frozen=True)
class Job:
    """A training job, or an operator; the fields are those of `Task`.

    `arrays` makes the samples and targets of a training job, or the operator's operands.
    """

    title: str
    kind: str
    options: Mapping[str, int]
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
        arrays |= make(**self.options).state_dict()
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        recipe = self.optimizer, self.lr, self.batch, self.direction
        return Task(self.kind, dict(self.options), contiguous, *recipe)


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


_CNN = {"channels": 1, "filters": 4, "kernel": 3, "pixels": 28}
_TEXT = {"vocabulary": 12_849, "width": 50, "filters": 8, "pool": 8, "length": 130}
_MLP = {"inputs": 2, "hidden": 25}
JOBS = {
    "J1a": Job("CNN, is it a five?", "cnn", _CNN, _fives, 100, 0.05),
    "J1b": Job("CNN, is it a five?", "cnn", _CNN, _fives, 1, 0.01),
    "J2": Job("text-CNN on IMDB, Adam", "textcnn", _TEXT, _reviews, 64, 1e-3, "adam"),
    "J3a": Job("RNN, 4 × 196 pixels", "rnn", {"width": 196, "hidden": 64}, _quarters, 100, 0.05),
    "J3b": Job("RNN, 28 rows", "rnn", {"width": 28, "hidden": 64}, _rows, 100, 0.05),
    "J4a": Job("MLP on a circle", "mlp", _MLP, _points, 1, 0.05),
    "J4b": Job("MLP on a circle", "mlp", _MLP, _points, 32, 0.1),
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
    options = {"channels": size, "filters": size, "kernel": 3, "pixels": 16}
    images = drawn((128, size, 16, 16))
    return replace(
        JOBS["J1a"],
        options=options,
        batch=16,
        lr=1e-3,
        arrays=lambda: (*images(), np.zeros(128, np.float32)),
    )


# ---------------- operators: models of one layer
def _words() -> tuple[Array, ...]:
    return (np.random.default_rng(0).integers(0, 12_849, (64, 130)),)


def _conv(inputs: int, outputs: int, kernel: int, padding: int = 0) -> dict[str, int]:
    sizes = {"in_channels": inputs, "out_channels": outputs, "kernel_size": kernel}
    return {**sizes, "padding": padding}


_RNN = {"input_size": 28, "hidden_size": 64}
_LSTM = {"input_size": 128, "hidden_size": 128}
_LINEAR = {"in_features": 784, "out_features": 512}
_EMBEDDING = {"num_embeddings": 12_849, "embedding_dim": 50}
#: One input is used again and again: each is too large for a processor to learn its branches.
#: Minigrad writes into memory that it has already, as in a graph that runs again; PyTorch
#: allocates its results, as it always does.
OPERATORS = {
    name: Job(title, kind, options, arrays)
    for name, title, kind, options, arrays in (
        (
            "conv 16→32",
            "32×16×32², 3×3, padding 1",
            "Conv2d",
            _conv(16, 32, 3, 1),
            drawn((32, 16, 32, 32)),
        ),
        (
            "conv 64→64",
            "64×64×28², 3×3, padding 1",
            "Conv2d",
            _conv(64, 64, 3, 1),
            drawn((64, 64, 28, 28)),
        ),
        ("conv 1→20", "64×1×28², 5×5 (LeNet)", "Conv2d", _conv(1, 20, 5), drawn((64, 1, 28, 28))),
        ("max-pool", "64×20×24², 2×2", "MaxPool2d", {"kernel_size": 2}, drawn((64, 20, 24, 24))),
        ("cross-entropy", "4096×1000", "cross_entropy", {}, drawn((4096, 1000), 4096, 1000)),
        ("linear", "256×784→512", "Linear", _LINEAR, drawn((256, 784))),
        ("RNN", "28 steps, 100×28→64", "RNN", _RNN, drawn((28, 100, 28))),
        ("LSTM", "64 steps, 32×128→128", "LSTM", _LSTM, drawn((64, 32, 128))),
        ("embedding", "64×130 of 12849×50", "Embedding", _EMBEDDING, _words),
    )
}
