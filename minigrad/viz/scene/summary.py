"""The picture of a graph too big to draw: how its kinds of node feed each other, and a table of
them; in a few walks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from ...graph.node import Constant, GraphNode, Variable
from ...graph.rule import Operator
from .alarms import Alarms
from .flowed import Array
from .measure import Stats, measure, pooled
from .picture import Box, Edge, Flow, Picture
from .text import GLYPHS, count, number, quantity, shorten
from .words import node_label

HEADER = ("kind", "count", "parameters", "bytes", "rms: smallest", "median", "largest", "alarms")


def summarize(order: Sequence[GraphNode], title: str, gradients: Mapping[int, Array]) -> Picture:
    """A table by kind: how many nodes, the parameters they use, the memory of their values, its
    rms, alarms.
    """
    values = [measure(node.value) for node in order]
    grads = [measure(gradients[id(node)]) if id(node) in gradients else None for node in order]
    groups: dict[str, list[int]] = {}
    for i, node in enumerate(order):
        groups.setdefault(_kind(node), []).append(i)
    rows = [HEADER]
    for kind, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        own = [order[i] for i in members]
        alarms = [
            values[i].state for i in members if values[i].state in ("nan", "inf")
        ]  # zero or large is fine here
        alarms += [
            gradient.state for gradient in (grads[i] for i in members) if gradient is not None
        ]
        told = " ".join(
            f"{GLYPHS[state]} {alarms.count(state)}" for state in GLYPHS if state in alarms
        )
        sizes = (
            f"{len(own):,}",
            f"{_parameters(own):,}",
            quantity(sum(node.value.nbytes for node in own), "B"),
        )
        rows.append((kind, *sizes, *_spread([values[i] for i in members]), told or "–"))
    links = sum(len(node.inputs) for node in order)
    note = Alarms(order, values, grads).note(lambda i: f"n{i} ({node_label(order[i])})")
    sentence = (
        f"{count(len(order), 'node')}, {count(links, 'edge')}: too many to draw one by one. {note}"
    ).strip()
    boxes, edges = _kinds(order, groups, grads)
    return Picture(title, len(order), links, sentence, boxes, edges, rows=tuple(rows))


def _kinds(
    order: Sequence[GraphNode], groups: dict[str, list[int]], grads: Sequence[Stats | None]
) -> tuple[tuple[Box, ...], tuple[Edge, ...]]:
    """A box for each kind of node, in the order in which they first occur, and an edge where one
    feeds another.
    """
    number = {kind: i for i, kind in enumerate(groups)}
    kind_of = {id(order[i]): kind for kind, members in groups.items() for i in members}
    feeds = Counter((kind_of[id(x)], kind_of[id(node)]) for node in order for x in node.inputs)
    inks = {kind: _ink([grads[i] for i in members]) for kind, members in groups.items()}
    boxes = []
    for kind, members in groups.items():
        name, size = f"k{number[kind]}", len(members)
        lines = (
            (node_label(order[members[0]]), f"× {size:,}")
            if order[members[0]].inputs
            else (kind, f"{size:,}")
        )
        flow = Flow(f"{name}f0", (), "", *inks[kind], f"what {kind} gives")
        boxes.append(Box(name, "module", lines, f"{kind}: {count(size, 'node')}", (flow,)))
    edges: list[Edge] = []
    for (a, b), times in feeds.items():
        title, back = f"{a} to {b}: {count(times, 'edge')}", number[a] >= number[b]
        edges.append(
            Edge(f"e{len(edges)}", f"k{number[a]}", 0, f"k{number[b]}", *inks[a], title, back)
        )
    return tuple(boxes), tuple(edges)


def _ink(grads: Sequence[Stats | None]) -> tuple[str, int]:
    """State and step of the gradients of a kind, taken as one array."""
    known = [gradient for gradient in grads if gradient is not None]
    if not known:
        return ("none", -1)
    whole = pooled(known)
    return whole.state, whole.step


def _kind(node: GraphNode) -> str:
    if isinstance(node, Operator):
        return shorten(node.rule.name)
    return "constants" if isinstance(node, Constant) else "variables"


def _parameters(nodes: list[GraphNode]) -> int:
    """How many parameters the nodes are, or take as inputs; each counted once."""
    found = {
        id(x): x.size for node in nodes for x in (node, *node.inputs) if isinstance(x, Variable)
    }
    return sum(found.values())


def _spread(stats: list[Stats]) -> tuple[str, str, str]:
    known = [s.rms for s in stats if math.isfinite(s.rms)]
    if not known:
        return ("–", "–", "–")
    return (number(min(known)), number(float(np.median(known))), number(max(known)))
