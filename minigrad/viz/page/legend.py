"""The legend at the foot of a drawing: only the marks that occur in it, one worked edge, the ramp.

Marks are drawn by the classes of the drawing itself, so that they look alike in every theme.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..scene.picture import Key, Picture
from ..scene.text import GLYPHS, escape, width
from .geometry import EDGE
from .palette import line_width

ROW = 19.0
_ICON, _GAP, _SPACE = 24.0, 5.0, 16.0  # of a mark; to its words; to the next one
_STEP = 13.0  # of the ramp

#: what each mark means, in the order in which they are listed
_MEANINGS = """\
constant    constant
variable    variable
ghost       leaf, again
scalar      operator on numbers
broadcasted operator on arrays
module      closed group
more        left out
fork        one value, several lines
frame       open group
inner       result
focus       in focus
back        to the next step
bar         share
ring        first bad node
sum         ∇ all that comes back to a node
face        ∇ rms of the parameters' gradients
zero        ∅ exactly zero
vanished    ▽ vanished
exploded    △ exploded
nan         ✖ NaN
inf         ▲ infinite
"""
MEANINGS = {line[:12].strip(): line[12:] for line in _MEANINGS.splitlines()}
#: those whose lines and shapes are styled by the class of the group around them
_STYLED = {*list(MEANINGS)[:8], "focus", "back", *GLYPHS}


def found(picture: Picture) -> list[str]:
    """The marks that occur in a picture, and `edge` and `ramp`."""
    boxes, flows = picture.boxes, [flow for box in picture.boxes for flow in box.flows]
    inks = {(item.state, item.step) for part in (flows, picture.edges) for item in part}
    marks = {box.kind for box in boxes} | {state for state, _ in inks}
    faces = [line for box in boxes if box.kind == "module" for line in box.lines]
    told = [line for box in boxes if box.kind != "module" for line in box.lines]
    told += [flow.below for flow in flows]
    occurs = {
        "frame": picture.clusters,
        "inner": [box for box in boxes if box.head],
        "focus": [box for box in boxes if box.focus],
        "ring": [box for box in boxes if box.bad],
        "bar": [box for box in boxes if box.bar is not None],
        "back": [edge for edge in picture.edges if edge.back],
        "sum": [line for line in told if line.startswith("∇ ")],
        "face": [line for line in faces if line.startswith("∇ ")],
        "edge": [flow for flow in flows if flow.above or flow.below],
        "ramp": [step for _, step in inks if step >= 0],
    }
    marks |= {name for name, items in occurs.items() if items}
    return [name for name in ("edge", *MEANINGS, "ramp") if name in marks]


def legend(
    picture: Picture, key: str, left: float, top: float, room: float
) -> tuple[list[str], int]:
    """The strip in SVG, and how many rows it takes where `room` pixels are free."""
    parts: list[str] = []
    x, row = left, 0
    for name in found(picture) if picture.key is not None else ():
        texts = _words(picture, name)
        icon = {"sum": -_GAP, "face": -_GAP, "ramp": 6 * _STEP}.get(name, _ICON)
        wide = icon + sum(_GAP + width(text, EDGE) for _, text in texts)
        if x > left and x + wide > left + room:
            x, row = left, row + 1
        y = top + ROW * (row + 0.5)
        kind, at = name if name in _STYLED else "mark", x + icon + _GAP
        mark = "".join(_mark(name, x, y))
        parts.append(f'<g class="key {kind}" id="{key}-{name}">{mark}</g>')
        for kind, text in texts:
            parts.append(
                f'<text class="{kind}" x="{at:.1f}" y="{y + 3.5:.1f}">{escape(text)}</text>'
            )
            at += _GAP + width(text, EDGE)
        x += wide + _SPACE
    return parts, row + bool(parts)


def _words(picture: Picture, name: str) -> list[tuple[str, str]]:
    """The texts of an entry, each with its class."""
    key, flows = picture.key or Key(), [flow for box in picture.boxes for flow in box.flows]
    if name == "edge":
        told = [("v", "value above")] * any(flow.above for flow in flows)
        return told + [("d", f"{key.below} below")] * any(flow.below for flow in flows)
    said = {**MEANINGS, "ramp": f"{key.low} … {key.high}", "bar": key.bar}
    return [("say", said[name])]


def _mark(name: str, x: float, y: float) -> Iterator[str]:
    """The mark of an entry, `_ICON` wide around the height y."""
    box = f'x="{x + 1:.1f}" y="{y - 6:.1f}" width="{_ICON - 2:g}" height="12"'
    if name in ("scalar", "broadcasted", "inner", "ring"):
        for ring, kind in enumerate(
            {"inner": ("shape", name), "ring": (name, name)}.get(name, ("shape",))
        ):
            size = f'rx="{_ICON / 2 - 1 - 3 * ring:g}" ry="{6 - 2.5 * ring:g}"'
            yield f'<ellipse class="{kind}" cx="{x + _ICON / 2:.1f}" cy="{y:.1f}" {size}/>'
    elif name == "bar":
        for kind, share in (("bar", 0.6), ("track", 1)):
            size = f'width="{_ICON * share:g}" height="4"'
            yield f'<rect class="{kind}" x="{x:.1f}" y="{y - 2:.1f}" {size}/>'
    elif name == "ramp":
        for step in range(6):
            line = _line(x + _STEP * step, y, _STEP, line_width("normal", step))
            yield f'<g class="g{step}">{line}</g>'
    elif name in ("edge", "back", *GLYPHS):
        yield _line(x, y, _ICON, line_width(name if name in GLYPHS else "none", -1))
    elif name == "fork":
        yield f'<rect class="shape" x="{x + 10:.1f}" y="{y - 6:.1f}" width="4" height="12" rx="2"/>'
    elif name not in ("sum", "face"):
        corner = {"variable": 7, "ghost": 7, "module": 3, "frame": 3}.get(name, 0)
        yield f'<rect class="{"frame" if name == "frame" else "shape"}" {box} rx="{corner}"/>'


def _line(x: float, y: float, wide: float, thick: float) -> str:
    return (
        f'<path class="line" stroke-width="{thick:g}" d="M{x:.1f},{y:.1f}L{x + wide:.1f},{y:.1f}"/>'
    )
