"""NumPy's functions that copy, turn, pick and order entries, mostly composed of other operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..errors import ShapeError
from ..graph.conversion import Array
from ..graph.node import Constant, GraphNode
from ..graph.registry import by_name, implements, public
from ..graph.rule import Grads, Operand, Operator, register
from ..graph.settings import float_dtype
from .elementwise import multiply, where
from .indexing import getitem
from .kinds import Axes, SameShape, normalise_axes
from .reduce import Running
from .shape import _node, _several, _shape, broadcast_to, concatenate, pad, reshape

Axis = int | None
EVERY = slice(None)


# ---------------- copies
@public(np.repeat)
def repeat(x: Any, repeats: Any, axis: Axis = None) -> GraphNode:
    """Each entry so many times: `repeats` is one number, or one for each entry along `axis`.

    Without an axis x is taken in C order. Raises `ShapeError` for numbers that do not fit.

    >>> mg.repeat([1.0, 2.0], 2).value
    array([1., 1., 2., 2.], dtype=float32)
    """
    node, at = _along("repeat", x, axis)
    _shape(np.repeat, node, node.shape, repeats, at)
    if isinstance(repeats, int | np.integer):
        return _copies(node, at, int(repeats), at + 1)
    return take(node, np.repeat(np.arange(node.shape[at]), repeats), at)


@public(np.tile)
def tile(x: Any, reps: int | Sequence[int]) -> GraphNode:
    """x side by side so many times along each axis; missing axes are added in front.

    Raises `ShapeError` for numbers that are no counts.

    >>> mg.tile([1.0, 2.0], 2).value
    array([1., 2., 1., 2.], dtype=float32)
    """
    node = _node(x)
    counts = tuple(reps) if isinstance(reps, Sequence) else (reps,)
    _shape(np.tile, node, node.shape, counts)
    ndim = max(node.ndim, len(counts))
    node = reshape(node, (1,) * (ndim - node.ndim) + node.shape)
    for axis, count in enumerate(counts, ndim - len(counts)):
        node = _copies(node, axis, count, axis) if count != 1 else node
    return node


def _copies(x: GraphNode, axis: int, count: int, place: int) -> GraphNode:
    """x so many times along an axis, with the copies counted along a new axis at `place`: before
    the axis for the whole x, behind it for each entry.
    """
    before, after = x.shape[:place], x.shape[place:]
    wide = broadcast_to(reshape(x, (*before, 1, *after)), (*before, count, *after))
    return reshape(wide, (*x.shape[:axis], x.shape[axis] * count, *x.shape[axis + 1 :]))


def _along(name: str, x: Any, axis: Axis) -> tuple[GraphNode, int]:
    """x as a node and an axis of it, counted from 0; without one all of x in C order."""
    node = _node(x)
    if axis is None:
        return node.flatten(), 0
    (at,) = normalise_axes(name, node, axis)
    return node, at


@public(np.hstack)
def hstack(xs: Sequence[Operand]) -> GraphNode:
    """The arrays side by side: along axis 1, or along axis 0 if they have one axis.

    >>> mg.hstack([[1.0, 2.0], [3.0]]).value
    array([1., 2., 3.], dtype=float32)
    """
    nodes = by_name("concatenate").operands(tuple(_several("hstack", xs)))
    rows = [x if x.ndim else x.reshape(1) for x in nodes]
    return concatenate(rows, axis=int(bool(rows) and rows[0].ndim > 1))


@public(np.vstack)
def vstack(xs: Sequence[Operand]) -> GraphNode:
    """The arrays below each other, along axis 0; one with less than two axes is a row.

    >>> mg.vstack([[1.0, 2.0], [3.0, 4.0]]).value
    array([[1., 2.],
           [3., 4.]], dtype=float32)
    """
    nodes = by_name("concatenate").operands(tuple(_several("vstack", xs)))
    return concatenate([x if x.ndim > 1 else x.reshape(1, x.size) for x in nodes])


@public(np.full_like)
def full_like(x: Any, fill_value: Any, dtype: DTypeLike | None = None) -> GraphNode:
    """A constant of the shape and dtype of x, filled with a number; a node is broadcast.

    >>> mg.full_like(mg.Variable([1.0, 2.0]), 5).value
    array([5., 5.], dtype=float32)
    """
    node = _node(x)
    if isinstance(fill_value, GraphNode):
        return broadcast_to(fill_value, node.shape)
    return Constant(np.full(node.shape, fill_value), dtype=dtype or node.dtype)


@public(np.zeros_like)
def zeros_like(x: Any, dtype: DTypeLike | None = None) -> GraphNode:
    """A constant of the shape and dtype of x, filled with 0.

    >>> mg.zeros_like(mg.Variable([1.0, 2.0])).value
    array([0., 0.], dtype=float32)
    """
    return full_like(x, 0, dtype)


@public(np.ones_like)
def ones_like(x: Any, dtype: DTypeLike | None = None) -> GraphNode:
    """A constant of the shape and dtype of x, filled with 1.

    >>> mg.ones_like(mg.Variable([1.0, 2.0])).value
    array([1., 1.], dtype=float32)
    """
    return full_like(x, 1, dtype)


# ---------------- matrices
@public(np.outer)
def outer(a: Operand, b: Operand) -> GraphNode:
    """The products of all entries of a (rows) with all of b (columns).

    >>> mg.outer([1.0, 2.0], [3.0, 4.0]).value
    array([[3., 4.],
           [6., 8.]], dtype=float32)
    """
    rows, columns = by_name("multiply").operands((a, b))
    return multiply(rows.reshape(rows.size, 1), columns.reshape(1, columns.size))


@public(np.diag)
def diag(x: Any, k: int = 0) -> GraphNode:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal; k > 0 is above it.

    >>> mg.diag([1.0, 2.0]).value
    array([[1., 0.],
           [0., 2.]], dtype=float32)
    """
    node = _node(x)
    _shape(np.diag, node, node.shape, k)
    places = np.arange(1, node.size + 1).reshape(node.shape)  # 0: a zero in front of all
    return getitem(pad(node.flatten(), (1, 0)), np.diag(places, k))


@public(np.tril)
def tril(x: Any, k: int = 0) -> GraphNode:
    """The matrices in the last two axes with zeros above the diagonal number k.

    >>> mg.tril([[1.0, 2.0], [3.0, 4.0]]).value
    array([[1., 0.],
           [3., 4.]], dtype=float32)
    """
    node = _node(x)
    _shape(np.tril, node, node.shape, k)
    return where(_lower(node, k), node, 0)


@public(np.triu)
def triu(x: Any, k: int = 0) -> GraphNode:
    """The matrices in the last two axes with zeros below the diagonal number k.

    >>> mg.triu([[1.0, 2.0], [3.0, 4.0]]).value
    array([[1., 2.],
           [0., 4.]], dtype=float32)
    """
    node = _node(x)
    _shape(np.triu, node, node.shape, k)
    return where(_lower(node, k - 1), 0, node)


def _lower(x: GraphNode, k: int) -> Constant:
    """Which entries of a matrix like x lie on the diagonal number k or below."""
    return Constant(np.tri(x.shape[-2:][0], x.shape[-1], k), dtype=bool)


# ---------------- turns
@public(np.flip)
def flip(x: Any, axis: Any = None) -> GraphNode:
    """x in reverse order along the axes, all by default.

    >>> mg.flip([1.0, 2.0, 3.0]).value
    array([3., 2., 1.], dtype=float32)
    """
    node = _node(x)
    axes = normalise_axes("flip", node, axis)
    turned = (slice(None, None, -1) if i in axes else EVERY for i in range(node.ndim))
    return getitem(node, tuple(turned))


@public(np.roll)
def roll(x: Any, shift: Any, axis: Any = None) -> GraphNode:
    """x with entries moved by `shift` places along the axis; what leaves enters at the other end.

    Without an axis x is moved in C order.

    >>> mg.roll([1.0, 2.0, 3.0], 1).value
    array([3., 1., 2.], dtype=float32)
    """
    node = _node(x)
    _shape(np.roll, node, node.shape, shift, axis)
    if axis is None:
        return reshape(roll(node.flatten(), shift, 0), node.shape)
    for s, at in np.broadcast(shift, normalise_axes("roll", node, axis)):
        node = take(node, np.roll(np.arange(node.shape[at]), s), int(at))
    return node


# ---------------- picks and orders
@public(np.take)
def take(x: Any, indices: Any, axis: Axis = None) -> GraphNode:
    """The entries of x at the indices, an integer, an array or a node, along `axis`.

    Without an axis x is taken in C order. Raises `IndexError` outside of x.

    >>> mg.take([[1.0, 2.0], [3.0, 4.0]], [1, 0], axis=1).value
    array([[2., 1.],
           [4., 3.]], dtype=float32)
    """
    node, at = _along("take", x, axis)
    ids = indices if isinstance(indices, GraphNode) else np.asarray(indices) * 1  # no mask
    return getitem(node, (*(EVERY,) * at, ids))


@public(np.take_along_axis)
def take_along_axis(x: Any, indices: Any, axis: Axis = -1) -> GraphNode:
    """For each place along the other axes the entries of x at the indices there, an array or a node
    with the axes of x. Raises `ShapeError` for other axes, `IndexError` outside of x.

    >>> mg.take_along_axis([[1.0, 2.0], [3.0, 4.0]], [[1], [0]], axis=1).value
    array([[2.],
           [3.]], dtype=float32)
    """
    node, at = _along("take_along_axis", x, axis)
    ids = indices if isinstance(indices, GraphNode) else np.asarray(indices)
    ids = ids if axis is not None else ids.reshape(-1)
    if ids.ndim != node.ndim:
        expected = f"indices with {node.ndim} axes were expected"
        raise ShapeError(f"take_along_axis: shapes {node.shape} and {ids.shape}; {expected}")
    places: list[Any] = [*np.ogrid[tuple(map(slice, node.shape))]]
    places[at] = ids
    return getitem(node, tuple(places))


class ArgSort(Running):
    """The places of the entries along `axis` in rising order, integers; equal ones keep theirs.

    NaN comes last. Without an axis x is taken in C order. No gradient passes.

    >>> mg.argsort([3.0, 1.0, 2.0]).value
    array([1, 2, 0])
    """

    name, symbol, differentiable = "argsort", "arg sort", False
    formula = "apply('argsort', x)"
    vjp_formulas = (None,)

    def plan(self, x: Operand, axis: Axis = -1) -> int:
        return super().plan(x, axis)

    def dtype(self, node: Operator) -> np.dtype[Any]:
        return np.dtype(np.int64)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        out[...] = np.argsort(xs[0], axis=node.plan, kind="stable")


argsort = register(ArgSort(), np.argsort)


@public(np.sort)
def sort(x: Any, axis: Axis = -1) -> GraphNode:
    """The entries along `axis` in rising order, NaN last; without an axis those of x in C order.

    The gradient goes to where an entry came from.

    >>> mg.sort([3.0, 1.0, 2.0]).value
    array([1., 2., 3.], dtype=float32)
    """
    node, at = _along("sort", x, axis)
    return take_along_axis(node, argsort(node, at), at)


# ---------------- dtypes
class AsType(SameShape):
    """x in float32 or float64; gradients come back in the dtype of x.

    Raises `DTypeError` for another dtype.

    >>> mg.astype(mg.Variable([1.0]), np.float64).dtype
    dtype('float64')
    """

    name, symbol, flops = "astype", "astype", 0
    formula = "x"
    vjp_formulas = ("g",)

    def plan(self, x: Operand, dtype: DTypeLike) -> np.dtype[Any]:
        return float_dtype(dtype)

    def dtype(self, node: Operator) -> np.dtype[Any]:
        wanted: np.dtype[Any] = node.plan
        return wanted

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        np.copyto(out, xs[0])

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        np.copyto(grads[0], g)  # type: ignore[arg-type]

    def vjp_nodes(
        self, node: Operator, g: GraphNode, wanted: Sequence[bool]
    ) -> Sequence[GraphNode | None]:
        return [astype(g, node.inputs[0].dtype) if wanted[0] else None]

    def batch_axis(self, node: Operator, axes: Axes) -> int | None:
        return axes[0]


astype = register(AsType())
if hasattr(np, "astype"):  # since NumPy 2.1
    implements(np.astype)(astype)
