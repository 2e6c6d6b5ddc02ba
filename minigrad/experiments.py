"""The papers' experiments and this project's variants, as data: models, data sets, training.

`minigrad train`, `minigrad demo` and the notebooks all read `EXPERIMENTS`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from . import data, models, ops, optim
from .data import Dataset
from .graph.conversion import Array
from .graph.node import GraphNode
from .nn import Module
from .seeds import manual_seed
from .train import History, Trainer, load
from .train.batch_graph import BatchGraph

Loss = Callable[..., GraphNode]


@dataclass(frozen=True)
class Experiment:
    """A model, its data, how it is trained, and the paper's results.

    `shape` is that of a sample as the model takes it; `decay` multiplies the learning rate after
    each epoch. `paper`, `paper_train` and `paper_loss` are the paper's held-out accuracy, training
    accuracy and training loss, in words; `held_out` names the held-out data where that is not the
    test set; `seeds` are the paper's own, if it names some.
    """

    title: str
    make: Callable[[], Module]
    load: Callable[[], Dataset]
    shape: tuple[int, ...]
    loss: Loss
    optimizer: Callable[..., optim.Optimizer]
    lr: float
    epochs: int
    batch_size: int
    inputs: DTypeLike = np.float32
    paper: str = "–"
    decay: float = 1.0
    paper_train: str = ""
    paper_loss: str = ""
    held_out: str = "held-out accuracy"
    seeds: tuple[int, ...] = ()

    def trainer(self, **options: Any) -> Trainer:
        """A trainer of a new model; `options` are the trainer's."""
        model = self.make()
        return Trainer(model, self.loss, self.optimizer(model.parameters(), lr=self.lr), **options)


class TrainedRun(NamedTuple):
    """One training: the trainer, and loss and accuracy on training and held-out data."""

    trainer: Trainer
    history: History
    train: dict[str, float]
    test: dict[str, float]

    def loss(self, arrays: Dataset) -> GraphNode:
        """The loss of the trained model on the first four samples, without gradients."""
        model, x, y = self.trainer.model, arrays.x_train[:4], arrays.y_train[:4]
        model.zero_grad()
        return BatchGraph(model, self.trainer.loss, x, y, None).graph.head


def train_once(
    experiment: Experiment,
    arrays: Dataset,
    *,
    seed: int = 0,
    epochs: int | None = None,
    batch_size: int | None = None,
    samples: int | None = None,
    progress: bool = True,
    follow: bool = False,
    resume: Path | None = None,
    callbacks: Iterable[Any] = (),
    **options: Any,
) -> TrainedRun:
    """Train the experiment's model from `seed` on arrays from `prepare`, or the first `samples`.

    `follow` evaluates after each epoch; `resume` continues from a checkpoint. `callbacks` are
    called after the decay of the learning rate; `options` are the trainer's: `mode`, `distributed`.
    """

    def set_rate(*_: object) -> None:
        decays = [experiment.decay] * trainer.state.epoch
        trainer.optimizer.lr = math.prod(decays, start=experiment.lr)

    manual_seed(seed)
    trainer = experiment.trainer(callbacks=[set_rate, *callbacks], **options)
    if resume is not None:
        load(trainer, resume)
        set_rate()
    x, y, *rest = (array[:samples] for array in arrays)
    held_out = rest[0], rest[1]
    history = trainer.fit(
        x,
        y,
        epochs=epochs or experiment.epochs,
        seed=seed,
        progress=progress,
        resume=resume is not None,
        batch_size=batch_size or experiment.batch_size,
        validation=held_out if follow else None,
    )
    trainer.model.eval()  # as it is drawn and checked
    return TrainedRun(trainer, history, trainer.evaluate(x, y), trainer.evaluate(*held_out))


def prepare(experiment: Experiment) -> Dataset:
    """Load the experiment's data in the shape that its model takes.

    Raises `DataError` where they are not available.
    """
    d = experiment.load()
    x_train, x_test = (x.reshape(-1, *experiment.shape) for x in (d.x_train, d.x_test))
    return d.with_arrays(x_train, d.y_train, x_test, d.y_test)


def warm_up(experiment: Experiment) -> None:
    """Compile the training step of an experiment, and the kernels of replay and evaluation.

    The next process finds them in the cache on disk. No data are needed: zeros have their shapes
    and dtypes.
    """
    size, trainer = experiment.batch_size, experiment.trainer(mode="replay")
    x = np.zeros((max(2, size), *experiment.shape), experiment.inputs)
    y = np.zeros(len(x), np.int64 if experiment.loss is ops.cross_entropy else np.float32)
    trainer.compile(x, y, batch_size=size).load()
    trainer.fit(x[:2], y[:2], epochs=1, batch_size=2, progress=False)
    trainer.evaluate(x[:2], y[:2])


def gradient_error(model: Module, loss: Loss, x: Array, y: Array) -> float:
    """Largest error of the model's gradients on a batch against central differences, in float64.

    For each parameter 12 random entries are compared, relative to the parameter's largest gradient
    entry. The model itself stays unchanged.
    """
    copied = copy.deepcopy(model).to(np.float64)
    x = x.astype(np.float64) if x.dtype.kind == "f" else x

    def total() -> GraphNode:
        return BatchGraph(copied, loss, x, y, None).graph.head

    total().backward()
    rng, worst = np.random.default_rng(0), 0.0
    for p in copied.parameters():
        if p.grad is None:
            continue
        flat, grad = p.value.reshape(-1), p.grad.reshape(-1)
        active = np.flatnonzero(grad)  # of an embedding, only the rows of words in the batch
        for i in rng.choice(active, min(12, active.size), replace=False):
            kept, error = flat[i], np.inf
            for step in (1e-6, 1e-7):  # a second try, in case the first stepped over a kink
                if error < 1e-7:
                    break
                flat[i] = kept + step
                above = total().item()
                flat[i] = kept - step
                slope = (above - total().item()) / (2 * step)
                error = min(error, abs(slope - grad[i]) / np.abs(grad).max())
            flat[i] = kept
            worst = max(worst, error)
    return float(worst)


def _fives() -> Dataset:
    """100 images of MNIST, and 1,000 to test: is it a five?"""
    d = data.mnist()
    parts = d.x_train[:100], d.y_train[:100] == 5, d.x_test[:1000], d.y_test[:1000] == 5
    return d.with_arrays(*(part.astype(np.float32) for part in parts))


EXPERIMENTS = {
    "mlp": Experiment(
        "MLP on a circle",
        partial(models.mlp, "tanh", True),
        data.circle,
        (2,),
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
        _fives,
        (1, 28, 28),
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
        (1, 28, 28),
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
        (130,),
        ops.binary_cross_entropy,
        optim.Adam,
        lr=1e-3,
        epochs=5,
        batch_size=64,
        inputs=np.int32,
        paper="0.87",
        paper_train="0.95",
    ),
    "textcnn-long": Experiment(
        "text-CNN, 400 words",
        partial(models.TextCNN, 12_849, 32, 32, 398, 400, False, True),
        partial(data.imdb, length=400),
        (400,),
        ops.binary_cross_entropy_with_logits,
        partial(optim.Adam, weight_decay=3e-5),
        lr=2e-3,
        epochs=4,
        batch_size=64,
        inputs=np.int32,
        decay=0.5,
    ),
    "rnn": Experiment(
        "RNN, 4 × 196 pixels",
        partial(models.RowRNN, 196),
        data.mnist,
        (4, 196),
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
        (28, 28),
        ops.cross_entropy,
        partial(optim.Adam, max_grad_norm=1.0),
        lr=2e-3,
        epochs=5,
        batch_size=100,
        decay=0.5,
    ),
}
