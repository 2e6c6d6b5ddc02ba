"""The exercises of chapter 0, A graph is a recipe."""

from __future__ import annotations

import math
from typing import Any

from ..graph.autodiff import topological_sort
from ..graph.node import GraphNode
from .checking import exercise, expect


@exercise("0/nodes", hints={6: "a is one node, though it is used twice.", 4: "Count the sum, too."})
def _nodes(answer: Any) -> str | None:
    return expect(answer, 5, "Two variables, and one operator each for ·, sin and +.", rtol=0)


@exercise(
    "0/value",
    hints={
        2 * 3 + 2: "sin(a) is not a.",
        6 + math.sin(math.radians(2)): "The sine takes radians, not degrees.",
    },
)
def _value(answer: Any) -> str | None:
    return expect(
        answer, 6 + math.sin(2), "a · b is 6, and sin(2) is a bit less than 1.", rtol=2e-3
    )


@exercise("0/graph")
def _graph(answer: Any) -> str | None:
    if not isinstance(answer, GraphNode):
        return f"f must be a node of the graph, built from Variables, not {answer!r}."
    if len(topological_sort(answer)) != 5:
        return (
            f"the graph has {len(topological_sort(answer))} nodes; a must be one Variable that "
            f"is used twice."
        )
    return expect(
        answer,
        6 + math.sin(2),
        "the graph computes something else: a · b + sin(a), with a = 2 and b = 3.",
    )
