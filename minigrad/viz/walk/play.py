"""`play`: a drawing that steps through its computation, as one fragment of HTML.

The fragment is complete: drawing, texts of the steps, a small script. It loads nothing and needs no
kernel. Without scripts, the whole drawing is shown with all its numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ...files import write_atomically
from ...graph.node import Constant, GraphNode
from ..draw import Drawing, draw
from ..page.html import ALIVE, still
from ..scene.heads import GraphLike, heads_of, order_of
from ..scene.picture import Box, Picture
from ..scene.text import count, escape
from .evaluation_trace import TraceRow, TraceRows

_ICONS = {
    "first": "M3 3h2v10H3zM13 3v10L6 8z",
    "back": "M11 3v10L4 8z",
    "play": "M4 2.5v11L13 8z",
    "pause": "M4 3h3v10H4zM9 3h3v10H9z",
    "forward": "M5 3v10l7-5z",
    "last": "M3 3v10l7-5zM11 3h2v10h-2z",
}
_BUTTONS = (
    ("first", "First step"),
    ("back", "One step back"),
    ("play", "Play"),
    ("forward", "One step forward"),
    ("last", "Last step"),
)
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


@dataclass(frozen=True, slots=True)
class PlayerStep:
    """One step of a player: the current box, the pass, the highlighted lines and the text."""

    box: str
    phase: str
    lines: tuple[str, ...]
    text: str


class Player:
    """A drawing with a slider that steps through the forward pass, then the backward pass.

    It shows the graph as of the call of `play`. A notebook shows it; `html` is a fragment for any
    page, `save()` writes a page. `steps` are the steps, without the start, before any computation.

    >>> w = mg.Variable(2.0, name="w")
    >>> player = mg.viz.play(w * w)
    >>> player
    <Player of 2 nodes, 2 steps>
    """

    def __init__(self, drawing: Drawing, tracer: TraceRows) -> None:
        self.drawing = drawing
        walk = _Walk(drawing.picture, tracer)
        self.steps = tuple(walk.steps())
        self._complete = walk.complete(self.steps)

    @cached_property
    def html(self) -> str:
        """The player as one fragment of HTML."""
        picture, theme = self.drawing.picture, self.drawing.theme or "auto"
        data = json.dumps(self._data(), separators=(",", ":")).translate(_ESCAPES)
        image = still(self.drawing.svg, self.drawing.description, "mgp-still")
        body = (
            f'<style>{_file("player.css")}</style>\n<div class="mgp-stage">\n{image}</div>\n'
            f'<div class="mgp-controls" hidden>\n{_controls(len(self.steps))}</div>\n'
            '<p class="mgp-status" aria-live="polite" aria-atomic="true">All values and gradients '
            "are shown.</p>\n"
            f'<script type="application/json" class="mgp-data">{data}</script>\n'
        )
        key = f"mgp-{hashlib.sha256(body.encode()).hexdigest()[:8]}"
        # Lumino's attribute: JupyterLab leaves keys that are pressed in here to the player
        opening = (
            f'<div class="mgp mg-{theme}" id="{key}" role="group" '
            f'data-lm-suppress-shortcuts="true" '
            f'aria-label="{escape(f"Step player: {picture.title}")}">'
        )
        script = _file("player.js").replace("PLAYER_ID", key).replace("/* ALIVE */", ALIVE)
        return f"{opening}\n{body}<script>{script}</script>\n</div>\n"

    def _data(self) -> dict[str, Any]:
        """The data of the script; `owners` maps an element to the box of its value and gradient."""
        picture = self.drawing.picture
        return {
            "steps": [[step.box, step.phase, step.lines, step.text] for step in self.steps],
            "owners": dict(_owners(picture)),
            "complete": self._complete,
        }

    def save(self, path: str | PathLike[str]) -> None:
        """Write a page with the player to a `.html` file; else raise `ValueError`."""
        target = Path(path)
        if target.suffix.lower() != ".html":
            raise ValueError(f"save: {target.name!r}; a name that ends in .html was expected")
        scheme = {"light": "light", "print": "light", "dark": "dark"}.get(
            self.drawing.theme or "", "light dark"
        )
        page = (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.drawing.picture.title)}</title>\n"
            f"<style>:root{{color-scheme:{scheme}}}body{{margin:1rem}}</style>\n</head>\n<body>\n{self.html}</body>\n</html>\n"
        )
        write_atomically(target, page.encode())

    def _repr_html_(self) -> str:
        return self.html

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html}

    def __repr__(self) -> str:
        return (
            f"<Player of {count(self.drawing.picture.nodes, 'node')}, "
            f"{count(len(self.steps), 'step')}>"
        )


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

    Each step shows its rule with its numbers, as `trace` does. Keys: left and right, Home and End,
    space to play and to pause. The options are those of `draw`. The graph is not changed. Raises
    `GraphError` for a graph that is too large to draw box by box, `TypeError` and `ValueError` as
    `draw` does.

    >>> w = mg.Variable(2.0, name="w")
    >>> y = w * w
    >>> y.backward()
    >>> mg.viz.play(y)
    <Player of 2 nodes, 4 steps>
    """
    order = order_of(graph, "play", several=True)
    options: dict[str, Any] = {
        "depth": depth,
        "focus": focus,
        "radius": radius,
        "theme": theme,
        "title": title,
    }
    drawing = draw(graph, **options)
    return Player(drawing, TraceRows(order, heads_of(graph, "play", several=True)))


class _Walk:
    """Makes the steps of a picture: its boxes in the order of computation, and back."""

    def __init__(self, picture: Picture, tracer: TraceRows) -> None:
        self.picture, self.order, self.tracer = picture, tracer.order, tracer
        self.boxes = [box for box in picture.boxes if box.kind != "ghost" and box.id[0] in "nm"]
        self.owners = dict(_owners(picture))

    def steps(self) -> Iterator[PlayerStep]:
        """Forward, then backward."""
        for box in self.boxes:
            yield PlayerStep(box.id, "forward", self._lines(box, into=True), self._forward(box))
        for box in reversed(self.boxes):
            if text := self._backward(box):
                yield PlayerStep(box.id, "backward", self._lines(box, into=False), text)

    def complete(self, steps: tuple[PlayerStep, ...]) -> dict[str, int]:
        """For each box with an alarm, the first step that shows it; gradients come backward."""
        found = {}
        for box in self.boxes:
            if box.bad:
                mine = [i for i, step in enumerate(steps, 1) if step.box == box.id]
                wrong = box.kind != "module" and not np.isfinite(self._node(box).value).all()
                found[box.id] = mine[0] if wrong else mine[-1]
        return found

    def _node(self, box: Box) -> GraphNode:
        return self.order[int(box.id[1:])]

    def _lines(self, box: Box, into: bool) -> tuple[str, ...]:
        """The edges into a box, or out of it and its ghosts, each with its stub."""
        ends = (
            (edge, edge.target if into else self.owners[edge.id]) for edge in self.picture.edges
        )
        found = [
            name
            for edge, end in ends
            if end == box.id
            for name in (f"{edge.source}f{edge.port}", edge.id)
        ]
        own = [] if into else [flow.id for flow in box.flows]
        return tuple(dict.fromkeys([*own, *found]))

    def _forward(self, box: Box) -> str:
        if box.kind == "module":
            result = "; ".join(" ".join(flow.above) for flow in box.flows if flow.above)
            return f"Module {box.title.partition(', module ')[2]}" + (
                f". Its result: {result}" if result else ""
            )
        node, row = self._node(box), self.tracer.forward(int(box.id[1:]))
        if not node.inputs:
            return (
                f"{'Constant' if isinstance(node, Constant) else 'Variable'} "
                f"{_equation(row.name.text, row.number)}"
            )
        return _sentence(row)

    def _backward(self, box: Box) -> str:
        if box.kind == "module":
            result = "; ".join(flow.below for flow in box.flows if flow.below)
            inner = ", ".join(line for line in box.lines if line.startswith("∇"))
            parts = [
                f"Gradient of its result: {result}" if result else "",
                f"Parameters: {inner}" if inner else "",
            ]
            return ". ".join([f"Module {box.lines[0]}", *filter(None, parts)]) if any(parts) else ""
        row = self.tracer.reverse(int(box.id[1:]))
        return _sentence(row) if row else ""


def _sentence(row: TraceRow) -> str:
    """`v₃ = sin(v₂) = -0.757`"""
    known = (
        row.name.text if row.formula.text == row.number else f"{row.name.text} = {row.formula.text}"
    )
    return _equation(known, row.number)


def _equation(left: str, number: str) -> str:
    """`x = 2`, or with a shape `x: shape (2, 3)`."""
    return f"{left}{': shape ' if number.startswith('(') else ' = '}{number}"


def _owners(picture: Picture) -> Iterator[tuple[str, str]]:
    """(element, box) for each element of the drawing: the box whose value and gradient it shows.

    A ghost shows those of its parameter.
    """
    own = {
        box.id: box.id if box.kind != "ghost" else f"n{box.id.rpartition('n')[2]}"
        for box in picture.boxes
    }
    for box in picture.boxes:
        yield box.id, own[box.id]
        yield from ((flow.id, own[box.id]) for flow in box.flows)
    yield from ((edge.id, own[edge.source]) for edge in picture.edges)


def _controls(last: int) -> str:
    buttons = "".join(
        f'<button type="button" class="mgp-button mgp-{name}" aria-label="{label}" '
        f'title="{label}">{_icons(name)}</button>\n'
        for name, label in _BUTTONS
    )
    slider = (
        f'<input type="range" class="mgp-slider" min="0" max="{last}" value="0" step="1" '
        f'aria-label="Step">\n'
    )
    return f'{buttons}{slider}<span class="mgp-count" aria-hidden="true"></span>\n'


def _icons(name: str) -> str:
    names = ("play", "pause") if name == "play" else (name,)
    return "".join(
        f'<svg class="mgp-icon mgp-icon-{name}" viewBox="0 0 16 16" width="16" height="16" '
        f'aria-hidden="true">'
        f'<path d="{_ICONS[name]}"/></svg>'
        for name in names
    )


def _file(name: str) -> str:
    """The text of a file in this folder."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8").strip()
