"""Indexing: entries picked by integers, slices, masks and arrays of indices, which may be nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..graph.node import Array, GraphNode, Operator
from ..graph.rule import ALL, MEAN, Limit, NotSeparable, Rule, by_name
from ..graph.settings import native

Grads = list[Array | None]


class Fed(NamedTuple):
    """In a key, the place of the node that is this input of the operator: its numbers may be others
    in the next run.
    """

    input: int

    def __repr__(self) -> str:
        return f"input {self.input}"


class GetItem(Rule):
    """Indexing as in NumPy. Entries that are picked more than once collect their gradients.

    An index that is a node is an input of its own (`Fed`), so that the graph can run again with
    other indices.
    """

    name, symbol, multilinear = (
        "getitem",
        "[ ]",
        ALL,
    )  # nodes that are indices are not added to the result
    formula = "apply('pick', x, *indices) if indices else x[key]"
    vjp_formulas = ("put(g, *indices) if indices else put(g, at(key))", None)

    def __call__(self, x: Any, key: Any = None) -> GraphNode:
        if isinstance(key, GraphNode) or (
            isinstance(key, tuple) and any(isinstance(part, GraphNode) for part in key)
        ):
            parts, nodes = [], []
            for part in key if isinstance(key, tuple) else (key,):
                if isinstance(part, GraphNode):
                    nodes.append(part)
                    part = Fed(len(nodes))
                parts.append(part)
            return self.apply((x, *nodes), {"key": tuple(parts)})
        return self.apply((x,), {"key": key})

    def plan(self, x: GraphNode, *indices: GraphNode, key: Any = None) -> Any:  # type: ignore[override]
        parts = key if isinstance(key, tuple) and not isinstance(key, Fed) else (key,)
        plain = tuple(part if isinstance(part, Fed) else self._part(x, part) for part in parts)
        for node in indices:
            self._part(x, node._data)
        self._picked(x, plain, [x._data, *(node._data for node in indices)])
        return plain

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
        return (
            tuple(xs[part.input] if isinstance(part, Fed) else part for part in plan)
            if len(xs) > 1
            else plan
        )

    def _picked(self, x: GraphNode, plan: Any, xs: Sequence[Array]) -> Array:
        try:
            return xs[0][self._key(plan, xs)]  # type: ignore[no-any-return]
        except (
            IndexError,
            TypeError,
        ) as error:  # a slice from 0 to "a" is a TypeError of Python's own
            raise self.error((x,), str(error), IndexError) from None

    def shape(self, node: Operator) -> tuple[int, ...]:
        return self._picked(node.inputs[0], node.plan, [x._data for x in node.inputs]).shape

    def limits(self, node: Operator) -> Sequence[Limit]:
        """Of indices that are nodes, where each part of the key stands for an axis; in other keys
        NumPy looks.
        """
        key = node.plan if len(node.inputs) > 1 else ()
        dtypes = [x.dtype for x in node.inputs]
        kinds = [
            dtypes[part.input].kind if isinstance(part, Fed) else np.asarray(part).dtype.kind
            for part in key
        ]
        if not all(
            isinstance(part, slice) or kind in "iu" for part, kind in zip(key, kinds, strict=True)
        ):
            return []
        axes = enumerate(zip(node.inputs[0].shape, key, strict=False))
        return [
            Limit(part.input, -n, n, f"for axis {i} index")
            for i, (n, part) in axes
            if isinstance(part, Fed)
        ]

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        if len(xs) == 1:
            out[...] = xs[0][node.plan]
            return
        found = self._picked(node.inputs[0], node.plan, xs)
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
        self._add(grad, self._key(node.plan, xs), g)

    def vjp(self, node: Operator, g: Array) -> None:
        """Add to the entries that were picked and touch no others: a thousand slices of x cost as
        much as x.
        """
        x = node.inputs[0]
        if x.requires_grad and (grad := x.growing()) is not None:
            self._add(grad, self._key(node.plan, [x._data for x in node.inputs]), g)
        else:
            super().vjp(node, g)

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        axis, x = axes[0], node.inputs[0]
        if all(axis is None for axis in axes):
            return None
        if (
            len(axes) > 1
            or axis is None
            or axis == MEAN
            or any(isinstance(part, np.ndarray) for part in node.plan)
        ):
            raise NotSeparable
        marked = np.broadcast_to(
            np.arange(x.shape[axis]).reshape(-1, *(1,) * (x.ndim - axis - 1)), x.shape
        )[node.plan]
        found = [i for i, stride in enumerate(marked.strides) if stride]
        if len(found) != 1 or marked.shape[found[0]] != x.shape[axis]:
            raise NotSeparable
        return found[0]

    def _add(self, grad: Array, key: Any, g: Array) -> None:
        if any(hasattr(part, "shape") for part in key):
            np.add.at(grad, key, g)
        else:
            grad[key] += g

    def flops(self, node: Operator) -> int:
        return 0

    def bytes(self, node: Operator) -> int:
        return 2 * node._data.nbytes  # of x only the entries that are picked


def getitem(x: Any, key: Any) -> GraphNode:
    """x[key] with integers, slices, ellipsis, newaxis, integer or boolean arrays. Raises
    `IndexError` outside of x.
    """
    return by_name("getitem")(x, key=key)
