"""What is noted on an error on its way out: the module and the node in which it happened. The
message stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import noted, tell_line
from . import settings

if TYPE_CHECKING:
    from .node import GraphNode

MODULE, NODE = "in module ", "at "


def module_path(scope: tuple[Any, ...]) -> str:
    """The innermost module of a scope, as `named_modules` of the outermost has it: `1.0 · Linear`;
    nothing for no module.
    """
    if not scope:
        return ""
    paths = scope[0].named_modules() if hasattr(scope[0], "named_modules") else ()
    path = next((f"{name} · " for name, module in paths if module is scope[-1] and name), "")
    return f"{path}{type(scope[-1]).__name__}"


def tell_module(error: BaseException, scope: tuple[Any, ...] | None = None) -> None:
    """Note the user's line and the innermost module of the scope (the present one by default);
    once, for on its way out an error passes many.
    """
    tell_line(error)
    path = module_path(settings.scope() if scope is None else scope)
    if path and not noted(error, MODULE):
        error.add_note(f"{MODULE}{path}")


def tell_node(error: BaseException, node: GraphNode) -> None:
    """Note the node, and the module that it was made in: where in a graph that runs again an error
    comes from.
    """
    tell_line(error)
    if not noted(error, NODE):
        error.add_note(f"{NODE}{node!r}")
        tell_module(error, node.scope)
