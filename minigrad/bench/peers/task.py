"""What all contenders are given: data, first values, a recipe, and the order in which samples
come.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = Any


@dataclass(frozen=True)
class Task:
    """One training job as every contender gets it.

    `kind` says which model ("cnn", "textcnn", "rnn", "mlp"), `sizes` how large it is; `loss` is
    "mse", "bce" or "cross_entropy", `optimizer` "sgd" or "adam". `x`, `y` hold all samples along
    their first axis; `parameters` are the first values, float32, under PyTorch's names and in its
    layouts.
    """

    kind: str
    sizes: dict[str, int]
    loss: str
    optimizer: str
    lr: float
    batch: int
    x: Array
    y: Array
    parameters: dict[str, Array]

    @property
    def per_epoch(self) -> int:
        """Steps of one epoch; samples that fill no batch are left out."""
        return len(self.x) // self.batch

    def orders(self, steps: int, seed: int) -> Iterator[Array]:
        """For each epoch of so many steps the samples' numbers, (steps, batch): what
        `Trainer.fit(seed=seed)` draws.

        A run shorter than an epoch draws from as many samples as it needs.
        """
        rng, samples = np.random.default_rng(seed), min(steps, self.per_epoch) * self.batch
        while steps > 0:
            order = rng.permutation(samples).reshape(-1, self.batch)[:steps]
            yield order
            steps -= len(order)

    def save(self, folder: Path) -> None:
        """Write everything to a folder, from which `load` reads it in another process."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"x": self.x, "y": self.y}
        words = {
            key: value for key, value in asdict(self).items() if key not in ("x", "y", "parameters")
        }
        (folder / "task.json").write_text(json.dumps(words), encoding="utf-8")
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
        np.savez(folder / "parameters.npz", **self.parameters)


def load(folder: Path) -> Task:
    """The task that `Task.save` wrote."""
    words = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    with np.load(folder / "parameters.npz") as stored:
        parameters = dict(stored)
    return Task(
        **words, x=np.load(folder / "x.npy"), y=np.load(folder / "y.npy"), parameters=parameters
    )
