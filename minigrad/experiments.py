"""What is trained on what: the papers' experiments and this project's variants, as data.

`EXPERIMENTS` is what `minigrad train`, `minigrad demo` and the notebooks read, so that they all
mean the same thing.
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
from .graph.node import Array, Constant
from .nn import Module, init
from .train import History, Trainer
from .train.batch_graph import target_for
from .train.checkpoint import load, save

Optimize = Callable[..., optim.Optimizer]


@dataclass(frozen=True)
class Experiment:
    """A model, its data, how it is trained, and what the paper says.

    `split` turns the loaded data set into the arrays of the model; `decay` multiplies the learning
    rate after each epoch. `paper`, `paper_train` and `paper_loss` are the paper's held-out
    accuracy, training accuracy and training loss, in words; `held_out` says what is held out where
    that is not the test set; `seeds` are the paper's own, if it names some.
    """

    title: str
    make: Callable[[], Module]
    load: Callable[[], Dataset]
    split: Callable[[Dataset], Dataset]
    loss: Callable[..., Any]
    optimizer: Optimize
    lr: float
    epochs: int
    batch_size: int
    paper: str
    decay: float = 1.0
    paper_train: str = ""
    paper_loss: str = ""
    held_out: str = "held-out accuracy"
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Run:
    """One training: the trained model and what it scores on training and held-out data."""

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
    mode: str = "compiled",
    progress: bool = True,
    follow: bool = False,
    distributed: bool = False,
    checkpoint: Path | None = None,
    resume: bool = False,
) -> Run:
    """Train the experiment's model from `seed` on arrays that `prepare` made; `follow` evaluates
    after each epoch.

    The trainer is saved as `checkpoint` after each epoch; `resume` goes on from there.
    """
    init.manual_seed(seed)
    model = experiment.make()
    optimizer = experiment.optimizer(model.parameters(), lr=experiment.lr)

    def lower_rate(trainer: Trainer, history: History) -> None:
        trainer.optimizer.lr *= experiment.decay

    def keep(trainer: Trainer, history: History) -> None:
        if checkpoint is not None:
            save(trainer, checkpoint)

    callbacks = [lower_rate, keep]
    trainer = Trainer(
        model, experiment.loss, optimizer, mode=mode, callbacks=callbacks, distributed=distributed
    )
    if resume and checkpoint is not None:
        load(trainer, checkpoint)
        for _ in range(trainer.state.epoch):
            lower_rate(trainer, History())
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
    on_train = trainer.evaluate(arrays.x_train, arrays.y_train)
    on_test = trainer.evaluate(arrays.x_test, arrays.y_test)
    return Run(seed, trainer, history, on_train, on_test)


def prepare(experiment: Experiment) -> Dataset:
    """Load the experiment's data in the shape that its model takes; raises `DataError` where it
    cannot be had.
    """
    return experiment.split(experiment.load())


def warm_up(experiment: Experiment) -> None:
    """Compile what training the experiment's model needs: its step, and the kernels that replay and
    evaluation call.

    It ends up in the cache on disk, where the next process finds it. No data is needed.
    """
    zeros = _zeros(experiment)
    model = experiment.make()
    trainer = Trainer(
        model, experiment.loss, experiment.optimizer(model.parameters(), lr=experiment.lr)
    )
    trainer.compile(zeros.x_train, zeros.y_train, batch_size=experiment.batch_size).load(
        zeros.x_train, zeros.y_train
    )
    few = zeros.with_arrays(*(array[:2] for array in zeros))
    train_once(experiment, few, epochs=1, batch_size=2, mode="replay", progress=False)


def _zeros(experiment: Experiment) -> Dataset:
    """A batch of zeros in the shapes and dtypes of the experiment's data."""
    load, options = experiment.load, {}
    if isinstance(load, partial):
        load, options = load.func, load.keywords
    shape, inputs, targets = {
        data.circle: ((2,), np.float32, np.float32),
        data.mnist: ((28, 28), np.float32, np.int64),
        data.imdb: ((options.get("length", 130),), np.int32, np.float32),
    }[load]
    x, y = (
        np.zeros((max(2, experiment.batch_size), *shape), inputs),
        np.zeros(max(2, experiment.batch_size), targets),
    )
    return experiment.split(Dataset(x, y, x, y))


def gradient_error(
    model: Module, loss: Callable[..., Any], x: Array, y: Array, *, entries: int = 12, seed: int = 0
) -> float:
    """Largest deviation of the model's gradients on the batch (x, y) from central differences, in
    float64.

    For each parameter `entries` random entries are compared, relative to the parameter's largest
    gradient entry. The model itself is not touched.
    """
    twin = copy.deepcopy(model).to(np.float64)
    inputs = Constant(x, dtype=np.float64 if x.dtype.kind == "f" else x.dtype)

    def total() -> Any:
        output = twin(inputs)
        return loss(output, target_for(output, y))

    total().backward()
    rng, worst = np.random.default_rng(seed), 0.0
    for p in twin.parameters():
        if p.grad is None or not np.any(p.grad):
            continue
        flat, grad = p.value.reshape(-1), p.grad.reshape(-1)
        active = np.flatnonzero(grad)  # of an embedding, only the rows of words in the batch
        for i in rng.choice(active, min(entries, active.size), replace=False):
            kept, found = flat[i], np.inf
            for step in (
                1e-6,
                1e-7,
            ):  # the second try is for a kink (a ReLU at 0) that the first may have stepped over
                flat[i] = kept + step
                above = total().item()
                flat[i] = kept - step
                slope = (above - total().item()) / (2 * step)
                flat[i] = kept
                found = min(found, abs(slope - grad[i]) / np.abs(grad).max())
                if found < 1e-7:
                    break
            worst = max(worst, found)
    return float(worst)


# ---------------- the arrays that the models take
def _images(d: Dataset) -> Dataset:
    return d.with_arrays(d.x_train[:, None], d.y_train, d.x_test[:, None], d.y_test)


def _fives(d: Dataset) -> Dataset:
    def is_five(y: Array) -> Array:
        return (y == 5).astype(np.float32)

    x, y = d.x_train[:100, None], is_five(d.y_train[:100])
    return d.with_arrays(x, y, d.x_test[:1000, None], is_five(d.y_test[:1000]))


def _pixels(d: Dataset) -> Dataset:
    return d.with_arrays(
        d.x_train.reshape(-1, 4, 196), d.y_train, d.x_test.reshape(-1, 4, 196), d.y_test
    )


def _as_they_are(d: Dataset) -> Dataset:
    return d


_decayed_adam = partial(optim.Adam, weight_decay=3e-5)
_clipped_adam = partial(optim.Adam, max_grad_norm=1.0)
_text, _text_long = models.TextCNN, partial(models.TextCNN, 12_849, 32, 32, 398, 400, False, True)
_bce, _bce_logits = ops.binary_cross_entropy, ops.binary_cross_entropy_with_logits
_none = "–"

EXPERIMENTS = {
    "mlp": Experiment(
        "MLP on a circle",
        partial(models.mlp, "tanh", True),
        data.circle,
        _as_they_are,
        ops.mse_loss,
        optim.Adam,
        1e-3,
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
        0.01,
        epochs=100,
        batch_size=1,
        paper=_none,
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
        3e-3,
        epochs=3,
        batch_size=50,
        paper=_none,
        decay=0.3,
    ),
    "textcnn": Experiment(
        "text-CNN on IMDB",
        _text,
        data.imdb,
        _as_they_are,
        _bce,
        optim.Adam,
        1e-3,
        epochs=5,
        batch_size=64,
        paper="0.87",
        paper_train="0.95",
    ),
    "textcnn-long": Experiment(
        "text-CNN, 400 words",
        _text_long,
        partial(data.imdb, length=400),
        _as_they_are,
        _bce_logits,
        _decayed_adam,
        2e-3,
        epochs=4,
        batch_size=64,
        paper=_none,
        decay=0.5,
    ),
    "rnn": Experiment(
        "RNN, 4 × 196 pixels",
        partial(models.RowRNN, 196),
        data.mnist,
        _pixels,
        ops.cross_entropy,
        optim.SGD,
        0.05,
        epochs=5,
        batch_size=100,
        paper="0.9224",
    ),
    "rnn-rows": Experiment(
        "RNN, 28 rows",
        partial(models.RowRNN, 28, 128),
        data.mnist,
        _as_they_are,
        ops.cross_entropy,
        _clipped_adam,
        2e-3,
        epochs=5,
        batch_size=100,
        paper=_none,
        decay=0.5,
    ),
}
