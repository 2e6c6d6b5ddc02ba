"""Axes moved, dropped, added and cut: NumPy's names for what reshape, transpose and indexing do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..errors import ShapeError
from ..graph.node import GraphNode
from ..graph.registry import by_name, implements, public
from .indexing import getitem
from .shape import reshape, transpose


def _node(x: Any) -> GraphNode:
    node: GraphNode = by_name("reshape").operands((x,))[0]
    return node


def _axes(name: str, x: GraphNode, axis: Any, ndim: int) -> tuple[int, ...]:
    try:
        return tuple(map(int, normalize_axis_tuple(axis, ndim)))
    except (ValueError, TypeError) as error:  # NumPy's AxisError is a ValueError
        raise ShapeError(f"{name}: shapes {x.shape}; axis {axis!r}: {error}") from None


@public(np.moveaxis)
def moveaxis(x: Any, source: Any, destination: Any) -> GraphNode:
    """x with the axes `source` at the places `destination`, the others in their order."""
    node = _node(x)
    origin, goal = (_axes("moveaxis", node, axis, node.ndim) for axis in (source, destination))
    if len(origin) != len(goal):
        raise ShapeError(
            f"moveaxis: shapes {node.shape}; {len(origin)} axes for {len(goal)} places"
        )
    order = [i for i in range(node.ndim) if i not in origin]
    for place, axis in sorted(zip(goal, origin, strict=True)):
        order.insert(place, axis)
    return transpose(node, order)


@public(np.swapaxes)
def swapaxes(x: Any, axis1: int, axis2: int) -> GraphNode:
    """x with two axes exchanged."""
    node = _node(x)
    (a,), (b,) = (_axes("swapaxes", node, axis, node.ndim) for axis in (axis1, axis2))
    order = list(range(node.ndim))
    order[a], order[b] = b, a
    return transpose(node, order)


@public(np.squeeze)
def squeeze(x: Any, axis: Any = None) -> GraphNode:
    """x without axes of length 1: all of them, or those of `axis`, which must be such."""
    node = _node(x)
    gone = (
        [i for i, n in enumerate(node.shape) if n == 1]
        if axis is None
        else _axes("squeeze", node, axis, node.ndim)
    )
    if any(node.shape[i] != 1 for i in gone):
        raise ShapeError(
            f"squeeze: shapes {node.shape}; axis {axis!r}: axes of length 1 were expected"
        )
    return reshape(node, tuple(n for i, n in enumerate(node.shape) if i not in gone))


@public(np.expand_dims)
def expand_dims(x: Any, axis: Any) -> GraphNode:
    """x with axes of length 1 at the places `axis` of the result."""
    node = _node(x)
    ndim = node.ndim + (len(axis) if isinstance(axis, tuple | list) else 1)
    added, sizes = _axes("expand_dims", node, axis, ndim), iter(node.shape)
    return reshape(node, tuple(1 if i in added else next(sizes) for i in range(ndim)))


@implements(np.ravel)
def _ravel(x: Any) -> GraphNode:
    return _node(x).flatten()


@public(np.split)
def split(x: Any, sections: Any, axis: int = 0) -> list[GraphNode]:
    """x cut along `axis` into so many equal parts, or before each of the given places: [2, 5] gives
    [:2], [2:5] and [5:].

    Raises `ShapeError` for parts that are not equal.
    """
    node = _node(x)
    (at,) = _axes("split", node, axis, node.ndim)
    n = node.shape[at]
    if not isinstance(sections, int | np.integer):
        return _cut(node, sections, at)
    if sections < 1 or n % sections:
        raise ShapeError(
            f"split: shapes {node.shape}; {sections} equal parts of axis {axis}; give the places "
            f"to cut at"
        )
    return _cut(
        node, range(n // sections, n, n // sections) if n else [0] * (int(sections) - 1), at
    )


@implements(np.array_split)
def _array_split(x: Any, sections: Any, axis: int = 0) -> list[GraphNode]:
    if not isinstance(sections, int | np.integer):
        return split(x, sections, axis)
    each, more = divmod(x.shape[_axes("split", x, axis, x.ndim)[0]], sections)
    return split(x, [i * each + min(i, more) for i in range(1, sections)], axis)


def _cut(x: GraphNode, places: Sequence[int], axis: int) -> list[GraphNode]:
    before = (slice(None),) * axis
    return [
        getitem(x, (*before, slice(a, b)))
        for a, b in pairwise([0, *map(int, places), x.shape[axis]])
    ]
