"""The site: every link leads somewhere, every public name has its place, no other host is asked for
anything, and a browser shows it on a desk and on a phone.
"""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from browser.chromium import wait
from needs import need

import minigrad as mg
from minigrad import cli
from minigrad.teach import book, site

need("sphinx", "site")
CHAPTERS = [path.stem for path in book.chosen()]
PAGES = [
    "index.html",
    "examples.html",
    "figures/README.html",
    "notebooks/README.html",
    f"notebooks/{CHAPTERS[1]}.html",
    "notebooks/12-attention.html",
    "reference/minigrad.html",
    "reference/minigrad.viz.html",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "minigrad.cli", "site", "--out", str(out)]
    made = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert made.returncode == 0, made.stderr
    assert "WARNING" not in made.stderr, made.stderr
    return out


class Links(HTMLParser):
    """Where a page's links lead, what it loads, and the places in it that links may name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links, self.loaded, self.places = [], [], {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        self.places |= {found.get("id", ""), found.get("name", "")}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "link":
            self.loaded.append(found.get("href", ""))
        elif "src" in found:
            self.loaded.append(found["src"])


@cache
def links(path: Path) -> Links:
    return Links(path.read_text("utf-8"))


def test_every_link_leads_somewhere(built):
    dead = []
    for page in built.rglob("*.html"):
        for link in links(page).links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            place = unquote(parts.fragment)
            if not target.exists() or (
                target.suffix == ".html" and place not in links(target).places
            ):
                dead.append(f"{page.relative_to(built)}: {link}")
    assert not dead


def test_pages_and_styles_load_nothing_from_elsewhere(built):
    for page in built.rglob("*.html"):
        foreign = [link for link in links(page).loaded if re.match(r"(https?:)?//", link)]
        assert not foreign, page
    for style in built.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", style.read_text("utf-8"))


def test_every_public_name_is_in_the_reference(built):
    for page in site.PAGES:
        places = links(built / "reference" / f"{page}.html").places
        named = [place for place in site.addresses().values() if place.rpartition(".")[0] == page]
        assert named and set(named) <= places, page


def test_chapters_name_the_reference_and_the_reference_the_chapters_and_the_source(built):
    for chapter in CHAPTERS:
        found = links(built / "notebooks" / f"{chapter}.html").links
        assert any(link.startswith("../reference/minigrad") for link in found), chapter
    found = links(built / "reference" / "minigrad.nn.html").links
    assert any(link.startswith("../notebooks/12-attention.html") for link in found)
    assert "../_modules/minigrad/nn/attention.html#MultiheadAttention" in found


def test_solutions_are_folded_and_magic_is_left_out():
    cell = nbformat.v4.new_code_cell(f"%matplotlib inline\n\n{book.BEGIN}\nx = 1\n{book.END}\nx")
    asked, solved = site.parts(cell)
    assert asked.source == "x = ...  # your turn\nx" and "tags" not in asked.metadata
    assert book.BEGIN in solved.source and solved.metadata["tags"] == ["hide-input"]
    assert "%" not in solved.source


def test_docstrings_keep_their_marks_and_names_become_links():
    text = "Of `Linear`s, `mg.sin` and |x| * 2, `a * b`:\n\n    y = |x|\n\n>>> 2 * `3`\n\n* one"
    assert site.plain_text(text) == (
        "Of `Linear <minigrad.nn.Linear>`\\ s, `mg.sin <minigrad.sin>`\\  and \\|x\\| \\* 2, "
        "`a * b`::\n\n    y = \\|x\\|\n\n>>> 2 * `3`\n\n* one"
    )


def test_what_is_missing_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(site, "find_spec", lambda name: None)
    assert cli.main(["site", "--out", str(tmp_path)]) == 1
    assert 'pip install "minigrad-numba[site]"' in capsys.readouterr().err
    monkeypatch.setattr(book, "installed", lambda: True)
    assert cli.main(["site", "--out", str(tmp_path)]) == 1
    assert "a checkout has them" in capsys.readouterr().err


@pytest.mark.parametrize("wide", [1400, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_browser_shows_it(built, page, wide, theme):
    page.resize(wide, 900)
    page.prefer(prefers_color_scheme=theme)
    for name in PAGES:
        page.go((built / name).as_uri())
        width = page.run("document.documentElement.scrollWidth")
        assert width <= wide, f"{name}: {width} wide"
        asked = page.run("performance.getEntriesByType('resource').map(entry => entry.name)")
        assert all(url.startswith(("file:", "data:", "blob:")) for url in asked), name
        light = page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert light == (theme == "light"), name


def test_mathematics_is_set_and_drawings_are_alive(built, page):
    page.go((built / "notebooks" / "12-attention.html").as_uri())
    wait(lambda: page.run("document.querySelectorAll('mjx-container svg').length") > 10)
    assert not page.run("document.querySelectorAll('mjx-merror, [data-mjx-error]').length")
    page.go((built / "notebooks" / f"{CHAPTERS[1]}.html").as_uri())
    assert page.run("document.querySelectorAll('.cell_output svg').length") > 2


def test_the_search_finds_a_chapter_and_a_name(built, page):
    for words, found in (("attention", "12-attention"), ("logsumexp", "minigrad.html")):
        page.go(f"{(built / 'search.html').as_uri()}?q={words}")
        results = "[...document.querySelectorAll('#search-results a')].map(a => a.href).join()"
        wait(lambda found=found, results=results: found in page.run(results), what=words)


def test_the_home_page_says_how_many_chapters(built):
    text = (built / "index.html").read_text("utf-8")
    assert f"{len(CHAPTERS)} chapters" in text and mg.__name__ in text
