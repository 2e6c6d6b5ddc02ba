"""`play`: a drawing that steps through its computation: forward a box at a time, backward a line at
a time.

It is a mode of the explorer (`explorer.js`): one fragment of HTML, which loads nothing and needs no
kernel. Without scripts, the whole drawing is shown with all its numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...graph.node import Constant, GraphNode
from ..draw import Drawing, draw
from ..explorer.interactive import Interactive
from ..scene.heads import GraphLike, heads_of, order_of
from ..scene.measure import Stats
from ..scene.picture import Box, Edge
from ..scene.text import count, gradient_line, number
from .evaluation_trace import TraceRow, TraceRows


@dataclass(frozen=True, slots=True)
class PlayerStep:
    """One step of a player: the current box, the pass, the highlighted lines and the text."""

    box: str
    phase: str
    lines: tuple[str, ...]
    text: str


class Player(Interactive):
    """A drawing with a slider that steps through the forward pass, then the backward pass.

    It shows the graph as of the call of `play`. A notebook shows it; `html` is a fragment for any
    page, `save()` writes a page. `steps` are the steps, without the start, before any computation.

    >>> w = mg.Variable(2.0, name="w")
    >>> player = mg.viz.play(w * w)
    >>> player
    <Player of 2 nodes, 2 steps>
    """

    def __init__(self, drawing: Drawing, tracer: TraceRows) -> None:
        walk = _Walk(drawing, tracer)
        self.steps = (*walk.forward(), *walk.backward())
        super().__init__(drawing, walk.shown(self.steps))

    def __repr__(self) -> str:
        nodes = count(self.drawing.picture.nodes, "node")
        return f"<Player of {nodes}, {count(len(self.steps), 'step')}>"


def play(
    graph: GraphLike | Sequence[GraphNode],
    *,
    depth: int | None = None,
    focus: GraphNode | None = None,
    radius: int = 2,
    theme: str | None = None,
    title: str | None = None,
) -> Player:
    """Draw a node or a `Graph` with controls to step forward and, with gradients, backward.

    Forward, each step computes a box; backward, each step pulls a gradient back along one line:
    upstream times local is the contribution, and contributions add up where lines meet. Keys: left
    and right, Home and End, space to play and to pause. The options are those of `draw`. The graph
    is not changed. Raises `TypeError` and `ValueError` as `draw` does.

    >>> w = mg.Variable(2.0, name="w")
    >>> y = w * w
    >>> y.backward()
    >>> mg.viz.play(y)
    <Player of 2 nodes, 5 steps>
    """
    order = order_of(graph, "play", several=True)
    options: dict[str, Any] = {"depth": depth, "focus": focus, "radius": radius}
    drawing = draw(graph, **options, theme=theme, title=title)
    return Player(drawing, TraceRows(order, heads_of(graph, "play", several=True)))


class _Walk:
    """Makes the steps of a drawing."""

    def __init__(self, drawing: Drawing, tracer: TraceRows) -> None:
        self.picture, self.scene, self.tracer = drawing.picture, drawing.scene, tracer
        self.order = tracer.order
        self.boxes = [
            box for box in self.picture.boxes if box.kind != "ghost" and box.id[0] in "nm"
        ]
        self.faces = [cluster.face for cluster in self.picture.clusters]
        self.places = {n: i for i, n in enumerate(self.scene.numbers)}
        self.arriving: dict[str, list[Edge]] = {}
        for edge in self.picture.edges:
            if edge.ends and not edge.back:
                self.arriving.setdefault(edge.target, []).append(edge)

    def forward(self) -> Iterator[PlayerStep]:
        """A step for each box, in the order of computation."""
        for box in self.boxes:
            lines = [name for edge in self.arriving.get(box.id, ()) for name in self._line(edge)]
            yield PlayerStep(box.id, "forward", tuple(lines), self._computed(box))

    def backward(self) -> Iterator[PlayerStep]:
        """A step for each line that a gradient came back along, after one for each head."""
        left = dict.fromkeys(self.places, 0)
        for n in (n for edge in self._pulled() for n in self._sources(edge)):
            left[n] += 1
        parts = dict(left)
        for box in reversed(self.boxes):
            row = self.tracer.reverse(int(box.id[1:])) if box.id[0] == "n" and box.head else None
            if row is not None:
                yield PlayerStep(box.id, "backward", (), f"Begin with {_sentence(row)}")
            for edge in self.arriving.get(box.id, ()):
                if self._given(edge) is None:
                    continue
                text = self._pulled_back(edge)
                for n in self._sources(edge):
                    left[n] -= 1
                    if not left[n] and parts[n] > 1 and (total := self._total(n)):
                        text += f". All {parts[n]} together: {total}"
                yield PlayerStep(box.id, "backward", self._line(edge), text)

    def shown(self, steps: Sequence[PlayerStep]) -> dict[str, Any]:
        """What the script needs: from which step on each element shows its value (`known`), its
        gradient (`reached`), its alarm.
        """
        known: dict[str, int] = {}
        reached: dict[str, int] = {}
        for number_, step in enumerate(steps, 1):
            if step.phase == "forward":
                known[step.box] = number_
            else:
                reached |= dict.fromkeys(step.lines or (step.box,), number_)
        for box in self.picture.boxes:
            own = f"n{box.id.rpartition('n')[2]}" if box.kind == "ghost" else box.id
            for flow in box.flows:
                known[flow.id] = known.get(own, 0)
                reached.setdefault(flow.id, reached.get(own, 0))
            known[box.id] = known.get(own, 0)
            reached[box.id] = max([reached.get(box.id, 0), *(reached[f.id] for f in box.flows)])
        for edge in self.picture.edges:
            known[edge.id] = max(known.get(e.source, 0) for e in self.picture.pieces(edge))
        for cluster in reversed(self.picture.clusters):  # inner ones first
            face, inside = cluster.face, [*self.picture.boxes, *self.faces]
            names = [box.id for box in inside if box.cluster == cluster.id]
            for key in (face.id, *[flow.id for flow in face.flows]):
                known[key] = max(known.get(name, 0) for name in names)
                reached[key] = max(reached.get(name, 0) for name in names)
        alarms = {}
        for box in self.boxes:
            if box.bad:
                wrong = box.id[0] == "n" and not np.isfinite(self._node(box).value).all()
                alarms[box.id] = known[box.id] if wrong else reached[box.id]
        found = [[step.box, step.phase, step.lines, step.text] for step in steps]
        return {"steps": found, "known": known, "reached": reached, "alarms": alarms}

    # ---------------- lines
    def _line(self, edge: Edge) -> tuple[str, ...]:
        """All pieces of a line, its last one first, and the places where it leaves its boxes."""
        pieces = self.picture.pieces(edge)
        return tuple(
            name
            for piece in pieces
            for name in (piece.id, *[f"{piece.source}f{piece.port}"] * bool(piece.source))
        )

    def _pulled(self) -> Iterator[Edge]:
        return (e for edges in self.arriving.values() for e in edges if self._given(e) is not None)

    def _sources(self, edge: Edge) -> set[int]:
        """The numbers of the nodes whose values the line carries."""
        return {self._index(i, slot) for i, slot in edge.uses}

    def _index(self, user: int, slot: int) -> int:
        return self.tracer.index[id(self.order[user].inputs[slot])]

    def _given(self, edge: Edge) -> Stats | None:
        return self.scene.given([(self.places[n], slot) for n, slot in edge.uses])

    # ---------------- words
    def _node(self, box: Box) -> GraphNode:
        return self.order[int(box.id[1:])]

    def _computed(self, box: Box) -> str:
        if box.kind == "module":
            result = "; ".join(" ".join(flow.above) for flow in box.flows if flow.above)
            name = box.title.partition(", ")[2]
            return f"{name[0].upper()}{name[1:]}" + f". Its result: {result}" * bool(result)
        node, row = self._node(box), self.tracer.forward(int(box.id[1:]))
        if not node.inputs:
            kind = "Constant" if isinstance(node, Constant) else "Variable"
            return f"{kind} {_equation(row.name.text, row.number)}"
        return _sentence(row)

    def _pulled_back(self, edge: Edge) -> str:
        """`x̄ gets v̄₂ · cos(x) = 1 × -0.416 = -0.416`"""
        given = self._given(edge)
        assert given is not None
        contribution = gradient_line(given)
        if edge.target[0] == "m" or len(edge.uses) != 1:
            return f"Out of {edge.title.partition(':')[0]} come {contribution}"
        user, slot = edge.uses[0]
        x = self.tracer.reverse(self._index(user, slot))
        term = self.tracer.term(user, slot)
        name = x.name.text if x is not None else "the input"
        parts = [term.text] if term is not None and term.text != contribution else []
        upstream = self.scene.grads[self.places[user]]
        scalar = upstream is not None and upstream.shape == given.shape == ()
        if scalar and upstream is not None and upstream.mean:
            local = given.mean / upstream.mean
            parts.append(f"{number(upstream.mean)} × {number(local)}")
        return f"{name} gets {' = '.join([*parts, contribution])}"

    def _total(self, n: int) -> str:
        stats = self.scene.grads[self.places[n]] if n in self.places else None
        return gradient_line(stats) if stats is not None else ""


def _sentence(row: TraceRow) -> str:
    """`v₃ = sin(v₂) = -0.757`"""
    known = (
        row.name.text if row.formula.text == row.number else f"{row.name.text} = {row.formula.text}"
    )
    return _equation(known, row.number)


def _equation(left: str, number: str) -> str:
    """`x = 2`, or with a shape `x: shape (2, 3)`."""
    return f"{left}{': shape ' if number.startswith('(') else ' = '}{number}"
