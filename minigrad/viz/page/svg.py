"""Picture and layout as SVG, every element ours: the same graph gives the same bytes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

from ..scene.picture import Box, Cluster, Edge, Flow, Picture
from ..scene.text import escape, shorten, width
from .geometry import (
    ARROW,
    EDGE,
    GAP,
    LABEL,
    LINE,
    NOTE,
    RINGS,
    SMALL,
    TITLE,
    TURN,
    Footprint,
    Layout,
    Point,
    Stub,
    bare,
    bend,
    footprint,
    rounded,
    side,
)
from .legend import ROW, legend
from .palette import line_width, plain_style, style

MARGIN = 16.0


def render(
    picture: Picture, layout: Layout, theme: str | None = None, *, plain: bool = False
) -> str:
    """The SVG of a picture. `plain` is for converters, which know no CSS variables: then `theme`
    must be given.
    """
    content = _Canvas(picture, layout)
    key = "mg-" + hashlib.sha256(repr((picture, layout, theme)).encode()).hexdigest()[:8]
    sheet = plain_style(theme or "light") if plain else style(theme)
    body = "\n".join(content.elements(key))
    return document(key, theme, picture.title, picture.note, sheet, content.size, body)


def document(
    key: str,
    theme: str | None,
    title: str,
    note: str,
    sheet: str,
    size: tuple[float, float],
    body: str,
) -> str:
    """The SVG around the elements of a picture: its words, its style sheet and its ground."""
    w, h = size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="mg mg-{theme or "auto"}" id="{key}" '
        f'width="{px(w)}" '
        f'height="{px(h)}" viewBox="0 0 {px(w)} {px(h)}" role="img" aria-labelledby="{key}-t" '
        f'aria-describedby="{key}-d">\n'
        f'<title id="{key}-t">{escape(title)}</title>\n<desc id="{key}-d">{escape(note)}</desc>\n'
        f'<style>{sheet}</style>\n<rect class="bg" width="{px(w)}" height="{px(h)}" '
        f'rx="8"/>\n{body}\n</svg>\n'
    )


class _Canvas:
    """Moves everything into place and writes it down in reading order: frames, then box by box what
    leads to it.
    """

    def __init__(self, picture: Picture, layout: Layout) -> None:
        self.picture, self.stubs = picture, layout.stubs
        self.sizes = {
            box.id: bare(box) if self._in_column(box) else footprint(box) for box in picture.boxes
        }
        left, top, right, bottom = extent(layout, self.sizes)
        self.columns = [
            max(width(cell, LABEL) for cell in column) + 14
            for column in zip(*picture.rows, strict=True)
        ]
        wide = max(right - left, sum(self.columns), 260.0)
        self.heading = shorten(picture.title, max(20, int(wide / 9)))
        self.notes, self.wide = wrap(picture.note, wide), wide
        self.foot = ROW * legend(picture, "", 0, 0, wide)[1]
        self.top = MARGIN + TITLE + 12
        tall = max(bottom - top, 20.0 * len(picture.rows))
        self.size = (
            wide + 2 * MARGIN,
            self.top + tall + self.foot + 18 + 15 * len(self.notes) + MARGIN / 2,
        )
        dx, dy = MARGIN - left + (wide - (right - left)) / 2, self.top - top
        self.places = {key: (x + dx, y + dy) for key, (x, y) in layout.places.items()}
        self.frames = {
            key: (a + dx, b + dy, c + dx, d + dy) for key, (a, b, c, d) in layout.frames.items()
        }
        curves = {
            key: tuple((x + dx, y + dy) for x, y in points) for key, points in layout.curves.items()
        }
        self.slots = self._slots(curves)
        self.curves = self._docked(curves)

    # ---------------- in reading order
    def elements(self, key: str) -> Iterator[str]:
        """Every element of the drawing as a line of SVG."""
        yield (
            f'<text class="heading" x="{px(MARGIN)}" '
            f'y="{px(MARGIN + TITLE - 3)}">{escape(self.heading)}</text>'
        )
        for cluster in self.picture.clusters:
            yield from self._frame(cluster, key)
        arriving: dict[str, list[Edge]] = {}
        for edge in self.picture.edges:
            arriving.setdefault(edge.target, []).append(edge)
        used = {(edge.source, edge.port) for edge in self.picture.edges}
        for box in self.picture.boxes:
            yield from (self._edge(edge, key) for edge in arriving.get(box.id, ()))
            yield self._box(box, key)
            for port, flow in enumerate(box.flows):
                yield self._flow(box, port, flow, key, (box.id, port) in used)
        for cluster in self.picture.clusters:  # on top of the lines that pass there
            yield from self._headings(cluster)
        yield from self._table()
        bottom = self.size[1] - MARGIN / 2 - 15 * len(self.notes) + 8
        yield from legend(self.picture, key, MARGIN, bottom - 14 - self.foot, self.wide)[0]
        for i, line in enumerate(self.notes):
            yield (
                f'<text class="note" x="{px(MARGIN)}" '
                f'y="{px(bottom + 15 * i)}">{escape(line)}</text>'
            )

    def _pieces(self, cluster: Cluster) -> list[str]:
        """A frame has several where the layout was folded (`fold.py`), none where it left it out
        (`layers.py`).
        """
        return [name for name in self.frames if name.partition(".")[0] == cluster.id]

    def _frame(self, cluster: Cluster, key: str) -> Iterator[str]:
        for name in self._pieces(cluster):
            a, b, c, d = self.frames[name]
            place = f'x="{px(a)}" y="{px(b)}" width="{px(c - a)}" height="{px(d - b)}" rx="12"'
            title = f"<title>{escape(f'module {cluster.label}')}</title>"
            yield f'<g class="cluster" id="{key}-{name}">{title}<rect class="frame" {place}/></g>'

    def _headings(self, cluster: Cluster) -> Iterator[str]:
        for i, name in enumerate(self._pieces(cluster)):
            left, top, right, _ = self.frames[name]
            label = f"… {cluster.label}" if i else cluster.label
            label = shorten(
                label, max(1, int(len(label) * (right - left - 20) / width(label, SMALL)))
            )
            yield _text("caption", left + 12, top + 16, label, "start")

    def _table(self) -> Iterator[str]:
        for r, row in enumerate(self.picture.rows):
            y, x = self.top + 14 + 20 * r, MARGIN
            cells = []
            for c, (cell, wide) in enumerate(zip(row, self.columns, strict=True)):
                at, anchor = (x, "start") if c == 0 else (x + wide, "end")
                kind = "note" if r == 0 or c else "label"
                cells.append(_text(kind, at, y, cell, anchor))
                x += wide
            rule = (
                f'<line class="rule" x1="{px(MARGIN)}" y1="{px(y + 6)}" x2="{px(x)}" '
                f'y2="{px(y + 6)}"/>'
            )
            yield f'<g class="row">{"".join(cells)}{rule}</g>'

    # ---------------- boxes
    def _box(self, box: Box, key: str) -> str:
        x, y, size = self._shape(box)
        ellipse = box.kind in ("scalar", "broadcasted")
        parts = [f"<title>{escape(box.title)}</title>"]
        wide, tall = size.shape_width, size.shape_height
        if box.bad:
            wide, tall = wide - RINGS, tall - RINGS
        if box.kind == "module":  # a pile of three sheets, the front one at the bottom left
            wide, tall, x, y = wide - 6, tall - 6, x - 3, y + 3
            parts += [
                _outline(False, x + shift, y - shift, wide, tall, 8, "shape") for shift in (6, 3)
            ]
        corner = {"variable": 9, "ghost": 8, "module": 8, "more": 10}.get(box.kind, 0)
        parts.append(_outline(ellipse, x, y, wide, tall, corner, "shape"))
        if box.head:
            parts.append(_outline(ellipse, x, y, wide - 7, tall - 7, max(0, corner - 3), "inner"))
        if box.bad:
            parts += [
                _outline(ellipse, x, y, wide + grow, tall + grow, corner + 4, "ring")
                for grow in (6, 11)
            ]
        parts += _inscription(box, x, y, tall)
        kind = (
            f"node {box.kind}{' operator' * ellipse}{' loss' * box.head}"
            f"{' bad' * box.bad}{' focus' * box.focus}"
        )
        return f'<g class="{kind}" id="{key}-{box.id}">{"".join(parts)}</g>'

    def _shape(self, box: Box) -> tuple[float, float, Footprint]:
        """The middle of a box's shape, which lies at the left of its footprint."""
        (x, y), size = self.places[box.id], self.sizes[box.id]
        return x - size.width / 2 + size.shape_width / 2, y, size

    def _flow(self, box: Box, port: int, flow: Flow, key: str, used: bool) -> str:
        """The stub on which a value leaves its box, with its texts."""
        x, y, _ = self._shape(box)
        stub = self._stub(box, port)
        *points, (ax, ay), (bx, by) = ((x + dx, y + dy) for dx, dy in stub.points)
        far = math.hypot(bx - ax, by - ay)
        if not far:
            return ""
        ux, uy = (bx - ax) / far, (by - ay) / far
        more = 0.5 if used else -ARROW  # a little into the edge, so that no seam shows
        line = rounded((*points, (ax, ay), (bx + more * ux, by + more * uy)), TURN)
        half = line_width(flow.state, flow.step) / 2
        parts = [
            f"<title>{escape(flow.title)}</title>",
            _line(line if points else (line[0], line[-1]), 2 * half),
        ]
        if not used:
            parts.append(_tip((bx, by), (ux, uy), half))
        if stub.texts == "around":
            parts += _around((ax + bx + min(more, 0) * ux) / 2, by, half, flow)
        elif stub.texts:
            parts += _beside(ax + half + GAP, (ay + by) / 2, flow)
        framed = " framed" * bool(box.cluster)
        return (
            f'<g class="flow {_ink(flow.state, flow.step)}{framed}" '
            f'id="{key}-{flow.id}">{"".join(parts)}</g>'
        )

    # ---------------- edges
    def _edge(self, edge: Edge, key: str) -> str:
        points = self.curves[edge.id]
        (ax, ay), (tx, ty) = points[-2], points[-1]
        far = math.hypot(tx - ax, ty - ay) or 1.0
        way = ((tx - ax) / far, (ty - ay) / far)
        half = line_width(edge.state, edge.step) / 2
        stop = (tx - way[0] * ARROW, ty - way[1] * ARROW)
        title, line = f"<title>{escape(edge.title)}</title>", _line((*points[:-1], stop), 2 * half)
        ink = _ink(edge.state, edge.step) + " back" * edge.back
        return (
            f'<g class="edge {ink}" '
            f'id="{key}-{edge.id}">{title}{line}{_tip((tx, ty), way, half)}</g>'
        )

    def _slots(self, curves: dict[str, tuple[Point, ...]]) -> dict[str, int]:
        """The place of each flow at its box: from above to below, as their lines lead on."""
        heights: dict[str, tuple[float, float]] = {}
        for edge in self.picture.edges:
            points = curves[edge.id]  # those of two lines to one box differ before its side only
            heights[f"{edge.source}f{edge.port}"] = points[:4][-1][1], points[-2][1]
        return {
            key: place
            for box in self.picture.boxes
            for place, key in enumerate(
                sorted(
                    (flow.id for flow in box.flows), key=lambda key: heights.get(key, (0.0, 0.0))
                )
            )
        }

    def _docked(self, curves: dict[str, tuple[Point, ...]]) -> dict[str, tuple[Point, ...]]:
        """Every curve from its own stub to its own place on the left side of its target."""
        boxes = {box.id: box for box in self.picture.boxes}
        arriving: dict[str, list[Edge]] = {}
        for edge in self.picture.edges:
            arriving.setdefault(edge.target, []).append(edge)
        docked: dict[str, tuple[Point, ...]] = {}
        for target, edges in arriving.items():
            if self._in_column(boxes[target]):
                docked.update((edge.id, curves[edge.id]) for edge in edges)
                continue
            x, y, size = self._shape(boxes[target])
            # as they come in, from above to below, so that they do not cross
            edges = sorted(edges, key=lambda edge: (curves[edge.id][-4][1], curves[edge.id][-2][1]))
            docks: dict[object, list[Edge]] = {}
            for edge in edges:  # what comes from columns on one rail stays together
                railed = self._in_column(boxes[edge.source])
                docks.setdefault(curves[edge.id][-4:] if railed else edge.id, []).append(edge)
            room = size.shape_height * (
                0.5 if boxes[target].kind in ("scalar", "broadcasted") else 0.7
            )
            step = min(12.0, room / max(1, len(docks) - 1))
            for i, edges in enumerate(docks.values()):
                dy = (i - (len(docks) - 1) / 2) * step
                stop = (x - side(boxes[target], dy), y + dy)
                for edge in edges:
                    docked[edge.id] = bend(
                        curves[edge.id], self._exit(boxes[edge.source], edge.port), stop
                    )
        return docked

    def _exit(self, box: Box, port: int) -> Point:
        x, y, size = self._shape(box)
        dx, dy = self._stub(box, port).points[-1] if box.flows else (size.shape_width / 2, 0.0)
        return x + dx, y + dy

    def _stub(self, box: Box, port: int) -> Stub:
        """The line on which a value leaves a box: where the layout says nothing else, from its
        right side to the right.
        """
        _, _, size = self._shape(box)
        start, stop, dy = (
            size.shape_width / 2,
            size.width - size.shape_width / 2,
            size.ports[self.slots[box.flows[port].id]],
        )
        return self.stubs.get(box.flows[port].id) or Stub(((start, dy), (stop, dy)))

    def _in_column(self, box: Box) -> bool:
        """Is it a box whose stubs, and the lines to it, the layout has drawn to their ends (see
        `columns.py`)?
        """
        return bool(box.flows) and box.flows[0].id in self.stubs


def _outline(
    ellipse: bool, x: float, y: float, wide: float, tall: float, corner: float, kind: str
) -> str:
    if ellipse:
        return (
            f'<ellipse class="{kind}" cx="{px(x)}" cy="{px(y)}" rx="{px(wide / 2)}" '
            f'ry="{px(tall / 2)}"/>'
        )
    place = f'x="{px(x - wide / 2)}" y="{px(y - tall / 2)}" width="{px(wide)}" height="{px(tall)}"'
    rounded = f' rx="{px(corner)}"' if corner else ""
    return f'<rect class="{kind}" {place}{rounded}/>'


def _inscription(box: Box, x: float, y: float, tall: float) -> Iterator[str]:
    """The lines of a box, and a ReLU's bar of dead outputs under them."""
    if box.kind in ("ghost", "more"):
        yield _text("small", x, y + SMALL * 0.35, box.lines[0])
        return
    lift = 5.0 if box.dead is not None else 0.0
    y0 = y + LABEL * 0.35 - LINE * (len(box.lines) - 1) / 2 - lift
    for i, line in enumerate(box.lines):
        yield _text("label" if i == 0 else "small", x, y0 + (LINE + 1) * i, line)
    if box.dead is not None:
        wide, top = 24.0, y + tall / 2 - 10
        place = f'x="{px(x - wide / 2)}" y="{px(top)}" height="4"'
        yield f'<rect class="dead" {place} width="{px(wide * box.dead)}"/>'
        yield f'<rect class="track" {place} width="{px(wide)}"/>'


def _around(x: float, y: float, half: float, flow: Flow) -> Iterator[str]:
    """The texts of a stub above and below its middle."""
    for i, line in enumerate(reversed(flow.above)):
        kind = "s" if len(flow.above) > 1 and i == len(flow.above) - 1 else "v"
        yield _text(kind, x, y - half - GAP - LINE * i, line)
    if flow.below:
        yield _text("d", x, y + half + GAP + EDGE * 0.8, flow.below)


def _beside(x: float, y: float, flow: Flow) -> Iterator[str]:
    """The value and, below it, the gradient to the right of a stub that leads upwards; the shape
    stands in the box.
    """
    lines = [("v", line) for line in flow.above[-1:]] + [
        ("d", line) for line in (flow.below,) if line
    ]
    for i, (kind, line) in enumerate(lines):
        yield _text(kind, x, y + EDGE * 0.35 + LINE * (i - (len(lines) - 1) / 2), line, "start")


def _line(points: tuple[Point, ...], wide: float) -> str:
    """A straight line from two points, a chain of Bézier curves from more."""
    (x, y), *rest = points
    bends = f"{'C' if len(rest) > 1 else 'L'}{' '.join(f'{px(a)},{px(b)}' for a, b in rest)}"
    return f'<path class="line" stroke-width="{px(wide)}" d="M{px(x)},{px(y)}{bends}"/>'


def _tip(point: Point, way: Point, half: float) -> str:
    """An arrow head that ends at `point`, as strong as its line."""
    (x, y), (ux, uy), side = point, way, 2.6 + half
    back = (x - ux * (ARROW + half), y - uy * (ARROW + half))
    corners = (
        point,
        (back[0] - uy * side, back[1] + ux * side),
        (back[0] + uy * side, back[1] - ux * side),
    )
    return f'<polygon class="tip" points="{" ".join(f"{px(a)},{px(b)}" for a, b in corners)}"/>'


def _text(kind: str, x: float, y: float, line: str, anchor: str = "middle") -> str:
    return (
        f'<text class="{kind}" x="{px(x)}" y="{px(y)}" text-anchor="{anchor}">{escape(line)}</text>'
    )


def _ink(state: str, step: int) -> str:
    return f"{state} g{step}" if step >= 0 else state


def extent(layout: Layout, sizes: dict[str, Footprint]) -> tuple[float, float, float, float]:
    """The smallest rectangle around everything that has a place."""
    parts = list(layout.frames.values())
    for key, size in sizes.items():
        x, y = layout.places[key]
        parts.append(
            (x - size.width / 2, y - size.height / 2, x + size.width / 2, y + size.height / 2)
        )
    parts += [(x, y, x, y) for points in layout.curves.values() for x, y in points]
    if not parts:
        return (0.0, 0.0, 0.0, 0.0)
    lefts, tops, rights, bottoms = zip(*parts, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def wrap(line: str, room: float) -> list[str]:
    """The sentence in lines that fit."""
    lines = [""]
    for word in line.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width(longer, NOTE) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def px(x: float) -> str:
    """A coordinate with one decimal, without a trailing zero and without a negative one."""
    return f"{round(x, 1) + 0.0:.1f}".removesuffix(".0")
