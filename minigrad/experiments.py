"""The papers' experiments and this project's variants, as data: models, data sets, training.

`minigrad train`, `minigrad demo` and the notebooks all read `EXPERIMENTS`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import data, models, ops, optim
from .data import Dataset
from .graph.conversion import Array
from .graph.node import GraphNode
from .nn import Module, init
from .train import History, Trainer
from .train.batch_graph import BatchGraph
from .train.checkpoint import load, save

Loss = Callable[..., GraphNode]


@dataclass(frozen=True)
class Experiment:
    """A model, its data, how it is trained, and the paper's results.

    `split` turns the loaded data set into the arrays of the model; `decay` multiplies the learning
    rate after each epoch. `paper`, `paper_train` and `paper_loss` are the paper's held-out
    accuracy, training accuracy and training loss, in words; `held_out` names the held-out data
    where that is not the test set; `seeds` are the paper's own, if it names some.
    """

    title: str
    make: Callable[[], Module]
    load: Callable[[], Dataset]
    split: Callable[[Dataset], Dataset]
    loss: Loss
    optimizer: Callable[..., optim.Optimizer]
    lr: float
    epochs: int
    batch_size: int
    paper: str = "–"
    decay: float = 1.0
    paper_train: str = ""
    paper_loss: str = ""
    held_out: str = "held-out accuracy"
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class TrainedRun:
    """One training: the trainer, and loss and accuracy on training and held-out data."""

    seed: int
    trainer: Trainer
    history: History
    train: dict[str, float]
    test: dict[str, float]


def train_once(
    experiment: Experiment,
    arrays: Dataset,
    *,
    seed: int = 0,
    epochs: int | None = None,
    batch_size: int | None = None,
    progress: bool = True,
    follow: bool = False,
    checkpoint: Path | None = None,
    resume: bool = False,
    **options: Any,
) -> TrainedRun:
    """Train the experiment's model from `seed` on arrays from `prepare`.

    `follow` evaluates after each epoch. The trainer is saved as `checkpoint` after each epoch;
    `resume` continues from there. `options` are the trainer's: `mode`, `distributed`.
    """

    def after_epoch(trainer: Trainer, history: History) -> None:
        trainer.optimizer.lr *= experiment.decay
        if checkpoint is not None:
            save(trainer, checkpoint)

    init.manual_seed(seed)
    trainer = _trainer(experiment, callbacks=[after_epoch], **options)
    if resume and checkpoint is not None:
        load(trainer, checkpoint)
        for _ in range(trainer.state.epoch):
            trainer.optimizer.lr *= experiment.decay
    history = trainer.fit(
        arrays.x_train,
        arrays.y_train,
        epochs=epochs or experiment.epochs,
        seed=seed,
        progress=progress,
        resume=resume,
        batch_size=batch_size or experiment.batch_size,
        validation=(arrays.x_test, arrays.y_test) if follow else None,
    )
    found = (trainer.evaluate(*arrays[i : i + 2]) for i in (0, 2))
    return TrainedRun(seed, trainer, history, *found)


def _trainer(experiment: Experiment, **options: Any) -> Trainer:
    model = experiment.make()
    optimizer = experiment.optimizer(model.parameters(), lr=experiment.lr)
    return Trainer(model, experiment.loss, optimizer, **options)


def prepare(experiment: Experiment) -> Dataset:
    """Load the experiment's data in the shape that its model takes.

    Raises `DataError` where they are not available.
    """
    return experiment.split(experiment.load())


def warm_up(experiment: Experiment) -> None:
    """Compile the training step of an experiment, and the kernels of replay and evaluation.

    The next process finds them in the cache on disk. No data are needed.
    """
    zeros = _zeros(experiment)
    x, y = zeros.x_train, zeros.y_train
    _trainer(experiment).compile(x, y, batch_size=experiment.batch_size).load(x, y)
    few = zeros.with_arrays(*(array[:2] for array in zeros))
    train_once(experiment, few, epochs=1, batch_size=2, mode="replay", progress=False)


def _zeros(experiment: Experiment) -> Dataset:
    """A batch of zeros in the shapes and dtypes of the experiment's data."""
    load, length = experiment.load, 130
    if isinstance(load, partial):
        length, load = load.keywords["length"], load.func
    shape, inputs, targets = {
        data.circle: ((2,), np.float32, np.float32),
        data.mnist: ((28, 28), np.float32, np.int64),
        data.imdb: ((length,), np.int32, np.float32),
    }[load]
    n = max(2, experiment.batch_size)
    x, y = np.zeros((n, *shape), inputs), np.zeros(n, targets)
    return experiment.split(Dataset(x, y, x, y))


def gradient_error(
    model: Module, loss: Loss, x: Array, y: Array, *, entries: int = 12, seed: int = 0
) -> float:
    """Largest error of the model's gradients on a batch against central differences, in float64.

    For each parameter `entries` random entries are compared, relative to the parameter's largest
    gradient entry. The model itself stays unchanged.
    """
    copied = copy.deepcopy(model).to(np.float64)
    x = x.astype(np.float64) if x.dtype.kind == "f" else x

    def total() -> GraphNode:
        return BatchGraph(copied, loss, x, y, None).graph.head

    total().backward()
    rng, worst = np.random.default_rng(seed), 0.0
    for p in copied.parameters():
        if p.grad is None:
            continue
        flat, grad = p.value.reshape(-1), p.grad.reshape(-1)
        active = np.flatnonzero(grad)  # of an embedding, only the rows of words in the batch
        for i in rng.choice(active, min(entries, active.size), replace=False):
            kept, error = flat[i], np.inf
            for step in (1e-6, 1e-7):  # a second try, in case the first stepped over a kink
                flat[i] = kept + step
                above = total().item()
                flat[i] = kept - step
                slope = (above - total().item()) / (2 * step)
                flat[i] = kept
                error = min(error, abs(slope - grad[i]) / np.abs(grad).max())
                if error < 1e-7:
                    break
            worst = max(worst, error)
    return float(worst)


# ---------------- the arrays that the models take
def _images(d: Dataset) -> Dataset:
    return d.with_arrays(d.x_train[:, None], d.y_train, d.x_test[:, None], d.y_test)


def _fives(d: Dataset) -> Dataset:
    y_train, y_test = ((y == 5).astype(np.float32) for y in (d.y_train[:100], d.y_test[:1000]))
    return d.with_arrays(d.x_train[:100, None], y_train, d.x_test[:1000, None], y_test)


def _pixels(d: Dataset) -> Dataset:
    x_train, x_test = (x.reshape(-1, 4, 196) for x in (d.x_train, d.x_test))
    return d.with_arrays(x_train, d.y_train, x_test, d.y_test)


def _unchanged(d: Dataset) -> Dataset:
    return d


EXPERIMENTS = {
    "mlp": Experiment(
        "MLP on a circle",
        partial(models.mlp, "tanh", True),
        data.circle,
        _unchanged,
        ops.mse_loss,
        optim.Adam,
        lr=1e-3,
        epochs=30,
        batch_size=32,
        paper="0.970 ± 0.008",
        seeds=(0,),
    ),
    "cnn-five": Experiment(
        "CNN, is it a five? (100 images)",
        models.cnn_five,
        data.mnist,
        _fives,
        ops.mse_loss,
        optim.SGD,
        lr=0.01,
        epochs=100,
        batch_size=1,
        paper_loss="falls",
        held_out="accuracy on 1,000 test images",
        seeds=(1, 777),
    ),
    "cnn": Experiment(
        "CNN, ten digits",
        models.cnn,
        data.mnist,
        _images,
        ops.cross_entropy,
        optim.Adam,
        lr=3e-3,
        epochs=3,
        batch_size=50,
        decay=0.3,
    ),
    "textcnn": Experiment(
        "text-CNN on IMDB",
        models.TextCNN,
        data.imdb,
        _unchanged,
        ops.binary_cross_entropy,
        optim.Adam,
        lr=1e-3,
        epochs=5,
        batch_size=64,
        paper="0.87",
        paper_train="0.95",
    ),
    "textcnn-long": Experiment(
        "text-CNN, 400 words",
        partial(models.TextCNN, 12_849, 32, 32, 398, 400, False, True),
        partial(data.imdb, length=400),
        _unchanged,
        ops.binary_cross_entropy_with_logits,
        partial(optim.Adam, weight_decay=3e-5),
        lr=2e-3,
        epochs=4,
        batch_size=64,
        decay=0.5,
    ),
    "rnn": Experiment(
        "RNN, 4 × 196 pixels",
        partial(models.RowRNN, 196),
        data.mnist,
        _pixels,
        ops.cross_entropy,
        optim.SGD,
        lr=0.05,
        epochs=5,
        batch_size=100,
        paper="0.9224",
    ),
    "rnn-rows": Experiment(
        "RNN, 28 rows",
        partial(models.RowRNN, 28, 128),
        data.mnist,
        _unchanged,
        ops.cross_entropy,
        partial(optim.Adam, max_grad_norm=1.0),
        lr=2e-3,
        epochs=5,
        batch_size=100,
        decay=0.5,
    ),
}
