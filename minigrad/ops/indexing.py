"""Entries looked up by their indices, which are checked: rows of a table, and x[key]."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import kernels
from ..errors import DTypeError
from ..graph.conversion import Array
from ..graph.node import Constant, GraphNode
from ..graph.registry import public
from ..graph.rule import Grads, Operand, Operator, Rule, register
from ..graph.settings import native
from .elementwise import equal, where
from .kernel import SMALL, launch, shards
from .kinds import MEAN, Axes, NotSeparable


class Limit(NamedTuple):
    """The range of the indices in an input: ≥ `low` and < `high`, or `but`, if it is not None.

    `what` names them in errors.
    """

    input: int
    low: int
    high: int
    what: str
    but: int | None = None


class Indexed(Rule):
    """A rule with an input that holds indices, which are checked in every run."""

    index_input: int

    def limits(self, node: Operator) -> Sequence[Limit]:
        """The ranges of all inputs that hold indices; compiled runs check them, too."""
        raise NotImplementedError

    def check(self, node: Operator, *xs: Array) -> None:
        """Raise `IndexError` for an index out of range (NumPy would count negative ones back)."""
        for i, low, high, what, but in self.limits(node):
            ids = xs[i] if but is None else xs[i][xs[i] != but]
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

    >>> table = mg.Variable([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])
    >>> mg.embedding([2, 1, 2], table).value
    array([[3., 4.],
           [1., 2.],
           [3., 4.]], dtype=float32)
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


# ---------------- x[key]
class Picked(NamedTuple):
    """A key with arrays instead of lists, and the shape of what it picks."""

    key: Any
    shape: tuple[int, ...]


class NodeIndex(NamedTuple):
    """The place of an index in a key that is a node: this input of the operator."""

    input: int

    def __repr__(self) -> str:
        return f"input {self.input}"


class GetItem(Indexed):
    """x[key] with integers, slices, ellipsis, newaxis, integer or boolean arrays, as in NumPy.

    Entries that are picked more than once collect their gradients. An index that is a node is an
    input of its own, so that the graph can run again with other indices. Raises `IndexError`
    outside of x.
    """

    name, symbol = "getitem", "[ ]"
    multilinear = sys.maxsize  # nodes that are indices are not added to the result
    formula = "apply('pick', x, *indices) if indices else x[key]"
    vjp_formulas = ("put(g, *indices) if indices else put(g, at(key))", None)
    flops = 0
    operands = Rule.operands  # indices are nodes already

    def __call__(self, x: Any, key: Any = None) -> GraphNode:
        parts, nodes = [], []
        for part in key if isinstance(key, tuple) else (key,):
            if isinstance(part, GraphNode):
                nodes.append(part)
                part = NodeIndex(len(nodes))
            parts.append(part)
        return self.apply((x, *nodes), {"key": tuple(parts) if nodes else key})

    def plan(self, x: GraphNode, *indices: GraphNode, key: Any = None) -> Any:
        parts = key if isinstance(key, tuple) and not isinstance(key, NodeIndex) else (key,)
        plain = tuple(
            part if isinstance(part, NodeIndex) else self._part(x, part) for part in parts
        )
        for node in indices:
            self._part(x, node._data)
        found = self._picked(x, plain, [x._data, *(node._data for node in indices)])
        return Picked(plain, found.shape)

    def _part(self, x: GraphNode, part: Any) -> Any:
        if isinstance(part, list):
            try:
                part = np.array(part, dtype=None if part else int)
            except ValueError:
                raise self.error((x,), "rows of indices of different lengths", IndexError) from None
        if isinstance(part, np.ndarray):
            if part.dtype.kind not in "biu":
                raise self.error(
                    (x,), f"{part.dtype} indices; integers or booleans were expected", IndexError
                )
            # a copy: an index belongs to the graph, like every value that enters it
            return part.astype(native(part.dtype))
        return part

    def _key(self, plan: Any, xs: Sequence[Array]) -> Any:
        return tuple(xs[part.input] if isinstance(part, NodeIndex) else part for part in plan)

    def _picked(self, x: GraphNode, plan: Any, xs: Sequence[Array]) -> Array:
        try:
            return xs[0][self._key(plan, xs)]  # type: ignore[no-any-return]
        except (IndexError, TypeError) as error:  # Python's own TypeError for a slice up to "a"
            raise self.error((x,), str(error), IndexError) from None

    def limits(self, node: Operator) -> Sequence[Limit]:
        """Of indices that are nodes, where each part of the key stands for an axis.

        NumPy checks all other keys.
        """
        key, dtypes = node.plan.key, [x.dtype for x in node.inputs]
        if len(dtypes) == 1:
            return []
        for part in key:
            dtype = dtypes[part.input] if isinstance(part, NodeIndex) else np.asarray(part).dtype
            if not isinstance(part, slice) and dtype.kind not in "iu":
                return []
        axes = enumerate(zip(node.inputs[0].shape, key, strict=False))
        return [
            Limit(part.input, -n, n, f"for axis {i} index")
            for i, (n, part) in axes
            if isinstance(part, NodeIndex)
        ]

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        found = self._picked(node.inputs[0], node.plan.key, xs)
        if found.shape != out.shape:
            raise self.error(
                node.inputs,
                f"the mask picks shape {found.shape}, {out.shape} when the graph was built",
            )
        out[...] = found

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        grad = grads[0]
        assert grad is not None
        grad[...] = 0
        self._add(grad, self._key(node.plan.key, xs), g)

    def vjp(self, node: Operator, g: Array) -> None:
        """Add to the entries that were picked, and touch no others.

        So a thousand slices of x cost as much as x.
        """
        x = node.inputs[0]
        if x.requires_grad and (grad := x.growing()) is not None:
            self._add(grad, self._key(node.plan.key, [x._data for x in node.inputs]), g)
        else:
            super().vjp(node, g)

    def _add(self, grad: Array, key: Any, g: Array) -> None:
        if any(hasattr(part, "shape") for part in key):
            np.add.at(grad, key, g)
        else:
            grad[key] += g

    def batch_axis(self, node: Operator, axes: Axes) -> int:
        axis, x = axes[0], node.inputs[0]
        if len(axes) > 1 and {*axes} == {0} and self._by_sample(node):
            return 0
        if len(axes) > 1 or axis is None or axis == MEAN:
            raise NotSeparable
        along = np.arange(x.shape[axis])
        marked = np.broadcast_to(along.reshape(-1, *(1,) * (x.ndim - axis - 1)), x.shape)
        picked = marked[node.plan.key]
        for place, n in enumerate(picked.shape):
            if n == len(along) and (np.moveaxis(picked, place, -1) == along).all():
                return place
        raise NotSeparable

    def _by_sample(self, node: Operator) -> bool:
        """Does it pick from each sample with indices of its own? `take_along_axis` does."""
        x, *indices = node.inputs
        first, n = node.plan.key[0], x.shape[0]
        if not isinstance(first, np.ndarray) or first.shape[:1] != (n,):
            return False
        aligned = all(i.ndim == first.ndim and i.shape[0] == n for i in indices)
        return aligned and np.array_equal(first.reshape(-1), np.arange(n))

    def bytes(self, node: Operator) -> int:
        return 2 * node._data.nbytes  # of x only the entries that are picked


register(_rule := GetItem())


@public()
def getitem(x: Any, key: Any) -> GraphNode:
    """x[key] with integers, slices, ellipsis, newaxis, integer or boolean arrays, as in NumPy.

    Raises `IndexError` outside of x.

    >>> x = mg.Variable([[1.0, 2.0], [3.0, 4.0]])
    >>> x[:, 0].value
    array([1., 3.], dtype=float32)
    """
    return _rule(x, key)
