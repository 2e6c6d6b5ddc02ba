"""Looking up vectors by their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..errors import DTypeError
from ..graph.node import Array, Constant, GraphNode, Operator
from ..graph.rule import BRIEF, Limit, Rule, by_name
from .elementwise import equal, where
from .linalg import rows_apart

Grads = list[Array | None]


def keep_integers(ids: Any) -> Any:
    """An array of integers as a constant of its own dtype, where an operator would make it float;
    the rest as it is.
    """
    if isinstance(ids, GraphNode):
        return ids
    try:
        array = np.asarray(ids)
    except ValueError:  # rows of different lengths
        return ids
    if not array.size:  # an empty list has no dtype of its own
        array = array.astype(np.int64)
    return Constant(array, dtype=array.dtype) if array.dtype.kind in "iu" else ids


def check_dtypes(
    rule: Rule, inputs: tuple[GraphNode, ...], what: str, ids: GraphNode, floats: GraphNode
) -> None:
    """Raise `DTypeError` unless `ids` holds integers and `floats` floats, both among the inputs."""
    if floats.dtype.kind != "f":
        raise rule.error(
            inputs, f"{floats.dtype} values, floats were expected (dtype=…)", DTypeError
        )
    if ids.dtype.kind not in "iu":
        raise rule.error(
            inputs,
            f"{what} are {ids.dtype}, integers were expected (Constant(…, dtype=np.int64))",
            DTypeError,
        )


class Embedding(Rule):
    name, symbol, multilinear = "embedding", "lookup", 2
    formula = "weight[ids]"
    vjp_formulas = (None, "scatter(g, ids)")

    def plan(self, ids: GraphNode, weight: GraphNode, padding_idx: int | None = None) -> int | None:  # type: ignore[override]
        if weight.ndim != 2:
            raise self.error(
                (ids, weight), "ids of any shape and a weight (rows, width) were expected"
            )
        check_dtypes(self, (ids, weight), "ids", ids, weight)
        n = weight.shape[0]
        if padding_idx is None:
            return None
        if not isinstance(padding_idx, int | np.integer) or not -n <= padding_idx < n:
            expected = f"padding_idx={padding_idx!r}; a row from {-n} to {n - 1} was expected"
            raise self.error((ids, weight), expected, ValueError)
        return int(padding_idx) % n

    def shape(self, node: Operator) -> tuple[int, ...]:
        ids, weight = node.inputs
        return (*ids.shape, weight.shape[1])

    def limits(self, node: Operator) -> Sequence[Limit]:
        return [Limit(0, 0, node.inputs[1].shape[0], "id")]

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        ids, weight = xs
        rows, shards = out.reshape(ids.size, weight.shape[1]), self.shards(node, ids.size)
        node.call(kernels.embedding.gather, weight, ids.reshape(-1), rows, shards)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        ids, weight = xs
        node.call(
            kernels.embedding.scatter,
            g.reshape(ids.size, weight.shape[1]),
            ids.reshape(-1),
            grads[1],
        )
        if node.plan is not None:
            grads[1][node.plan] = 0  # type: ignore[index]

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode | None:
        """With a row for padding: zeros where it is looked up, for nothing moves there."""
        if node.plan is None:
            return None
        ids, weight = xs
        padding = equal(ids.reshape(*ids.shape, 1), keep_integers(node.plan))
        return where(padding, 0, self(ids, weight))

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        return rows_apart(self, node, axes, lambda axis: True)

    def flops(self, node: Operator) -> int:
        return 0

    def is_small(self, node: Operator) -> bool:
        ids, weight = node.inputs
        return ids._data.size * weight.shape[1] < BRIEF  # however many rows are not looked up

    def bytes(self, node: Operator) -> int:
        return (
            node.inputs[0]._data.nbytes + 2 * node._data.nbytes
        )  # of the weight only the rows that are looked up

    def kernel_info(self, node: Operator) -> dict[str, Any]:
        """`ids`: the rows that were looked up, each once and sorted; `counts`: how often each
        was.
        """
        ids, counts = np.unique(node.inputs[0]._data, return_counts=True)
        return {**super().kernel_info(node), "ids": ids, "counts": counts}


def embedding(ids: Any, weight: Any, padding_idx: int | None = None) -> GraphNode:
    """Row `ids[…]` of weight (rows, width) for ids of any shape: (…, width).

    Rows that are looked up more than once collect their gradients; the row `padding_idx` gets none.
    Raises `DTypeError` for ids that are not integers, `IndexError` for ids that are negative or too
    large.
    """
    options = {} if padding_idx is None else {"padding_idx": padding_idx}
    return by_name("embedding")(keep_integers(ids), weight, **options)
