"""How much room a box takes: fixed before any layout, from our own text widths, so that nothing
depends on fonts.

A box's footprint is its shape and, to the right of it, a straight stub for each value that leaves.
The texts of the value and its gradient stand above and below that stub, inside the footprint; since
footprints never overlap, neither do texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..scene.picture import Box, Flow
from ..scene.text import width

# font sizes
LABEL, SMALL, EDGE, NOTE, TITLE = 13.0, 10.0, 10.5, 11.0, 15.0
LINE = 12.5  # from one small line to the next
GAP = 3.0  # between a stub and its texts
ARROW = 6.0
RINGS = 12.0  # what two rings around a shape add to it
TURN = 6.0  # the radius of a corner in a line

Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Footprint:
    """The shape is `shape_width` by `shape_height`, the whole `width` by `height`, centred
    vertically.
    """

    shape_width: float
    shape_height: float
    width: float
    height: float
    ports: tuple[float, ...]  # where each stub leaves, measured from the vertical middle


@dataclass(frozen=True)
class Layout:
    """Centres of footprints, Bézier points of edges, frames (left, top, right, bottom) of clusters;
    y grows down. `ports` has the heights at which values leave a box, measured from its middle.
    """

    engine: str
    places: dict[str, Point]
    curves: dict[str, tuple[Point, ...]]
    frames: dict[str, Rectangle]
    ports: dict[str, float]
    size: Point


@lru_cache(maxsize=4096)
def footprint(box: Box) -> Footprint:
    """The room that a box takes."""
    shape_width, shape_height = (side + RINGS * box.bad for side in _shape(box))
    above = max((len(flow.above) for flow in box.flows), default=0)
    below = any(flow.below for flow in box.flows)
    rooms = (above * LINE + GAP, LINE * below + GAP)
    pitch = max(sum(rooms) + 4, 14.0)
    n = len(box.flows)
    ports = tuple((i - (n - 1) / 2) * pitch for i in range(n))
    texts = 2 * max(rooms) + (n - 1) * pitch if n else 0.0
    shape_height = max(shape_height, (n - 1) * pitch + 16)
    stub = max((_stub(flow) for flow in box.flows), default=0.0)
    return Footprint(
        _up(shape_width),
        _up(shape_height),
        _up(shape_width + stub),
        _up(max(shape_height, texts)),
        ports,
    )


def side(box: Box, dy: float) -> float:
    """How far the left and right sides of its shape are from the middle, at height `dy`."""
    size = footprint(box)
    half = size.shape_width / 2
    if box.kind not in ("scalar", "broadcasted"):
        return half
    return half * math.sqrt(max(0.0, 1 - (2 * dy / size.shape_height) ** 2))


def rounded(corners: Sequence[Point], radius: float) -> tuple[Point, ...]:
    """Straight ways with rounded corners as Bézier points."""
    points = [corners[0]]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        points += [
            *_straight(points[-1], _toward(corner, before, radius)),
            corner,
            corner,
            _toward(corner, after, radius),
        ]
    return (*points, *_straight(points[-1], corners[-1]))


def _toward(corner: Point, other: Point, radius: float) -> Point:
    """A point near the corner, on the way to the other."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    far = math.hypot(dx, dy) or 1.0
    share = min(radius, far / 2) / far
    return corner[0] + dx * share, corner[1] + dy * share


def _straight(a: Point, b: Point) -> tuple[Point, ...]:
    (x0, y0), (x1, y1) = a, b
    return ((2 * x0 + x1) / 3, (2 * y0 + y1) / 3), ((x0 + 2 * x1) / 3, (y0 + 2 * y1) / 3), b


def text_width(flow: Flow) -> float:
    """How wide the texts of a stub are."""
    return max((width(line, EDGE) for line in (*flow.above, flow.below) if line), default=0.0)


def _shape(box: Box) -> tuple[float, float]:
    if box.kind == "fork":
        return 4.0, 4.0
    first, *others = box.lines
    if box.kind in ("ghost", "more"):
        return width(first, SMALL) + 14, 20.0
    bold = 1.12 if box.kind == "module" else 1.0
    text = max(width(first, LABEL) * bold, *(width(line, SMALL) for line in others), 0.0)
    height = 18 + LINE * len(others) + 8
    bar = 0 if box.bar is None else 8
    if box.kind == "module":
        return text + 28, height + 8 + bar
    if box.kind in ("scalar", "broadcasted"):
        height += 4 + bar
        return max(text + 26, _around(box, height), 46.0), height
    return max(text + 20, 40.0), height


def _around(box: Box, height: float) -> float:
    """How wide an ellipse around lines of text is: the corners of each lie within it."""
    base = LABEL * 0.35 - LINE * (len(box.lines) - 1) / 2 - (5.0 if box.bar is not None else 0.0)
    wide = 0.0
    for i, line in enumerate(box.lines):
        size, low = (SMALL if i else LABEL), base + (LINE + 1) * i
        far = 2 * max(low, 0.75 * size - low) / height
        wide = max(wide, (width(line, size) + 2) / math.sqrt(1 - far * far))
    return wide


def _stub(flow: Flow) -> float:
    texts = text_width(flow)
    return texts + 11 if texts else 0.0


def _up(x: float) -> float:
    """Whole, even sizes: halves of them are whole too, and stay so in every engine."""
    return 2.0 * -int(-x // 2)
