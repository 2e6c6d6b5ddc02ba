"""The picture of a graph too big to draw: a table with a row for each kind of operator, in one walk over the nodes."""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...graph.node import Constant, GraphNode, Operator, Variable
from .alarms import Alarms
from .measure import Stats, measure
from .picture import Picture
from .text import GLYPHS, count, number, shorten
from .words import node_label

HEADER = ("kind", "count", "parameters", "bytes", "rms: smallest", "median", "largest", "alarms")


def summarize(order: Sequence[GraphNode], title: str) -> Picture:
    """A table by kind: how many nodes, the parameters they use, the memory of their values, its rms, alarms."""
    values = [measure(node.value) for node in order]
    grads = [None if node.grad is None else measure(node.grad) for node in order]
    groups: dict[str, list[int]] = {}
    for i, node in enumerate(order):
        groups.setdefault(_kind(node), []).append(i)
    rows = [HEADER]
    for kind, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        own = [order[i] for i in members]
        alarms = [values[i].state for i in members if values[i].state in ("nan", "inf")]  # zero or large is fine here
        alarms += [gradient.state for gradient in (grads[i] for i in members) if gradient is not None]
        told = " ".join(f"{GLYPHS[state]} {alarms.count(state)}" for state in GLYPHS if state in alarms)
        sizes = (f"{len(own):,}", f"{_parameters(own):,}", _bytes(sum(node.value.nbytes for node in own)))
        rows.append((kind, *sizes, *_spread([values[i] for i in members]), told or "–"))
    links = sum(len(node.inputs) for node in order)
    note = Alarms(order, values, grads).note(lambda i: f"n{i} ({node_label(order[i])})")
    sentence = f"{count(len(order), 'node')}, {count(links, 'edge')}: too many to draw one by one. {note}".strip()
    return Picture(title, len(order), links, sentence, rows=tuple(rows))


def _kind(node: GraphNode) -> str:
    if isinstance(node, Operator):
        return shorten(node.rule.name)
    return "constants" if isinstance(node, Constant) else "variables"


def _parameters(nodes: list[GraphNode]) -> int:
    """How many parameters the nodes are, or take as inputs; each counted once."""
    found = {id(x): x.size for node in nodes for x in (node, *node.inputs) if isinstance(x, Variable)}
    return sum(found.values())


def _spread(stats: list[Stats]) -> tuple[str, str, str]:
    known = [s.rms for s in stats if math.isfinite(s.rms)]
    if not known:
        return ("–", "–", "–")
    return (number(min(known)), number(float(np.median(known))), number(max(known)))


def _bytes(n: int) -> str:
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000  # type: ignore[assignment]
    return f"{n:.3g} GB"
