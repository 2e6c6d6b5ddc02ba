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
}
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
        arrays = dict(zip("xyzuvw" if self.direction else "xy", self.arrays(), strict=False))
        if not self.direction:
            nn.init.manual_seed(SEED)
            arrays |= MODELS[self.kind][0](**self.options).state_dict()
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


def operands(*shapes: Any) -> Callable[[], tuple[Array, ...]]:
    """Operands of these shapes: normal numbers, after the first scaled down as weights are.

    For ids, a pair stands in place of a shape: theirs, and the number that they are below.
    """

    def draw() -> tuple[Array, ...]:
        rng, arrays = np.random.default_rng(0), []
        for shape in shapes:
            if isinstance(shape[0], tuple):
                arrays.append(rng.integers(0, shape[1], shape[0]))
            else:
                scale = np.float32(0.1 if arrays else 1)
                arrays.append(scale * rng.standard_normal(shape, np.float32))
        return tuple(arrays)

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
        sequences = operands((256, size, 28), ((256,), 10))
        return replace(JOBS["J3b"], batch=32, lr=1e-3, arrays=sequences)
    options = {"channels": size, "filters": size, "kernel": 3, "pixels": 16}
    images = operands((128, size, 16, 16), (128,))
    return replace(JOBS["J1a"], options=options, batch=16, lr=1e-3, arrays=images)


# ---------------- operators
def _conv(title: str, n: int, c: int, o: int, size: int, k: int, padding: int = 0) -> Job:
    arrays = operands((n, c, size, size), (o, c, k, k), (o,))
    return Job(title, "conv2d", {"padding": padding}, arrays)


def _recurrent(kind: str, steps: int, n: int, width: int, hidden: int, gates: int) -> Job:
    rows = gates * hidden
    arrays = operands((steps, n, width), (rows, width), (rows, hidden), (rows,), (rows,))
    return Job(f"{steps} steps, {n}×{width}→{hidden}", kind, {}, arrays)


#: One input is used again and again: each is too large for a processor to learn its branches.
#: Minigrad writes into memory that it has already, as in a graph that runs again; PyTorch
#: allocates its results, as it always does.
OPERATORS = {
    "conv 16→32": _conv("32×16×32², 3×3, padding 1", 32, 16, 32, 32, 3, padding=1),
    "conv 64→64": _conv("64×64×28², 3×3, padding 1", 64, 64, 64, 28, 3, padding=1),
    "conv 1→20": _conv("64×1×28², 5×5 (LeNet)", 64, 1, 20, 28, 5),
    "max-pool": Job("64×20×24², 2×2", "max_pool2d", {"kernel_size": 2}, operands((64, 20, 24, 24))),
    "cross-entropy": Job("4096×1000", "cross_entropy", {}, operands((4096, 1000), ((4096,), 1000))),
    "linear": Job("256×784→512", "linear", {}, operands((256, 784), (512, 784), (512,))),
    "RNN": _recurrent("rnn", 28, 100, 28, 64, gates=1),
    "LSTM": _recurrent("lstm", 64, 32, 128, 128, gates=4),
    "embedding": Job(
        "64×130 of 12849×50", "embedding", {}, operands(((64, 130), 12_849), (12_849, 50))
    ),
}
