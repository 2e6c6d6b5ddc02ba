"""A plain layered layout in pure Python, for where no engine is at hand or none answers in time.

A box's column is the longest way that leads to it; within a column boxes are sorted by the mean
height of what feeds them. Linear in the size of the picture. Lines may cross boxes that stand
between their ends, and modules have no frames.
"""

from __future__ import annotations

from ..scene.picture import Picture
from .geometry import Point, footprint

COLUMN_GAP, ROW_GAP = 34.0, 18.0


def layered(
    picture: Picture,
) -> tuple[dict[str, Point], dict[str, tuple[Point, ...]]]:
    """Centres of footprints and Bézier points of edges."""
    columns = _columns(picture)
    places = _places(picture, columns)
    sizes = {box.id: footprint(box) for box in picture.boxes}
    curves: dict[str, tuple[Point, ...]] = {}
    for edge in picture.edges:
        (x0, y0), (x1, y1) = places[edge.source], places[edge.target]
        x0, x1 = x0 + sizes[edge.source].width / 2, x1 - sizes[edge.target].width / 2
        bend = (x1 - x0) / 2 if x1 > x0 else 20.0
        curves[edge.id] = ((x0, y0), (x0 + bend, y0), (x1 - bend, y1), (x1, y1))
    return places, curves


def _columns(picture: Picture) -> dict[str, int]:
    """Boxes come in topological order; an edge that points back (between collapsed modules) is
    passed over.
    """
    rank = {box.id: i for i, box in enumerate(picture.boxes)}
    ahead = [edge for edge in picture.edges if rank[edge.source] < rank[edge.target]]
    column = dict.fromkeys(rank, 0)
    for edge in sorted(ahead, key=lambda edge: rank[edge.target]):
        column[edge.target] = max(column[edge.target], column[edge.source] + 1)
    fed = {edge.target for edge in ahead}
    nearest: dict[str, int] = {}
    for edge in ahead:
        nearest[edge.source] = min(nearest.get(edge.source, len(rank)), column[edge.target] - 1)
    return {key: place if key in fed else nearest.get(key, place) for key, place in column.items()}


def _places(picture: Picture, columns: dict[str, int]) -> dict[str, Point]:
    sizes = {box.id: footprint(box) for box in picture.boxes}
    feeds: dict[str, list[str]] = {}
    for edge in picture.edges:
        feeds.setdefault(edge.target, []).append(edge.source)
    members: dict[int, list[str]] = {}
    for box in picture.boxes:
        members.setdefault(columns[box.id], []).append(box.id)
    height: dict[str, float] = {}
    places: dict[str, Point] = {}
    left = 0.0
    for column in sorted(members):
        keys = members[column]
        wanted = {key: [height[s] for s in feeds.get(key, ()) if s in height] for key in keys}
        keys.sort(key=lambda key: sum(wanted[key]) / len(wanted[key]) if wanted[key] else 0.0)
        wide = max(sizes[key].width for key in keys)
        y = -(sum(sizes[key].height for key in keys) + ROW_GAP * (len(keys) - 1)) / 2
        for key in keys:
            height[key] = y + sizes[key].height / 2
            places[key] = (left + sizes[key].width / 2, height[key])
            y += sizes[key].height + ROW_GAP
        left += wide + COLUMN_GAP
    return places
