"""Operators that move numbers about and change none: reshape, transpose, index, join, pad, broadcast.

They take any dtype, so token ids can be reshaped too; gradients pass through float ones only.
"""
from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError
from ..graph.arrays import sum_to
from ..graph.node import Array, GraphNode, Operator
from ..graph.rule import ALL, MEAN, Mixed, Rule, by_name, stands_for
from .reduce import normalise_axes

Grads = list[Array | None]


class Reshape(Rule):
    """The result shares the memory of its input: nothing is copied, whenever the graph runs."""

    name, symbol, shares = "reshape", "reshape", True
    formula = "reshape(x, say(shape))"
    adjoints = ("reshape(g)",)

    def plan(self, x: GraphNode, shape: Any = None) -> tuple[int, ...]:  # type: ignore[override]
        wanted = tuple(shape) if isinstance(shape, tuple | Sequence | np.ndarray) else (shape,)  # the usual kind first: fast
        try:
            view: Array = x._data.reshape(wanted)
        except (ValueError, TypeError):
            raise self.complain((x,), f"{x.size} entries do not fit into shape {wanted}") from None
        return view.shape

    def run(self, node: Operator, out: Array | None) -> Array:
        x = node.inputs[0]._data
        if out is not None and out.base is (x if x.base is None else x.base):
            return out
        view: Array = x.reshape(node.plan)
        if out is not None:  # a compiled step has moved the input into its arena
            node._data = view
        return view

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        grads[0][...] = g.reshape(xs[0].shape)  # type: ignore[index]

    def adjoint(self, node: Operator, g: GraphNode, wanted: Sequence[bool]) -> Sequence[GraphNode | None]:
        return [g.reshape(node.inputs[0].shape)]

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        (axis,) = axes
        if axis is not None and (axis != 0 or node.shape[:1] != node.inputs[0].shape[:1]):
            raise Mixed
        return axis

    def flops(self, node: Operator) -> int:
        return 0

    def bytes(self, node: Operator) -> int:
        return 0


class Transpose(Rule):
    name, symbol, factors = "transpose", "transpose", 1
    formula = "transpose(x, say(axes)) if axes else x.T"
    adjoints = ("transpose(g) if axes else g.T",)

    def plan(self, x: GraphNode, axes: Any = None) -> tuple[int, ...]:  # type: ignore[override]
        given = tuple(axes) if isinstance(axes, Sequence | np.ndarray) else (axes,)
        order = tuple(reversed(range(x.ndim))) if axes is None else normalise_axes(self, x, given)
        if len(order) != x.ndim:
            raise self.complain((x,), f"axes {given} were given, one for each of the {x.ndim} axes was expected")
        return order

    def shape(self, node: Operator) -> tuple[int, ...]:
        return tuple(node.inputs[0].shape[i] for i in node.plan)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        np.copyto(out, xs[0].transpose(node.plan))

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        np.copyto(grads[0], g.transpose(np.argsort(node.plan)))  # type: ignore[arg-type]

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        (axis,) = axes
        return axis if axis is None or axis == MEAN else int(node.plan.index(axis))

    def flops(self, node: Operator) -> int:
        return 0


class Fed(NamedTuple):
    """In a key, the place of the node that is this input of the operator: its numbers may be others in the next run."""

    input: int

    def __repr__(self) -> str:
        return f"input {self.input}"


class GetItem(Rule):
    """Indexing as in NumPy. Entries that are picked more than once collect their gradients.

    An index that is a node is an input of its own (`Fed`), so that the graph can run again with other indices.
    """

    name, symbol, factors = "getitem", "[ ]", ALL  # nodes that are indices are not added to the result
    formula = "apply('pick', x, *indices) if indices else x[key]"
    adjoints = ("put(g, *indices) if indices else put(g, at(key))", None)

    def __call__(self, x: Any, key: Any = None) -> GraphNode:
        if isinstance(key, GraphNode) or (isinstance(key, tuple) and any(isinstance(part, GraphNode) for part in key)):
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
                raise self.complain((x,), "rows of indices of different lengths", IndexError) from None
        if isinstance(part, np.ndarray):
            if part.dtype.kind not in "biu":
                raise self.complain((x,), f"{part.dtype} indices; integers or booleans were expected", IndexError)
            return part.copy()  # an index belongs to the graph, like every value that enters it
        return part

    def _key(self, plan: Any, xs: Sequence[Array]) -> Any:
        return tuple(xs[part.input] if isinstance(part, Fed) else part for part in plan) if len(xs) > 1 else plan

    def _picked(self, x: GraphNode, plan: Any, xs: Sequence[Array]) -> Array:
        try:
            return xs[0][self._key(plan, xs)]  # type: ignore[no-any-return]
        except (IndexError, TypeError) as error:  # a slice from 0 to "a" is a TypeError of Python's own
            raise self.complain((x,), str(error), IndexError) from None

    def shape(self, node: Operator) -> tuple[int, ...]:
        return self._picked(node.inputs[0], node.plan, [x._data for x in node.inputs]).shape

    def check(self, node: Operator, *xs: Array) -> None:
        """Of indices that are nodes: a compiled run looks at them before it begins, all others are looked at when used."""
        for n, part in zip(node.inputs[0].shape, node.plan if len(xs) > 1 else (), strict=False):
            ids = xs[part.input] if isinstance(part, Fed) else np.zeros(0)
            if ids.dtype.kind in "iu" and ids.size and (ids.min() < -n or ids.max() >= n):
                raise self.complain(node.inputs, f"an index is out of range, {-n} to {n - 1} were expected", IndexError)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        if len(xs) == 1:
            out[...] = xs[0][node.plan]
            return
        found = self._picked(node.inputs[0], node.plan, xs)
        if found.shape != out.shape:
            raise self.complain(node.inputs, f"the mask picks shape {found.shape}, {out.shape} when the graph was built")
        out[...] = found

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        grad = grads[0]
        assert grad is not None
        grad[...] = 0
        self._add(grad, self._key(node.plan, xs), g)

    def pull(self, node: Operator, g: Array) -> None:
        """Add to the entries that were picked and touch no others: a thousand slices of x cost as much as x."""
        x = node.inputs[0]
        if x.requires_grad and (grad := x.growing()) is not None:
            self._add(grad, self._key(node.plan, [x._data for x in node.inputs]), g)
        else:
            super().pull(node, g)

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        axis, x = axes[0], node.inputs[0]
        if all(axis is None for axis in axes):
            return None
        if len(axes) > 1 or axis is None or axis == MEAN or any(isinstance(part, np.ndarray) for part in node.plan):
            raise Mixed
        marked = np.broadcast_to(np.arange(x.shape[axis]).reshape(-1, *(1,) * (x.ndim - axis - 1)), x.shape)[node.plan]
        found = [i for i, stride in enumerate(marked.strides) if stride]
        if len(found) != 1 or marked.shape[found[0]] != x.shape[axis]:
            raise Mixed
        return found[0]

    def _add(self, grad: Array, key: Any, g: Array) -> None:
        if any(hasattr(part, "shape") for part in (key if isinstance(key, tuple) else (key,))):
            np.add.at(grad, key, g)
        else:
            grad[key] += g

    def flops(self, node: Operator) -> int:
        return 0

    def bytes(self, node: Operator) -> int:
        return 2 * node._data.nbytes  # of x only the entries that are picked


class Join(Rule):
    """Concatenate and stack: `_parts` gives the view of the result that belongs to each input."""

    factors = 1

    def plan(self, *inputs: GraphNode, axis: int = 0) -> tuple[int, tuple[int, ...]]:  # type: ignore[override]
        if not inputs:
            raise ShapeError(f"{self.name}: at least one array was expected")
        try:
            joined = getattr(np, self.name)([np.broadcast_to(0, x.shape) for x in inputs], axis=operator.index(axis))
        except (ValueError, TypeError) as error:  # NumPy's AxisError is a ValueError
            raise self.complain(inputs, f"axis {axis}: {error}") from None
        return axis % joined.ndim, joined.shape

    def shape(self, node: Operator) -> tuple[int, ...]:
        shape: tuple[int, ...] = node.plan[1]
        return shape

    def _parts(self, node: Operator, whole: Array) -> list[Array]:
        raise NotImplementedError

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        known = set(axes)
        if known == {None}:
            return None
        axis, joined = axes[0], node.plan[0]
        stacked = node.ndim > node.inputs[0].ndim
        if axis is None or axis == MEAN or len(known) > 1 or (axis == joined and not stacked):
            raise Mixed
        return axis + (stacked and joined <= axis)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        for part, x in zip(self._parts(node, out), xs, strict=True):
            np.copyto(part, x)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        for part, grad in zip(self._parts(node, g), grads, strict=True):
            if grad is not None:
                np.copyto(grad, part)

    def flops(self, node: Operator) -> int:
        return 0


class Concatenate(Join):
    name, symbol = "concatenate", "concat"
    formula = "concat(*inputs)"
    adjoints = ("part(g, i)",)

    def _parts(self, node: Operator, whole: Array) -> list[Array]:
        axis = node.plan[0]
        ends = np.cumsum([x.shape[axis] for x in node.inputs])
        return np.split(whole, ends[:-1], axis)


class Stack(Join):
    name, symbol = "stack", "stack"
    formula = "stack(*inputs)"
    adjoints = ("part(g, i)",)

    def _parts(self, node: Operator, whole: Array) -> list[Array]:
        before = (slice(None),) * node.plan[0]
        return [whole[(*before, i, ...)] for i in range(len(node.inputs))]


class Pad(Rule):
    name, symbol, factors = "pad", "pad", 1
    formula = "pad(x, say(pad_width))"
    adjoints = ("crop(g)",)

    def plan(self, x: GraphNode, pad_width: Any = 0, value: float = 0.0) -> tuple[tuple[int, int], ...]:  # type: ignore[override]
        try:
            widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2))
        except ValueError:
            widths = np.array([[-1]])
        if widths.dtype.kind not in "iu" or (widths < 0).any():
            raise self.complain(
                (x,), f"pad_width {pad_width} does not fit; (before, after) pairs of integers ≥ 0 were expected"
            )
        if not isinstance(value, int | float | np.number):
            raise self.complain((x,), f"value={value!r}; a number was expected", DTypeError)
        return tuple((int(a), int(b)) for a, b in widths)

    def unfold(self, node: Operator, *xs: GraphNode) -> GraphNode | None:
        return pad(xs[0], node.plan) if node.attributes.get("value", 0) else None  # around zeros the result is linear

    def shape(self, node: Operator) -> tuple[int, ...]:
        return tuple(a + n + b for n, (a, b) in zip(node.inputs[0].shape, node.plan, strict=True))

    def _inner(self, node: Operator) -> tuple[slice, ...]:
        return tuple(slice(a, a + n) for n, (a, _) in zip(node.inputs[0].shape, node.plan, strict=True))

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        out[...] = node.attributes.get("value", 0)
        out[self._inner(node)] = xs[0]

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        np.copyto(grads[0], g[self._inner(node)])  # type: ignore[arg-type]

    def flops(self, node: Operator) -> int:
        return 0


class BroadcastTo(Rule):
    name, symbol, factors = "broadcast_to", "broadcast", 1
    formula = "broadcast(x)"
    adjoints = ("sum(g)",)

    def plan(self, x: GraphNode, shape: Any = ()) -> tuple[int, ...]:  # type: ignore[override]
        try:
            return np.broadcast_to(x._data, shape).shape
        except (ValueError, TypeError):
            raise self.complain((x,), f"this does not broadcast to shape {shape}") from None

    def shape(self, node: Operator) -> tuple[int, ...]:
        shape: tuple[int, ...] = node.plan
        return shape

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        out[...] = xs[0]

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        np.copyto(grads[0], sum_to(g, xs[0].shape))  # type: ignore[arg-type]

    def flops(self, node: Operator) -> int:
        return 0


@stands_for(np.reshape)
def reshape(x: Any, shape: Any) -> GraphNode:
    """The numbers of x in another shape, in C order; one entry may be -1. Raises `ShapeError` if they do not fit."""
    return by_name("reshape")(x, shape=shape)


def flatten(x: Any, start_axis: int = 0) -> GraphNode:
    """All axes from `start_axis` on as one: (N, C, H, W) becomes (N, C·H·W) with start_axis=1."""
    node = by_name("reshape").operands((x,))[0]
    n = node.ndim or 1
    if not isinstance(start_axis, int | np.integer) or not -n <= start_axis < n:
        expected = f"start_axis={start_axis!r}; an integer from {-n} to {n - 1} was expected"
        raise ShapeError(f"flatten: shapes {node.shape}; {expected}")
    start = start_axis % n
    return reshape(node, (*node.shape[:start], math.prod(node.shape[start:])))


stands_for(np.shape)(lambda x: x.shape)
stands_for(np.ndim)(lambda x: x.ndim)
stands_for(np.size)(lambda x, axis=None: np.size(x.value, axis))


@stands_for(np.transpose)
def transpose(x: Any, axes: Any = None) -> GraphNode:
    """The axes of x in the order `axes`, reversed by default."""
    return by_name("transpose")(x, axes=axes)


def getitem(x: Any, key: Any) -> GraphNode:
    """x[key] with integers, slices, ellipsis, newaxis, integer or boolean arrays. Raises `IndexError` outside of x."""
    return by_name("getitem")(x, key=key)


@stands_for(np.concatenate)
def concatenate(xs: Sequence[Any], axis: int = 0) -> GraphNode:
    """The arrays one after the other along an axis that exists; the other axes must agree, else `ShapeError`."""
    return by_name("concatenate")(*_several("concatenate", xs), axis=axis)


@stands_for(np.stack)
def stack(xs: Sequence[Any], axis: int = 0) -> GraphNode:
    """The arrays, all of one shape, along a new axis."""
    return by_name("stack")(*_several("stack", xs), axis=axis)


def _several(name: str, xs: Any) -> Any:
    if not isinstance(xs, Iterable | GraphNode):
        raise TypeError(f"{name}: a {type(xs).__name__}; a list of arrays was expected")
    return xs


def pad(x: Any, pad_width: Any, value: float = 0.0) -> GraphNode:
    """x with `value` around it; `pad_width` as for `np.pad`: one number, (before, after), or a pair per axis."""
    return by_name("pad")(x, pad_width=pad_width, value=value)


@stands_for(np.pad)
def _np_pad(x: Any, pad_width: Any, mode: Any = "constant", *, constant_values: float = 0.0) -> GraphNode:
    if mode != "constant":
        raise GraphError(f"np.pad: mode {mode!r} has no minigrad operator; 'constant' was expected")
    return pad(x, pad_width, constant_values)


@stands_for(np.broadcast_to)
def broadcast_to(x: Any, shape: Any) -> GraphNode:
    """x repeated to `shape` as NumPy broadcasts; the gradient is summed back."""
    return by_name("broadcast_to")(x, shape=shape)
