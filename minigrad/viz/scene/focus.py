"""Which part of a graph a drawing shows: all of it, or what lies within a few edges of one node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...graph.node import GraphNode


@dataclass(frozen=True)
class Excerpt:
    """The nodes to show, in topological order, with the numbers that they have in the whole graph.

    `cut` are the numbers of nodes that are only hinted at, because a shown node reads them;
    `onward` counts, by number, the users of a shown node that are left out.
    """

    nodes: list[GraphNode]
    numbers: list[int]
    cut: frozenset[int]
    onward: dict[int, int]


def view(order: Sequence[GraphNode], focus: GraphNode | None = None, radius: int = 0) -> Excerpt:
    """All of the order, or what lies at most `radius` edges from `focus`, along or against the
    flow.
    """
    if focus is None:
        return Excerpt(list(order), list(range(len(order))), frozenset(), {})
    index = {id(node): i for i, node in enumerate(order)}
    inputs = [[index[id(x)] for x in node.inputs] for node in order]
    users: list[list[int]] = [[] for _ in order]
    for i, given in enumerate(inputs):
        for j in given:
            users[j].append(i)
    near = ring = {index[id(focus)]}
    for _ in range(radius):
        ring = {j for i in ring for j in (*inputs[i], *users[i])} - near
        near = near | ring
    cut = {j for i in near for j in inputs[i]} - near
    numbers = sorted(near | cut)
    onward = {i: left for i in near if (left := sum(user not in near for user in users[i]))}
    return Excerpt([order[i] for i in numbers], numbers, frozenset(cut), onward)
