"""The SVG, read as XML: everything is in it, nothing lies on anything else, and it says itself in
words.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from viz.examples import EXAMPLES, broken, mlp, shared, sine

import minigrad as mg
from minigrad.viz import draw
from minigrad.viz.page.palette import THEMES

SVG = "{http://www.w3.org/2000/svg}"


def parts(svg, kind):
    """Groups of a class, by the end of their id."""
    root = ET.fromstring(svg)
    groups = [g for g in root.iter(f"{SVG}g") if kind in g.get("class").split()]
    return {g.get("id").split("-", 2)[-1]: g for g in groups}


def texts(group):
    return [t.text for t in group.iter(f"{SVG}text")]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_picture_is_all_there(name):
    drawing = draw(EXAMPLES[name]())
    nodes, edges, flows = (parts(drawing.svg, kind) for kind in ("node", "edge", "flow"))
    assert list(nodes) == [box.id for box in drawing.picture.boxes]
    assert set(edges) == {edge.id for edge in drawing.picture.edges}
    for box in drawing.picture.boxes:
        assert texts(nodes[box.id]) == list(box.lines)
        assert nodes[box.id].find(f"{SVG}title").text == box.title
        for flow in box.flows:
            shown = [line for line in (*reversed(flow.above), flow.below) if line]
            assert not shown or texts(flows[flow.id]) == shown


@pytest.mark.parametrize("name", EXAMPLES)
def test_values_above_gradients_below(name):
    for flow in parts(draw(EXAMPLES[name]()).svg, "flow").values():
        line = float(re.match(r"M[\d.]+,([\d.]+)L", flow.find(f"{SVG}path").get("d"))[1])
        for text in flow.iter(f"{SVG}text"):
            assert (float(text.get("y")) > line) == (text.get("class") == "d")


def bounds(shape):
    number = {key: float(value) for key, value in shape.attrib.items() if key != "class"}
    if shape.tag == f"{SVG}ellipse":
        x, y, rx, ry = (number[key] for key in ("cx", "cy", "rx", "ry"))
        return x - rx, y - ry, x + rx, y + ry
    return number["x"], number["y"], number["x"] + number["width"], number["y"] + number["height"]


def test_shapes_say_the_kind():
    nodes = parts(draw(mlp()).svg, "node")
    outlines = {
        kind: {
            s.tag.removeprefix(SVG)
            for g in nodes.values()
            if kind in g.get("class").split()
            for s in g
            if s.get("class") == "shape"
        }
        for kind in ("constant", "variable", "broadcasted")
    }
    assert outlines == {"constant": {"rect"}, "variable": {"rect"}, "broadcasted": {"ellipse"}}
    (head,) = (g for g in nodes.values() if "loss" in g.get("class").split())
    assert len(head.findall(f"{SVG}ellipse")) == 2
    pile = parts(draw(mlp(), depth=0).svg, "module")["m0"]
    assert len(pile.findall(f"{SVG}rect")) == 3


def test_the_bad_node_has_two_rings_and_bad_lines_their_class():
    svg = draw(broken()).svg
    (bad,) = parts(svg, "bad").values()
    assert [s.get("class") for s in bad.findall(f"{SVG}ellipse")] == ["shape", "ring", "ring"]
    states = {key: g.get("class").split()[1] for key, g in parts(svg, "flow").items()}
    assert states["n0f0"] == "nan" and states["n3f0"] == "inf"


def test_stronger_gradients_have_wider_lines():
    x = mg.Variable(1.0, name="x")
    (x * 1e-5 * 1e4).backward()
    y = x * 1e-5 * 1e4
    y.backward()
    flows = parts(draw(y).svg, "flow")
    wide = {key: float(g.find(f"{SVG}path").get("stroke-width")) for key, g in flows.items()}
    head, product = wide["n4f0"], wide["n2f0"]
    assert product > head > wide["n1f0"]


def test_lines_end_at_their_boxes():
    drawing = draw(shared())
    nodes, edges = parts(drawing.svg, "node"), parts(drawing.svg, "edge")
    for edge in drawing.picture.edges:
        x, y = (
            float(c)
            for c in edges[edge.id].find(f"{SVG}polygon").get("points").split()[0].split(",")
        )
        left, top, right, bottom = bounds(
            next(s for s in nodes[edge.target] if s.get("class") == "shape")
        )
        assert left - 0.2 <= x <= (left + right) / 2 and top <= y <= bottom


def test_it_says_itself_in_words():
    root = ET.fromstring(draw(sine(), title="Sine & square").svg)
    assert root.get("role") == "img"
    named = {
        element.get("id"): element.text
        for element in root
        if element.tag in (f"{SVG}title", f"{SVG}desc")
    }
    assert named[root.get("aria-labelledby")] == "Sine & square"
    assert named[root.get("aria-describedby")] == "4 nodes, 3 edges."
    groups = [g for kind in ("node", "edge", "flow") for g in parts(draw(mlp()).svg, kind).values()]
    assert all(g[0].tag == f"{SVG}title" and g[0].text for g in groups)


def test_reading_order_is_that_of_computation():
    root = ET.fromstring(draw(mlp()).svg)
    keys = [g.get("id").split("-", 2)[-1] for g in root.iter(f"{SVG}g") if g.get("id")]
    picture = draw(mlp()).picture
    boxes = [box.id for box in picture.boxes]
    assert [key for key in keys if key in boxes] == boxes
    for edge in picture.edges:
        if edge.source in boxes and edge.target in boxes:
            assert keys.index(edge.source) < keys.index(edge.id) < keys.index(edge.target)


def test_two_drawings_on_a_page_share_no_id():
    ids = [
        {e.get("id") for e in ET.fromstring(draw(EXAMPLES[name]()).svg).iter() if e.get("id")}
        for name in EXAMPLES
    ]
    assert len(set.union(*ids)) == sum(map(len, ids))
    light, dark = draw(sine(), theme="light").svg, draw(sine(), theme="dark").svg
    assert ET.fromstring(light).get("id") != ET.fromstring(dark).get("id")


@pytest.mark.parametrize("theme", [None, *THEMES])
def test_colours_are_variables_and_all_defined(theme):
    root = ET.fromstring(draw(sine(), theme=theme).svg)
    sheet = root.find(f"{SVG}style").text
    assert set(re.findall(r"var\(--([\w-]+)\)", sheet)) <= set(re.findall(r"--([\w-]+):#", sheet))
    assert f"mg-{theme or 'auto'}" in root.get("class").split()
    assert ("prefers-color-scheme" in sheet and "data-jp-theme-light" in sheet) == (theme is None)


@pytest.mark.parametrize("theme", THEMES)
def test_text_has_contrast(theme):
    colours = THEMES[theme]
    for ink in ("fg", "muted", "variable", "gradient"):
        for ground in ("bg", "tint"):
            assert contrast(colours[ink], colours[ground]) >= 4.5
    for fill in ("variable-fill", "constant-fill", "operator-fill"):
        assert min(contrast(colours[ink], colours[fill]) for ink in ("fg", "muted")) >= 4.5
    for ink in (f"g{step}" for step in range(6)):
        assert contrast(colours[ink], colours["bg"]) >= 3


def contrast(one, other):
    """The contrast ratio of WCAG 2."""
    light = sorted(luminance(colour) for colour in (one, other))
    return (light[1] + 0.05) / (light[0] + 0.05)


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_hostile_names():
    names = ["<script>&\"'", "Wörter 漢字 ∂", "x" * 300, "a\nb\x00", "", "%s{}\\N"]
    y = mg.sum(mg.stack([mg.Variable(float(i), name=name) for i, name in enumerate(names)]))
    y.name = "<b>"
    svg = draw(y, title="<i>&").svg
    nodes = parts(svg, "node")
    assert [texts(nodes[f"n{i}"])[0] for i in range(6)] == [
        "<script>&\"'",
        "Wörter 漢字 ∂",
        "x" * 23 + "…",
        "a b",
        "variable",
        "%s{}\\N",
    ]
    assert ET.fromstring(svg).find(f"{SVG}title").text == "<i>&"
    assert not list(ET.fromstring(svg).iter(f"{SVG}script"))
