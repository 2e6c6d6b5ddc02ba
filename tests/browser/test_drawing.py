"""Drawings as a browser shows them: all there, within bounds, readable, in the right colours,
whatever its fonts are.
"""

from __future__ import annotations

import re
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread
from viz.examples import EXAMPLES
from viz.sheet import BOLD, apart, inside

import minigrad as mg
from minigrad.viz import draw
from minigrad.viz.figure import STYLE
from minigrad.viz.page.palette import DARK, LIGHT
from minigrad.viz.scene.text import width

FONTS = (
    None,
    "DejaVu Sans",
    "Liberation Sans",
)  # the style sheet's own choice, a wide font and a narrow one
PIXEL = 0.6  # browsers round boxes, some to pixels
PAGE = "<!doctype html><meta charset=utf-8><body style='margin:8px;background:#fff'>{}"

#: what the browser made of the first drawing of a page, in CSS pixels
LOOK = """(() => {
  const rect = e => {
    const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]
  }
  const svg = document.querySelector('svg.mg')
  const group = e => e.closest('g[id]')
  return {
    box: rect(svg),
    nodes: [...svg.querySelectorAll('g.node')].map(g => ({
      id: g.id.split('-').pop(), title: g.querySelector(':scope > title').textContent, box: rect(g),
      shape: rect([...g.querySelectorAll('.shape')].pop())})),
    texts: [...svg.querySelectorAll('text')].map(t => ({
      text: t.textContent, group: group(t) ? group(t).id.split('-').pop() : '',
      node: !!t.closest('g.node'), box: rect(t),
      wide: t.getComputedTextLength(), size: parseFloat(getComputedStyle(t).fontSize),
      bold: getComputedStyle(t).fontWeight >= 600})),
  }
})()"""


def letters() -> mg.GraphNode:
    """All letters and signs that the table of widths has, in the names of variables."""
    lines = (
        "abcdefghijklmnopqrstuvw",
        "xyzABCDEFGHIJKLMNOPQ",
        "RSTUVWXYZ0123456789",
        "!#$%&()*+,-./:;<=>?@[]",
        "^_`{|}~²·×½Σσᵀ–…",
        "∂√∇▽△▲↗✖±∗−÷≤≥∅",
    )
    return mg.sum(mg.stack([mg.Variable(1.5, name=line) for line in lines]))


def looked_at(page) -> dict:
    """LOOK in a window that the whole drawing fits into."""
    right, bottom = page.run(LOOK)["box"][2:]
    page.resize(int(right) + 40, int(bottom) + 40)
    return page.run(LOOK)


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "in a page"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_node_is_seen(name, alone, show):
    drawing = draw(EXAMPLES[name](), theme="light")
    page = (
        show(drawing.svg, "svg")
        if alone
        else show(PAGE.format(f"<h1>A page</h1>{drawing.svg}<p>and more"))
    )
    seen = looked_at(page)
    assert [(node["id"], node["title"]) for node in seen["nodes"]] == [
        (b.id, b.title) for b in drawing.picture.boxes
    ]
    pixels = imread(BytesIO(page.screenshot()))[:, :, :3]
    ground = pixels[int(seen["box"][1]) + 4, int(seen["box"][0]) + 12]
    for node in seen["nodes"]:
        assert inside(node["box"], seen["box"], PIXEL)
        left, top, right, bottom = map(int, node["box"])
        inked = np.abs(pixels[top:bottom, left:right] - ground) > 0.1
        assert inked.any(axis=2).mean() > 0.02, node[
            "id"
        ]  # an outline and a few letters, at the least


def tree(page) -> list[dict]:
    """What a screen reader is told: role, name and description of every element."""
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    keys = ("role", "name", "description")
    return [
        {key: (node.get(key) or {}).get("value", "") for key in keys}
        for node in nodes
        if not node["ignored"]
    ]


def test_a_screen_reader_hears_a_picture_with_a_title_and_a_description(show):
    drawing = draw(EXAMPLES["broken"](), title="Where <NaN> & inf come from")
    page = show(PAGE.format(drawing.svg))
    (image,) = (node for node in tree(page) if node["role"] in ("image", "img"))
    assert image["name"].startswith("Where <NaN> & inf come from")
    assert image["description"] == drawing.picture.note and "First bad node" in drawing.picture.note
    parts = [node["name"] for node in tree(page) if node["role"] == "group"]
    assert {box.title for box in drawing.picture.boxes} <= set(parts)


def test_the_description_is_not_part_of_the_name(show):
    page = show(PAGE.format(draw(EXAMPLES["sine"](), title="Sine").svg))
    assert [node["name"] for node in tree(page) if node["role"] in ("image", "img")] == ["Sine"]


def test_every_part_has_a_tooltip(show):
    page = show(PAGE.format(draw(EXAMPLES["mlp"]()).svg))
    counted = page.run("""[...document.querySelectorAll('svg.mg g[id]:not(.key)')].map(
        g => [...g.children].filter(e => e.tagName == 'title' && e.textContent.trim()).length)""")
    assert len(counted) > 20 and set(counted) == {1}


COLOURS = """[getComputedStyle(document.querySelector('svg.mg .bg')).fill,
              getComputedStyle(document.querySelector('svg.mg .label')).fill]"""


def rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "in a page"])
@pytest.mark.parametrize("system", ["light", "dark"])
@pytest.mark.parametrize("theme", [None, "light", "dark"])
def test_colours_follow_the_system_unless_a_theme_is_asked_for(theme, system, alone, page, show):
    page.prefer(prefers_color_scheme=system)
    svg = draw(EXAMPLES["sine"](), theme=theme).svg
    show(svg if alone else PAGE.format(svg), "svg" if alone else "html")
    colours = {"light": LIGHT, "dark": DARK}[theme or system]
    assert page.run(COLOURS) == [rgb(colours["bg"]), rgb(colours["fg"])]
    left, top, *_ = page.run(LOOK)["box"]
    pixel = imread(BytesIO(page.screenshot()))[int(top) + 4, int(left) + 12, :3] * 255
    assert f"rgb({', '.join(str(round(float(c))) for c in pixel)})" == rgb(colours["bg"])


@pytest.mark.parametrize("system", ["light", "dark"])
@pytest.mark.parametrize("jupyter", ["true", "false"])
def test_jupyters_theme_counts_more_than_the_systems(jupyter, system, page, show):
    page.prefer(prefers_color_scheme=system)
    show(f"<!doctype html><body data-jp-theme-light={jupyter}>{draw(EXAMPLES['sine']()).svg}")
    colours = LIGHT if jupyter == "true" else DARK
    assert page.run(COLOURS) == [rgb(colours["bg"]), rgb(colours["fg"])]
    page.run(
        "document.body.dataset.jpThemeLight = document.body.dataset.jpThemeLight == 'true' ? "
        "'false' : 'true'"
    )
    other = DARK if jupyter == "true" else LIGHT
    assert page.run(COLOURS) == [rgb(other["bg"]), rgb(other["fg"])]


@pytest.mark.parametrize("jupyter", [None, "true", "false"])
@pytest.mark.parametrize("system", ["light", "dark"])
@pytest.mark.parametrize("theme", [None, "light", "dark"])
def test_a_figure_is_no_white_rectangle_in_the_dark(theme, system, jupyter, page, show):
    page.prefer(prefers_color_scheme=system)
    nbformat = pytest.importorskip("nbformat")
    converter = pytest.importorskip("nbconvert").HTMLExporter(template_name="lab")
    history = mg.train.History(epoch_loss=[2.0, 1.0])
    data, about = mg.viz.training_curves({"": history}, theme=theme)._repr_mimebundle_()
    output = nbformat.v4.new_output("display_data", data, metadata=about)
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[output])])
    image = re.search("<img[^>]*>", converter.from_notebook_node(book)[0])[0]
    attribute = f" data-jp-theme-light={jupyter}" if jupyter else ""
    show(f"<!doctype html><body style='margin:0'{attribute}>{STYLE}{image}")
    pixel = imread(BytesIO(page.screenshot()))[2, 2, :3]
    followed = {"true": "light", "false": "dark", None: system}[jupyter]
    assert (pixel.mean() < 0.1) == ((theme or followed) == "dark")


def test_two_themes_on_one_page_do_not_mix(show):
    light, dark = (draw(EXAMPLES["sine"](), theme=theme).svg for theme in ("light", "dark"))
    page = show(PAGE.format(light + dark))
    fills = page.run(
        "[...document.querySelectorAll('svg.mg .bg')].map(e => getComputedStyle(e).fill)"
    )
    assert fills == [rgb(LIGHT["bg"]), rgb(DARK["bg"])]


@pytest.mark.parametrize("font", FONTS, ids=str)
@pytest.mark.parametrize("make", [*EXAMPLES.values(), letters], ids=lambda make: make.__name__)
def test_texts_are_no_wider_than_the_table_says_and_have_their_own_places(make, font, show):
    style = f"<style>.mg text{{font-family:'{font}',sans-serif!important}}</style>" if font else ""
    seen = looked_at(show(PAGE.format(style + draw(make()).svg)))
    shapes = {node["id"]: node["shape"] for node in seen["nodes"]}
    for i, text in enumerate(seen["texts"]):
        most = width(text["text"], text["size"]) * (BOLD if text["bold"] else 1)
        assert text["wide"] <= most + 0.5, (text["text"], text["wide"], most)
        assert inside(text["box"], seen["box"], PIXEL), text
        assert not text["node"] or inside(text["box"], shapes[text["group"]], PIXEL), text
        for other in seen["texts"][:i]:
            assert apart(text["box"], other["box"], PIXEL), (text, other)
        for key, shape in shapes.items():
            assert key == text["group"] or apart(text["box"], shape, PIXEL), (text, key)
