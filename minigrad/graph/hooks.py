"""Hooks: functions that are called when a value or a gradient is ready.

Drawings, NaN finding, timing and progress all use this one mechanism.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Literal

import numpy as np

from . import settings

Array = np.ndarray[tuple[int, ...], np.dtype[Any]]
Hook = Callable[[Any, Array], object]  # of a node and its value or gradient
_keys = count()


def read_only(array: Array) -> Array:
    """A view of the array that cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


class Handle:
    """What registering a hook returns; `remove()` takes the hook off again (twice does no harm)."""

    def __init__(self, hooks: dict[int, Hook], hook: Hook) -> None:
        if not callable(hook):
            got = type(hook).__name__
            raise TypeError(f"hook: a {got}; a function of node and array was expected")
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
        return type(self), ()  # copies and pickles begin without hooks


class OwnHooks(Hooks):
    """Hooks registered on a node itself; those of modules and graphs are shared among nodes."""

    __slots__ = ()


def fire(
    attached: Sequence[Hooks], kind: Literal["forward", "backward"], node: Any, array: Array
) -> None:
    """Call each hook with `(node, array)`; the array is read-only, because hooks only watch.

    The order is that of registration, whether on the node, a module or a graph. A hook that another
    one removes is not called any more; one that is registered meanwhile is not called yet. Within
    `settings.state_kept`, where a pass does not count as one, no hook is called.
    """
    tables: list[dict[int, Hook]] = [getattr(hooks, kind) for hooks in attached]
    called = [(key, table) for table in tables for key in table]
    if called and settings.advancing():
        view = read_only(array)
        with settings.rerun(None):  # hooks are called in every run, so they may read numbers
            for key, table in sorted(called, key=lambda pair: pair[0]):
                if key in table:
                    table[key](node, view)
