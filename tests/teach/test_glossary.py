"""The glossary: an entry for every term in bold, and links to chapters that use it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
CHAPTERS = sorted(FOLDER.glob("*.ipynb"))
ENTRY = re.compile(r"- \*\*(.+?)\*\*(?: \(\*(.+?)\*\))?: (.+) \[(.+?)\]\((.+?\.ipynb)#(.+?)\)")
#: bold that structures a page: sentences, labels and questions; the beginning of a point in a list;
#: a line of its own
STRUCTURE = re.compile(
    r"(?m)\*\*[^*]+[.:?!]\*\*|^ *(?:\d+\.|-) \*\*[^*]+\*\*|^\*\*[^*]+\*\*$|"
    r"\*\*The picture to remember\*\*"
)
LONGEST = 5  # words; what has more is a sentence


def prose(path: Path) -> str:
    """The Markdown of a chapter, without code and formulas."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return re.sub(r"(?ms)^ *```.*?^ *```|\$\$.*?\$\$", "", text)


def plain(text: str) -> str:
    return " ".join(text.lower().split())


def singular(term: str) -> str:
    return plain(term).removesuffix("s")


def terms(text: str) -> set[str]:
    bold = re.findall(r"\*\*([^*]+)\*\*", STRUCTURE.sub("", text))
    return {singular(term) for term in bold if len(term.split()) <= LONGEST}


def entries() -> list[tuple[str, str, str, str, str, str]]:
    """Name, other name, sentence, label of the link, file and heading of each entry."""
    lines = (FOLDER / "glossary.md").read_text("utf-8").splitlines()
    found = [ENTRY.fullmatch(line) for line in lines if line.startswith("-")]
    assert all(found), "an entry of another form"
    return [match.groups("") for match in found if match]  # type: ignore[misc]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_term_in_bold_has_an_entry(path):
    known = {singular(name) for entry in entries() for name in entry[:2]}
    assert not terms(prose(path)) - known


def test_every_entry_leads_to_a_chapter_that_uses_the_term():
    used = {path.name: plain(prose(path)) for path in CHAPTERS}
    for name, other, _, label, file, _ in entries():
        words = used[file]
        assert singular(name) in words or (other and singular(other) in words), name
        number = file.split("-")[0].lstrip("0") or "0"
        assert label == (f"Chapter {number}" if number.isdigit() else f"Appendix {number}")


def test_entries_are_sentences_in_order_and_none_is_there_twice():
    names = [name for name, *_ in entries()]
    order = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in names]
    assert order == sorted(order)
    every = [singular(name) for entry in entries() for name in entry[:2] if name]
    assert len(every) == len(set(every))
    assert not [name for name, _, sentence, *_ in entries() if not sentence.endswith(".")]


def test_bold_that_is_no_term_is_told_from_terms():
    page = (
        "**Goal.** A **dead ReLU** and **two\nwords**.\n\n- **A label**: text\n\n**Check**\n\n"
        "**this is what a sentence looks like** and **Folds**"
    )
    assert terms(page) == {"dead relu", "two word", "fold"}
