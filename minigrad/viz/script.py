"""Graphs of a user's script, by name: `script.py:name`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

from ..errors import GraphError
from ..graph.node import GraphNode


def from_script(target: str) -> Any:
    """Run `script.py` as Python would and return its `name`.

    That is a node, a `Graph`, a tuple of nodes, a `Drawing`, or a function without arguments that
    returns one of them. Raises `ValueError` if there is no such script or name, or if it cannot be
    drawn; exceptions of the script are passed on.
    """
    file, colon, name = target.rpartition(":")
    path = Path(file)
    if not colon or path.suffix != ".py" or not name:
        raise ValueError(f"draw: {target!r}; an experiment or script.py:name was expected")
    if not path.is_file():
        raise ValueError(f"draw: there is no script {str(path)!r}")
    sys.path.insert(0, str(path.parent.resolve()))  # as Python does, for the script's own imports
    try:
        found = runpy.run_path(str(path), run_name="__main__")
        if name not in found:
            raise ValueError(f"draw: {path.name} makes no {name!r}; it has {_offer(found)}")
        graph = (
            found[name]() if callable(found[name]) and not _drawable(found[name]) else found[name]
        )
    finally:
        sys.path.remove(str(path.parent.resolve()))
    if not _drawable(graph):
        kind = type(graph).__name__
        raise ValueError(
            f"draw: {name} of {path.name} is a {kind}; a node, a Graph or a Drawing was expected"
        )
    return graph


def backward(graph: Any) -> None:
    """Backpropagate from a node or `Graph` that has no gradient yet; else raise `GraphError`."""
    head = getattr(graph, "head", graph)
    if not isinstance(head, GraphNode):
        raise GraphError(f"draw: a {type(graph).__name__} has no gradients; name a single node")
    if head.grad is None:
        head.backward()


def _drawable(thing: Any) -> bool:
    found = getattr(thing, "head", thing)
    nodes = found if isinstance(found, tuple) else (found,)
    return hasattr(thing, "picture") or (
        bool(nodes) and all(isinstance(node, GraphNode) for node in nodes)
    )


def _offer(found: dict[str, Any]) -> str:
    names = [name for name, thing in found.items() if not name.startswith("_") and _drawable(thing)]
    return ", ".join(names) or "nothing to draw"
