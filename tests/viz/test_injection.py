"""Names that would be code, in every output of a drawing: they stay text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest

import minigrad as mg
from minigrad.graph.settings import inside
from minigrad.viz import draw

SVG = "{http://www.w3.org/2000/svg}"
NAMES = (
    "<script>alert(1)</script>",
    "]]><script>",
    "\"' onload='x' x=\"",
    "</title></svg><img src=x onerror=alert(1)>",
    "a\x00\x07\x1b[31mb\u202ec",
    'n0"]; system("x"); n1 [label="',
    "\\N \\E % {} &amp; &#60;",
    "\ud800",
)


def hostile(name: str):
    module = type("Module", (), {})()
    type(module).__name__ = name.replace("\x00", "").replace("\ud800", "?")
    w = mg.Variable(np.ones(2), name=name)
    with inside(module):
        y = mg.sin(w) * 2
    y.name = name
    loss = mg.sum(y * w)
    loss.name = name
    loss.backward()
    return loss


class Tags(HTMLParser):
    """The elements of a page, and the attributes that would run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs) -> None:
        self.found += [tag, *(key for key, _ in attrs if key.startswith("on"))]


@pytest.mark.parametrize("depth", [0, 9])
@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_stay_text(name, depth):
    made = draw(hostile(name), depth=depth, title=name)
    plain = draw(hostile("w"), depth=depth, title="w")
    tags = [element.tag for element in ET.fromstring(made.svg).iter()]
    assert tags.count(f"{SVG}script") == tags.count(f"{SVG}img") == 0
    assert {*tags} == {element.tag for element in ET.fromstring(plain.svg).iter()}
    pages = [Tags(), Tags()]
    for page, drawing in zip(pages, (made, plain), strict=True):
        page.feed(drawing.html)
    assert {*pages[0].found} == {*pages[1].found}
    assert pages[0].found.count("script") == pages[1].found.count("script")
    for text in (made.svg, made.html, made.describe(), made.source):
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text)
        text.encode()


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_the_source_is_one_graph_with_the_same_nodes(name):
    """Read back by Graphviz itself."""
    pygraphviz = pytest.importorskip("pygraphviz")
    made, plain = (draw(hostile(each), depth=9) for each in (name, "w"))
    graph, other = (pygraphviz.AGraph(string=drawing.source) for drawing in (made, plain))
    assert sorted(graph.nodes()) == sorted(other.nodes())
    assert sorted(graph.edges()) == sorted(other.edges())
