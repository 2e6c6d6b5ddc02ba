"""The kernels that are timed alone, forward and backward apart, beside PyTorch's in both of its
layouts.

What is compared: minigrad writes into memory that is there already, as in a graph that runs again;
PyTorch makes its results anew, as it always does. One input is used again and again: it is too
large for a processor to learn its branches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Draw = Callable[[np.random.Generator], list[Any]]


@dataclass(frozen=True)
class Kernel:
    """An operator on arrays of fixed shapes; `draw` makes them, inputs first. Both libraries know
    it by `operator`.
    """

    title: str
    operator: str
    draw: Draw
    options: dict[str, Any] = field(default_factory=dict)
    pictures: bool = False

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the arrays; what a contender is told of the kernel."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for i, array in enumerate(self.draw(np.random.default_rng(0))):
            paths.append(str(folder / f"{i}.npy"))
            np.save(paths[-1], array)
        return {"operator": self.operator, "options": self.options, "arrays": paths}


def _normal(*shapes: tuple[int, ...]) -> Draw:
    """Arrays of normal numbers; those after the first scaled down as weights are."""

    def draw(rng: np.random.Generator) -> list[Any]:
        first, *rest = (rng.standard_normal(shape, np.float32) for shape in shapes)
        return [first, *(array * np.float32(0.1) for array in rest)]

    return draw


def _ids(floats: tuple[int, int], count: tuple[int, ...], below: int, last: bool) -> Draw:
    """A table of numbers and integers below a limit, which come last or first."""

    def draw(rng: np.random.Generator) -> list[Any]:
        table, ids = rng.standard_normal(floats, np.float32), rng.integers(0, below, count)
        return [table, ids] if last else [ids, table]

    return draw


def _recurrent(steps: int, samples: int, width: int, hidden: int, gates: int) -> Draw:
    rows = gates * hidden
    return _normal((steps, samples, width), (rows, width), (rows, hidden), (rows,), (rows,))


def _conv(n: int, c: int, o: int, size: int, k: int) -> Draw:
    return _normal((n, c, size, size), (o, c, k, k), (o,))


KERNELS = {
    "conv 16→32": Kernel(
        "32×16×32², 3×3, padding 1", "conv2d", _conv(32, 16, 32, 32, 3), {"padding": 1}, True
    ),
    "conv 64→64": Kernel(
        "64×64×28², 3×3, padding 1", "conv2d", _conv(64, 64, 64, 28, 3), {"padding": 1}, True
    ),
    "conv 1→20": Kernel("64×1×28², 5×5 (LeNet)", "conv2d", _conv(64, 1, 20, 28, 5), {}, True),
    "max-pool": Kernel(
        "64×20×24², 2×2", "max_pool2d", _normal((64, 20, 24, 24)), {"kernel_size": 2}, True
    ),
    "cross-entropy": Kernel("4096×1000", "cross_entropy", _ids((4096, 1000), (4096,), 1000, True)),
    "linear": Kernel("256×784→512", "linear", _normal((256, 784), (512, 784), (512,))),
    "RNN": Kernel("28 steps, 100×28→64", "rnn", _recurrent(28, 100, 28, 64, 1)),
    "LSTM": Kernel("64 steps, 32×128→128", "lstm", _recurrent(64, 32, 128, 128, 4)),
    "embedding": Kernel(
        "64×130 of 12849×50", "embedding", _ids((12_849, 50), (64, 130), 12_849, False)
    ),
}
WAYS = ("forward", "backward")
