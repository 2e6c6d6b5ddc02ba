"""Axes moved, dropped, added and cut: NumPy's names for what reshape, transpose and indexing do.

NumPy's functions of those names, called on arrays without numbers, say where the axes go.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..graph.node import GraphNode
from ..graph.registry import by_name, implements, public
from .indexing import getitem
from .reduce import normalise_axes
from .shape import reshape, transpose


def _node(x: Any) -> GraphNode:
    node: GraphNode = by_name("reshape").operands((x,))[0]
    return node


def _shape(function: Callable[..., Any], x: GraphNode, sizes: Any, *axes: Any) -> tuple[int, ...]:
    """The shape that NumPy's function gives an array of these sizes, in place of x."""
    try:
        found: tuple[int, ...] = function(np.empty(sizes, bool), *axes).shape
        return found
    except (ValueError, TypeError) as error:  # NumPy's AxisError is a ValueError
        given = " and ".join(map(repr, axes))
        message = f"{function.__name__}: shapes {x.shape}; axis {given}: {error}"
        raise ShapeError(message) from None


def _moved(function: Callable[..., Any], x: Any, *axes: Any) -> GraphNode:
    node = _node(x)
    numbers = range(node.ndim)  # each axis as long as its number says
    return transpose(node, _shape(function, node, numbers, *axes))


@public(np.moveaxis)
def moveaxis(x: Any, source: Any, destination: Any) -> GraphNode:
    """x with the axes `source` at the places `destination`, the others in their order."""
    return _moved(np.moveaxis, x, source, destination)


@public(np.swapaxes)
def swapaxes(x: Any, axis1: int, axis2: int) -> GraphNode:
    """x with two axes exchanged."""
    return _moved(np.swapaxes, x, axis1, axis2)


@public(np.squeeze)
def squeeze(x: Any, axis: Any = None) -> GraphNode:
    """x without axes of length 1: all of them, or those of `axis`, which must be such."""
    node = _node(x)
    return reshape(node, _shape(np.squeeze, node, node.shape, axis))


@public(np.expand_dims)
def expand_dims(x: Any, axis: Any) -> GraphNode:
    """x with axes of length 1 at the places `axis` of the result."""
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
    """
    node = _node(x)
    (at,) = normalise_axes("split", node, axis)
    if isinstance(sections, int | np.integer) and (sections < 1 or node.shape[at] % sections):
        wanted = f"{sections} equal parts of axis {axis}; give the places to cut at"
        raise ShapeError(f"split: shapes {node.shape}; {wanted}")
    return _array_split(node, sections, at)


@implements(np.array_split)
def _array_split(x: GraphNode, sections: Any, axis: int = 0) -> list[GraphNode]:
    (at,) = normalise_axes("array_split", x, axis)
    n, before = x.shape[at], (slice(None),) * at
    if isinstance(sections, int | np.integer):
        each, more = divmod(n, sections)  # the first parts are longer by one
        sections = [i * each + min(i, more) for i in range(1, sections)]
    ends = pairwise([0, *map(int, sections), n])
    return [getitem(x, (*before, slice(*end))) for end in ends]
