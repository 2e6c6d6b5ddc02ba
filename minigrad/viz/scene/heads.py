"""What a drawing is asked to draw: a node, several nodes, or a `Graph`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ...graph.autodiff import topological_sort
from ...graph.node import GraphNode


class HasOrder(Protocol):
    """A `Graph` or a `Snapshot`."""

    head: GraphNode
    order: list[GraphNode]


GraphLike = GraphNode | HasOrder


def heads_of(
    graph: GraphLike | Sequence[GraphNode], who: str, several: bool = False
) -> tuple[GraphNode, ...]:
    """The nodes that were asked for, each once; more than one only where `several` may be given.

    Raises `TypeError` in the name of the function that was called.
    """
    found = getattr(graph, "head", graph)
    heads = found if several and isinstance(found, tuple | list) else (found,)
    if not heads or not all(isinstance(head, GraphNode) for head in heads):
        expected = "a node, a Graph or a tuple of nodes" if several else "a node or a Graph"
        raise TypeError(
            f"{who}: a {type(graph).__name__}; {expected} was expected (call a model first)"
        )
    return tuple({id(head): head for head in heads}.values())


def order_of(
    graph: GraphLike | Sequence[GraphNode], who: str, several: bool = False
) -> list[GraphNode]:
    """Those nodes and all that they were computed from, inputs before users. Raises `TypeError` as
    `heads_of` does.
    """
    heads, known = heads_of(graph, who, several), getattr(graph, "order", None)
    if isinstance(known, list):
        return list(known)
    return list({id(node): node for head in heads for node in topological_sort(head)}.values())
