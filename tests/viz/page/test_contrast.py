"""Contrast as WCAG 2.2 measures it (1.4.3 text, 1.4.11 lines and shapes), from the style sheet that
a drawing carries.

What a text or line stands on is not looked up in a list but found in the drawing: the last filled
shape below it.
"""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from viz.examples import EXAMPLES, Layer, diamonds
from viz.sheet import Mark, inside, marks, rules

import minigrad as mg
from minigrad.graph.node import GraphNode
from minigrad.graph.settings import inside as within
from minigrad.viz import draw
from minigrad.viz.page.palette import plain_style, style

TEXT, SHAPE = 4.5, 3.0
#: (theme, is the reader's system dark) of every look that a drawing can have
LOOKS = [("light", False), ("dark", False), ("print", False), (None, False), (None, True)]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21."""
    dark, light = sorted(luminance(colour) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    assert re.fullmatch("#[0-9a-fA-F]{6}", colour), colour
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def inks() -> GraphNode:
    """Gradients of every ink and every alarm, most of them in a module, on constants, variables and
    operators.
    """
    net = Layer(weight=mg.Variable([1.0, 2.0], dtype="float64"))
    x = mg.Variable([1.0, 1.0], name="x", dtype="float64")
    with within(net):
        y = x * net.weight  # type: ignore[attr-defined]
        for power in range(-7, 4):
            y = y + mg.sin(x * 10.0**power)
    y = mg.sum(y) + mg.sum(mg.relu(x - 9.0))
    y.backward()
    return y


def drawings(theme: str | None) -> list[str]:
    made = [draw(make(), theme=theme) for make in (*EXAMPLES.values(), inks)]
    collapsed = [draw(EXAMPLES["mlp"](), theme=theme, depth=0), draw(diamonds(200), theme=theme)]
    return [drawing.svg for drawing in (*made, *collapsed)]


def grounds(found: list[Mark], i: int) -> list[str]:
    """The colours that mark number i stands on: the last filled shapes that hold its middle and its
    corners.
    """
    mark, areas = (
        found[i],
        [m for m in found[:i] if m.tag in ("rect", "ellipse") and m.style["fill"] != "none"],
    )
    below = [m for m in areas if m.kind != "bar"]  # a bar and the outline around it are one thing
    if "paint-order" in mark.style:  # a halo of its own
        return [mark.style["stroke"]]
    left, top, right, bottom = mark.box
    points = [mark.middle, (left, top), (right, top), (left, bottom), (right, bottom)]
    return sorted(
        {next(m.style["fill"] for m in reversed(below) if inside((*p, *p), m.box)) for p in points}
    )


@pytest.mark.parametrize(("theme", "dark"), LOOKS)
def test_every_text_can_be_read(theme, dark):
    seen: dict[tuple[str, str], str] = {}
    for svg in drawings(theme):
        found = marks(svg, dark)
        for i, mark in enumerate(found):
            if mark.tag == "text":
                seen.update(
                    {(mark.style["fill"], ground): mark.text for ground in grounds(found, i)}
                )
    assert len({ink for ink, _ in seen}) >= (2 if theme == "print" else 4)
    assert len({ground for _, ground in seen}) >= (1 if theme == "print" else 4)
    weak = {(ink, ground, text): contrast(ink, ground) for (ink, ground), text in seen.items()}
    assert {key: ratio for key, ratio in weak.items() if ratio < TEXT} == {}


@pytest.mark.parametrize(("theme", "dark"), LOOKS)
def test_every_line_and_shape_stands_out(theme, dark):
    """Lines and arrow heads, the outline of a shape from what lies around it, bars from the shape
    that they lie on.
    """
    seen: dict[tuple[str, str], str] = {}
    kinds = set()
    for svg in drawings(theme):
        found = marks(svg, dark)
        kinds |= {mark.kind for mark in found}
        for i, mark in enumerate(found):
            paint = mark.style["fill" if mark.kind in ("tip", "bar") else "stroke"]
            if mark.tag != "text" and mark.kind != "bg":
                what = f"{mark.kind} of {' '.join(mark.classes)}"
                seen.update({(paint, ground): what for ground in grounds(found, i)})
    assert kinds >= {"shape", "inner", "ring", "track", "bar", "frame", "line", "tip"}
    weak = {
        (paint, ground, what): contrast(paint, ground) for (paint, ground), what in seen.items()
    }
    assert {key: ratio for key, ratio in weak.items() if ratio < SHAPE} == {}


def variables(theme: str | None, dark: bool) -> dict[str, str]:
    """The colours that a style sheet defines, the last definition counting."""
    found: dict[str, str] = {}
    for selector, declarations in rules(style(theme), dark):
        if selector == f".mg-{theme or 'auto'}":
            found.update(
                {key: value for key, value in declarations.items() if key.startswith("--")}
            )
    return found


@pytest.mark.parametrize(("theme", "dark"), LOOKS)
def test_the_ramp_grows_away_from_the_background(theme, dark):
    colours = variables(theme, dark)
    ramp = sorted(key for key in colours if re.fullmatch(r"--g\d", key))
    assert len(ramp) == 6
    for ground in ("--bg", "--tint"):
        ratios = [contrast(colours[step], colours[ground]) for step in ramp]
        assert ratios[0] >= SHAPE
        assert all(b > a * 1.1 for a, b in pairwise(ratios)), ratios


def test_jupyters_settings_have_the_same_colours_as_the_systems():
    found = dict(rules(style(None)))
    assert found['[data-jp-theme-light="true"] .mg-auto'] == variables(None, False)
    assert found['[data-jp-theme-light="false"] .mg-auto'] == variables(None, True)
    assert variables(None, False) == variables("light", False) and variables(
        None, True
    ) == variables("dark", False)


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_files_have_the_same_colours_as_the_page(theme):
    """What converters get is the sheet of the page with the colours written out."""
    colours = variables(theme, False)

    def written_out(value: str) -> str:
        return re.sub(r"var\((--[\w-]+)\)", lambda m: colours[m[1]], value)

    page = [
        (s, {k: written_out(v) for k, v in d.items() if k != "font-family"})
        for s, d in rules(style(theme))[1:]
    ]
    files = [
        (s, {k: v for k, v in d.items() if k != "font-family"})
        for s, d in rules(plain_style(theme))
    ]
    assert files == [
        rule for rule in page if "paint-order" not in rule[1] and ".framed" not in rule[0]
    ]
