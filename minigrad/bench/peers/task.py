"""The task that all contenders are given, and the base classes of what a contender runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

Array = Any


@dataclass(frozen=True)
class Task:
    """One training job, or one operator, as every contender gets it.

    Parameters
    ----------
    kind : the model ("cnn", "textcnn", "rnn" or "mlp"), or of an operator, the layer's class in
        PyTorch ("Conv2d"), or "cross_entropy"
    options : positional arguments of the model or layer
    arrays : input "x" and target "y", of a training job all samples along their first axis, and
        the initial weights, float32, under PyTorch's names and in its layouts
    optimizer, lr, batch : "sgd" or "adam", learning rate, samples in a batch
    direction : "forward" or "backward", for an operator
    """

    kind: str
    options: Sequence[int]
    arrays: dict[str, Array]
    optimizer: str = "sgd"
    lr: float = 0.0
    batch: int = 1
    direction: str = ""

    @property
    def parameters(self) -> dict[str, Array]:
        """The initial weights of a training job."""
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

    def save(self, folder: Path) -> None:
        """Write the task to a folder, from which `load` reads it in another process."""
        folder.mkdir(parents=True, exist_ok=True)
        words = {name: value for name, value in asdict(self).items() if name != "arrays"}
        (folder / "task.json").write_text(json.dumps(words), encoding="utf-8")
        np.savez(folder / "arrays.npz", **self.arrays)


def load(folder: Path) -> Task:
    """The task that `Task.save` wrote."""
    words = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    with np.load(folder / "arrays.npz") as stored:
        return Task(arrays=dict(stored), **words)


def cnn(nn: Any, channels: int, filters: int, kernel: int, pixels: int) -> Any:
    """The CNN of the layers in `nn`, minigrad's or PyTorch's: they have the same names."""
    dense = nn.Linear(filters * (pixels - kernel + 1) ** 2, 1)
    conv = nn.Conv2d(channels, filters, kernel)
    return nn.Sequential(conv, nn.ReLU(), nn.Flatten(), dense, nn.Sigmoid())


def mlp(nn: Any, inputs: int, hidden: int) -> Any:
    """The MLP of the layers in `nn`."""
    sizes = (inputs, hidden, hidden)
    layers = [layer for n in sizes for layer in (nn.Linear(n, hidden), nn.Tanh())]
    return nn.Sequential(*layers, nn.Linear(hidden, 1))


def model_and_loss(kind: str, nn: Any, functions: Any, own: Mapping[str, Any]) -> tuple[Any, Any]:
    """A function that makes the model of a kind, or the layer of an operator; the loss, or None.

    `nn` and `functions` are minigrad's or PyTorch's modules with layers and with losses, which have
    the same names; `own` maps the other kinds to models of the library's own.
    """
    losses = {"cnn": "mse_loss", "mlp": "mse_loss", "textcnn": "binary_cross_entropy"}
    losses |= {"rnn": "cross_entropy", "cross_entropy": "cross_entropy"}
    shared = {"cnn": partial(cnn, nn), "mlp": partial(mlp, nn), "cross_entropy": nn.Sequential}
    make = {**shared, **own}.get(kind) or getattr(nn, kind)
    return make, getattr(functions, losses[kind]) if kind in losses else None


class Runner:
    """A task in one of a library's modes."""

    def __init__(self, task: Task, mode: str) -> None:
        self.task, self.mode = task, mode

    def reset(self) -> None:
        """Return to the initial weights and an optimiser without history."""

    def run(self, steps: int, seed: int) -> tuple[int, float]:
        """Run so many steps; returns how many were made and a number to compare (the last loss)."""
        raise NotImplementedError

    def measure(self, steps: int, seed: int) -> dict[str, float]:
        """Run from the initial weights: seconds per step, steps made, and the number to compare."""
        self.reset()
        started = perf_counter()
        made, loss = self.run(steps, seed)
        return {"seconds": (perf_counter() - started) / made, "steps": made, "loss": loss}


class Training(Runner):
    """Trains step by step; `step` takes the indices of a batch's samples and returns the loss."""

    step: Callable[[Array], Any]

    def run(self, steps: int, seed: int) -> tuple[int, float]:
        loss = 0.0
        for order in self.task.orders(steps, seed):
            for chosen in order:
                loss = self.step(chosen)
        return steps, float(loss)


class OperatorRunner(Runner):
    """Runs one operator, forward or backward alone; both return the arrays that they computed."""

    forward: Callable[[], Sequence[Array]]
    backward: Callable[[], Sequence[Array]]

    def run(self, steps: int, seed: int) -> tuple[int, float]:
        arrays: Sequence[Array] = ()
        once = getattr(self, self.task.direction)
        for _ in range(steps):
            arrays = once()
        return steps, sum(float(np.abs(a).mean(dtype=np.float64)) for a in map(np.asarray, arrays))
