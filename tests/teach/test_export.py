"""Chapters as pages of HTML, made by nbconvert without running them: every picture is still there,
with words, and so is the player.
"""

from __future__ import annotations

import re

import nbformat
import pytest

from minigrad.teach import book


def shown(path, kind: str) -> list[str]:
    """What a notebook's cells show of one kind."""
    outputs = [
        o for cell in nbformat.read(path, as_version=4).cells for o in cell.get("outputs", ())
    ]
    return [output.data[kind] for output in outputs if kind in output.get("data", {})]


@pytest.mark.parametrize("path", book.chosen(), ids=lambda path: path.stem)
def test_an_exported_chapter_keeps_its_pictures(path):
    nbconvert = pytest.importorskip("nbconvert")
    page, _ = nbconvert.HTMLExporter(template_name="basic").from_filename(str(path))
    drawings, players = (
        shown(path, "image/svg+xml"),
        [text for text in shown(path, "text/html") if "mgp-data" in text],
    )
    assert drawings or shown(path, "image/png")
    for svg in drawings:
        title = re.search(r"<title[^>]*>(.*?)</title>", svg, re.S)[1]
        assert f'alt="{title}' in page, title
    assert page.count('class="mgp-data"') == len(players)
    assert page.count("data:image/svg+xml") >= len(drawings)
    assert len(re.findall(r"data:image/png;base64", page)) == len(shown(path, "image/png"))
    assert not re.search(r"<img(?![^>]*\balt=)", page), "an image without alternative text"
    assert not re.search(r'<(?:script|link)[^>]+(?:src|href)="https?:', "".join(players)), (
        "nothing from elsewhere"
    )
