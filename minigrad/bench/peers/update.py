"""The optimisers in NumPy, for contenders that bring none."""

from __future__ import annotations

from typing import Any

import numpy as np

from .task import Task


def update(
    task: Task, p: dict[str, Any], grads: dict[str, Any], memory: dict[str, Any], t: int
) -> None:
    """One step of the optimiser in NumPy, in place; `memory` holds Adam's averages of each
    parameter.
    """
    lr = task.lr
    for name, g in grads.items():
        if task.optimizer == "sgd":
            p[name] -= lr * g
            continue
        m, v = memory[name]
        m += 0.1 * (g - m)
        v += 0.001 * (g * g - v)
        p[name] -= lr / (1 - 0.9**t) * m / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
