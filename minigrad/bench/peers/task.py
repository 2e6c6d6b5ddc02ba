"""The task that all contenders are given, and the base class of what a contender runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

Array = Any
LOSSES = {
    "cnn": "mse_loss",
    "mlp": "mse_loss",
    "textcnn": "binary_cross_entropy",
    "rnn": "cross_entropy",
    "cross_entropy": "cross_entropy",
}


@dataclass(frozen=True)
class Task:
    """A training job, or an operator.

    Parameters
    ----------
    title : words for the report
    kind : the model ("cnn", "textcnn", "rnn" or "mlp"), or of an operator, the layer's class in
        PyTorch ("Conv2d"), or "cross_entropy"
    options : positional arguments of the model or layer
    source : makes the samples and targets, or the operator's operands; contenders get `arrays`
    batch, lr, optimizer : samples in a batch, learning rate, "sgd" or "adam"
    direction : "forward" or "backward", for an operator
    arrays : input "x" and target "y", of a training job all samples along their first axis, and
        the initial weights, float32, under PyTorch's names and in its layouts
    """

    title: str
    kind: str
    options: Sequence[int]
    source: Callable[[], tuple[Array, ...]] = tuple
    batch: int = 1
    lr: float = 0.0
    optimizer: str = "sgd"
    direction: str = ""
    arrays: dict[str, Array] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The job in words."""
        return f"{self.title}, {self.direction or f'batch {self.batch}'}"

    @property
    def parameters(self) -> dict[str, Array]:
        """The initial weights."""
        return {name: array for name, array in self.arrays.items() if name not in ("x", "y")}

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one epoch; samples that do not fill a batch are left out."""
        return len(self.arrays["x"]) // self.batch

    def orders(self, steps: int, seed: int) -> Iterator[Array]:
        """For each epoch, sample indices (steps, batch) as `Trainer.fit(seed=seed)` draws them.

        A run shorter than an epoch draws from as many samples as it needs.
        """
        rng, samples = np.random.default_rng(seed), min(steps, self.steps_per_epoch) * self.batch
        while steps > 0:
            order = rng.permutation(samples).reshape(-1, self.batch)[:steps]
            yield order
            steps -= len(order)

    def save(self, path: str) -> None:
        """Write the task to an `.npz` file, from which `load` reads it in another process."""
        words = {name: x for name, x in vars(self).items() if name not in ("arrays", "source")}
        np.savez(path, words=json.dumps(words), **self.arrays)


def load(path: str) -> Task:
    """Read the task that `Task.save` wrote."""
    with np.load(path) as stored:
        arrays = dict(stored)
    return Task(**json.loads(str(arrays.pop("words"))), arrays=arrays)


def model_and_loss(kind: str, nn: Any, functions: Any, **own: Any) -> tuple[Any, Any]:
    """Return the class or function that makes a model or layer of a kind, and its loss, or None.

    `nn` and `functions` are minigrad's or PyTorch's modules of layers and of losses, which have the
    same names; `own` has the models that the library writes in another way.
    """

    def cnn(channels: int, filters: int, kernel: int, pixels: int) -> Any:
        dense = nn.Linear(filters * (pixels - kernel + 1) ** 2, 1)
        conv = nn.Conv2d(channels, filters, kernel)
        return nn.Sequential(conv, nn.ReLU(), nn.Flatten(), dense, nn.Sigmoid())

    def mlp(inputs: int, hidden: int) -> Any:
        widths = (inputs, hidden, hidden)
        layers = [layer for n in widths for layer in (nn.Linear(n, hidden), nn.Tanh())]
        return nn.Sequential(*layers, nn.Linear(hidden, 1))

    models = {"cnn": cnn, "mlp": mlp, "cross_entropy": nn.Sequential, **own}
    loss = getattr(functions, LOSSES[kind]) if kind in LOSSES else None
    return models.get(kind) or getattr(nn, kind), loss


class Runner:
    """A task in one of a library's modes.

    A training job has `step`, which takes the sample indices of a batch and returns the loss; an
    operator has `forward` and `backward`, which return the arrays that they computed.
    """

    step: Callable[[Array], Any]

    def __init__(self, task: Task, mode: str) -> None:
        self.task, self.mode = task, mode
        self.prepare()

    def prepare(self) -> None:
        """Make the model and whatever else steps need."""

    def reset(self) -> None:
        """Return to the initial weights and an optimiser without history."""

    def run(self, steps: int, seed: int) -> tuple[int, float]:
        """Run so many steps; returns how many were made and a number to compare (the last loss)."""
        if self.task.direction:
            once = getattr(self, self.task.direction)
            for _ in range(steps):
                arrays = map(np.asarray, once())
            return steps, sum(float(np.abs(a).mean(dtype=np.float64)) for a in arrays)
        for order in self.task.orders(steps, seed):
            for chosen in order:
                loss = self.step(chosen)
        return steps, float(loss)

    def measure(self, steps: int, seed: int) -> dict[str, float]:
        """Run from the initial weights: seconds per step, steps made, and the number to compare."""
        self.reset()
        started = perf_counter()
        made, loss = self.run(steps, seed)
        return {"seconds": (perf_counter() - started) / made, "steps": made, "loss": loss}
