"""The exercises of chapter 0, A graph is a recipe."""

from __future__ import annotations

import math
from typing import Any

from ..graph.autodiff import topological_sort
from ..graph.node import GraphNode
from .checking import answer, exercise, expect

VALUE = 6 + math.sin(2)

answer(
    "0/nodes",
    5,
    "Two variables, and one operator each for ·, sin and +.",
    {6: "a is one node, though it is used twice.", 4: "Count the sum, too."},
    rtol=0,
)
answer(
    "0/value",
    VALUE,
    "a · b is 6, and sin(2) is a bit less than 1.",
    {
        2 * 3 + 2: "sin(a) is not a.",
        6 + math.sin(math.radians(2)): "The sine takes radians, not degrees.",
    },
    rtol=2e-3,
)


@exercise("0/graph")
def _graph(given: Any) -> str | None:
    if not isinstance(given, GraphNode):
        return f"f must be a node of the graph, built from Variables, not {given!r}."
    nodes = len(topological_sort(given))
    if nodes != 5:
        return f"the graph has {nodes} nodes; a must be one Variable that is used twice."
    hint = "the graph computes something else: a · b + sin(a), with a = 2 and b = 3."
    return expect(given, VALUE, hint)
