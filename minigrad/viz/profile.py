"""`profile`: the cost of each operator of a graph in seconds, operations and bytes."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np

from .. import checks
from ..graph.autodiff import backward, forward, topological_sort
from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..graph.rule import Operator, Rule
from ..ops.kernel import flops, moved_bytes
from .draw import Drawing, inked
from .flow.naming import node_names, parameters_in
from .scene.heads import GraphLike, order_of
from .scene.modules import paths_of
from .scene.picture import Box, Key
from .scene.text import count, quantity, shape
from .tables import aligned, markdown_table

#: measure -> its unit and its name in titles
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
_MOST_ROWS = 40  # operators in a table, the most expensive ones; `rows` has them all


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one operator: `forward`, `backward` in seconds, `flops`, `bytes` of one forward.

    `place` is its index in the topological order, `name` that index with the operator's symbol
    (`n3 (σ)`), `module` the innermost module that made it, or empty.

    >>> row = mg.viz.profile(mg.exp(mg.Variable(np.ones(10)))).rows[0]
    >>> row.name, row.flops, row.bytes
    ('n1 (exp)', 10, 80)
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
        """The time of both passes."""
        return self.forward + self.backward

    @property
    def flops_per_second(self) -> float:
        """The rate of the forward pass; NaN where that was too short to be timed."""
        return self.flops / self.forward if self.forward else math.nan

    @property
    def bytes_per_second(self) -> float:
        """The rate of the forward pass; NaN where that was too short to be timed."""
        return self.bytes / self.forward if self.forward else math.nan


class Profile:
    """What `profile` returns: `rows` has a `Cost` for each operator, in the order of computation.

    A notebook shows a table, the most expensive operator first; `draw()` shows the costs on the
    graph.

    >>> profile = mg.viz.profile(mg.exp(mg.Variable(np.ones(10))))
    >>> len(profile.rows), profile.share(profile.rows[0])
    (1, 1.0)
    """

    def __init__(
        self, graph: GraphLike, order: Sequence[GraphNode], rows: Sequence[Cost], repeats: int
    ) -> None:
        self._graph, self._order, self.rows, self.repeats = graph, order, tuple(rows), repeats

    @property
    def seconds(self) -> float:
        """The time of all operators, both passes, without Python's work between them."""
        return sum(row.seconds for row in self.rows)

    def share(self, row: Cost, by: str = "seconds") -> float:
        """The row's share of the total, from 0 to 1."""
        total: float = sum(getattr(each, by) for each in self.rows)
        return float(getattr(row, by)) / total if total else 0.0

    def to_dict(self) -> dict[str, Any]:
        """All measurements, ready for JSON."""
        rows = [
            {**asdict(row), "shape": list(row.shape), "share": self.share(row)} for row in self.rows
        ]
        return {"repeats": self.repeats, "seconds": self.seconds, "rows": rows}

    # ---------------- as a table
    def _cells(self) -> list[tuple[str, ...]]:
        """The most expensive operators, a row for the others, the total."""
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
        return "\n".join(aligned([_HEADER, *self._cells()], left=3))

    __str__ = table

    def __repr__(self) -> str:
        return f"<Profile of {count(len(self.rows), 'operator')}: {quantity(self.seconds, 's')}>"

    def _repr_markdown_(self) -> str:
        return markdown_table([_HEADER, *self._cells()], left=3)

    # ---------------- as a drawing
    def draw(
        self, by: str = "seconds", *, depth: int | None = None, theme: str | None = None
    ) -> Drawing:
        """Draw the graph with a bar in each box: its share of the total cost.

        `by` is `"seconds"`, `"forward"`, `"backward"`, `"flops"` or `"bytes"`; `depth` and `theme`
        as in `draw`. A closed box has the cost of all that is in it.
        """
        if by not in _MEASURES:
            raise ValueError(
                f"Profile.draw: by={by!r}; {', '.join(map(repr, _MEASURES))} was expected"
            )
        unit, what = _MEASURES[by]
        rows = {id(self._order[row.place]): row for row in self.rows}

        def dress(box: Box, nodes: Sequence[GraphNode]) -> Box:
            """The box with the cost of its operator, or of all that are in it."""
            costs = [rows[id(node)] for node in nodes if id(node) in rows]
            if not costs:
                return box
            share, total = sum(self.share(cost, by) for cost in costs), self._numbers(costs)
            amount = quantity(sum(getattr(cost, by) for cost in costs), unit)
            words = f"forward {total[0]}, backward {total[1]}, {total[3]}, {total[5]}"
            return replace(
                box,
                bar=share,
                lines=(*box.lines, f"{amount} · {percent(share)}"),
                title=f"{box.title}; {words}; {percent(share)} of the {what}",
            )

        whole = quantity(sum(getattr(row, by) for row in self.rows), unit)
        title, key = f"Profile: {what}, {whole} in all", Key(bar=f"share of the {what}")
        return inked(self._graph, {}, dress, depth=depth, theme=theme, title=title, key=key)


class _Clock:
    """A wrapper of a node's rule that records the nanoseconds of every call."""

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


def profile(graph: GraphLike, repeats: int = 5) -> Profile:
    """Time every operator of a graph (its head, or a `Graph`): the median of `repeats` passes.

    An additional first pass, in which kernels are compiled and buffers allocated, is not counted.
    All passes run on a copy; values, gradients and hooks of the graph do not change. The gradient
    of a head that is not a scalar is ones; a head that depends on no variable has no backward pass.
    Raises `TypeError` for anything but a graph, `ValueError` for a graph without operators or
    unless `repeats` is an integer ≥ 1.

    >>> profile = mg.viz.profile(mg.exp(mg.Variable(np.ones(10))), repeats=3)
    >>> [row.rule for row in profile.rows]
    ['exp']
    """
    order = order_of(graph, "profile")
    checks.positive("profile", repeats=repeats)
    if not any(node.inputs for node in order):
        raise ValueError(
            f"profile: {order[-1]!r} was computed from nothing; a graph with operators was expected"
        )
    names, paths = node_names(order, parameters_in(order)), paths_of(order)
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
    """For each node the clock of its copy; None for a leaf.

    A clock in place of the rule times `run` and `vjp` alone. The time between two hooks would
    include the loop and the calls of the hooks, for small arrays as much as the work.
    """
    with np.errstate(all="ignore"):  # the graph itself has warned already
        copies = topological_sort(copy.deepcopy(order[-1]))
        clocks: list[_Clock | None] = []
        for node, copied in zip(order, copies, strict=True):
            clocks.append(_Clock(copied.rule) if isinstance(copied, Operator) else None)
            if isinstance(copied, Operator):
                # a clock has all attributes of the rule, but is none
                copied.rule, copied.requires_grad = clocks[-1], node.requires_grad  # type: ignore[assignment]
        for _ in range(1 + repeats):
            for copied in copies:
                copied.recycle_grad()
            forward(copies)
            if copies[-1].requires_grad:
                backward(copies, np.ones(copies[-1].shape))
    return clocks


def percent(part: float) -> str:
    """A share from 0 to 1 as `34 %`; small nonzero shares as `<1 %`."""
    return "<1 %" if 0 < part < 0.005 else f"{100 * part:.0f} %"
