"""Looking up vectors by their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import kernels
from ..errors import DTypeError
from ..graph.conversion import Array
from ..graph.node import Constant, GraphNode
from ..graph.rule import Grads, Operand, Operator, Rule, register
from .elementwise import equal, where
from .kernel import SMALL, launch, shards


class Limit(NamedTuple):
    """The range of the indices in an input: ≥ `low` and < `high`; `what` names them in errors."""

    input: int
    low: int
    high: int
    what: str


class Indexed(Rule):
    """A rule with an input that holds indices, which are checked in every run."""

    index_input: int

    def limits(self, node: Operator) -> Sequence[Limit]:
        """The ranges of all inputs that hold indices; compiled runs check them, too."""
        raise NotImplementedError

    def check(self, node: Operator, *xs: Array) -> None:
        """Raise `IndexError` for an index out of range (NumPy would count negative ones back)."""
        for i, low, high, what in self.limits(node):
            ids = xs[i]
            if ids.size and (ids.min() < low or ids.max() >= high):
                wrong = ids[(ids < low) | (ids >= high)].flat[0]
                expected = f"{what} {wrong} is out of range, {low} to {high - 1} were expected"
                raise self.error(node.inputs, expected, IndexError)

    def operands(self, inputs: tuple[Any, ...]) -> tuple[GraphNode, ...]:
        i = self.index_input
        return super().operands((*inputs[:i], keep_integers(inputs[i]), *inputs[i + 1 :]))

    def check_dtypes(self, what: str, ids: GraphNode, floats: GraphNode) -> None:
        """Raise `DTypeError` unless `ids` holds integers and `floats` floats."""
        inputs = (floats, ids) if self.index_input else (ids, floats)
        if floats.dtype.kind != "f":
            expected = f"{floats.dtype} values, floats were expected (dtype=…)"
            raise self.error(inputs, expected, DTypeError)
        if ids.dtype.kind not in "iu":
            expected = "integers were expected (Constant(…, dtype=np.int64))"
            raise self.error(inputs, f"{what} are {ids.dtype}, {expected}", DTypeError)


def keep_integers(ids: Any) -> Any:
    """An array of integers as a constant of its own dtype, which would become float otherwise."""
    if isinstance(ids, GraphNode):
        return ids
    try:
        array = np.asarray(ids)
    except ValueError:  # rows of different lengths
        return ids
    if not array.size:  # an empty list has no dtype of its own
        array = array.astype(np.int64)
    return Constant(array, dtype=array.dtype) if array.dtype.kind in "iu" else ids


class Embedding(Indexed):
    """Row `ids[…]` of weight (rows, width) for ids of any shape: (…, width).

    Rows that are looked up more than once collect their gradients; the row `padding_idx` gets none.
    Raises `DTypeError` for ids that are not integers, `IndexError` for ids that are negative or too
    large.
    """

    name, symbol, multilinear = "embedding", "lookup", 2
    formula = "weight[ids]"
    vjp_formulas = (None, "scatter(g, ids)")
    batch_axes = None  # any axis
    flops = index_input = 0

    def plan(self, ids: Operand, weight: Operand, padding_idx: int | None = None) -> int | None:
        ids, weight = inputs = self.given(ids, weight)
        if weight.ndim != 2:
            raise self.error(inputs, "ids of any shape and a weight (rows, width) were expected")
        self.check_dtypes("ids", ids, weight)
        n = weight.shape[0]
        if padding_idx is None:
            return None
        if not isinstance(padding_idx, int | np.integer) or not -n <= padding_idx < n:
            expected = f"padding_idx={padding_idx!r}; a row from {-n} to {n - 1} was expected"
            raise self.error(inputs, expected, ValueError)
        return int(padding_idx) % n

    def shape(self, node: Operator) -> tuple[int, ...]:
        ids, weight = node.inputs
        return (*ids.shape, weight.shape[1])

    def limits(self, node: Operator) -> Sequence[Limit]:
        return [Limit(0, 0, node.inputs[1].shape[0], "id")]

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        ids, weight = xs
        rows = out.reshape(ids.size, weight.shape[1])
        count = shards(node, ids.size)
        launch(node, kernels.embedding.gather, weight, ids.reshape(-1), rows, count)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        ids, weight = xs
        rows, grad = g.reshape(ids.size, weight.shape[1]), grads[1]
        assert grad is not None
        launch(node, kernels.embedding.scatter, rows, ids.reshape(-1), grad)
        if node.plan is not None:
            grad[node.plan] = 0

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode | None:
        """With a row for padding: zeros where it is looked up, because it does not move."""
        if node.plan is None:
            return None
        ids, weight = xs
        padding = equal(ids.reshape(*ids.shape, 1), keep_integers(node.plan))
        return where(padding, 0, self(ids, weight))

    def is_small(self, node: Operator) -> bool:
        ids, weight = node.inputs
        return ids._data.size * weight.shape[1] < SMALL  # other rows do not count

    def bytes(self, node: Operator) -> int:
        return node.inputs[0]._data.nbytes + 2 * node._data.nbytes  # other rows do not count


embedding = register(Embedding())
