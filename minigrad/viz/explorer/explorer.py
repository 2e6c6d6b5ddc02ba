"""A drawing on a screen: boxes open with a click, what belongs together lights up, arrays can be
read.

One fragment of HTML with everything in it: the picture as an image for where scripts may not run,
the elements of all boxes, and what the script (`explorer.js`) needs to put them into place.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...graph.node import GraphNode
from ..page.arrange import arrange, settled
from ..page.geometry import SMALL, footprint, side
from ..page.html import ALIVE, still
from ..page.layout import plans_of
from ..page.plan import Part, Plan, half, parts_of, weight
from ..page.svg import MARGIN, Canvas, render
from ..scene.build import Scene
from ..scene.flowed import Array
from ..scene.picture import Box, Picture
from ..scene.text import escape, width

#: rows and columns of an array that are kept
SIDE = 64
#: pixels: heading and legend are no wider than this
FOOT = 600.0
_ICONS = {
    "first": "M3 3h2v10H3zM13 3v10L6 8z",
    "back": "M11 3v10L4 8z",
    "play": "M4 2.5v11L13 8z",
    "pause": "M4 3h3v10H4zM9 3h3v10H9z",
    "forward": "M5 3v10l7-5z",
    "last": "M3 3v10l7-5zM11 3h2v10h-2z",
}
_BUTTONS = (
    ("first", "First step", ("first",)),
    ("back", "One step back", ("back",)),
    ("play", "Play", ("play", "pause")),
    ("forward", "One step forward", ("forward",)),
    ("last", "Last step", ("last",)),
)


@dataclass(frozen=True)
class Limits:
    """How many boxes an explorer has at most (what lies deeper stays closed), and how many entries
    of arrays.
    """

    boxes: int
    entries: int


IN_FILES, IN_NOTEBOOKS = Limits(1500, 400_000), Limits(200, 4_000)  # a notebook is stored whole


def fragment(
    scene: Scene,
    shown: Picture,
    svg: str,
    words: str,
    theme: str | None,
    room: float,
    limits: Limits,
    more: Mapping[str, Any],
) -> str:
    """HTML that shows a picture of the scene, whose SVG is `svg`, as an explorer.

    `words` are for who cannot see it, `room` is the width in pixels after which rows wrap, `more`
    are data of the modes with a slider: `steps` of a computation or `frames` of a training.
    """
    data = {**_data(scene, shown, theme, room, limits.boxes), **more}
    data["arrays"] = arrays(scene, limits.entries)
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:8]
    key = f"mgx-{digest}"
    script = _file("explorer.js").replace("EXPLORER_ID", key).replace("/* ALIVE */", ALIVE)
    bar = (
        '<button type="button" class="mgx-in" aria-label="zoom in">+</button>'
        '<button type="button" class="mgx-out" aria-label="zoom out">−</button>'
        '<button type="button" class="mgx-fit" aria-label="fit to the page">⤢</button>'
        '<input class="mgx-search" type="search" placeholder="search ( / )" aria-label="search">'
        '<span class="mgx-hits" aria-live="polite"></span>'
    )
    text = json.dumps(data, separators=(",", ":")).encode()
    code = base64.b64encode(gzip.compress(text, mtime=0)).decode()
    return (
        f'<div class="mgx mg-{theme or "auto"}" id="{key}" role="group" '
        # Lumino's attribute: JupyterLab leaves keys that are pressed in here to the script
        f'data-lm-suppress-shortcuts="true" aria-label="{escape(shown.title)}">\n'
        f"<style>{_file('explorer.css')}</style>\n"
        f'<div class="mgx-bar" hidden>{bar}</div>\n'
        f'<div class="mgx-stage">{still(svg, words, "mgx-still")}</div>\n'
        f"{_controls()}"
        f'<div class="mgx-panel" aria-live="polite" hidden></div>\n'
        f'<script type="text/plain" class="mgx-data">{code}</script>\n'
        f"<script>{script}</script>\n</div>\n"
    )


def page(fragment: str, title: str, theme: str | None) -> str:
    """A file with a fragment in it."""
    scheme = {"light": "light", "print": "light", "dark": "dark"}.get(theme or "", "light dark")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>:root{{color-scheme:{scheme}}}body{{margin:1rem}}</style>\n"
        f"</head>\n<body>\n{fragment}</body>\n</html>\n"
    )


def _data(
    scene: Scene, shown: Picture, theme: str | None, room: float, most: int
) -> dict[str, Any]:
    """What the script needs: the elements, the plan of each inside, the size of each thing."""
    depth = max((d for d, boxes in enumerate(scene.sizes) if boxes <= most), default=0)
    whole = replace(scene.picture(depth, folded=True), title=shown.title, note=shown.note)
    plans, engine = plans_of(whole)
    layout = arrange(whole, plans, room, engine)
    least = min(layout.size[0], FOOT)  # words above and below fit, whatever is closed
    layout = replace(layout, size=(least, layout.size[1]))
    faces = {cluster.face.id: cluster for cluster in whole.clusters}
    everything = replace(
        whole,
        boxes=(*whole.boxes, *(cluster.face for cluster in whole.clusters)),
        edges=tuple(replace(edge, ends=bool(edge.target)) for edge in whole.edges),
    )
    canvas = Canvas(everything, layout)
    boxes = {box.id: box for box in everything.boxes}
    flows = {box.id: [flow.id for flow in box.flows] for box in everything.boxes}
    clusters = {cluster.id: cluster for cluster in whole.clusters}
    reading: dict[str, int] = {}  # a group before what is in it
    for box in whole.boxes:
        around, at = [box.id], box.cluster
        while at is not None:
            around += [clusters[at].face.id, at]
            at = clusters[at].parent
        for key in reversed(around):
            reading.setdefault(key, len(reading))
    parts = parts_of(whole)
    ends = {edge.id: edge for edge in whole.edges}
    return {
        "svg": render(everything, layout, theme) if whole.clusters else "",
        "open": [cluster.id for cluster in shown.clusters],
        "room": room if math.isfinite(room) else 1e9,
        "origin": [MARGIN, canvas.top],
        "height": layout.size[1],
        "least": canvas.wide,
        "rest": canvas.size[1] - layout.size[1],
        "insides": {key or "": _inside(part, plans[key]) for key, part in parts.items()},
        "things": {key: _thing(box) for key, box in boxes.items()},
        "groups": {
            face: [cluster.id, width(cluster.label, SMALL) + 8] for face, cluster in faces.items()
        },
        "outs": {flow: dy for plan in plans.values() for flow, dy in plan.outs.items()},
        "ins": {edge: dy for plan in plans.values() for edge, dy in plan.ins.items()},
        "insets": {key: _inset(boxes, plans, edge.target, key) for key, edge in ends.items()},
        "drawn": {key: list(canvas.places[key]) for key in boxes},
        "flows": flows,
        "owners": {flow: box for box, several in flows.items() for flow in several},
        "origins": _origins(whole, flows),
        "targets": {key: edge.target for key, edge in ends.items()},
        "within": {box.id: box.cluster or "" for box in everything.boxes},
        "order": reading,
        "moving": [*boxes, *(f for several in flows.values() for f in several), *ends, *clusters],
    }


def _origins(whole: Picture, flows: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """By line the box of the node whose value it carries; of a ghost that of the leaf."""
    found = {flow: box for box, several in flows.items() for flow in several}
    for edge in whole.edges:
        sources = [piece.source for piece in whole.pieces(edge) if piece.source]
        found[edge.id] = sources[-1] if sources else ""
    return {
        key: f"n{box.rpartition('n')[2]}" if box.startswith("g") else box
        for key, box in found.items()
    }


def _inside(part: Part, plan: Plan) -> dict[str, Any]:
    names = ("id", "source", "port", "target", "slot", "back")
    return {
        "columns": [
            [[key, round(y, 2)] for key, y in column.items()] for column in settled(part, plan)
        ],
        "edges": [
            {**{name: getattr(edge, name) for name in names}, "trunk": part.trunks[edge.id]}
            for edge in part.edges
        ],
    }


def _thing(box: Box) -> list[float]:
    boxes = {box.id: box}
    return [footprint(box).width, half(box.id, boxes), weight(box.id, boxes)]


def _inset(boxes: Mapping[str, Box], plans: Mapping[Any, Plan], target: str, edge: str) -> float:
    """How far left of the middle of its target's footprint an edge ends."""
    if not target:
        return 0.0
    box, size = boxes[target], footprint(boxes[target])
    dy = plans[box.cluster].ins[edge]
    return size.width / 2 - size.shape_width / 2 + side(box, dy)


def arrays(scene: Scene, most: int) -> dict[str, dict[str, Any]]:
    """By box the entries of its value and of its gradient, small arrays first, `most` in all."""
    found: dict[str, dict[str, Any]] = {}
    wanted = [
        (array.size, n, name, array)
        for n, node in zip(scene.numbers, scene.order, strict=True)
        for name, array in _shown(scene, node)
        if array.size and array.dtype.kind in "fiub"
    ]
    for _, n, name, array in sorted(wanted, key=lambda item: item[:2]):
        kept = (
            array[..., :SIDE, :SIDE]
            if array.ndim > 1
            else array[: SIDE**2]
            if array.ndim
            else array
        )
        most -= kept.size
        if most < 0:
            break
        found.setdefault(f"n{n}", {})[name] = packed(array.shape, kept)
    return found


def _shown(scene: Scene, node: GraphNode) -> list[tuple[str, Array]]:
    values = [("value", node.value)] if scene.show_values else []
    grad = scene.flowed.get(id(node))
    return values if grad is None else [*values, ("gradient", grad)]


def packed(shape: Sequence[int], array: Array) -> list[Any]:
    """An array in 16 bits an entry: 32,767 is the largest size. What is not finite is -32,768,
    which the script draws crossed.
    """
    x = array.astype(np.float64)
    finite = np.isfinite(x)
    scale = float(np.abs(x[finite]).max(initial=0.0))
    shares = np.where(finite, x, 0.0) / (scale or 1.0)
    whole = np.where(finite, (shares * 32767).round(), -32768)
    code = base64.b64encode(whole.astype("<i2").tobytes()).decode()
    return [list(shape), scale, code, list(array.shape)]


def _controls() -> str:
    """Buttons, a slider and what is said of a step; the script shows them where there are steps."""
    buttons = "".join(
        f'<button type="button" class="mgx-button mgx-{name}" aria-label="{label}" '
        f'title="{label}">{"".join(map(_icon, icons))}</button>'
        for name, label, icons in _BUTTONS
    )
    return (
        f'<div class="mgx-controls" hidden>{buttons}<input type="range" class="mgx-slider" min="0" '
        f'value="0" step="1" aria-label="Step"><span class="mgx-count" aria-hidden="true"></span>'
        f'</div>\n<svg class="mgx-curve" viewBox="0 0 300 60" role="img" aria-label="loss" hidden>'
        f'<polyline/><circle r="4"/></svg>\n<p class="mgx-status" aria-live="polite" '
        f'aria-atomic="true" hidden></p>\n'
    )


def _icon(name: str) -> str:
    return (
        f'<svg class="mgx-icon mgx-icon-{name}" viewBox="0 0 16 16" width="16" height="16" '
        f'aria-hidden="true"><path d="{_ICONS[name]}"/></svg>'
    )


def _file(name: str) -> str:
    """The text of a file in this folder."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8").strip()
