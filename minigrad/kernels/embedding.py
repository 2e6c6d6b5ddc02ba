"""Looking up rows of a table, and adding gradients back to the rows that were looked up."""
from __future__ import annotations

from typing import Any

import numpy as np

from .jit import jit


def gather_reference(table: Any, ids: Any) -> Any:
    """The row of each id: fancy indexing."""
    return table[ids]


def scatter_reference(g: Any, ids: Any, rows: int) -> Any:
    """The gradient of the table: rows that were looked up twice collect twice."""
    grad = np.zeros((rows, g.shape[-1]), g.dtype)
    np.add.at(grad, ids, g)
    return grad


@jit
def gather(table: Any, ids: Any, out: Any) -> None:
    """out[i] = table[ids[i]] for ids (n,), out (n, width)."""
    for i in range(ids.size):
        source, goal = table[ids[i]], out[i]
        for j in range(goal.size):
            goal[j] = source[j]


@jit
def scatter(g: Any, ids: Any, grad: Any) -> None:
    """grad[ids[i]] += g[i], from zero; one thread, because two could meet in one row."""
    grad[:] = 0
    for i in range(ids.size):
        source, goal = g[i], grad[ids[i]]
        for j in range(goal.size):
            goal[j] += source[j]
