"""A chapter as a page that a teacher puts on the web: all pictures are seen, and the player plays,
without any network.
"""

from __future__ import annotations

import nbformat
import pytest
from browser.chromium import wait

from minigrad.teach import book

DRAWN = "[...document.querySelectorAll('svg.mg, img[src^=\"data:image/\"]')]"
SEEN = (
    f"{DRAWN}.filter(e => e.getBoundingClientRect().width > 100 && (e.tagName == 'svg' || "
    f"e.naturalWidth > 0)).length"
)


@pytest.mark.parametrize("number", ["1", "6"])
def test_an_exported_chapter_shows_its_pictures_and_plays(number, show):
    nbconvert = pytest.importorskip("nbconvert")
    path = book.chosen([number])[0]
    data = [
        o.get("data", {})
        for cell in nbformat.read(path, as_version=4).cells
        for o in cell.get("outputs", ())
    ]
    alive = sum("mgx-data" in each.get("text/html", "") for each in data)
    pictures = sum("image/svg+xml" in each or "image/png" in each for each in data)
    page = show(nbconvert.HTMLExporter(template_name="lab").from_filename(str(path))[0])
    wait(lambda: page.run(SEEN) >= max(pictures, alive), what=f"{pictures} pictures")
    ready = "document.querySelectorAll('.mgx-stage > svg').length"
    wait(lambda: page.run(ready) == alive, what=f"{alive} explorers")
    for i in range(page.run("document.querySelectorAll('.mgx[data-step]').length")):
        player = f"document.querySelectorAll('.mgx[data-step]')[{i}]"
        before = page.run(f"{player}.querySelector('.mgx-status').textContent")
        page.run(f"{player}.querySelector('.mgx-forward').click()")
        assert page.run(f"{player}.dataset.step") == "1"
        assert page.run(f"{player}.querySelector('.mgx-status').textContent") != before
