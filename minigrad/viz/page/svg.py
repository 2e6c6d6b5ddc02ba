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
    Footprint,
    Layout,
    Point,
    footprint,
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
    content = Canvas(picture, layout)
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


class Canvas:
    """Moves everything into place and writes it down in reading order: frames, then box by box what
    leads to it.
    """

    def __init__(self, picture: Picture, layout: Layout) -> None:
        self.picture, self.ports = picture, layout.ports
        wide, tall = layout.size
        self.wide = max(wide, 260.0)
        self.heading = shorten(picture.title, max(20, int(self.wide / 9)))
        self.notes = wrap(picture.note, self.wide)
        self.foot = ROW * legend(picture, "", 0, 0, self.wide)[1]
        self.top = MARGIN + TITLE + 12
        self.size = (
            self.wide + 2 * MARGIN,
            self.top + tall + self.foot + 18 + 15 * len(self.notes) + MARGIN / 2,
        )
        dx, dy = MARGIN + (self.wide - wide) / 2, self.top
        self.places = {key: (x + dx, y + dy) for key, (x, y) in layout.places.items()}
        self.frames = {
            key: (a + dx, b + dy, c + dx, d + dy) for key, (a, b, c, d) in layout.frames.items()
        }
        self.curves = {
            key: tuple((x + dx, y + dy) for x, y in points) for key, points in layout.curves.items()
        }

    # ---------------- in reading order
    def elements(self, key: str) -> Iterator[str]:
        """Every element of the drawing as a line of SVG."""
        yield (
            f'<text class="heading" x="{px(MARGIN)}" '
            f'y="{px(MARGIN + TITLE - 3)}">{escape(self.heading)}</text>'
        )
        for cluster in self.picture.clusters:
            yield self._frame(cluster, key)
        arriving: dict[str, list[Edge]] = {}
        for edge in self.picture.edges:
            arriving.setdefault(edge.target, []).append(edge)
        used = {(edge.source, edge.port) for edge in self.picture.edges}
        drawn = {box.id for box in self.picture.boxes}
        for target, edges in arriving.items():
            if target not in drawn:
                yield from (self._edge(edge, key) for edge in edges)
        for box in self.picture.boxes:
            yield from (self._edge(edge, key) for edge in arriving.get(box.id, ()))
            yield self._box(box, key)
            for port, flow in enumerate(box.flows):
                yield self._flow(box, flow, key, (box.id, port) in used)
        bottom = self.size[1] - MARGIN / 2 - 15 * len(self.notes) + 8
        yield '<g class="foot">'
        yield from legend(self.picture, key, MARGIN, bottom - 14 - self.foot, self.wide)[0]
        for i, line in enumerate(self.notes):
            yield (
                f'<text class="note" x="{px(MARGIN)}" '
                f'y="{px(bottom + 15 * i)}">{escape(line)}</text>'
            )
        yield "</g>"

    def _frame(self, cluster: Cluster, key: str) -> str:
        a, b, c, d = self.frames[cluster.id]
        place = f'x="{px(a)}" y="{px(b)}" width="{px(c - a)}" height="{px(d - b)}" rx="12"'
        title = f"<title>{escape(cluster.face.title)}</title>"
        caption = _text("caption", a + 12, b + 16, cluster.label, "start")
        return (
            f'<g class="cluster" id="{key}-{cluster.id}">{title}<rect class="frame" {place}/>'
            f"{caption}</g>"
        )

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
        corner = {"variable": 9, "ghost": 8, "module": 8, "more": 10, "fork": 2}.get(box.kind, 0)
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
        (x, y), size = self.places[box.id], footprint(box)
        return x - size.width / 2 + size.shape_width / 2, y, size

    def _flow(self, box: Box, flow: Flow, key: str, used: bool) -> str:
        """The line on which a value leaves its box, with its texts."""
        x, y, size = self._shape(box)
        dy = self.ports[flow.id]
        start, stop = x + side(box, dy), x + size.width - size.shape_width / 2
        if stop - start < 0.1:
            return ""
        y += dy
        half = line_width(flow.state, flow.step) / 2
        # a little into the edge, so that no seam shows
        line = _line(((start, y), (stop + (0.5 if used else -ARROW), y)), 2 * half)
        parts = [f"<title>{escape(flow.title)}</title>", line]
        if not used:
            parts.append(_tip((stop, y), (1.0, 0.0), half))
        middle = (x + size.shape_width / 2 + stop - ARROW * (not used)) / 2
        parts += _around(middle, y, half, flow)
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
        parts = [f"<title>{escape(edge.title)}</title>"]
        if edge.ends:
            stop = (tx - way[0] * ARROW, ty - way[1] * ARROW)
            parts += [_line((*points[:-1], stop), 2 * half), _tip((tx, ty), way, half)]
        else:
            parts.append(_line(points, 2 * half))
        ink = _ink(edge.state, edge.step) + " back" * edge.back
        return f'<g class="edge {ink}" id="{key}-{edge.id}">{"".join(parts)}</g>'


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
    """The lines of a box, and a bar under them."""
    if box.kind in ("ghost", "more", "fork"):
        yield from (_text("small", x, y + SMALL * 0.35, line) for line in box.lines)
        return
    lift = 5.0 if box.bar is not None else 0.0
    y0 = y + LABEL * 0.35 - LINE * (len(box.lines) - 1) / 2 - lift
    for i, line in enumerate(box.lines):
        yield _text("label" if i == 0 else "small", x, y0 + (LINE + 1) * i, line)
    if box.bar is not None:
        wide, top = 24.0, y + tall / 2 - 10
        place = f'x="{px(x - wide / 2)}" y="{px(top)}" height="4"'
        yield f'<rect class="bar" {place} width="{px(wide * box.bar)}"/>'
        yield f'<rect class="track" {place} width="{px(wide)}"/>'


def _around(x: float, y: float, half: float, flow: Flow) -> Iterator[str]:
    """The texts of a stub above and below its middle."""
    for i, line in enumerate(reversed(flow.above)):
        kind = "s" if len(flow.above) > 1 and i == len(flow.above) - 1 else "v"
        yield _text(kind, x, y - half - GAP - LINE * i, line)
    if flow.below:
        yield _text("d", x, y + half + GAP + EDGE * 0.8, flow.below)


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
