"""The task that all contenders are given, and the base class of what a contender runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np

Array = Any
#: samples that `evaluate` and `predict` go through, the last batch smaller, as everyone's is
LOOKED, BATCH = 1100, 250


@dataclass(frozen=True)
class Task:
    """A training job, or an operator.

    Parameters
    ----------
    title : words for the report
    kind : the model, of `MODELS`, or of an operator, the layer's class in PyTorch ("Conv2d"), or
        "cross_entropy"
    options : positional arguments of the model or layer; floats are rates of dropout
    source : makes the samples and targets, or the operator's operands; contenders get `arrays`
    batch, lr, optimizer : samples in a batch, learning rate, "sgd" or "adam"
    direction : "forward" or "backward", for an operator; "evaluate" or "predict" for a model that
        does not train
    arrays : input "x" and target "y", of a training job all samples along their first axis, and
        the initial weights, float32, under PyTorch's names and in its layouts
    """

    title: str
    kind: str
    options: Sequence[Any]
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
    def operator(self) -> bool:
        """Whether it is no model."""
        return self.direction not in ("", "evaluate", "predict")

    @property
    def certain(self) -> Task:
        """The same with nothing dropped out, for each library draws masks of its own."""
        given = self.options
        return replace(self, options=tuple(0.0 if isinstance(o, float) else o for o in given))

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


class Runner:
    """A task in one of a library's modes.

    A training job has `step`, which takes the sample indices of a batch and returns the loss;
    without training, `output` and `judged` take a slice of the samples and return the model's
    output, and its loss and accuracy. An operator has `forward` and `backward`, which return the
    arrays that they computed.
    """

    step: Callable[[Array], Any]
    output: Callable[[slice], Any]
    judged: Callable[[slice], Sequence[Any]]

    def __init__(self, task: Task, mode: str) -> None:
        self.task, self.mode = task, mode
        self.prepare()

    def prepare(self) -> None:
        """Make the model and whatever else steps need."""

    def reset(self) -> None:
        """Return to the initial weights and an optimiser without history."""

    def batches(self) -> list[slice]:
        """The samples to look at, batch by batch."""
        samples = min(LOOKED, len(self.task.arrays["x"]))
        return [slice(at, min(at + BATCH, samples)) for at in range(0, samples, BATCH)]

    def predict(self) -> list[Array]:
        return [np.concatenate([self.output(batch) for batch in self.batches()])]

    def evaluate(self) -> list[Array]:
        """The mean loss and accuracy over all samples."""
        batches = self.batches()
        found = [tuple(map(float, self.judged(batch))) for batch in batches]
        return [np.average(found, axis=0, weights=[batch.stop - batch.start for batch in batches])]

    @staticmethod
    def right(output: Any, y: Any) -> Any:
        """The share of samples whose class, or yes or no, the output has right."""
        told = output.argmax(1) if output.ndim == 2 else output > 0.5
        return (1.0 * (told == y)).mean()

    def run(self, steps: int, seed: int) -> tuple[int, float]:
        """Run so many steps; returns how many were made, and a number to compare."""
        if self.task.direction:
            once = getattr(self, self.task.direction)
            for _ in range(steps):
                arrays = map(np.asarray, once())
            return steps, sum(float(np.abs(a).mean(dtype=np.float64)) for a in arrays)
        return self.train(steps, seed)

    def train(self, steps: int, seed: int) -> tuple[int, float]:
        """Make training steps; returns how many, and the last loss."""
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
