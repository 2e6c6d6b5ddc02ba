"""Plans from Graphviz, which runs in a process of its own; if it does not answer in time, plans of
ours (`plan.py`).

Only the order of things comes from the engine. Sizes are ours (`geometry.py`), and so are all
coordinates (`arrange.py`) and every line of the SVG.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from statistics import median
from typing import Any

from ..scene.picture import Picture
from .arrange import arrange
from .geometry import Layout, Point, footprint
from .plan import BORDER, Part, Plan, face_outwards, is_leaf, parts_of, plan_of, start_of, stop_of

#: seconds for which we wait for an engine; then the drawing is made without it
TIME_LIMIT = 8.0
_TOO_SLOW = "too slow"
#: Debian's packages of the system libraries that pygraphviz's wheels for Linux expect
_PACKAGES = "libexpat1 libglib2.0-0 libx11-6 libxext6 libxrender1"


def lay_out(picture: Picture, room: float | None = None, engine: bool = True) -> Layout:
    """Coordinates for a picture, in rows of at most `room` pixels; without `engine` by our own
    simple plans, which need no other process.
    """
    plans, name = plans_of(picture, engine)
    return arrange(picture, plans, room, name)


def plans_of(picture: Picture, engine: bool = True) -> tuple[dict[str | None, Plan], str]:
    """By cluster the plan of its inside, and which engine made them."""
    parts = parts_of(picture)
    answer = _ask(tuple(map(_dot, parts.values()))) if engine and picture.boxes else None
    found = map(_read, answer, parts.values()) if answer else [None] * len(parts)
    plans = {
        key: plan_of(part, plan) for (key, part), plan in zip(parts.items(), found, strict=True)
    }
    face_outwards(plans, picture)
    return plans, "graphviz" if answer else "simple"


# ---------------- DOT
def _dot(part: Part) -> str:
    """An inside in DOT: fixed sizes, no texts but the names."""
    import graphviz

    graph = graphviz.Digraph("inside")
    graph.attr(rankdir="LR", nodesep="0.2", ranksep="0.36")
    graph.attr("node", shape="box", fixedsize="true", label="")
    graph.attr("edge", arrowhead="none", tailport="e", headport="w")
    boxes = {box.id: box for box in part.boxes}
    for box in part.boxes:
        size = footprint(box)
        graph.node(box.id, width=f"{size.width / 72:.4f}", height=f"{size.height / 72:.4f}")
    ends = [end for edge in part.ahead for end in (start_of(edge), stop_of(edge))]
    for mark, rank in (("<", "source"), (">", "sink")):
        border = graphviz.Digraph(rank, graph_attr={"rank": rank})
        for key in sorted({end for end in ends if end[0] == mark}):
            border.node(key, width="0.01", height=f"{2 * BORDER / 72:.4f}")
        graph.subgraph(border)
    begun: set[str] = set()
    for edge in part.ahead:  # what is computed runs straight, what is given joins from the side
        source = boxes.get(edge.source)
        weight = "1" if part.trunks[edge.id] in begun or (source and is_leaf(source)) else "100"
        begun.add(part.trunks[edge.id])
        graph.edge(start_of(edge), stop_of(edge), id=edge.id, weight=weight)
    return str(graph.source)


def source(picture: Picture) -> str:
    """The picture as a graph in DOT to go on with: boxes with their words, groups as clusters."""
    import graphviz

    graph = graphviz.Digraph("minigrad", graph_attr={"rankdir": "LR"})
    inner: dict[str | None, Any] = {None: graph}
    for cluster in picture.clusters:
        attributes = {"label": graphviz.escape(cluster.label)}
        inner[cluster.id] = graphviz.Digraph(f"cluster_{cluster.id}", graph_attr=attributes)
    for box in picture.boxes:
        shape = "ellipse" if box.kind in ("scalar", "broadcasted") else "box"
        inner[box.cluster].node(box.id, graphviz.escape("\n".join(box.lines)), shape=shape)
    for cluster in reversed(picture.clusters):
        inner[cluster.parent].subgraph(inner[cluster.id])
    flows = {(box.id, k): flow for box in picture.boxes for k, flow in enumerate(box.flows)}
    for edge in picture.edges:
        for piece in picture.pieces(edge) if edge.ends else ():
            flow = flows.get((piece.source, piece.port))
            if flow is not None:
                label = graphviz.escape(" ".join((*flow.above, flow.below)).strip())
                graph.edge(piece.source, edge.target, label)
    return str(graph.source)


# ---------------- the engine
def engines() -> list[list[str]]:
    """The commands that can lay out graphs here, best first."""
    own = [sys.executable, "-P", os.path.join(os.path.dirname(__file__), "engine.py")]
    system = shutil.which("dot")
    return ([own] if sys.executable else []) + ([[system, "-Tjson"]] if system else [])


def _ask(graphs: tuple[str, ...]) -> list[dict[str, Any]] | None:
    """The engine's answers, None if no engine answers. Warns where pygraphviz does not load."""
    not_loaded = ""
    for command in engines():
        answer, failure = _run(tuple(command), graphs, TIME_LIMIT)
        if failure == _TOO_SLOW:
            return None  # the next engine would be as slow
        if answer:
            return list(_values(answer))
        not_loaded = not_loaded or failure
    if not_loaded:
        _warn_of_plain_layouts(not_loaded)
    return None


def _values(text: str) -> Iterator[Any]:
    """JSON values that stand one after the other."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        yield value
        at += len(text[at:]) - len(text[at:].lstrip())


@lru_cache(maxsize=64)
def _run(command: tuple[str, ...], graphs: tuple[str, ...], limit: float) -> tuple[str, str]:
    """One run of an engine: its answer, "" if it does not work here, and the reason if it is known:
    too slow, or the message of an ImportError. Remembered, the time-outs too.

    What else it says on stderr (about fonts, for a picture without text) is of no use to anyone.
    """
    try:
        text = "\n".join(graphs).encode()
        done = subprocess.run(command, input=text, capture_output=True, timeout=limit, check=True)
    except subprocess.TimeoutExpired:
        return "", _TOO_SLOW
    except OSError:
        return "", ""
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace")
        messages = re.findall(r"^(?:ImportError|ModuleNotFoundError): (.+)", said, re.M)
        return "", messages[-1].strip() if messages else ""
    return done.stdout.decode(), ""


@cache
def _warn_of_plain_layouts(reason: str) -> None:
    """Once in a process."""
    remedy = "Installing Graphviz helps, if its program dot is then on the PATH"
    if ".so" in reason:
        remedy += f"; on Debian and Ubuntu, its libraries do, too: apt-get install {_PACKAGES}"
    warnings.warn(
        f"drawings take a plainer layout, because pygraphviz does not load ({reason}). {remedy}.",
        stacklevel=2,
    )


def _read(answer: dict[str, Any], part: Part) -> Plan:
    """The engine's JSON as a plan; there y grows upwards."""
    places = {
        item["name"]: _points(item["pos"])[0] for item in answer.get("objects", ()) if "pos" in item
    }
    middles = sorted({round(x, 1) for x, _ in places.values()})
    columns: list[dict[str, float]] = [{} for _ in middles]
    where = {key: middles.index(round(x, 1)) for key, (x, _) in places.items()}
    for key, (_, y) in places.items():
        columns[where[key]][key] = y
    curves = {item["id"]: _points(item["pos"]) for item in answer.get("edges", ())}
    heights: dict[tuple[int, str], list[float]] = {}
    for edge in part.ahead:
        for c in range(where[start_of(edge)] + 1, where[stop_of(edge)]):
            height = _height(curves[edge.id], middles[c])
            heights.setdefault((c, part.trunks[edge.id]), []).append(height)
    for (c, key), several in heights.items():
        columns[c][key] = median(several)
    return Plan(columns)


def _height(points: Sequence[Point], x: float) -> float:
    """Where a chain of Bézier curves has reached x."""
    for k in range(0, len(points) - 1, 3):
        if x > points[k + 3][0] and k + 4 < len(points):
            continue
        low, high = 0.0, 1.0
        for _ in range(24):
            t = (low + high) / 2
            low, high = (t, high) if _at(points[k : k + 4], t, 0) < x else (low, t)
        return _at(points[k : k + 4], low, 1)
    return points[-1][1]


def _at(points: Sequence[Point], t: float, axis: int) -> float:
    a, b, c, d = (point[axis] for point in points)
    s = 1 - t
    return s * s * s * a + 3 * s * s * t * b + 3 * s * t * t * c + t * t * t * d


def _points(text: str) -> tuple[Point, ...]:
    pairs = (pair.split(",") for pair in text.split())
    return tuple((float(x), -float(y)) for x, y in pairs)
