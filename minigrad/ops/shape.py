"""Operators that move numbers and change none: reshape, transpose, join, pad, broadcast.

They take any dtype, so token ids can be reshaped too; gradients pass through float ones only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from operator import index
from typing import Any, NamedTuple

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError
from ..graph.conversion import Array, sum_to
from ..graph.node import GraphNode
from ..graph.registry import by_name, implements, public
from ..graph.rule import Grads, Operand, Operator, Rule, register
from .indexing import getitem
from .kinds import MEAN, Axes, ClosedForm, Move, NotSeparable, normalise_axes


def _node(x: Any) -> GraphNode:
    node: GraphNode = by_name("reshape").operands((x,))[0]
    return node


def _shape(
    function: Callable[..., Array], x: GraphNode, sizes: Iterable[int], *given: Any
) -> tuple[int, ...]:
    """The shape that NumPy's function gives an array of these sizes, in place of x."""
    try:
        return function(np.empty(tuple(sizes), bool), *given).shape
    except (ValueError, TypeError) as error:  # NumPy's AxisError is a ValueError
        name, arguments = function.__name__, ", ".join(map(repr, given))
        message = f"{name}: shapes {x.shape}; {name}(x, {arguments}): {error}"
        raise ShapeError(message) from None


class Reshape(ClosedForm):
    """The numbers of x in another shape, in C order; one entry may be -1.

    The result shares the memory of x in every run. Raises `ShapeError` if the numbers do not fit.

    >>> mg.reshape(np.arange(6.0), (2, -1)).value
    array([[0., 1., 2.],
           [3., 4., 5.]], dtype=float32)
    """

    name, symbol, is_view = "reshape", "reshape", True
    formula = "reshape(x, say(shape))"
    vjp_formulas = ("reshape(g)",)
    flops = 0

    def plan(self, x: Operand, shape: int | Sequence[int]) -> tuple[int, ...]:
        (x,) = self.given(x)
        try:
            view: Array = x._data.reshape(shape)
        except (ValueError, TypeError):
            raise self.error((x,), f"{x.size} entries do not fit into shape {shape}") from None
        return view.shape

    def run(self, node: Operator, out: Array | None) -> Array:
        x = node.inputs[0]._data
        if out is not None and out.base is (x if x.base is None else x.base):
            return out
        view: Array = x.reshape(node.plan)
        if out is not None:  # a compiled step has moved the input into its arena
            node._data = view
        return view

    def cotangent(self, i: int, node: Operator, g: Any, y: Any, *xs: Any) -> Any:
        return g.reshape(xs[0].shape)

    def batch_axis(self, node: Operator, axes: Axes) -> int:
        if axes[0] != 0 or node.shape[:1] != node.inputs[0].shape[:1]:
            raise NotSeparable
        return 0

    def bytes(self, node: Operator) -> int:
        return 0


class Transpose(Move):
    """The axes of x in the order `axes`, reversed by default.

    >>> mg.transpose(np.zeros((2, 3, 4)), (0, 2, 1)).shape
    (2, 4, 3)
    """

    name, symbol = "transpose", "transpose"
    formula = "transpose(x, say(axes)) if axes else x.T"
    vjp_formulas = ("transpose(g) if axes else g.T",)

    def plan(self, x: Operand, axes: Sequence[int] | None = None) -> tuple[int, ...]:
        (x,) = self.given(x)
        # each axis is as long as its number says
        return _shape(np.transpose, x, range(x.ndim), axes)

    def shape(self, node: Operator) -> tuple[int, ...]:
        return tuple(node.inputs[0].shape[i] for i in node.plan)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        np.copyto(out, xs[0].transpose(node.plan))

    def places(self, node: Operator, whole: Array) -> list[Array]:
        return [whole.transpose(np.argsort(node.plan))]

    def batch_axis(self, node: Operator, axes: Axes) -> int:
        (axis,) = axes
        return MEAN if axis == MEAN else int(node.plan.index(axis))


class Joined(NamedTuple):
    """The axis along which arrays are joined, from 0 on, and the shape of the result."""

    axis: int
    shape: tuple[int, ...]


class Join(Move):
    """Concatenate and stack."""

    def plan(self, *inputs: Operand, axis: int = 0) -> Joined:
        nodes = self.given(*inputs)
        if not nodes:
            raise ShapeError(f"{self.name}: at least one array was expected")
        blanks = [np.broadcast_to(0, x.shape) for x in nodes]
        try:
            joined = getattr(np, self.name)(blanks, axis=index(axis))
        except (ValueError, TypeError) as error:  # NumPy's AxisError is a ValueError
            raise self.error(nodes, f"axis {axis}: {error}") from None
        return Joined(axis % joined.ndim, joined.shape)

    def batch_axis(self, node: Operator, axes: Axes) -> int:
        axis, joined = axes[0], node.plan.axis
        stacked = node.ndim > node.inputs[0].ndim
        if axis is None or axis == MEAN or len({*axes}) > 1 or (axis == joined and not stacked):
            raise NotSeparable
        return axis + (stacked and joined <= axis)


class Concatenate(Join):
    name, symbol = "concatenate", "concat"
    formula = "concat(*inputs)"
    vjp_formulas = ("part(g, i)",)

    def places(self, node: Operator, whole: Array) -> list[Array]:
        axis = node.plan.axis
        ends = np.cumsum([x.shape[axis] for x in node.inputs])
        return np.split(whole, ends[:-1], axis)


class Stack(Join):
    name, symbol = "stack", "stack"
    formula = "stack(*inputs)"
    vjp_formulas = ("part(g, i)",)

    def places(self, node: Operator, whole: Array) -> list[Array]:
        before = (slice(None),) * node.plan.axis
        return [whole[(*before, i, ...)] for i in range(len(node.inputs))]


class Pad(Move):
    """x with `value` around it.

    `pad_width` as for `np.pad`: one number, (before, after), or a pair per axis.

    >>> mg.pad([1.0, 2.0], (1, 2)).value
    array([0., 1., 2., 0., 0.], dtype=float32)
    """

    name, symbol = "pad", "pad"
    formula = "pad(x, say(pad_width))"
    vjp_formulas = ("crop(g)",)

    def plan(self, x: Operand, pad_width: Any, value: float = 0.0) -> tuple[tuple[int, int], ...]:
        (x,) = self.given(x)
        try:
            widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2))
        except ValueError:
            widths = np.array([[-1]])
        if widths.dtype.kind not in "iu" or (widths < 0).any():
            expected = "(before, after) pairs of integers ≥ 0 were expected"
            raise self.error((x,), f"pad_width {pad_width} does not fit; {expected}")
        if not isinstance(value, int | float):
            raise self.error((x,), f"value={value!r}; a number was expected", DTypeError)
        return tuple((int(a), int(b)) for a, b in widths)

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode | None:
        # around zeros the result is linear
        return pad(xs[0], node.plan) if node.attributes["value"] else None

    def shape(self, node: Operator) -> tuple[int, ...]:
        shape = node.inputs[0].shape
        return tuple(n + sum(width) for n, width in zip(shape, node.plan, strict=True))

    def batch_axis(self, node: Operator, axes: Axes) -> int:
        (axis,) = axes
        if axis is None or axis == MEAN or any(node.plan[axis]):
            raise NotSeparable
        return axis

    def places(self, node: Operator, whole: Array) -> list[Array]:
        ends = zip(whole.shape, node.plan, strict=True)
        return [whole[tuple(slice(a, n - b) for n, (a, b) in ends)]]

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        out[...] = node.attributes["value"]
        super().forward(node, out, *xs)


class BroadcastTo(Rule):
    """x repeated to `shape` as NumPy broadcasts; the gradient is summed back.

    >>> mg.broadcast_to([1.0, 2.0], (2, 2)).value
    array([[1., 2.],
           [1., 2.]], dtype=float32)
    """

    name, symbol, multilinear, flops = "broadcast_to", "broadcast", 1, 0
    formula = "broadcast(x)"
    vjp_formulas = ("sum(g)",)

    def plan(self, x: Operand, shape: int | Sequence[int]) -> tuple[int, ...]:
        (x,) = self.given(x)
        return _shape(np.broadcast_to, x, x.shape, shape)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        out[...] = xs[0]

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        np.copyto(grads[0], sum_to(g, xs[0].shape))  # type: ignore[arg-type]

    def batch_axis(self, node: Operator, axes: Axes) -> int:
        (axis,), x = axes, node.inputs[0]
        assert axis is not None
        place = axis + node.ndim - x.ndim
        if axis == MEAN or node.shape[place] != x.shape[axis]:
            raise NotSeparable
        return place


reshape = register(Reshape(), np.reshape)
transpose = register(Transpose(), np.transpose)
pad = register(Pad())
broadcast_to = register(BroadcastTo(), np.broadcast_to)
_concatenate = register(Concatenate())
_stack = register(Stack())
implements(np.shape)(lambda x: x.shape)
implements(np.ndim)(lambda x: x.ndim)
implements(np.size)(lambda x, axis=None: np.size(x._data, axis))


@public()
def flatten(x: Operand, start_axis: int = 0) -> GraphNode:
    """All axes from `start_axis` on as one: (N, C, H, W) becomes (N, C·H·W) with start_axis=1.

    >>> mg.flatten(np.zeros((2, 3, 4)), start_axis=1).shape
    (2, 12)
    """
    node = _node(x)
    (start,) = normalise_axes("flatten", node, start_axis) if node.ndim else (0,)
    return reshape(node, (*node.shape[:start], math.prod(node.shape[start:])))


@public(np.concatenate)
def concatenate(xs: Sequence[Operand], axis: int = 0) -> GraphNode:
    """The arrays one after the other along an axis that exists.

    The other axes must agree, else `ShapeError`.

    >>> mg.concatenate([[1.0, 2.0], [3.0]]).value
    array([1., 2., 3.], dtype=float32)
    """
    return _concatenate(*_several("concatenate", xs), axis=axis)


@public(np.stack)
def stack(xs: Sequence[Operand], axis: int = 0) -> GraphNode:
    """The arrays, all of one shape, along a new axis.

    >>> mg.stack([[1.0, 2.0], [3.0, 4.0]], axis=1).value
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """
    return _stack(*_several("stack", xs), axis=axis)


def _several(name: str, xs: Any) -> Any:
    if not isinstance(xs, Iterable | GraphNode):
        raise TypeError(f"{name}: a {type(xs).__name__}; a list of arrays was expected")
    return xs


@implements(np.pad)
def _np_pad(
    x: Any, pad_width: Any, mode: Any = "constant", *, constant_values: float = 0.0
) -> GraphNode:
    if mode != "constant":
        raise GraphError(f"np.pad: mode {mode!r} has no minigrad operator; 'constant' was expected")
    return pad(x, pad_width, constant_values)


# ---------------- axes moved, dropped, added and cut: NumPy says where they go
def _moved(function: Callable[..., Any], x: Any, *axes: Any) -> GraphNode:
    node = _node(x)
    return transpose(node, _shape(function, node, range(node.ndim), *axes))


@public(np.moveaxis)
def moveaxis(x: Any, source: Any, destination: Any) -> GraphNode:
    """x with the axes `source` at the places `destination`, the others in their order.

    >>> mg.moveaxis(np.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    return _moved(np.moveaxis, x, source, destination)


@public(np.swapaxes)
def swapaxes(x: Any, axis1: int, axis2: int) -> GraphNode:
    """x with two axes exchanged.

    >>> mg.swapaxes(np.zeros((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    return _moved(np.swapaxes, x, axis1, axis2)


@public(np.squeeze)
def squeeze(x: Any, axis: Any = None) -> GraphNode:
    """x without axes of length 1: all of them, or those of `axis`, which must be such.

    >>> mg.squeeze(np.zeros((1, 3, 1))).shape
    (3,)
    """
    node = _node(x)
    return reshape(node, _shape(np.squeeze, node, node.shape, axis))


@public(np.expand_dims)
def expand_dims(x: Any, axis: Any) -> GraphNode:
    """x with axes of length 1 at the places `axis` of the result.

    >>> mg.expand_dims(np.zeros(3), axis=0).shape
    (1, 3)
    """
    node = _node(x)
    return reshape(node, _shape(np.expand_dims, node, node.shape, axis))


@implements(np.ravel)
def _ravel(x: Any) -> GraphNode:
    return _node(x).flatten()


@public(np.split)
def split(x: Any, sections: Any, axis: int = 0) -> list[GraphNode]:
    """x cut along `axis` into so many equal parts, or before each of the given places: [2, 5] gives
    [:2], [2:5] and [5:].

    Raises `ShapeError` for parts that are not equal.

    >>> [part.value.tolist() for part in mg.split([1.0, 2.0, 3.0, 4.0], 2)]
    [[1.0, 2.0], [3.0, 4.0]]
    """
    node = _node(x)
    (at,) = normalise_axes("split", node, axis)
    n, before = node.shape[at], (slice(None),) * at
    if isinstance(sections, int | np.integer):
        if sections < 1 or n % sections:
            wanted = f"{sections} equal parts of axis {axis}; give the places to cut at"
            raise ShapeError(f"split: shapes {node.shape}; {wanted}")
        sections = range(n // sections, n, n // sections) if n else [0] * (int(sections) - 1)
    ends = pairwise([0, *map(int, sections), n])
    return [getitem(node, (*before, slice(*end))) for end in ends]
