"""Notes that errors get on their way out: the module and the node in which they were raised."""

from __future__ import annotations

from typing import Any

from ..errors import noted, tell_line
from . import settings

MODULE, NODE = "in module ", "at "


def module_path(scope: tuple[Any, ...]) -> str:
    """The innermost module of a scope with its path from the outermost one: `1.0 · Linear`."""
    if not scope:
        return ""
    paths = scope[0].named_modules() if hasattr(scope[0], "named_modules") else ()
    path = next((f"{name} · " for name, module in paths if module is scope[-1] and name), "")
    return f"{path}{type(scope[-1]).__name__}"


def add_module_context(error: BaseException, scope: tuple[Any, ...] | None = None) -> None:
    """Note the user's line and the innermost module of the scope (the present one by default).

    An error passes many modules on its way; only the first one is noted.
    """
    tell_line(error)
    path = module_path(settings.scope() if scope is None else scope)
    if path and not noted(error, MODULE):
        error.add_note(f"{MODULE}{path}")


def add_node_context(error: BaseException, node: Any) -> None:
    """Note the node, and the module in which it was made."""
    tell_line(error)
    if not noted(error, NODE):
        error.add_note(f"{NODE}{node.brief}")
        add_module_context(error, node.scope)
