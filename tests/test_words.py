"""Words and links: spelling in chapters, pages and docstrings; every link within the project leads
somewhere.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pages
import pytest

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = [
    *pages.PAGES,
    *sorted(ROOT.glob(".github/*.md")),
    *sorted(ROOT.glob("notebooks/*.md")),
    *sorted(ROOT.glob("notebooks/teaching/*.md")),
    ROOT / "figures" / "README.md",
]


def words(path: Path) -> str:
    """What is written for people in a file: a notebook's cells, a page, a module's docstrings and
    comments.
    """
    text = path.read_text("utf-8")
    if path.suffix == ".ipynb":
        return "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    if path.suffix == ".py":
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
        said = [
            ast.get_docstring(node) or ""
            for node in ast.walk(ast.parse(text))
            if isinstance(node, kinds)
        ]
        return "\n\n".join([*said, *re.findall(r"#.*", text)])
    return text


def test_spelling(tmp_path):
    """codespell knows common misspellings; its list comes with it."""
    for path in [*CHAPTERS, *PAGES, *sorted((ROOT / "minigrad").rglob("*.py"))]:
        file = tmp_path / path.relative_to(ROOT).with_suffix(f"{path.suffix}.txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(words(path), encoding="utf-8")
    command = [sys.executable, "-m", "codespell_lib", str(tmp_path)]
    found = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_spelling_finds_what_is_wrong(tmp_path):
    (tmp_path / "page.txt").write_text("The wieghts of teh network", encoding="utf-8")
    command = [sys.executable, "-m", "codespell_lib", str(tmp_path)]
    found = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert found.returncode != 0 and "weights" in found.stdout and "the" in found.stdout


def anchors(text: str) -> set[str]:
    """What one may write after # to get to a heading of a page: letters, digits, - and _, as GitHub
    makes them.
    """
    found = set()
    for title in re.findall(r"(?m)^#{1,6} (.+?)\s*$", re.sub(r"(?ms)^```.*?^```", "", text)):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower()
        kept = [c for c in plain if c in "-_ " or unicodedata.category(c)[0] in "LN"]
        found.add("".join(kept).replace(" ", "-"))
    return found


def dead(path: Path, text: str) -> list[str]:
    """The links of a page that lead nowhere; those to other sites are not followed."""
    found = []
    for link in pages.LINK.findall(re.sub(r"(?ms)^```.*?^```", "", text)):
        where, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = path.parent / where if where else path
        there = target.exists() and (not anchor or anchor in anchors(words(target)))
        if not there:
            found.append(link)
    return found


@pytest.mark.parametrize("path", [*CHAPTERS, *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    assert not dead(path, words(path))


def test_a_dead_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    links = "[x](page.md#a-title-with-2-words) [y](none.md) [z](#nowhere) [far](https://x.invalid)"
    page.write_text(f"# A title, with 2 words\n{links}", encoding="utf-8")
    assert dead(page, page.read_text(encoding="utf-8")) == ["none.md", "#nowhere"]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapters_show_no_picture_without_words(path):
    """Pictures in a cell's text have an alternative text; those that cells make have captions
    (test_notebooks.py).
    """
    assert not re.findall(r"!\[\]\(|<img(?![^>]*\balt=)", words(path))
