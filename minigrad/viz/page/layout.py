"""Where everything goes: coordinates from Graphviz if it answers in time, else from a plain layered
layout of our own.

Only coordinates come from the engine. Sizes are ours (`geometry.py`), and so is every line of the
SVG.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

from ..scene.picture import Box, Cluster, Picture
from ..scene.text import width
from .blocks import Blocks
from .fold import fold
from .geometry import SMALL, Layout, Point, Sized, footprint
from .layered import layered

#: seconds for which we wait for an engine; then the drawing is made without it
TIME_LIMIT = 8.0
_TOO_SLOW = "too slow"
#: Debian's packages of the system libraries that pygraphviz's wheels for Linux expect
_PACKAGES = "libexpat1 libglib2.0-0 libx11-6 libxext6 libxrender1"


def dot_source(picture: Picture) -> str:
    """The picture in DOT: fixed sizes, no texts but the names; an unrolled layer is one box."""
    import graphviz

    blocks = Blocks(picture)
    picture = blocks.small
    graph = graphviz.Digraph("minigrad")
    graph.attr(rankdir="LR", nodesep="0.2", ranksep="0.36")
    graph.attr("node", shape="box", fixedsize="true", label="")
    graph.attr("edge", arrowhead="none", tailport="e", headport="w")
    for cluster in picture.clusters:
        if cluster.parent is None:
            graph.subgraph(_cluster_dot(graphviz, blocks, cluster))
    for box in picture.boxes:
        if box.cluster is None:
            graph.node(box.id, **_size(box, blocks))
    boxes = {box.id: box for box in picture.boxes}
    gates = _gates(picture)
    for edge in picture.edges:  # what is computed runs straight, what is given joins from the side
        weight = "1" if _leaf(boxes[edge.source]) else "100"
        stops = [edge.source, *([_gate(edge.id)] if edge.id in gates else []), edge.target]
        for i, (y, direction) in enumerate(zip(blocks.ends(edge), "ew", strict=True)):
            stops[-i] += f":{round(y)}:{direction}" if y is not None else ""
        for i, (tail, head) in enumerate(pairwise(stops)):
            graph.edge(
                tail,
                head,
                id=f"{edge.id}.{i}",
                weight=weight,
                **({"constraint": "false"} if edge.back else {}),
            )
    return str(graph.source)


def _cluster_dot(graphviz: Any, blocks: Blocks, cluster: Cluster) -> Any:
    """A cluster with an empty table in place of its label, which keeps room for it without asking a
    font.
    """
    sub, picture = graphviz.Digraph(f"cluster_{cluster.id}"), blocks.small
    table = (
        '<<TABLE BORDER="0" FIXEDSIZE="TRUE" WIDTH="{:.0f}" HEIGHT="14"><TR><TD></TD></TR></TABLE>>'
    )
    sub.attr(
        id=cluster.id,
        margin="9",
        label=table.format(width(cluster.label, SMALL) + 8),
        labeljust="l",
    )
    for inner in picture.clusters:
        if inner.parent == cluster.id:
            sub.subgraph(_cluster_dot(graphviz, blocks, inner))
    for box in picture.boxes:
        if box.cluster == cluster.id:
            sub.node(box.id, **_size(box, blocks))
    for edge, frame in _gates(picture).items():
        if frame == cluster.id:
            sub.node(_gate(edge), width="0.02", height="0.1")
    return sub


def _gates(picture: Picture) -> dict[str, str]:
    """By edge that enters a frame in which leaves feed its target: that frame.

    Such an edge gets a point to pass through in the leaves' column. Without it the frame would lie
    beside the one before it, or the edge would have to run around the leaves, for Graphviz lets no
    line through a frame.
    """
    boxes = {box.id: box for box in picture.boxes}
    ends = [(edge, boxes[edge.source], boxes[edge.target]) for edge in picture.edges]
    fed = {
        target.id
        for _, source, target in ends
        if _leaf(source) and source.cluster == target.cluster
    }
    return {
        edge.id: target.cluster
        for edge, source, target in ends
        if target.cluster
        and source.cluster != target.cluster
        and target.id in fed
        and not edge.back
    }


def _gate(edge: str) -> str:
    return f"{edge}.gate"


def _leaf(box: Box) -> bool:
    """A parameter or a literal number; data has two lines and runs with what is computed."""
    return box.kind in ("variable", "ghost") or (box.kind == "constant" and len(box.lines) == 1)


def _size(box: Box, blocks: Blocks) -> dict[str, str]:
    size = footprint(box)
    if isinstance(box, Sized):
        return {"shape": "plain", "fixedsize": "false", "label": _ports(box, blocks)}
    return {"width": f"{size.width / 72:.4f}", "height": f"{size.height / 72:.4f}"}


def _ports(box: Sized, blocks: Blocks) -> str:
    """A label of empty cells that has the size of a block, with a thin one at each height at which
    lines come and go.
    """
    wide, tall, y, rows = round(box.width), round(box.height), 0, []
    cell = f'<TR><TD FIXEDSIZE="TRUE" WIDTH="{wide}" HEIGHT="{{}}"{{}}></TD></TR>'
    ends = (
        zip(blocks.ends(edge), (edge.source, edge.target), strict=True)
        for edge in blocks.small.edges
    )
    for at in sorted(
        {round(at) for pair in ends for at, key in pair if at is not None and key == box.id}
    ):
        if at - 1 > y:
            rows.append(cell.format(at - 1 - y, ""))
        rows.append(cell.format(2, f' PORT="{at}"'))
        y = max(y, at - 1) + 2
    rows.append(cell.format(max(1, tall - y), ""))
    size = f'FIXEDSIZE="TRUE" WIDTH="{wide}" HEIGHT="{tall}"'
    return (
        f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0" '
        f"{size}>{''.join(rows)}</TABLE>>"
    )


def lay_out(picture: Picture, source: str, width: float | None = None) -> Layout:
    """Coordinates for a picture, whose DOT is `source`, in lines of about `width` pixels."""
    blocks = Blocks(picture)
    answer = _ask(source) if picture.boxes else None
    layout = (
        Layout("layers", *layered(blocks.small), {})
        if answer is None
        else _read(answer, blocks.small)
    )
    layout = blocks.docked(layout)
    return blocks.expanded(
        layout if width is None else fold(layout, blocks.small, width)
    )  # a block is not cut


# ---------------- the engine
def engines() -> list[list[str]]:
    """The commands that can lay out a graph here, best first."""
    own = [sys.executable, "-P", os.path.join(os.path.dirname(__file__), "engine.py")]
    system = shutil.which("dot")
    return ([own] if sys.executable else []) + ([[system, "-Tjson"]] if system else [])


def _ask(source: str) -> str | None:
    """The engine's JSON, None if no engine answers. Warns where pygraphviz does not load."""
    not_loaded = ""
    for command in engines():
        answer, failure = _run(tuple(command), source, TIME_LIMIT)
        if failure == _TOO_SLOW:
            return None  # the next engine would be as slow
        if answer:
            return answer
        not_loaded = not_loaded or failure
    if not_loaded:
        _warn_of_plain_layouts(not_loaded)
    return None


@lru_cache(maxsize=64)
def _run(command: tuple[str, ...], source: str, limit: float) -> tuple[str, str]:
    """One run of an engine: its answer, "" if it does not work here, and the reason if it is known:
    too slow, or the message of an ImportError. Remembered, the time-outs too.

    What else it says on stderr (about fonts, for a picture without text) is of no use to anyone.
    """
    try:
        done = subprocess.run(
            command, input=source.encode(), capture_output=True, timeout=limit, check=True
        )
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


def _read(answer: str, picture: Picture) -> Layout:
    """The engine's JSON as a layout; there y grows upwards."""
    data = json.loads(answer)
    top = float(data["bb"].split(",")[3])
    places, frames = {}, {}
    for item in data.get("objects", ()):
        if "pos" in item:
            places[item["name"]] = _points(item["pos"], top)[0]
        elif "bb" in item:
            left, low, right, high = (float(x) for x in item["bb"].split(","))
            frames[item["id"]] = (left, top - high, right, top - low)
    curves: dict[str, tuple[Point, ...]] = {}
    for item in sorted(
        data.get("edges", ()), key=lambda item: str(item["id"])
    ):  # the parts before and after a gate
        name, points = item["id"].partition(".")[0], _points(item["pos"], top)
        curves[name] = (*curves[name], *points[1:]) if name in curves else points
    places = {box.id: places[box.id] for box in picture.boxes}
    return Layout("graphviz", places, curves, frames)


def _points(text: str, top: float) -> tuple[Point, ...]:
    pairs = (pair.split(",") for pair in text.split())
    return tuple((float(x), top - float(y)) for x, y in pairs)
