"""Numbers that leave a graph for plain Python code.

A number that Python reads while a graph is built to run again would stay that of the first run;
this is an error. A number read from a graph that records gradients passes no gradient on; this is a
warning, because plotting a node is fine.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import GradientWarning, GraphError, ShapeError, warn_user
from . import settings
from .conversion import Array


class Readable:
    """Conversion of a node into text, Python numbers and NumPy arrays."""

    __slots__ = ()
    _data: Array
    requires_grad: bool
    name: str | None

    @property
    def brief(self) -> str:
        """Kind, name, shape and dtype, for messages: the `repr` without the value of a leaf."""
        name = f" {self.name!r}" if self.name else ""
        return f"<{self._kind()}{name} {self._data.shape} {self._data.dtype}>"

    def _kind(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        return self.brief

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __float__(self) -> float:
        number = float(self.item())
        _warn_detached(self, "float()", "mg.sin(x) instead of math.sin(x)")
        return number

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise GraphError(f"the truth of {self.brief} is not one yes or no; compare its .value")
        return bool(self.item())

    def item(self) -> Any:
        """The single number that the node holds, as a Python scalar."""
        if self._data.size != 1:
            raise ShapeError(f"{self.brief} holds {self._data.size} numbers, not one; use .value")
        refuse_frozen(self)
        return self._data.item()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        refuse_frozen(self)
        _warn_detached(self, "np.asarray()", "mg.stack for a list of nodes")
        return np.array(self._data, dtype=dtype)


def refuse_frozen(node: Any) -> None:
    """Raise `GraphError` for a number that would stay fixed when the graph runs again."""
    changing = settings.changing()
    if changing is None:
        return
    stack, seen = [node], set()
    while stack:
        source = stack.pop()
        if source in seen:
            continue
        seen.add(source)
        stack += source.inputs
        if source.changes(changing):
            computed = f" (computed from {source.brief})" if source is not node else ""
            raise GraphError(
                f"{node.brief}{computed} is read as a number while its graph is built to run "
                "again: Python code would see the number of the first batch for ever; "
                'use an operator (mg.where for a choice), or mode="eager"'
            )


def _warn_detached(node: Any, how: str, instead: str) -> None:
    if node.requires_grad and settings.recording() and settings.changing() is None:
        warn_user(
            f"{how} of {node.brief} gives plain numbers, through which no gradient flows; use an "
            f"operator ({instead}), or .item() and .value where the numbers are meant",
            GradientWarning,
        )


def holds_nodes(value: Any) -> bool:
    """Is this a list or tuple, perhaps of lists, with a node in it?"""
    return isinstance(value, list | tuple) and any(
        isinstance(x, Readable) or holds_nodes(x) for x in value
    )
