"""Who is told when a value or a gradient is ready: one mechanism for drawings, NaN finding, timing and progress."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .node import GraphNode

Hook = Callable[["GraphNode", np.ndarray[Any, Any]], object]

_keys = count()


class Handle:
    """What registering a hook returns; `remove()` takes the hook off again (twice does no harm)."""

    def __init__(self, hooks: dict[int, Hook], hook: Hook) -> None:
        self._hooks, self._key = hooks, next(_keys)
        hooks[self._key] = hook

    def remove(self) -> None:
        """Take the hook off; it is not called any more."""
        self._hooks.pop(self._key, None)


class Hooks:
    """The hooks of one node, module or graph, in the order in which they were registered."""

    __slots__ = ("backward", "forward")

    def __init__(self) -> None:
        self.forward: dict[int, Hook] = {}
        self.backward: dict[int, Hook] = {}


def fire(tables: Iterable[dict[int, Hook]], node: GraphNode, array: np.ndarray[Any, Any]) -> None:
    """Call each hook with `(node, array)`; the array is read-only, for a hook watches and never steers."""
    called = [hook for table in tables for hook in table.values()]  # a list, because a hook may remove itself
    if called:
        view = array.view()
        view.flags.writeable = False
        for hook in called:
            hook(node, view)
