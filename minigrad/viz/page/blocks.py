"""Pictures with unrolled layers: each is laid out by itself, is one big box for the engine, and is
put in its place.
"""

from __future__ import annotations

from dataclasses import replace
from graphlib import TopologicalSorter

from ..scene.picture import Box, Edge, Picture
from .columns import Column, Columns, UnrolledLayer
from .geometry import Layout, Point, Sized, bend, footprint
from .tracks import Tracks

LEAVES = ("variable", "constant", "ghost")


class Blocks:
    """The unrolled layers of a picture, and `small`, the picture with one box in place of each."""

    def __init__(self, picture: Picture) -> None:
        self.picture, self.boxes = picture, {box.id: box for box in picture.boxes}
        self.tracks: dict[str, Tracks] = {}
        self.block: dict[str, str] = {}  # by box: the block that it is in
        users: dict[str, dict[str, None]] = {}
        for edge in picture.edges:
            users.setdefault(edge.source, {})[edge.target] = None
        later: set[str] = set()  # what comes after a block
        for i, keys in enumerate(picture.runs):
            run = _run(picture, keys, users, later)
            if run is not None:
                later |= _reached([edge.target for edge in run.gone], users)
                self.tracks[f"b{i}"] = Tracks(Columns(run))
                self.block.update(dict.fromkeys(self.tracks[f"b{i}"].at.places, f"b{i}"))
        self.heights: dict[str, tuple[float | None, float | None]] = {}
        self.edge: dict[str, str] = {}  # by edge: the edge of `small` that it is a part of
        self.small = self._small() if self.tracks else picture

    def _small(self) -> Picture:
        edges: dict[object, Edge] = {}
        for edge in self.picture.edges:
            a, b = self.block.get(edge.source), self.block.get(edge.target)
            if a and a == b:
                continue
            tail = self.tracks[a].exits[edge.id] - self.tracks[a].top if a else None
            head = self.tracks[b].entries[edge.id] - self.tracks[b].top if b else None
            key = (
                (a or (edge.source, edge.port), tail, b or edge.target, head) if a or b else edge.id
            )
            first = edges.setdefault(
                key, replace(edge, source=a or edge.source, target=b or edge.target)
            )
            self.edge[edge.id] = first.id
            self.heights.setdefault(first.id, (tail, head))
        frames = {key for tracks in self.tracks.values() for key in tracks.at.frames}
        clusters = tuple(cluster for cluster in self.picture.clusters if cluster.id not in frames)
        return replace(
            self.picture,
            boxes=self._boxes(),
            edges=tuple(edges.values()),
            clusters=clusters,
            runs=(),
        )

    def _boxes(self) -> tuple[Box, ...]:
        """In topological order again: a block comes after all that it reads."""
        boxes = {self.block.get(box.id, box.id): box for box in self.picture.boxes}
        parents = {cluster.id: cluster.parent for cluster in self.picture.clusters}
        for key, tracks in self.tracks.items():
            width, height = self.size(key)
            boxes[key] = Sized(
                key,
                "block",
                (),
                "",
                (),
                parents[tracks.at.framed[0].key],
                width=width,
                height=height,
            )
        feeds: dict[str, dict[str, None]] = {key: {} for key in boxes}
        for edge in self.picture.edges:
            source, target = (self.block.get(box, box) for box in (edge.source, edge.target))
            if source != target and not edge.back:
                feeds[target][source] = None
        return tuple(boxes[key] for key in TopologicalSorter(feeds).static_order())

    def size(self, block: str) -> Point:
        """Width and height of a block."""
        tracks = self.tracks[block]
        return tracks.at.right, tracks.bottom - tracks.top

    def ends(self, edge: Edge) -> tuple[float | None, float | None]:
        """How far below the top of a block an edge of `small` leaves and arrives; None where that
        is no block.
        """
        return self.heights.get(edge.id, (None, None))

    # ---------------- and back
    def docked(self, layout: Layout) -> Layout:
        """The layout of `small` with the ends of lines at their heights, for an engine that knows
        only middles of sides.
        """
        curves = dict(layout.curves)
        for edge in (edge for edge in self.small.edges if self.ends(edge) != (None, None)):
            ends = [curves[edge.id][0], curves[edge.id][-1]]
            for i, (y, key) in enumerate(
                zip(self.ends(edge), (edge.source, edge.target), strict=True)
            ):
                if y is not None:
                    (middle, height), size = layout.places[key], self.size(key)
                    ends[i] = (middle + (0.5 - i) * size[0], height + y - size[1] / 2)
            curves[edge.id] = bend(curves[edge.id], *ends)
        return replace(layout, curves=curves)

    def expanded(self, layout: Layout) -> Layout:
        """The layout of `small` as one of the whole picture."""
        if not self.tracks:
            return layout
        places, frames, stubs = dict(layout.places), dict(layout.frames), dict(layout.stubs)
        origins: dict[str, Point] = {}
        for key, tracks in self.tracks.items():
            middle, height = places.pop(key)
            x, y = origins[key] = (
                middle - tracks.at.right / 2,
                height - (tracks.top + tracks.bottom) / 2,
            )
            places.update({box: (x + px, y + py) for box, (px, py) in tracks.at.places.items()})
            frames.update(
                {
                    name: (x + a, y + b, x + c, y + d)
                    for name, (a, b, c, d) in tracks.at.frames.items()
                }
            )
            stubs.update(tracks.at.stubs)
        places = {box.id: places[box.id] for box in self.picture.boxes}
        curves = {edge.id: self._curve(edge, layout, origins) for edge in self.picture.edges}
        return replace(layout, places=places, curves=curves, frames=frames, stubs=stubs)

    def _curve(self, edge: Edge, layout: Layout, origins: dict[str, Point]) -> tuple[Point, ...]:
        """The way inside the block that an edge leaves, the engine's, and the way inside the block
        that it meets.
        """
        a, b = self.block.get(edge.source), self.block.get(edge.target)
        first = self._inside(edge, a, origins) if a else ()
        if a and a == b:
            return first
        last, outer = self._inside(edge, b, origins) if b else (), layout.curves[self.edge[edge.id]]
        if b and not a:  # the end of such an edge is drawn here, so its beginning must be, too
            (x, y), size = layout.places[edge.source], footprint(self.boxes[edge.source])
            outer = bend(outer, (x + size.width / 2, y + size.ports[edge.port]), outer[-1])
        return (*first[:-1], *outer, *last[1:])

    def _inside(self, edge: Edge, block: str, origins: dict[str, Point]) -> tuple[Point, ...]:
        x, y = origins[block]
        return tuple((x + px, y + py) for px, py in self.tracks[block].curves[edge.id])


# ---------------- what can stand in columns
Users = dict[str, dict[str, None]]


def _run(
    picture: Picture, keys: tuple[str, ...], users: Users, later: set[str]
) -> UnrolledLayer | None:
    """The layer with these columns, if it is as regular as columns have to be."""
    columns = [
        column for column in (_column(picture, key, users) for key in keys) if column is not None
    ]
    home = {
        box.id: (i, r) for i, column in enumerate(columns) for r, box in enumerate(column.boxes)
    }
    sides = {box.id for column in columns for boxes in column.sides.values() for box in boxes}
    parent = next((cluster.parent for cluster in picture.clusters if cluster.id in keys), None)
    leaves = {
        box.id: box
        for box in picture.boxes
        if box.kind in LEAVES
        and box.cluster == parent
        and box.id not in sides
        and box.id in users
        and users[box.id].keys() <= home.keys()
    }
    run = UnrolledLayer(columns, leaves, [], [], [], [], bool(later & home.keys()))
    for edge in picture.edges:
        (i, low), (j, high) = home.get(edge.source, (-1, -1)), home.get(edge.target, (-1, -1))
        if i >= 0 and j >= 0 and not (j == i + 1 or (i == j and low < high)):
            return None
        if i >= 0 or j >= 0:
            inner = i == j or edge.source in sides
            (
                run.within if inner else run.given if i < 0 else run.gone if j < 0 else run.across
            ).append(edge)
    if len(columns) < len(keys) or not any(column.framed for column in columns):
        return None
    return None if home.keys() & _reached([edge.target for edge in run.gone], users) else run


def _column(picture: Picture, key: str, users: Users) -> Column | None:
    inner = [box for box in picture.boxes if box.cluster == key]
    boxes = [box for box in inner if box.kind not in LEAVES] or [
        box for box in picture.boxes if box.id == key
    ]
    mine = {box.id for box in boxes}
    sides: dict[str, list[Box]] = {}
    for box in sorted(picture.boxes, key=lambda box: footprint(box).shape_width):
        if box.kind in LEAVES and box.cluster in (
            key,
            *(one.cluster for one in boxes if not inner),
        ):
            readers = list(users.get(box.id, ()))
            if len(readers) == 1 and readers[0] in mine:
                sides.setdefault(readers[0], []).append(box)
            elif inner:
                return None
    nested = any(cluster.parent == key for cluster in picture.clusters)
    return None if nested or not boxes else Column(key, bool(inner), boxes, sides)


def _reached(starts: list[str], users: Users) -> set[str]:
    """What can be reached from these boxes, and they themselves."""
    found, todo = set(starts), list(starts)
    while todo:
        for user in users.get(todo.pop(), ()):
            if user not in found:
                found.add(user)
                todo.append(user)
    return found
