"""Wide layouts folded into lines, as text is: cut where few edges run, each edge led around from
line end to line start.

Coordinates only; works on what any engine gave. A frame that is cut goes on in the next line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ..scene.picture import Edge, Picture
from .geometry import Layout, Point, Rectangle, footprint, rounded

LANE, GAP, ROUND, _MARGIN = 8.0, 26.0, 7.0, 9.0
#: what a cut costs, in pixels of an unused line: for each edge that it cuts, for each frame that
#: fits on a line
_EDGE, _FRAME = 40.0, 150.0


@dataclass
class _Line:
    """What stands between two cuts; `dx`, `dy` is how far it moves."""

    left: float
    right: float
    dx: float = 0.0
    dy: float = 0.0
    top: float = 0.0
    bottom: float = 0.0

    def moved(self, points: Sequence[Point]) -> tuple[Point, ...]:
        return tuple((x + self.dx, y + self.dy) for x, y in points)


def fold(layout: Layout, picture: Picture, room: float) -> Layout:
    """The layout in lines of about `room` pixels; as it is where it fits, or where there is nowhere
    to cut.
    """
    spans = {box.id: footprint(box).width / 2 for box in picture.boxes}
    boxes = sorted(
        (layout.places[key][0] - half, layout.places[key][0] + half) for key, half in spans.items()
    )
    if not boxes or max(right for _, right in boxes) - boxes[0][0] <= 1.1 * room:
        return layout
    cuts = _cuts(boxes, layout, picture, room)
    return _Folded(layout, picture, cuts).layout() if cuts else layout


def _cuts(
    boxes: list[tuple[float, float]], layout: Layout, picture: Picture, room: float
) -> list[float]:
    """Where to cut, from left to right: in gaps between boxes, at the least cost."""
    gaps, reached = [], boxes[0][1]
    for left, right in boxes[1:]:
        if left > reached + 4:
            gaps.append((left + reached) / 2)
        reached = max(reached, right)
    gaps = [x for x in gaps if all(_once(edge, layout, x) for edge in picture.edges)]

    def cost(x: float, limit: float) -> float:
        edges = sum(points[0][0] < x < points[-1][0] for points in layout.curves.values())
        frames = sum(a < x < c and c - a <= room for a, _, c, _ in layout.frames.values())
        return _EDGE * edges + _FRAME * frames + limit - x

    cuts: list[float] = []
    start = boxes[0][0]
    while reached - start > 1.1 * room:
        near = [x for x in gaps if start + 0.4 * room < x <= start + room] or [
            x for x in gaps if x > start + room
        ][:1]
        if not near:
            break
        start = min(near, key=lambda x: cost(x, start + room))
        cuts.append(start)
    return cuts


def _once(edge: Edge, layout: Layout, x: float) -> bool:
    """Does the edge cross x only where it has to: once and to the right, or not at all?"""
    ends = [layout.places[edge.source][0] > x, layout.places[edge.target][0] > x]
    sides = [ends[0], *(point[0] > x for point in layout.curves[edge.id]), ends[1]]
    return sides == sorted(sides)


class _Folded:
    """The lines of a layout, moved below each other, and the edges led from line to line."""

    def __init__(self, layout: Layout, picture: Picture, cuts: list[float]) -> None:
        self.old, self.picture, self.cuts = layout, picture, cuts
        self.sizes = {box.id: footprint(box) for box in picture.boxes}
        self.home = {key: sum(x > cut for cut in cuts) for key, (x, _) in layout.places.items()}
        self.parts = {key: _split(points, cuts) for key, points in layout.curves.items()}
        self.crossing = [self._crossing(k) for k in range(len(cuts))]
        self.lines = [_Line(0.0, 0.0) for _ in range(len(cuts) + 1)]
        self.frames: dict[str, dict[int, Rectangle]] = {}
        for cluster in reversed(picture.clusters):  # outer ones come first there
            if cluster.id in layout.frames:
                self.frames[cluster.id] = self._pieces(cluster.id)
        for k, line in enumerate(self.lines):
            self._measure(k, line)
        for k, (upper, lower) in enumerate(pairwise(self.lines)):
            lower.dy = upper.bottom + upper.dy + 2 * GAP + LANE * len(self.crossing[k]) - lower.top
        for line in self.lines:
            line.dx = self.lines[0].left - line.left

    def _crossing(self, k: int) -> list[str]:
        """The edges that cross cut k, from above to below."""
        heights = {
            key: points[-1][1]
            for key, parts in self.parts.items()
            for line, points in parts[:-1]
            if line == k
        }
        return sorted(heights, key=lambda key: (heights[key], key))

    # ---------------- lines and frames
    def _pieces(self, key: str) -> dict[int, Rectangle]:
        """A frame line by line, around what it holds there; inner frames have their pieces
        already.
        """
        left, top, right, bottom = self.old.frames[key]
        held = [
            (self.home[box.id], self._area(box.id))
            for box in self.picture.boxes
            if box.cluster == key
        ]
        inner = [
            item.id
            for item in self.picture.clusters
            if item.parent == key and item.id in self.old.frames
        ]
        whole = [area for _, area in held] + [self.old.frames[name] for name in inner]
        held += [piece for name in inner for piece in self.frames[name].items()]
        above, below = min(area[1] for area in whole) - top, bottom - max(area[3] for area in whole)
        edges = [-float("inf"), *self.cuts, float("inf")]
        pieces = {}
        for k in sorted({k for k, _ in held}):
            lefts, tops, rights, bottoms = zip(*(area for at, area in held if at == k), strict=True)
            start = left if left > edges[k] else min(lefts) - _MARGIN
            end = right if right < edges[k + 1] else max(rights) + _MARGIN
            pieces[k] = (start, min(tops) - above, end, max(bottoms) + below)
        return pieces

    def _area(self, box: str) -> Rectangle:
        (x, y), size = self.old.places[box], self.sizes[box]
        return x - size.width / 2, y - size.height / 2, x + size.width / 2, y + size.height / 2

    def _measure(self, k: int, line: _Line) -> None:
        areas = [pieces[k] for pieces in self.frames.values() if k in pieces]
        areas += [self._area(key) for key in self.old.places if self.home[key] == k]
        areas += [
            (x, y, x, y)
            for parts in self.parts.values()
            for at, points in parts
            if at == k
            for x, y in points
        ]
        lefts, tops, rights, bottoms = zip(*areas, strict=True)
        line.left, line.top, line.right, line.bottom = (
            min(lefts),
            min(tops),
            max(rights),
            max(bottoms),
        )

    # ---------------- everything in its new place
    def layout(self) -> Layout:
        places = {
            key: self.lines[self.home[key]].moved([point])[0]
            for key, point in self.old.places.items()
        }
        frames: dict[str, Rectangle] = {}
        for key in self.old.frames:
            for i, (k, (a, b, c, d)) in enumerate(self.frames[key].items()):
                dx, dy = self.lines[k].dx, self.lines[k].dy
                frames[f"{key}.{i}" if i else key] = (a + dx, b + dy, c + dx, d + dy)
        curves = {key: self._curve(key) for key in self.old.curves}
        return replace(self.old, places=places, curves=curves, frames=frames)

    def _curve(self, key: str) -> tuple[Point, ...]:
        """The parts of an edge, joined by ways around the ends of lines."""
        whole: list[Point] = []
        for i, (k, points) in enumerate(self.parts[key]):
            moved = list(self.lines[k].moved(points))
            if i:
                whole += self._way(key, k - 1, whole[-1], moved[0])
            whole += moved[1:] if whole else moved
        return tuple(whole)

    def _way(self, key: str, k: int, start: Point, end: Point) -> tuple[Point, ...]:
        """From the end of line k to the beginning of the next: right, down, left, down, right; in
        lanes, none crossing.
        """
        lane, lanes, upper = self.crossing[k].index(key), len(self.crossing[k]), self.lines[k]
        right = max(line.right + line.dx for line in self.lines) + GAP / 2 + LANE * (lanes - lane)
        across = upper.bottom + upper.dy + GAP + LANE * (lanes - 1 - lane)
        left = self.lines[0].left - GAP / 2 - LANE * (lane + 1)
        corners = [start, (right, start[1]), (right, across), (left, across), (left, end[1]), end]
        return rounded(corners, ROUND)[1:]


def _split(points: tuple[Point, ...], cuts: list[float]) -> list[tuple[int, tuple[Point, ...]]]:
    """A chain of Bézier curves in parts, each with the number of its line."""
    pieces: list[tuple[int, list[Point]]] = []
    for i in range(0, len(points) - 3, 3):
        for part in _cut_bezier(points[i : i + 4], cuts):
            middle = _at(part, 0.5)[0]
            k = sum(middle > cut for cut in cuts)
            if pieces and pieces[-1][0] == k:
                pieces[-1][1].extend(part[1:])
            else:
                pieces.append((k, list(part)))
    return [(k, tuple(part)) for k, part in pieces]


def _cut_bezier(curve: tuple[Point, ...], cuts: list[float]) -> list[tuple[Point, ...]]:
    """One cubic Bézier curve in parts that cross no cut."""
    for cut in cuts:
        if (curve[0][0] - cut) * (curve[3][0] - cut) < 0:
            low, high, rising = 0.0, 1.0, curve[3][0] > curve[0][0]
            for _ in range(40):
                t = (low + high) / 2
                if (_at(curve, t)[0] < cut) == rising:
                    low = t
                else:
                    high = t
            before, after = _halves(curve, low)
            return [
                *_cut_bezier(before, [c for c in cuts if c != cut]),
                *_cut_bezier(after, [c for c in cuts if c != cut]),
            ]
    return [tuple(curve)]


def _at(curve: Sequence[Point], t: float) -> Point:
    return _halves(curve, t)[0][3]


def _halves(curve: Sequence[Point], t: float) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """De Casteljau's construction: the curve before and after the parameter t."""
    rows = [list(curve)]
    while len(rows[-1]) > 1:
        rows.append(
            [((1 - t) * a + t * c, (1 - t) * b + t * d) for (a, b), (c, d) in pairwise(rows[-1])]
        )
    return tuple(row[0] for row in rows), tuple(row[-1] for row in reversed(rows))
