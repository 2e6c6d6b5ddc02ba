"""`profile`: what each operator of a graph costs, in seconds, operations and bytes; as rows, a
table and a drawing.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np

from ..graph.autodiff import backward, forward, topological_sort
from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..graph.rule import Operator, Rule
from ..ops.kernel import flops, moved_bytes
from .draw import Drawing, inked
from .flow.layers import node_names, parameters_in
from .scene.heads import order_of
from .scene.measure import STEPS
from .scene.modules import paths_of
from .scene.picture import Picture
from .scene.readings import Reading
from .scene.steps import scopes
from .scene.text import count, markdown, quantity, shape

#: what a drawing can show -> the unit, and what its title says
_MEASURES = {
    "seconds": ("s", "time of both passes"),
    "forward": ("s", "time of the forward pass"),
    "backward": ("s", "time of the backward pass"),
    "flops": ("flop", "operations of the forward pass"),
    "bytes": ("B", "bytes that the forward pass reads and writes"),
}
_HEADER = (
    "node",
    "module",
    "result",
    "forward",
    "backward",
    "share",
    "flops",
    "flop/s",
    "bytes",
    "byte/s",
)
#: a table shows so many operators, the costliest; `rows` has them all
_MOST_ROWS = 40


@dataclass(frozen=True, slots=True)
class Cost:
    """What one operator costs: `forward` and `backward` in seconds, `flops` and `bytes` of one
    forward pass.

    `place` is that in the topological order, `name` says it with the operator's symbol (`n3 (σ)`),
    `module` is the innermost module that made it (empty if none did).
    """

    place: int
    name: str
    module: str
    rule: str
    shape: tuple[int, ...]
    forward: float
    backward: float
    flops: int
    bytes: int

    @property
    def seconds(self) -> float:
        """Both passes."""
        return self.forward + self.backward

    @property
    def flops_per_second(self) -> float:
        """Of the forward pass; NaN where that was too short to be timed."""
        return self.flops / self.forward if self.forward else math.nan

    @property
    def bytes_per_second(self) -> float:
        """Of the forward pass; NaN where that was too short to be timed."""
        return self.bytes / self.forward if self.forward else math.nan


class Profile:
    """What `profile` returns: `rows` has a `Cost` for each operator, in the order of computation.

    In a notebook it shows itself as a table, the costliest operator first; `draw()` shows it on the
    graph.
    """

    def __init__(
        self, graph: Any, order: Sequence[GraphNode], rows: Sequence[Cost], repeats: int
    ) -> None:
        self._graph, self._order, self.rows, self.repeats = graph, order, tuple(rows), repeats

    @property
    def seconds(self) -> float:
        """The time of all operators, both passes; what Python does between them is not in it."""
        return sum(row.seconds for row in self.rows)

    def share(self, row: Cost, by: str = "seconds") -> float:
        """The part of the whole that is the row's, from 0 to 1."""
        whole = sum(getattr(each, by) for each in self.rows)
        return getattr(row, by) / whole if whole else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Everything measured, ready for JSON."""
        rows = [
            {**asdict(row), "shape": list(row.shape), "share": self.share(row)} for row in self.rows
        ]
        return {"repeats": self.repeats, "seconds": self.seconds, "rows": rows}

    # ---------------- as a table
    def _cells(self) -> list[tuple[str, ...]]:
        """The costliest operators, then what is left, then the whole."""
        ranked = sorted(self.rows, key=lambda row: (-row.seconds, row.place))
        cells = [
            (row.name, row.module or "–", shape(row.shape), *self._numbers([row]))
            for row in ranked[:_MOST_ROWS]
        ]
        if left := ranked[_MOST_ROWS:]:
            cells.append((count(len(left), "further operator"), "", "", *self._numbers(left)))
        return [*cells, (f"all {len(self.rows)}", "", "", *self._numbers(self.rows))]

    def _numbers(self, rows: Sequence[Cost]) -> tuple[str, ...]:
        ahead, back = sum(row.forward for row in rows), sum(row.backward for row in rows)
        cells = [
            quantity(ahead, "s"),
            quantity(back, "s"),
            percent(sum(self.share(row) for row in rows)),
        ]
        for amount, unit in (
            (sum(row.flops for row in rows), "flop"),
            (sum(row.bytes for row in rows), "B"),
        ):
            cells += [
                quantity(amount, unit),
                quantity(amount / ahead, f"{unit}/s") if ahead else "–",
            ]
        return tuple(cells)

    def table(self) -> str:
        """The table as aligned text."""
        rows = [_HEADER, *self._cells()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            cells = (
                cell.rjust(w) if i > 2 else cell.ljust(w)
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            lines.append("  ".join(cells).rstrip())
        return "\n".join(lines)

    __str__ = table

    def __repr__(self) -> str:
        return f"<Profile of {count(len(self.rows), 'operator')}: {quantity(self.seconds, 's')}>"

    def _repr_markdown_(self) -> str:
        rule = ("---",) * 3 + ("---:",) * (len(_HEADER) - 3)
        cells = [tuple(map(markdown, row)) for row in (_HEADER, *self._cells())]
        return "\n".join(f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:]))

    # ---------------- as a drawing
    def draw(
        self, by: str = "seconds", *, depth: int | None = None, theme: str | None = None
    ) -> Drawing:
        """The graph with what each operator costs below its line, the stronger the line the larger
        its share.

        `by` is `"seconds"`, `"forward"`, `"backward"`, `"flops"` or `"bytes"`; `depth` and `theme`
        as in `draw`. Each of the six inks stands for half a decade, from below 0.32 % of the whole
        to above 32 %. A graph that is too large to draw is shown as the table.
        """
        if by not in _MEASURES:
            raise ValueError(
                f"Profile.draw: by={by!r}; {', '.join(map(repr, _MEASURES))} was expected"
            )
        unit, what = _MEASURES[by]
        rows = {id(self._order[row.place]): row for row in self.rows}
        readings = {key: self._reading([row], by, unit) for key, row in rows.items()}

        def pool(nodes: Sequence[GraphNode]) -> Reading:
            return self._reading([rows[id(node)] for node in nodes if id(node) in rows], by, unit)

        title = (
            f"Profile: {what}, {quantity(sum(getattr(row, by) for row in self.rows), unit)} in all"
        )
        drawing = inked(self._graph, readings, pool, depth=depth, theme=theme, title=title)
        if drawing.picture.rows:  # too large to draw: the table
            table = (_HEADER, *self._cells())
            drawing.picture = Picture(
                title, drawing.picture.nodes, drawing.picture.links, "", rows=table
            )
        return drawing

    def _reading(self, rows: Sequence[Cost], by: str, unit: str) -> Reading:
        """One operator's, or that of all operators of a closed module."""
        part = sum(self.share(row, by) for row in rows)
        step = max(0, STEPS - 1 + math.ceil(2 * math.log10(part))) if part else 0

        def total(measure: str) -> float:
            return sum(getattr(row, measure) for row in rows)

        words = (
            f"forward {quantity(total('forward'), 's')}, backward "
            f"{quantity(total('backward'), 's')}, "
            f"{quantity(total('flops'), 'flop')}, {quantity(total('bytes'), 'B')}; {percent(part)} "
            f"of the {_MEASURES[by][1]}"
        )
        return Reading(f"{quantity(total(by), unit)} · {percent(part)}", "normal", step, words)


class _Clock:
    """Stands in for a node's rule, hands every call on to it and notes the nanoseconds that it
    took.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.forward: list[int] = []
        self.backward: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rule, name)

    def run(self, node: Operator, out: Array | None) -> Array:
        start = perf_counter_ns()
        result = self.rule.run(node, out)
        self.forward.append(perf_counter_ns() - start)
        return result

    def vjp(self, node: Operator, g: Array) -> None:
        start = perf_counter_ns()
        self.rule.vjp(node, g)
        self.backward.append(perf_counter_ns() - start)


def profile(graph: Any, repeats: int = 5) -> Profile:
    """Time every operator of a graph (its head, or a `Graph`), forward and backward: the median of
    `repeats` passes.

    One more pass, at the beginning, is not counted: kernels are compiled and buffers made in it.
    All of them run on a copy; values, gradients and hooks of the graph stay as they are. The
    gradient of a head that is no single number is taken as ones; a head that depends on no variable
    has no backward pass. Raises `TypeError` for what is no graph, `ValueError` for a graph without
    operators or `repeats` that is no integer ≥ 1.
    """
    order = order_of(graph, "profile")
    if not isinstance(repeats, int | np.integer) or isinstance(repeats, bool) or repeats < 1:
        raise ValueError(f"profile: repeats={repeats!r}; an integer ≥ 1 was expected")
    if not any(node.inputs for node in order):
        raise ValueError(
            f"profile: {order[-1]!r} was computed from nothing; a graph with operators was expected"
        )
    names, paths = node_names(order, parameters_in(order)), paths_of(order, scopes(order))
    rows = []
    for i, (node, clock) in enumerate(zip(order, _timed(order, int(repeats)), strict=True)):
        if clock is not None and isinstance(node, Operator):
            path = paths[id(node)]
            ahead, back = (
                median(times[1:]) / 1e9 if times else 0.0
                for times in (clock.forward, clock.backward)
            )
            work = flops(node), moved_bytes(node)
            rows.append(
                Cost(
                    i,
                    names[i],
                    path[-1].name if path else "",
                    node.rule.name,
                    node.shape,
                    ahead,
                    back,
                    *work,
                )
            )
    return Profile(graph, order, rows, int(repeats))


def _timed(order: Sequence[GraphNode], repeats: int) -> list[_Clock | None]:
    """For each node of the order the clock that ran with its copy; None for a leaf.

    A clock in the rule's place times `run` and `pull` alone, in the passes that the graph itself
    makes. Hooks would tell when a value is ready: the time between two of them holds the loop and
    the hooks' own calls too, which for small arrays is as much as the work.
    """
    with np.errstate(
        all="ignore"
    ):  # what there was to warn of has been said when the graph itself ran
        copied = topological_sort(copy.deepcopy(order[-1]))
        clocks: list[_Clock | None] = []
        for node, twin in zip(order, copied, strict=True):
            clocks.append(_Clock(twin.rule) if isinstance(twin, Operator) else None)
            if isinstance(twin, Operator):
                twin.rule, twin.requires_grad = clocks[-1], node.requires_grad  # type: ignore[assignment]
        for _ in range(1 + repeats):
            for twin in copied:
                twin.recycle_grad()
            forward(copied)
            if copied[-1].requires_grad:
                backward(copied, np.ones(copied[-1].shape))
    return clocks


def percent(part: float) -> str:
    """A share from 0 to 1 as `34 %`; `<1 %` for what is little but not nothing."""
    return "<1 %" if 0 < part < 0.005 else f"{100 * part:.0f} %"
