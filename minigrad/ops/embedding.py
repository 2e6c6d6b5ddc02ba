"""Looking up vectors by their number."""
from __future__ import annotations

from typing import Any

import numpy as np

from .. import kernels
from ..errors import DTypeError
from ..graph.node import Array, Constant, GraphNode, Operator
from ..graph.rule import Rule, by_name

Grads = list[Array | None]


def integer_operand(rule: str, what: str, ids: Any) -> GraphNode:
    """`ids` as a node of integers. Raises `DTypeError` for anything else."""
    if not isinstance(ids, GraphNode):
        array = np.asarray(ids)
        if array.size == 0 and array.dtype.kind == "f":  # an empty list has no dtype of its own
            array = array.astype(np.int64)
        ids = array if array.dtype.kind not in "iu" else Constant(array, dtype=array.dtype)
    if ids.dtype.kind not in "iu":
        raise DTypeError(f"{rule}: {what} are {ids.dtype}; integers were expected (Constant(…, dtype=np.int64))")
    return ids  # type: ignore[no-any-return]


def check_range(rule: str, what: str, ids: Array, count: int) -> None:
    """Raise `IndexError` unless all ids lie in [0, count): NumPy would count negative ones from the end."""
    if ids.size and (ids.min() < 0 or ids.max() >= count):
        wrong = ids[(ids < 0) | (ids >= count)].flat[0]
        raise IndexError(f"{rule}: {what} {wrong} is out of range; 0 to {count - 1} were expected")


class Embedding(Rule):
    name, symbol = "embedding", "lookup"

    def plan(self, ids: GraphNode, weight: GraphNode) -> None:  # type: ignore[override]
        if weight.ndim != 2 or weight.dtype.kind != "f":
            raise self.complain((ids, weight), "ids of any shape and a float weight (rows, width) were expected")

    def shape(self, node: Operator) -> tuple[int, ...]:
        ids, weight = node.inputs
        return (*ids.shape, weight.shape[1])

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        ids, weight = xs
        check_range("embedding", "id", ids, len(weight))
        kernels.embedding.gather(weight, ids.reshape(-1), out.reshape(ids.size, weight.shape[1]))

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        ids, weight = xs
        kernels.embedding.scatter(g.reshape(ids.size, weight.shape[1]), ids.reshape(-1), grads[1])

    def flops(self, node: Operator) -> int:
        return 0


def embedding(ids: Any, weight: Any) -> GraphNode:
    """Row `ids[…]` of weight (rows, width) for ids of any shape: (…, width).

    Rows that are looked up more than once collect their gradients. Raises `DTypeError` for ids that are not
    integers, `IndexError` for ids that are negative or too large.
    """
    return by_name("embedding")(integer_operand("embedding", "ids", ids), weight)
