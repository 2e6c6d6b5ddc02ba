"""`diff`: two graphs, or one graph at two times, side by side, with the changes inked.

`snapshot` keeps a graph as it is now, for a later comparison.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cached_property
from typing import Any

import numpy as np

from ..graph.conversion import Array
from ..graph.node import GraphNode, Variable
from ..graph.rule import Operator
from ..run.replay import Graph
from .draw import WIDTH, Drawing, inked
from .page.geometry import Layout, Point, Rectangle, footprint
from .page.svg import extent
from .scene.heads import GraphLike, order_of
from .scene.measure import STEPS, Stats, measure
from .scene.modules import parameter_names, paths_of
from .scene.picture import Cluster, Picture
from .scene.readings import Reading, Readings
from .scene.steps import scopes
from .scene.text import alarm, count, number, shape, shorten
from .scene.words import node_label
from .tables import aligned, markdown_table

_HEADER = ("node", "what", "Δ value", "relative", "Δ gradient", "relative")
_MOST_ROWS = 40  # changed nodes in a table; `rows` has them all
#: two graphs are matched node by node, apart from equal beginnings and ends, up to this product of
#: their sizes
_MOST_PAIRS = 10_000_000
_LEGEND = (
    "Δ is the change of a value, Δ∇ of a gradient, = none; the stronger the line, the larger "
    "it is relative to before."
)
_FRAME, _HEADING, _GAP = 14.0, 24.0, 24.0


# ---------------- snapshots
class Snapshot:
    """A graph as of the call of `snapshot`: new nodes with copies of all arrays.

    `head` and `order` are as in a `Graph`, and `mg.draw`, `diff` and so on take it like a `Graph`.
    """

    def __init__(self, order: Sequence[GraphNode]) -> None:
        paths = paths_of(order, scopes(order))
        names = parameter_names(paths)
        copies: dict[int, GraphNode] = {}
        for node in order:
            copied = copies[id(node)] = _copy(node, tuple(copies[id(x)] for x in node.inputs))
            copied.name, copied.scope = node.name, node.scope
            if not node.inputs:  # a module finds only its own parameters, not their copies
                copied.name = node.name or names.get(id(node))
                copied.scope = tuple(call.module for call in paths[id(node)])
        self.order = list(copies.values())
        self.head = self.order[-1]

    def __repr__(self) -> str:
        return f"<Snapshot of {count(len(self.order), 'node')}, head {self.head.brief}>"


def _copy(node: GraphNode, inputs: tuple[GraphNode, ...]) -> GraphNode:
    """A node with copies of the arrays; nothing is computed, for values may be out of date."""
    copied = type(node).__new__(type(node))
    shared = bool(inputs) and np.may_share_memory(node._data, node.inputs[0]._data)  # a reshape
    GraphNode.__init__(copied, inputs[0]._data.reshape(node.shape) if shared else node._data.copy())
    copied.grad, copied.grad_pass = None if node.grad is None else node.grad.copy(), node.grad_pass
    if isinstance(node, Operator) and isinstance(copied, Operator):
        copied.rule, copied.inputs = node.rule, inputs
        copied.attributes, copied.plan = node.attributes, node.plan
        copied.work = {name: array.copy() for name, array in node.work.items()}
    if isinstance(copied, Operator | Variable):
        copied.requires_grad = node.requires_grad
    return copied


def snapshot(graph: GraphLike) -> Snapshot:
    """Copy all values, gradients and names of a graph (its head, or a `Graph`), to compare later.

    It takes as much memory as the graph. Raises `TypeError` for anything but a graph.

    >>> w = mg.Variable(2.0, name="w")
    >>> mg.viz.snapshot(w * w)
    <Snapshot of 2 nodes, head <ScalarOperator multiply () float32>>
    """
    return Snapshot(order_of(graph, "snapshot"))


# ---------------- what changed
@dataclass(frozen=True, slots=True)
class Delta:
    """The change of an array: `kind` is `same`, `changed`, `reshaped`, `new`, `gone` or `none`.

    `none`: there is no array in either graph. `stats` measures the difference; `relative` is its
    rms divided by that of the array before.
    """

    kind: str
    stats: Stats | None = None
    relative: float = math.nan

    @property
    def rms(self) -> float:
        """Root mean square of the difference; NaN without two arrays of one shape."""
        if self.stats is not None:
            return self.stats.rms
        return 0.0 if self.kind == "same" else math.nan

    @property
    def text(self) -> str:
        """`rms 0.01`, the difference itself of single numbers, or the kind."""
        if self.stats is None:
            return {"same": "=", "none": "–"}.get(self.kind, self.kind)
        if self.stats.state in ("nan", "inf"):
            return alarm(self.stats)
        return number(self.stats.mean) if self.stats.size == 1 else f"rms {number(self.stats.rms)}"

    @classmethod
    def between(cls, a: Array | None, b: Array | None) -> Delta:
        """The change from `a` to `b`, each an array or None."""
        if a is None or b is None:
            return cls("none" if a is b else "new" if a is None else "gone")
        if a.shape != b.shape:
            return cls("reshaped")
        if np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f"):
            return cls("same", relative=0.0)
        with np.errstate(all="ignore"):
            stats = measure(b.astype(np.float64) - a.astype(np.float64))
        was = measure(a).rms
        return cls("changed", stats, stats.rms / was if was else math.inf)


@dataclass(frozen=True, slots=True)
class Change:
    """One node in both graphs: its places in their orders and the changes of value and gradient.

    A place is None where the node is missing.
    """

    before: int | None
    after: int | None
    name: str
    shapes: tuple[tuple[int, ...], ...]
    value: Delta
    grad: Delta

    @property
    def kind(self) -> str:
        """`added`, `removed`, `reshaped`, `changed` or `same`."""
        if self.before is None or self.after is None:
            return "added" if self.before is None else "removed"
        if self.value.kind == "same" and self.grad.kind in ("same", "none"):
            return "same"
        return "reshaped" if self.value.kind == "reshaped" else "changed"

    @property
    def reading(self) -> Reading:
        """Text and ink in a drawing: the change of the value or, without one, of the gradient."""
        value, grad = self.value, self.grad
        words = f"{self.kind}; value {value.text}{_part(value)}; gradient {grad.text}{_part(grad)}"
        if self.kind == "same":
            return Reading("=", "normal", 0, "the same in both")
        if value.kind == "changed":
            return Reading(f"Δ {value.text}", *_ink(value), words)
        if value.kind == "same":
            text = f"Δ∇ {grad.text}" if grad.kind == "changed" else f"∇ {grad.text}"
            return Reading(text, *_ink(grad), words)
        return Reading(
            " → ".join(map(shape, self.shapes)) if len(self.shapes) == 2 else self.kind,
            *_ink(value),
            words,
        )


def _part(delta: Delta) -> str:
    return (
        f" ({number(delta.relative)} of the value before)"
        if math.isfinite(delta.relative) and delta.relative
        else ""
    )


def _ink(delta: Delta) -> tuple[str, int]:
    """State and step of the ink.

    The weakest means no change, each further step a decade of the relative change up to 0.1.
    """
    if delta.stats is not None and delta.stats.state in ("nan", "inf"):
        return delta.stats.state, -1
    if not math.isfinite(delta.relative) or delta.relative >= 1:
        return "normal", STEPS - 1
    return "normal", min(
        STEPS - 1, max(1, STEPS + math.floor(math.log10(delta.relative)))
    ) if delta.relative else 0


def _changes(a: Sequence[GraphNode], b: Sequence[GraphNode]) -> list[Change]:
    """A row for each pair of nodes and for each unpaired node."""
    names = [_names(order) for order in (a, b)]
    changes = []
    for i, j in _pairs(a, b, names):
        old, new = None if i is None else a[i], None if j is None else b[j]
        values, grads = (
            [None if n is None else getattr(n, what) for n in (old, new)]
            for what in ("value", "grad")
        )
        known = [n for n in (new, old) if n is not None]
        label = node_label(known[0], names[1][j] if j is not None else names[0][i or 0])
        place = i if i == j or j is None else f"{i}→{j}" if i is not None else j
        shapes = tuple(n.shape for n in reversed(known))
        changes.append(
            Change(
                i, j, f"n{place} ({label})", shapes, Delta.between(*values), Delta.between(*grads)
            )
        )
    return changes


def _names(order: Sequence[GraphNode]) -> list[str | None]:
    """The name of each node; parameters without one have the name within their module."""
    known = parameter_names(paths_of(order, scopes(order)))
    return [node.name or known.get(id(node)) for node in order]


Pair = tuple[int | None, int | None]


def _pairs(
    a: Sequence[GraphNode], b: Sequence[GraphNode], names: list[list[str | None]]
) -> list[Pair]:
    """Pair the nodes: by place if both graphs have the same structure, else by kind and name."""
    kinds = [
        [n.rule.name if isinstance(n, Operator) else type(n).__name__ for n in order]
        for order in (a, b)
    ]
    if kinds[0] == kinds[1] and _wiring(a) == _wiring(b):
        return [(i, i) for i in range(len(a))]
    left, right = (
        list(zip(kind, name, strict=True)) for kind, name in zip(kinds, names, strict=True)
    )
    most = min(len(left), len(right))
    start = next((i for i in range(most) if left[i] != right[i]), most)
    end = next((i for i in range(most - start) if left[-1 - i] != right[-1 - i]), most - start)
    n, m = len(left) - end, len(right) - end
    pairs: list[Pair] = [(i, i) for i in range(start)]
    blocks = [("replace", start, n, start, m)]
    if (n - start) * (m - start) <= _MOST_PAIRS:
        matcher = SequenceMatcher(None, left[start:n], right[start:m], autojunk=False)
        blocks = [
            (tag, i + start, k + start, j + start, l + start)
            for tag, i, k, j, l in matcher.get_opcodes()
        ]
    for tag, i, k, j, l in blocks:
        if tag == "equal":
            pairs += zip(range(i, k), range(j, l), strict=True)
        else:
            pairs += [*((x, None) for x in range(i, k)), *((None, y) for y in range(j, l))]
    return [*pairs, *zip(range(n, len(left)), range(m, len(right)), strict=True)]


def _wiring(order: Sequence[GraphNode]) -> list[tuple[int, ...]]:
    place = {id(node): i for i, node in enumerate(order)}
    return [tuple(place[id(x)] for x in node.inputs) for node in order]


# ---------------- the result
class Diff(Drawing):
    """What `diff` returns: a drawing of both graphs, and `rows`, a `Change` for each node.

    `changed` has the rows that differ. Printed, it is a table of them; `markdown` is that table for
    a page.
    """

    def __init__(
        self,
        halves: Sequence[Drawing],
        rows: Sequence[Change],
        names: Sequence[str],
        theme: str | None,
    ) -> None:
        self.rows, self.names, self._halves = tuple(rows), tuple(names), halves
        super().__init__(self._whole(), theme)

    @property
    def changed(self) -> tuple[Change, ...]:
        """The rows that differ, in the order of computation."""
        return tuple(row for row in self.rows if row.kind != "same")

    # ---------------- as a drawing
    def _whole(self) -> Picture:
        """Both graphs as one picture, each in a frame."""
        pictures = [half.picture for half in self._halves]
        title, sizes = (
            self._verdict(),
            (sum(p.nodes for p in pictures), sum(p.links for p in pictures)),
        )
        large = any(p.rows for p in pictures)
        first = f"{title}." if large else _LEGEND
        note = " ".join(
            [first, *(f"{name}: {p.note}" for name, p in zip(self.names, pictures, strict=True))]
        )
        if large:
            return Picture(title, *sizes, note, rows=(_HEADER, *self._cells()))
        boxes, edges, clusters = [], [], []
        for key, name, p in zip("ab", self.names, pictures, strict=True):
            clusters += [
                Cluster(key, name, None),
                *(replace(c, id=key + c.id, parent=key + (c.parent or "")) for c in p.clusters),
            ]
            edges += [
                replace(
                    e,
                    id=key + e.id,
                    source=key + e.source,
                    target=key + e.target,
                    title=f"{name}: {e.title}",
                )
                for e in p.edges
            ]
            for box in p.boxes:
                flows = tuple(replace(flow, id=key + flow.id) for flow in box.flows)
                home, words = key + (box.cluster or ""), f"{name}: {box.title}"
                boxes.append(replace(box, id=key + box.id, cluster=home, title=words, flows=flows))
        return Picture(title, *sizes, note, tuple(boxes), tuple(edges), tuple(clusters))

    @cached_property
    def layout(self) -> Layout:
        """Both graphs laid out separately, side by side if they fit, else one above the other."""
        if not self.picture.boxes:
            return super().layout
        plain = [_Half(Drawing(half.picture, width=None)) for half in self._halves]
        beside = sum(half.width for half in plain) + _GAP <= WIDTH
        halves = plain if beside else [_Half(half) for half in self._halves]
        halves[1].dx, halves[1].dy = (
            (halves[0].width + _GAP, 0.0) if beside else (0.0, halves[0].height + _GAP)
        )
        for half in halves:  # frames side by side have one height, else one width
            half.height = max(h.height for h in halves) if beside else half.height
            half.width = half.width if beside else max(h.width for h in halves)
        whole = Layout(halves[0].layout.engine, {}, {}, {})
        for key, half in zip("ab", halves, strict=True):
            half.into(whole, key)
        return whole

    # ---------------- as a table
    def _counted(self) -> str:
        return f"{len(self.changed):,} of {count(len(self.rows), 'node')} changed"

    def _verdict(self) -> str:
        kinds = [row.kind for row in self.rows]
        extra = [
            f"{kinds.count(kind)} {kind}"
            for kind in ("added", "removed", "reshaped")
            if kind in kinds
        ]
        return f"{self.names[0]} → {self.names[1]}: {', '.join([self._counted(), *extra])}"

    def _cells(self) -> list[tuple[str, ...]]:
        """The changed nodes in the order of computation; of too many, those that changed most."""
        ranked = sorted(
            self.changed,
            key=lambda row: -row.value.relative if row.value.kind == "changed" else -math.inf,
        )
        shown = {id(row) for row in ranked[:_MOST_ROWS]}
        cells = []
        for row in (row for row in self.changed if id(row) in shown):
            what = (
                f"{row.kind} {' → '.join(map(shape, row.shapes))}"
                if row.kind == "reshaped"
                else row.kind
            )
            parts = [x for delta in (row.value, row.grad) for x in (delta.text, _relative(delta))]
            cells.append((row.name, what, *parts))
        if left := ranked[_MOST_ROWS:]:
            cells.append((f"{len(left):,} more", "", "", "", "", ""))
        return cells

    def __str__(self) -> str:
        table = aligned([_HEADER, *self._cells()], left=2) if self.changed else []
        return "\n".join([self._verdict(), *table])

    @property
    def markdown(self) -> str:
        """The table for a page; as `_repr_markdown_` it would replace the drawing in notebooks."""
        return markdown_table([_HEADER, *self._cells()], left=2)

    def __repr__(self) -> str:
        return f"<Diff: {self._counted()}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": str(self), "image/svg+xml": self.svg}


def _relative(delta: Delta) -> str:
    return (
        number(delta.relative) if delta.stats is not None and not math.isnan(delta.relative) else ""
    )


class _Half:
    """A drawing in its frame; `dx`, `dy` are the coordinates of the frame's corner."""

    def __init__(self, drawing: Drawing) -> None:
        self.layout = drawing.layout
        sizes = {box.id: footprint(box) for box in drawing.picture.boxes}
        left, top, right, bottom = extent(self.layout, sizes)
        self.left, self.top = left - _FRAME, top - _FRAME - _HEADING
        self.width, self.height = right + _FRAME - self.left, bottom + _FRAME - self.top
        self.dx = self.dy = 0.0

    def into(self, whole: Layout, key: str) -> None:
        """Add everything to the whole layout, under its name in the whole picture."""
        dx, dy = self.dx - self.left, self.dy - self.top

        def moved(points: Sequence[Point]) -> tuple[Point, ...]:
            return tuple((x + dx, y + dy) for x, y in points)

        def frame(area: Rectangle) -> Rectangle:
            return area[0] + dx, area[1] + dy, area[2] + dx, area[3] + dy

        whole.frames[key] = (self.dx, self.dy, self.dx + self.width, self.dy + self.height)
        whole.frames.update((key + name, frame(area)) for name, area in self.layout.frames.items())
        whole.places.update(
            (key + name, moved([place])[0]) for name, place in self.layout.places.items()
        )
        whole.curves.update(
            (key + name, moved(points)) for name, points in self.layout.curves.items()
        )


def diff(
    a: GraphLike,
    b: GraphLike,
    *,
    names: Sequence[str] = ("before", "after"),
    depth: int | None = None,
    theme: str | None = None,
) -> Diff:
    """Compare two graphs, each given as its head, a `Graph` or a `Snapshot`.

        before = graph.snapshot()
        …                                 # train
        mg.viz.diff(before, graph)        # or graph.diff(before)

    Nodes of graphs with the same structure are paired by their place in the topological order; else
    those of the same kind and name along that order are paired, and the others were added or
    removed. Below each line stands the root mean square of the change, `=` where there is none; the
    ink shows it relative to the value before, a step for each decade from below 1e-4 to above 0.1.
    `names` stand above the two graphs; `depth` and `theme` as in `draw`. Graphs that are too large
    to draw are shown as the table. Raises `TypeError` for anything but a graph.

    >>> w = mg.Variable(2.0, name="w")
    >>> graph = mg.Graph(w * w)
    >>> before = graph.snapshot()
    >>> w.value = 5.0
    >>> graph.forward()
    array(25., dtype=float32)
    >>> mg.viz.diff(before, graph)
    <Diff: 2 of 2 nodes changed>
    """
    orders = order_of(a, "diff"), order_of(b, "diff")
    if (
        isinstance(names, str)
        or len(names) != 2
        or not all(isinstance(name, str) for name in names)
    ):
        raise TypeError(f"diff: names={names!r}; two texts were expected")
    rows = _changes(*orders)
    places = [[row.before for row in rows], [row.after for row in rows]]
    halves = []
    for graph, order, mine in zip((a, b), orders, places, strict=True):
        known = [(i, row) for i, row in zip(mine, rows, strict=True) if i is not None]
        readings: Readings = {id(order[i]): row.reading for i, row in known}
        unpaired = {f"n{i}": row.kind for i, row in known if row.kind in ("added", "removed")}
        halves.append(_marked(inked(graph, readings, depth=depth, theme=theme), unpaired))
    return Diff(halves, rows, [shorten(name, 60) for name in names], theme)


def _marked(drawing: Drawing, kinds: dict[str, str]) -> Drawing:
    """The drawing with a thick outline and a word on unpaired boxes."""
    boxes = tuple(
        replace(box, lines=(*box.lines, kinds[box.id]), focus=True) if box.id in kinds else box
        for box in drawing.picture.boxes
    )
    return Drawing(replace(drawing.picture, boxes=boxes), drawing.theme)


Graph.snapshot_by = staticmethod(snapshot)
Graph.diff_by = staticmethod(diff)
