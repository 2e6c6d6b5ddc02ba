"""The picture of a graph too big to draw: a table of its kinds of node, in a few walks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ...graph.node import Constant, GraphNode, Variable
from ...graph.rule import Operator
from ..flow.alarms import Alarms
from .alarms import is_bad
from .flowed import Array
from .measure import Stats, measure
from .picture import Picture
from .text import GLYPHS, count, number, quantity, shorten
from .words import node_label

HEADER = ("kind", "count", "parameters", "bytes", "rms: smallest", "median", "largest", "alarms")


def summarize(order: Sequence[GraphNode], title: str, gradients: Mapping[int, Array]) -> Picture:
    """A table by kind: how many nodes, the parameters they use, the memory of their values, its
    rms, alarms.
    """
    values = [measure(node.value) for node in order]
    grads = [measure(gradients[id(node)]) if id(node) in gradients else None for node in order]
    alarms = Alarms(order, values, grads, lambda i: f"n{i} ({node_label(order[i])})")
    groups: dict[str, list[int]] = {}
    for i, node in enumerate(order):
        groups.setdefault(_kind(node), []).append(i)
    rows = [HEADER]
    for kind, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        own = [order[i] for i in members]
        # of values zero is fine
        states = [values[i].state for i in members if is_bad(values[i])]
        states += [alarms.states[i] for i in members]
        told = " ".join(
            f"{GLYPHS[state]} {states.count(state)}" for state in GLYPHS if state in states
        )
        sizes = (
            f"{len(own):,}",
            f"{_parameters(own):,}",
            quantity(sum(node.value.nbytes for node in own), "B"),
        )
        rows.append((kind, *sizes, *_spread([values[i] for i in members]), told or "–"))
    links = sum(len(node.inputs) for node in order)
    sentence = (
        f"{count(len(order), 'node')}, {count(links, 'edge')}: too many to draw one by one. "
        f"{alarms.note}"
    ).strip()
    return Picture(
        *(title, len(order), links, sentence),
        rows=tuple(rows),
        alarms=tuple(alarms.texts),
    )


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
