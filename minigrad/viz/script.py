"""What a script of the user's builds, by name: `script.py:name`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

from ..errors import GraphError
from ..graph.node import GraphNode


def from_script(target: str) -> Any:
    """Run `script.py` as Python would and return its `name`: a node, a `Graph`, a tuple of nodes or
    a `Drawing`.

    A function that needs no arguments is called, and what it returns is taken. Raises `ValueError`
    if there is no such script or name, or if that is nothing to draw; an exception of the script's
    own comes through.
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
            raise ValueError(f"draw: {path.name} makes no {name!r}; to draw there {_offer(found)}")
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
    """Pull gradients back from a node or `Graph` that has none yet. Raises `GraphError` where that
    cannot be.
    """
    head = getattr(graph, "head", graph)
    if not isinstance(head, GraphNode):
        raise GraphError(
            f"draw: gradients of a {type(graph).__name__} cannot be had; name a single node"
        )
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
    return f"would be {', '.join(names)}" if names else "is nothing"
