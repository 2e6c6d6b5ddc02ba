"""The order of an inside: which box stands in which column, and at which height it would like to.

A plan is made once for each inside, with everything in it closed. It comes from Graphviz
(`engine.py`), or from the simple layout below where there is no engine. `arrange.py` gives it
coordinates, whatever is open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from itertools import combinations, pairwise
from statistics import fmean

from ..scene.picture import Box, Edge, Picture
from .geometry import Footprint, footprint

SPACE = 8.0  # between two things in a column
DOCK = 12.0  # between two lines that arrive at a box, at most
LINE = 3.0  # half of the room that a line takes which passes a column
MANY = 6  # lines that arrive at a box: more of them run together
BORDER = 6.0  # half of the room that a line takes where it crosses the border

#: computed values run straight, lines that pass a column bend a little, leaves give way
_WEIGHTS = {"line": 4.0, "leaf": 1.0, "box": 16.0}


@dataclass(frozen=True)
class Part:
    """The boxes (of open groups the faces) and edges of one inside, in execution order."""

    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]

    @cached_property
    def ahead(self) -> list[Edge]:
        """The edges that lead forward: all but those of a rolled cell."""
        return [edge for edge in self.edges if not edge.back]

    @cached_property
    def trunks(self) -> dict[str, str]:
        """By edge the key of those that run together: they begin at one place, or many of them end
        at one box.
        """
        arriving = Counter(stop_of(edge) for edge in self.ahead)
        return {
            edge.id: f":{stop_of(edge)}"
            if arriving[stop_of(edge)] > MANY
            else f"{edge.source}:{edge.port}"
            for edge in self.edges
        }


@dataclass
class Plan:
    """Columns from left to right: what stands in each, with the height of its middle.

    A key is the id of a box, `<2` or `>2` for an entry or exit of the group, or the `trunk` of
    edges that pass the column. `outs` and `ins` are the heights at which edges leave a box and
    arrive, measured from its middle.
    """

    columns: list[dict[str, float]]
    outs: dict[str, float] = field(default_factory=dict)
    ins: dict[str, float] = field(default_factory=dict)


def parts_of(picture: Picture) -> dict[str | None, Part]:
    """By cluster (None: the page) what lies in it."""
    boxes: dict[str | None, list[Box]] = {None: []}
    edges: dict[str | None, list[Edge]] = {None: []}
    for cluster in picture.clusters:
        boxes[cluster.id], edges[cluster.id] = [], []
    for box in [*picture.boxes, *(cluster.face for cluster in picture.clusters)]:
        boxes[box.cluster].append(box)
    for edge in picture.edges:
        edges[edge.cluster].append(edge)
    return {key: Part(tuple(boxes[key]), tuple(edges[key])) for key in boxes}


def is_leaf(box: Box) -> bool:
    """A parameter or a literal number; data has two lines and runs with what is computed."""
    return box.kind in ("variable", "ghost") or (box.kind == "constant" and len(box.lines) == 1)


def start_of(edge: Edge) -> str:
    """The key that the edge begins at."""
    return edge.source or f"<{edge.port}"


def stop_of(edge: Edge) -> str:
    """The key that the edge ends at."""
    return edge.target or f">{edge.slot}"


def weight(key: str, boxes: dict[str, Box]) -> float:
    """How much a thing in a column resists to being moved."""
    kind = "line" if key not in boxes else "leaf" if is_leaf(boxes[key]) else "box"
    return _WEIGHTS[kind]


def half(key: str, boxes: dict[str, Box]) -> float:
    """Half of the height of a thing in a column, where it is closed."""
    if key in boxes:
        return footprint(boxes[key]).height / 2
    return BORDER if key[0] in "<>" else LINE


def plan_of(part: Part, answer: Plan | None) -> Plan:
    """A plan with the heights of all ends; without an answer from the engine, the simple one."""
    plan = answer or simple(part)
    boxes = {box.id: box for box in part.boxes}
    _straighten(plan, boxes)
    _ends(part, plan, boxes)
    return plan


def face_outwards(plans: dict[str | None, Plan], picture: Picture) -> None:
    """Turn insides upside down where lines would cross less at their borders."""
    for cluster in picture.clusters:  # outer ones first
        plan, around = plans[cluster.id], plans[cluster.parent]
        inner = {key: y for column in plan.columns for key, y in column.items() if key[0] in "<>"}
        outer = {f">{k}": around.outs[flow.id] for k, flow in enumerate(cluster.face.flows)}
        for edge in picture.edges:
            if edge.target == cluster.face.id:
                outer[f"<{edge.slot}"] = around.ins[edge.id]
        pairs = [(a, b) for a, b in combinations(inner, 2) if a[0] == b[0]]
        agree = sum((inner[a] - inner[b]) * (outer[a] - outer[b]) > 0 for a, b in pairs)
        if 2 * agree < len(pairs):
            plan.columns = [{key: -y for key, y in column.items()} for column in plan.columns]
            plan.outs = {key: -dy for key, dy in plan.outs.items()}
            plan.ins = {key: -dy for key, dy in plan.ins.items()}


# ---------------- without an engine
def simple(part: Part) -> Plan:
    """Columns by the longest way that leads to a box, heights by the mean of what it is joined to.

    Linear in the size of the inside.
    """
    ranks = _ranks(part)
    joined: dict[str, dict[bool, list[str]]] = {}
    members: dict[int, list[str]] = {}
    for key, rank in ranks.items():
        members.setdefault(rank, []).append(key)
    for edge in part.ahead:
        a, b = ranks[start_of(edge)], ranks[stop_of(edge)]
        way = [start_of(edge), *[part.trunks[edge.id]] * max(0, b - a - 1), stop_of(edge)]
        for rank in range(a + 1, b):
            members.setdefault(rank, []).append(part.trunks[edge.id])
        for before, after in pairwise(way):
            joined.setdefault(after, {}).setdefault(True, []).append(before)
            joined.setdefault(before, {}).setdefault(False, []).append(after)
    boxes = {box.id: box for box in part.boxes}
    places: list[dict[str, float]] = [{} for _ in range(max(members, default=-1) + 1)]
    ways = [(rank, True) for rank in sorted(members)]
    for rank, ahead in [*ways, *((rank, False) for rank, _ in reversed(ways)), *ways]:
        beside = rank - 1 if ahead else rank + 1
        near = places[beside] if 0 <= beside < len(places) else {}
        wanted = {}
        for key in dict.fromkeys(members[rank]):
            heights = [near[k] for k in joined.get(key, {}).get(ahead, ()) if k in near]
            wanted[key] = fmean(heights) if heights else places[rank].get(key, 0.0)
        keys = sorted(wanted, key=wanted.__getitem__)
        reach = [half(key, boxes) for key in keys]
        things = [(wanted[k], r, r, weight(k, boxes)) for k, r in zip(keys, reach, strict=True)]
        places[rank] = dict(zip(keys, spread(things), strict=True))
    return Plan(places)


def _ranks(part: Part) -> dict[str, int]:
    """By key the column: entries first, exits last, leaves next to what they feed."""
    before: dict[str, list[str]] = {box.id: [] for box in part.boxes}
    after: dict[str, list[str]] = {}
    for edge in part.ahead:
        before.setdefault(stop_of(edge), []).append(start_of(edge))
        after.setdefault(start_of(edge), []).append(stop_of(edge))
    first = int(any(key[0] == "<" for key in after))
    ranks: dict[str, int] = {}
    for key in TopologicalSorter(before).static_order():
        ranks[key] = max((ranks[other] + 1 for other in before.get(key, ())), default=first)
    last = max((rank + 1 for key, rank in ranks.items() if key[0] != ">"), default=0)
    ranks |= {key: 0 if key[0] == "<" else last for key in ranks if key[0] in "<>"}
    leaves = [key for key in after if key in before and not before[key]]
    return ranks | {key: min(ranks[user] for user in after[key]) - 1 for key in leaves}


def spread(things: Sequence[tuple[float, float, float, float]]) -> list[float]:
    """Heights for things in a column, as near as possible to those wanted, so that none overlap.

    Of each: the wanted height, how far it reaches above and below, its weight. Isotonic regression
    by pooling neighbours that are in each other's way.
    """
    pools: list[list[float]] = []  # mean of the wanted heights, weight, how many
    reach = [0.0]
    for (_, _, below, _), (_, above, _, _) in pairwise(things):
        reach.append(reach[-1] + below + SPACE + above)
    for (want, _, _, heavy), far in zip(things, reach, strict=False):
        pools.append([want - far, heavy, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, heavier, n = pools.pop()
            total = pools[-1][1] + heavier
            pools[-1][0] = (pools[-1][0] * pools[-1][1] + mean * heavier) / total
            pools[-1][1], pools[-1][2] = total, pools[-1][2] + n
    means = [mean for mean, _, n in pools for _ in range(int(n))]
    return [mean + far for mean, far in zip(means, reach, strict=False)]


def _straighten(plan: Plan, boxes: dict[str, Box]) -> None:
    """Bring boxes that stand alone in columns side by side to one height; what is beside them goes
    along.
    """
    shift, before = 0.0, None
    for column in plan.columns:
        alone = [y for key, y in column.items() if weight(key, boxes) == _WEIGHTS["box"]]
        if len(alone) == 1 and before is not None:
            shift = before - alone[0]
        for key in column:
            column[key] += shift
        before = alone[0] + shift if len(alone) == 1 else None


# ---------------- where lines leave and arrive
def _ends(part: Part, plan: Plan, boxes: dict[str, Box]) -> None:
    """Each line its own height at both ends, in the order in which lines come and go."""
    columns = {key: c for c, column in enumerate(plan.columns) for key in column if ":" not in key}

    def near(edge: Edge, ahead: bool) -> float:
        if edge.back:  # below all others
            return float("inf")
        here = columns[start_of(edge) if ahead else stop_of(edge)]
        column = plan.columns[min(max(here + (1 if ahead else -1), 0), len(plan.columns) - 1)]
        other = stop_of(edge) if ahead else start_of(edge)
        return column.get(part.trunks[edge.id], column.get(other, 0.0))

    leaving: dict[str, dict[int, float]] = {}
    arriving: dict[str, list[Edge]] = {}
    for edge in part.edges:
        if edge.source:
            leaving.setdefault(edge.source, {}).setdefault(edge.port, near(edge, True))
        if edge.target:
            arriving.setdefault(edge.target, []).append(edge)
    for box in part.boxes:
        size, heights = footprint(box), leaving.get(box.id, {})
        ports = sorted(range(len(box.flows)), key=lambda port: heights.get(port, 0.0))
        plan.outs |= {box.flows[port].id: dy for port, dy in zip(ports, size.ports, strict=True)}
        edges = sorted(arriving.get(box.id, ()), key=lambda edge: near(edge, False))
        names = [edge.id for edge in edges]
        plan.ins |= dict(zip(names, docks(box, size, len(names)), strict=True))


def docks(box: Box, size: Footprint, n: int) -> Iterable[float]:
    """The heights at which n lines arrive at a box."""
    room = size.shape_height * (0.5 if box.kind in ("scalar", "broadcasted") else 0.7)
    step = min(DOCK, room / max(1, n - 1))
    return [(i - (n - 1) / 2) * step for i in range(n)]
