"""Who is told when a value or a gradient is ready: one mechanism for drawings, NaN finding, timing
and progress.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from . import settings

if TYPE_CHECKING:
    from .node import GraphNode

Hook = Callable[["GraphNode", np.ndarray[Any, Any]], object]

_keys = count()


def read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A view of the array through which nobody can write."""
    view = array.view()
    view.flags.writeable = False
    return view


class Handle:
    """What registering a hook returns; `remove()` takes the hook off again (twice does no harm)."""

    def __init__(self, hooks: dict[int, Hook], hook: Hook) -> None:
        if not callable(hook):
            raise TypeError(
                f"hook: a {type(hook).__name__}; a function of node and array was expected"
            )
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

    def __reduce__(self) -> Any:
        return type(self), ()  # hooks stay with the original: copies and pickles begin without


class OwnHooks(Hooks):
    """Those that were registered on a node itself; modules and graphs share theirs among nodes."""

    __slots__ = ()


def fire(tables: Iterable[dict[int, Hook]], node: GraphNode, array: np.ndarray[Any, Any]) -> None:
    """Call each hook with `(node, array)`; the array is read-only, for a hook watches and never
    steers.

    A pass that does not count as one (`settings.state_kept`) calls none.

    The order is that of registration, whether on the node, a module or a graph. A hook that another
    one removes is not called any more; one that is registered meanwhile is not called yet.
    """
    called = [(key, table) for table in tables for key in table]
    if called and settings.advancing():
        view = read_only(array)
        with settings.rerun(None):  # a hook is called for every run, so it may read numbers
            for key, table in sorted(called, key=lambda pair: pair[0]):
                if key in table:
                    table[key](node, view)
