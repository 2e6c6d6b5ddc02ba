"""A drawing as its own style sheet paints it: every mark with its colours and the rectangle that it
covers.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from itertools import pairwise

import cssselect2
import numpy as np
import tinycss2

from minigrad.viz.scene.text import width

SVG = "{http://www.w3.org/2000/svg}"
ASCENT, DESCENT = 0.93, 0.24  # of DejaVu Sans: nothing that a font draws leaves this strip
BOLD = 1.12  # how much wider than the table its bold letters may be
_INHERITED = ("fill", "stroke", "stroke-width", "font-size", "font-weight")
_START = {
    "fill": "#000000",
    "stroke": "none",
    "stroke-width": "1",
    "font-size": "16px",
    "font-weight": "normal",
}


@dataclass(frozen=True)
class Mark:
    """A shape, line or text in painting order. `box` is left, top, right, bottom; `group` the id
    after the drawing's.
    """

    tag: str
    kind: str
    group: str
    classes: tuple[str, ...]  # of the group around it
    text: str
    style: dict[str, str]
    box: tuple[float, float, float, float]

    @property
    def middle(self) -> tuple[float, float]:
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


def rules(css: str, dark: bool = False) -> list[tuple[str, dict[str, str]]]:
    """(selector, declarations) of a style sheet, those for dark systems only if asked for."""
    found = []
    for rule in tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True):
        assert rule.type != "error", rule.message
        if rule.type == "at-rule":
            condition = tinycss2.serialize(rule.prelude)
            if (
                rule.at_keyword == "media"
                and "prefers-color-scheme:dark" in condition.replace(" ", "")
                and dark
            ):
                found += rules(tinycss2.serialize(rule.content))
            continue
        lines = tinycss2.parse_declaration_list(
            rule.content, skip_comments=True, skip_whitespace=True
        )
        assert all(line.type == "declaration" and not line.important for line in lines)
        found.append(
            (
                tinycss2.serialize(rule.prelude),
                {x.name: tinycss2.serialize(x.value).strip() for x in lines},
            )
        )
    return found


def marks(svg: str, dark: bool = False) -> list[Mark]:
    """Everything that a drawing paints, with the style that its own sheet gives it."""
    root = ET.fromstring(svg)
    matcher = cssselect2.Matcher()
    for selector, declarations in rules(root.find(f"{SVG}style").text, dark):
        for compiled in cssselect2.compile_selector_list(selector):
            matcher.add_selector(compiled, declarations)
    found: list[Mark] = []
    _walk(cssselect2.ElementWrapper.from_xml_root(root), matcher, _START, {}, "", (), found)
    return found


def _walk(element, matcher, outer, variables, group, classes, found) -> None:
    node = element.etree_element
    tag = node.tag.removeprefix(SVG)
    if tag in ("title", "desc", "style", "script", "defs"):
        return
    assert not {"transform", "style", "opacity"} & set(node.attrib), (
        f"{tag} is moved or painted in a way not known here"
    )
    own = {key: node.get(key) for key in (*_INHERITED, "font-size") if node.get(key)}
    for *_, declarations in matcher.match(element):  # from weak to strong
        own.update(declarations)
    assert not {"opacity", "fill-opacity", "stroke-opacity"} & set(own)
    variables = {**variables, **{key: value for key, value in own.items() if key.startswith("--")}}
    style = {**{key: outer[key] for key in _INHERITED}, **own}
    style = {
        key: _resolve(value, variables) for key, value in style.items() if not key.startswith("--")
    }
    if tag == "g":
        group, classes = node.get("id", "").split("-", 2)[-1], tuple(node.get("class", "").split())
    if tag not in ("svg", "g"):
        text = "".join(node.itertext()) if tag == "text" else ""
        found.append(
            Mark(tag, node.get("class", ""), group, classes, text, style, _box(tag, node, style))
        )
    for child in element.iter_children():
        _walk(child, matcher, style, variables, group, classes, found)


def _resolve(value: str, variables: dict[str, str]) -> str:
    return re.sub(r"var\(--([\w-]+)\)", lambda m: variables[f"--{m[1]}"], value)


def _box(tag: str, node: ET.Element, style: dict[str, str]) -> tuple[float, float, float, float]:
    def get(*keys: str) -> list[float]:
        return [float(node.get(key, "0")) for key in keys]

    if tag == "rect":
        x, y, w, h = get("x", "y", "width", "height")
        return x, y, x + w, y + h
    if tag == "ellipse":
        x, y, rx, ry = get("cx", "cy", "rx", "ry")
        return x - rx, y - ry, x + rx, y + ry
    if tag == "line":
        x1, y1, x2, y2 = get("x1", "y1", "x2", "y2")
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
    if tag == "text":
        x, y = get("x", "y")
        size = float(style["font-size"].removesuffix("px"))
        wide = width(node.text or "", size) * (BOLD if style["font-weight"] == "bold" else 1)
        left = x - wide * {"start": 0, "middle": 0.5, "end": 1}[node.get("text-anchor", "start")]
        return left, y - ASCENT * size, left + wide, y + DESCENT * size
    numbers = [float(n) for n in re.findall(r"-?[\d.]+", node.get("d") or node.get("points"))]
    xs, ys = (
        numbers[::2],
        numbers[1::2],
    )  # handles of a Bézier curve reach further than the curve, never less far
    return min(xs), min(ys), max(xs), max(ys)


def apart(a: tuple[float, ...], b: tuple[float, ...], slack: float = 0.05) -> bool:
    """Whether two rectangles share no area."""
    return (
        a[2] <= b[0] + slack or b[2] <= a[0] + slack or a[3] <= b[1] + slack or b[3] <= a[1] + slack
    )


def inside(a: tuple[float, ...], b: tuple[float, ...], slack: float = 0.05) -> bool:
    """Whether rectangle a lies in rectangle b."""
    return (
        b[0] - slack <= a[0]
        and b[1] - slack <= a[1]
        and a[2] <= b[2] + slack
        and a[3] <= b[3] + slack
    )


def curve(path: str) -> list[tuple[float, float]]:
    """Points along a path of straight (`L`) or of cubic Bézier (`C`) pieces."""
    assert re.fullmatch(r"M[^A-Za-z]+[LC][^A-Za-z]+", path), path
    numbers = [float(n) for n in re.findall(r"-?[\d.]+", path)]
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    if "C" not in path:
        return points
    walked = points[:1]
    for i in range(0, len(points) - 1, 3):
        a, b, c, d = points[i : i + 4]
        for k in range(1, 33):
            t, u = k / 32, 1 - k / 32
            weights = (u**3, 3 * u * u * t, 3 * u * t * t, t**3)
            near = list(zip(weights, (a, b, c, d), strict=True))
            walked.append(
                (math.fsum(w * p[0] for w, p in near), math.fsum(w * p[1] for w, p in near))
            )
    return walked


def groups(svg: str, kind: str) -> dict[str, ET.Element]:
    """The groups of a class, by the end of their id."""
    found = [g for g in ET.fromstring(svg).iter(f"{SVG}g") if kind in g.get("class", "").split()]
    return {g.get("id", "").split("-", 2)[-1]: g for g in found}


def overlaps(some: list[Mark], others: list[Mark], slack: float = 0.05) -> list[tuple[Mark, Mark]]:
    """The pairs of two different marks whose rectangles share area."""
    a, b = (np.array([m.box for m in each]).reshape(-1, 4) for each in (some, others))
    a, b = a[:, None], b[None]
    shared = (a[..., :2] + slack < b[..., 2:]) & (b[..., :2] + slack < a[..., 2:])
    pairs = np.argwhere(shared.all(axis=-1))
    return [(some[i], others[j]) for i, j in pairs if some[i] is not others[j]]


def crossings(drawing, found: list[Mark] | None = None) -> list[tuple[str, Mark]]:
    """(line, what it runs through) for every line that runs through a text, through a shape that is
    not at one of its ends, or into an open group that it does not lie in.
    """
    picture, found = drawing.picture, found or marks(drawing.svg)
    parents = {cluster.id: cluster.parent for cluster in picture.clusters}
    homes = {edge.id: edge.cluster for edge in picture.edges}
    ends = {edge.id: {edge.source, edge.target} for edge in picture.edges}
    for box in picture.boxes:
        homes |= {flow.id: box.cluster for flow in box.flows}
        ends |= {flow.id: {box.id} for flow in box.flows}
    solid = [
        mark
        for mark in found
        if "key" not in mark.classes and (mark.tag == "text" or mark.kind in ("shape", "frame"))
    ]
    # above and below its letters a font keeps air; lines end at the borders of frames
    rims = np.array([2.0 if mark.tag == "text" else 0.6 for mark in solid])
    left, top, right, bottom = np.array([mark.box for mark in solid]).T
    crossed = []
    for kind in ("edge", "flow"):
        for key, group in groups(drawing.svg, kind).items():
            x, y = np.array(dense(curve(group.find(f"{SVG}path").get("d")))).T[:, :, None]
            hit = (left + 0.6 < x) & (x < right - 0.6) & (top + rims < y) & (y < bottom - rims)
            around, cluster = set(ends[key]), homes[key]
            while cluster is not None:
                around.add(cluster)
                cluster = parents[cluster]
            crossed += [
                (key, solid[i])
                for i in np.flatnonzero(hit.any(axis=0))
                if solid[i].tag == "text" or solid[i].group not in around
            ]
    return crossed


def dense(points: list[tuple[float, float]], step: float = 2.0) -> list[tuple[float, float]]:
    """Points along straight pieces, each at most `step` from the next."""
    found = points[:1]
    for (a, b), (c, d) in pairwise(points):
        n = max(1, math.ceil(math.dist((a, b), (c, d)) / step))
        found += [(a + (c - a) * k / n, b + (d - b) * k / n) for k in range(1, n + 1)]
    return found
