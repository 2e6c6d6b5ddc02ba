"""Indexing: entries picked by integers, slices, masks and arrays of indices, which may be nodes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..graph.registry import public
from ..graph.rule import Grads, Operator, Rule, register
from ..graph.settings import native
from .embedding import Indexed, Limit
from .kinds import MEAN, Axes, NotSeparable


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
                expected = f"{part.dtype} indices; integers or booleans were expected"
                raise self.error((x,), expected, IndexError)
            # a copy: an index belongs to the graph, like every value that enters it
            return part.astype(native(part.dtype))
        return part

    def _key(self, plan: Any, xs: Sequence[Array]) -> Any:
        if len(xs) == 1:
            return plan
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
        if len(xs) == 1:
            out[...] = xs[0][node.plan.key]
            return
        found = self._picked(node.inputs[0], node.plan.key, xs)
        if found.shape != out.shape:
            before = f"{out.shape} when the graph was built"
            raise self.error(node.inputs, f"the mask picks shape {found.shape}, {before}")
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
        arrays = any(isinstance(part, np.ndarray) for part in node.plan.key)
        if len(axes) > 1 or axis is None or axis == MEAN or arrays:
            raise NotSeparable
        along = np.arange(x.shape[axis]).reshape(-1, *(1,) * (x.ndim - axis - 1))
        marked = np.broadcast_to(along, x.shape)[node.plan.key]
        found = [i for i, stride in enumerate(marked.strides) if stride]
        if len(found) != 1 or marked.shape[found[0]] != x.shape[axis]:
            raise NotSeparable
        return found[0]

    def bytes(self, node: Operator) -> int:
        return 2 * node._data.nbytes  # of x only the entries that are picked


_rule = GetItem()
register(_rule)


@public()
def getitem(x: Any, key: Any) -> GraphNode:
    """x[key] with integers, slices, ellipsis, newaxis, integer or boolean arrays, as in NumPy.

    Raises `IndexError` outside of x.
    """
    return _rule(x, key)
