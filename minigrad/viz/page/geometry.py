"""How much room a box takes: fixed before any layout, from our own text widths, so that nothing depends on fonts.

A box's footprint is its shape and, to the right of it, a straight stub for each value that leaves. The texts of the
value and its gradient stand above and below that stub, inside the footprint; since footprints never overlap, neither
do texts.
"""
from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class Footprint:
    """The shape is `shape_width` by `shape_height`, the whole `width` by `height`, centred vertically."""

    shape_width: float
    shape_height: float
    width: float
    height: float
    ports: tuple[float, ...]  # where each stub leaves, measured from the vertical middle


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
        _up(shape_width), _up(shape_height), _up(shape_width + stub), _up(max(shape_height, texts)), ports
    )


def _shape(box: Box) -> tuple[float, float]:
    first, *others = box.lines
    if box.kind in ("ghost", "more"):
        return width(first, SMALL) + 14, 20.0
    bold = 1.12 if box.kind == "module" else 1.0
    text = max(width(first, LABEL) * bold, *(width(line, SMALL) for line in others), 0.0)
    height = 18 + LINE * len(others) + 8
    if box.kind == "module":
        return text + 28, height + 8
    if box.kind in ("scalar", "broadcasted"):
        return max(text + 26, 46.0), height + 4 + (8 if box.dead is not None else 0)
    return max(text + 20, 40.0), height


def _stub(flow: Flow) -> float:
    texts = [width(line, EDGE) for line in (*flow.above, flow.below) if line]
    return max(texts) + 11 if texts else 0.0


def _up(x: float) -> float:
    """Whole, even sizes: halves of them are whole too, and stay so in every engine."""
    return 2.0 * -int(-x // 2)
