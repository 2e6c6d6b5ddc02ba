"""Where numbers leave a node for plain Python or are assigned to one, and what that may not do in
silence.

A number that Python reads while a graph is built to run again stays that of the first run: an
error. A number through which a gradient would have had to flow lets none through: a warning,
because plotting a node is fine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DTypeError, GradientWarning, GraphError, ShapeError, warn_user
from . import settings
from .arrays import Array, need_digits, need_room
from .stamps import next_stamp

if TYPE_CHECKING:
    from .node import GraphNode, Variable


class Readable:
    """What turns a node into Python numbers and NumPy arrays."""

    __slots__ = ()
    _data: Array
    requires_grad: bool

    def __float__(self) -> float:
        number = float(self.item())
        warn_detached(self, "float()", "mg.sin(x) instead of math.sin(x)")
        return number

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise GraphError(f"the truth of {self!r} is not one yes or no; compare its .value")
        return bool(self.item())

    def item(self) -> Any:
        """The single number that the node holds, as a Python scalar."""
        if self._data.size != 1:
            raise ShapeError(f"{self!r} holds {self._data.size} numbers, not one; use .value")
        refuse_frozen(self)
        return self._data.item()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        refuse_frozen(self)
        warn_detached(self, "np.asarray()", "mg.stack for a list of nodes")
        return np.array(self._data, dtype=dtype)


def refuse_frozen(node: Any) -> None:
    """Raise `GraphError` for reading a number that the graph being built would keep when it runs
    again.
    """
    changing = settings.changing()
    if changing is None:
        return
    from .order import topological_sort

    for other in topological_sort(node):
        if other.changes(changing):
            source = f" (computed from {other!r})" if other is not node else ""
            raise GraphError(
                f"{node!r}{source} is read as a number while its graph is built to run again: "
                "Python code would see the number of the first batch for ever; "
                'use an operator (mg.where for a choice), or mode="eager"'
            )


def warn_detached(node: Any, how: str, instead: str) -> None:
    """Warn where a number is taken out of a graph that records gradients."""
    if node.requires_grad and settings.recording() and settings.changing() is None:
        warn_user(
            f"{how} of {node!r} gives plain numbers, through which no gradient flows; use an "
            f"operator "
            f"({instead}), or .item() and .value where the numbers are meant",
            GradientWarning,
        )


def holds_nodes(value: Any) -> bool:
    """Is this a list or tuple, perhaps of lists, with a node in it?"""
    return isinstance(value, list | tuple) and any(
        isinstance(x, Readable) or holds_nodes(x) for x in value
    )


def in_place(symbol: str, function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """The method of a `Variable` for `w += x` and its like: within `no_grad` it changes the array
    of w.
    """

    def update(self: Variable, other: Any) -> Variable:
        if settings.recording():
            raise GraphError(
                f"{self!r} {symbol} …: a Variable changes in place only within `with "
                f"mg.no_grad():`; "
                f"w = w {symbol[:-1]} … makes a new node"
            )
        refuse_frozen(self)
        self.value = function(self._data, other._data if isinstance(other, Readable) else other)
        return self

    return update


def refill(leaf: GraphNode, new: Any) -> None:
    """Copy a new value into a leaf's own memory, so that graphs built on it see it."""
    if new is leaf._data:  # the end of `x.value -= step`, which has happened in place
        leaf.stamp = next_stamp()
        return
    array = np.asarray(new)
    if array.shape != leaf.shape:
        raise ShapeError(
            f"{leaf!r} cannot take a value of shape {array.shape}; a node keeps its shape"
        )
    if array.dtype.kind not in "biuf" or (leaf.dtype.kind != "f" and array.dtype.kind == "f"):
        raise DTypeError(f"{leaf!r} cannot take {array.dtype} values")
    need_room(array, leaf.dtype)
    need_digits(array, leaf.dtype)
    np.copyto(leaf._data, array, casting="unsafe")
    leaf.stamp = next_stamp()


def fit_gradient(node: GraphNode, grad: Any) -> Array | None:
    """What is assigned to `node.grad`: None, or an array of its shape in its dtype, copied only
    where it does not fit.
    """
    if grad is None:
        return None
    array = np.asarray(grad._data if isinstance(grad, Readable) else grad)
    if array.shape != node.shape:
        raise ShapeError(
            f"{node!r}: a gradient of shape {array.shape} was assigned, {node.shape} was expected"
        )
    if array.dtype.kind not in "biuf" or node.dtype.kind != "f":
        raise DTypeError(
            f"{node!r}: a gradient of {array.dtype} values was assigned, {node.dtype} was expected"
        )
    return np.require(array, node.dtype, ("C", "W"))
