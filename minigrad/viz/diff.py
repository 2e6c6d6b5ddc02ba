"""`diff`: what changed from one graph to another, or in one over time, marked in place.

`snapshot` keeps a graph as it is now, for a later comparison.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

import numpy as np

from ..graph.conversion import Array
from ..graph.node import GraphNode, Variable
from ..graph.rule import Operator
from ..run.replay import Graph
from .draw import Drawing, inked
from .scene.flowed import made
from .scene.heads import GraphLike, order_of
from .scene.measure import STEPS, Stats, measure
from .scene.modules import parameter_names, paths_of
from .scene.picture import Key
from .scene.readings import Reading
from .scene.text import alarm, count, number, shape, shorten
from .scene.words import node_label
from .tables import aligned, markdown_table

_HEADER = ("node", "what", "Δ value", "relative", "Δ gradient", "relative")
_MOST_ROWS = 40  # changed nodes in a table; `rows` has them all
#: two graphs are matched node by node, apart from equal beginnings and ends, up to this product of
#: their sizes
_MOST_PAIRS = 10_000_000


# ---------------- snapshots
class Snapshot:
    """A graph as of the call of `snapshot`: new nodes with copies of all arrays.

    `head` and `order` are as in a `Graph`, and `mg.draw`, `diff` and so on take it like a `Graph`.
    """

    def __init__(self, order: Sequence[GraphNode]) -> None:
        paths = paths_of(order)
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
    shared = bool(inputs) and np.may_share_memory(node._data, node.inputs[0]._data)  # a reshape
    data = inputs[0]._data.reshape(node.shape) if shared else node._data.copy()
    if isinstance(node, Operator):
        copied: GraphNode = made(node, inputs, data, node.plan)
    else:
        copied = type(node).__new__(type(node))
        GraphNode.__init__(copied, data)
        if isinstance(copied, Variable):
            copied.requires_grad = node.requires_grad
    copied.version = node.version
    copied.grad, copied.grad_pass = None if node.grad is None else node.grad.copy(), node.grad_pass
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
    rms divided by that of the array before; `moved` says from which number to which.
    """

    kind: str
    stats: Stats | None = None
    relative: float = math.nan
    moved: str = ""

    @property
    def rms(self) -> float:
        """Root mean square of the difference; NaN without two arrays of one shape."""
        if self.stats is not None:
            return self.stats.rms
        return 0.0 if self.kind == "same" else math.nan

    @property
    def text(self) -> str:
        """`rms 0.01`, of single numbers `1.15 → 1.01`, or the kind."""
        if self.stats is None:
            return {"same": "=", "none": "–"}.get(self.kind, self.kind)
        if self.stats.state in ("nan", "inf"):
            return alarm(self.stats)
        return self.moved or f"rms {number(self.stats.rms)}"

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
        moved = f"{number(float(a.item()))} → {number(float(b.item()))}" if a.size == 1 else ""
        return cls("changed", stats, stats.rms / was if was else math.inf, moved)


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
            return Reading(value.moved or f"Δ {value.text}", *_ink(value), words)
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
    known = parameter_names(paths_of(order))
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
    """What `diff` returns: a drawing of the second graph with what changed since the first, and
    `rows`, a `Change` for each node of both.

    `changed` has the rows that differ. Printed, it is a table of them; `markdown` is that table for
    a page.
    """

    def __init__(self, drawing: Drawing, rows: Sequence[Change], names: Sequence[str]) -> None:
        self.rows, self.names = tuple(rows), tuple(names)
        picture = drawing.picture
        added = {f"n{row.after}" for row in rows if row.kind == "added"}
        gone = ", ".join(row.name for row in rows if row.kind == "removed")
        boxes = tuple(
            replace(box, lines=(*box.lines, "added"), focus=True) if box.id in added else box
            for box in picture.boxes
        )
        note = f"Removed: {shorten(gone, 300)}. {picture.note}" if gone else picture.note
        picture = replace(picture, title=self._verdict(), note=note, boxes=boxes)
        super().__init__(drawing.scene, picture, drawing.theme)

    @property
    def changed(self) -> tuple[Change, ...]:
        """The rows that differ, in the order of computation."""
        return tuple(row for row in self.rows if row.kind != "same")

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
    those of the same kind and name along that order are paired. Drawn is `b`: below each line
    stands `1.15 → 1.01`, of an array the root mean square of the change, `=` where there is none;
    the ink shows it relative to the value before, a step for each decade from below 1e-4 to above
    0.1. What was added is marked, what was removed is named in the note. `names` are those of the
    two graphs in the title; `depth` and `theme` as in `draw`. Graphs that are too large
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
    readings = {id(orders[1][row.after]): row.reading for row in rows if row.after is not None}
    key = Key("change", "below 1e-4 of it", "above 0.1")
    drawing = inked(b, readings, depth=depth, theme=theme, key=key)
    return Diff(drawing, rows, [shorten(name, 60) for name in names])


Graph.snapshot_by = staticmethod(snapshot)
Graph.diff_by = staticmethod(diff)
