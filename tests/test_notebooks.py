"""What nbval lets pass in silence: no outputs, the wrong order, warnings, paths, pictures without a
caption, magic.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from minigrad.teach import book
from minigrad.teach.checking import exercises

FOLDER = Path(__file__).parents[1] / "notebooks"
CHAPTERS = sorted(FOLDER.glob("*.ipynb"))
MOST_BYTES = 800_000  # a drawing that opens and closes brings 50,000 bytes of script
MOST_IN_ALL = 8_000_000  # with the versions for students and the pages for teachers
#: `needs-answer`: a cell that fails until the student has done the exercises before it
TAGS = {"exercise", "needs-answer", "raises-exception", "nbval-ignore-output"}
MAGIC = {"%matplotlib inline"}
LOCAL = re.compile(
    r"(?<![\w.])/(?:home|root|tmp|work|Users|private|mnt|opt|usr|var)/|\b[A-Z]:\\|\b0x[0-9a-f]{6,}"
)

Cell = dict[str, Any]

each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def cells(path: Path, kind: str | None = None) -> list[Cell]:
    found: list[Cell] = json.loads(path.read_text("utf-8"))["cells"]
    return [cell for cell in found if kind in (None, cell["cell_type"])]


def number(path: Path) -> str:
    """The chapter's number, or an appendix's letter."""
    return path.name.split("-")[0].lstrip("0") or "0"


def name(cell: Cell) -> str:
    """The cell's name without the chapter's number."""
    return str(cell["id"]).split("-", 1)[1]


def source(cell: Cell) -> str:
    return "".join(cell["source"])


def tags(cell: Cell) -> list[str]:
    return list(cell["metadata"].get("tags", ()))


def texts(cell: Cell) -> list[str]:
    """What the cell's outputs say in words."""
    plain = [output["data"].get("text/plain", "") for output in cell["outputs"] if "data" in output]
    return [
        "".join(text) for text in [*(output.get("text", "") for output in cell["outputs"]), *plain]
    ]


def speaks(code: str) -> bool:
    """Does this code leave an output: does it print, or end in an expression?"""
    tree = ast.parse(re.sub(r"(?m)^%.*$", "", code))
    prints = any(
        isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "print"
        for n in ast.walk(tree)
    )
    return prints or (
        bool(tree.body) and isinstance(tree.body[-1], ast.Expr) and not code.rstrip().endswith(";")
    )


def has_picture(cell: Cell) -> bool:
    return any(
        kind.startswith("image/")
        for output in cell.get("outputs", ())
        for kind in output.get("data", ())
    )


def has_caption(cell: Cell) -> bool:
    return cell["cell_type"] == "markdown" and bool(
        re.search(r"(?m)^\*Figure \d+\. .+", source(cell))
    )


@each_chapter
def test_was_run_from_top_to_bottom(path: Path) -> None:
    counts = [cell["execution_count"] for cell in cells(path, "code")]
    assert counts == list(range(1, len(counts) + 1))


@each_chapter
def test_has_the_outputs_it_should_have(path: Path) -> None:
    silent = [
        cell["id"] for cell in cells(path, "code") if speaks(source(cell)) and not cell["outputs"]
    ]
    assert not silent


@each_chapter
def test_errors_stand_where_they_are_meant_and_nowhere_else(path: Path) -> None:
    for cell in cells(path, "code"):
        kinds = {output["output_type"] for output in cell["outputs"]}
        assert ("error" in kinds) == ("raises-exception" in tags(cell)), cell["id"]
        for output in cell["outputs"]:
            assert output.get("name") != "stderr", f"{cell['id']}: {output['text']}"


@each_chapter
def test_every_check_came_out_true(path: Path) -> None:
    checks = {name(cell): "".join(texts(cell)) for cell in cells(path, "code")}
    ignored = {name(cell) for cell in cells(path, "code") if "nbval-ignore-output" in tags(cell)}
    assert not ignored & {"validate", "check"}
    assert ": True" in checks["validate"], "validate checks nothing"
    assert "✓ " in checks["check"] or ": True" in checks["check"], "check checks nothing"
    wrong = [name for name, text in checks.items() if re.search(r": False\b", text)]
    assert not wrong


@each_chapter
def test_everything_after_the_validations_heading_says_something(path: Path) -> None:
    """Until the next heading, every code cell prints what it found, or shows it."""
    inside = False
    for cell in cells(path):
        if cell["cell_type"] == "markdown" and re.search(r"(?m)^##? ", source(cell)):
            inside = bool(re.search(r"(?m)^## Is it right\?", source(cell)))
        elif inside and cell["cell_type"] == "code":
            assert cell["outputs"], cell["id"]


@each_chapter
def test_has_the_parts_of_a_chapter(path: Path) -> None:
    text = "\n".join(map(source, cells(path, "markdown")))
    assert re.match(rf"# {number(path)} · \S", text)
    for part in ("**Goal.**", "## Is it right?", "## Exercise", "## What can go wrong"):
        assert part in text, part
    assert any("mg.teach.predict(" in source(cell) for cell in cells(path, "code"))


@each_chapter
def test_exercises_are_asked_marked_and_checked(path: Path) -> None:
    """A solution stands in a cell with the tag, and every registered exercise is asked for once, by
    its full name.
    """
    asked: list[str] = []
    for cell in cells(path, "code"):
        asked += re.findall(r'mg\.teach\.check\(\s*"([^"]+)"', source(cell))
        assert (book.BEGIN in source(cell)) == ("exercise" in tags(cell)), cell["id"]
        if "exercise" in tags(cell):
            assert "mg.teach.check(" in source(cell), cell["id"]
    assert asked and sorted(asked) == [
        name for name in sorted(exercises()) if name.startswith(f"{number(path)}/")
    ]


@each_chapter
def test_only_marked_cells_need_what_the_student_writes(path: Path) -> None:
    missing: set[str] = set()
    for cell in book.student_version(path).cells:
        if cell.cell_type != "code":
            continue
        tree = ast.parse(re.sub(r"(?m)^%.*$", "", cell.source))
        names = [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
        bound = {n.id for n in names if isinstance(n.ctx, ast.Store)}
        used = {n.id for n in names if isinstance(n.ctx, ast.Load)} & missing - bound
        if "exercise" in tags(cell):
            parts = [(part, ast.get_source_segment(cell.source, part)) for part in tree.body]
            missing |= bound | {
                part.name
                for part, text in parts
                if isinstance(part, ast.FunctionDef | ast.ClassDef) and book.TURN in str(text)
            }
        elif "needs-answer" in tags(cell):
            assert used, f"{cell.id}: nothing is needed"
            missing |= bound
        else:
            assert not used, f"{cell.id} needs {used}"
            missing -= bound


@each_chapter
def test_magic_is_of_a_kind_that_is_known_to_work(path: Path) -> None:
    found = {
        line
        for cell in cells(path, "code")
        for line in source(cell).splitlines()
        if line.startswith(("%", "!"))
    }
    assert found <= MAGIC  # a broken line of magic passes nbval in silence


@each_chapter
def test_says_nothing_about_this_machine(path: Path) -> None:
    for cell in cells(path):
        for text in [source(cell), *(texts(cell) if cell["cell_type"] == "code" else ())]:
            found = LOCAL.search(text)
            assert not found, f"{cell['id']}: {found}"


@each_chapter
def test_pictures_have_captions(path: Path) -> None:
    order = cells(path)
    for i, cell in enumerate(order):
        if has_picture(cell):
            near = [c for c in order[max(0, i - 2) : i + 3] if c["cell_type"] == "markdown"]
            assert any(has_caption(c) for c in near), (
                f"{cell['id']}: a line that begins with *Figure 1. was expected"
            )
    captions = re.findall(r"(?m)^\*Figure (\d+)\.", "\n".join(map(source, cells(path, "markdown"))))
    numbers = range(1, sum(map(has_picture, order)) + 1)
    assert [int(n) for n in captions] == list(numbers), "a numbered caption for each picture"


@each_chapter
def test_nothing_is_said_twice(path: Path) -> None:
    paragraphs = [
        p for cell in cells(path, "markdown") for p in source(cell).split("\n\n") if len(p) > 60
    ]
    assert len(set(paragraphs)) == len(paragraphs)


@each_chapter
def test_cells_have_lasting_names(path: Path) -> None:
    names = [cell["id"] for cell in cells(path)]
    assert len(set(names)) == len(names)
    prefix = path.name.split("-")[0]
    odd = [name for name in names if not re.fullmatch(rf"{prefix}-[a-z]+(-[a-z]+)*", name)]
    assert not odd


@each_chapter
def test_file_is_small_and_clean(path: Path) -> None:
    assert path.stat().st_size < MOST_BYTES
    notebook = json.loads(path.read_text("utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert notebook["metadata"]["language_info"] == {"name": "python"}
    assert not [cell["id"] for cell in notebook["cells"] if set(cell["metadata"]) - {"tags"}], (
        "metadata besides tags"
    )
    assert not [cell["id"] for cell in notebook["cells"] if set(tags(cell)) - TAGS], (
        "tags that nobody reads"
    )


@each_chapter
def test_cleaning_would_change_nothing(path: Path) -> None:
    exporters = pytest.importorskip("nbconvert.exporters")
    loader = pytest.importorskip("traitlets.config.loader")
    config = loader.PyFileConfigLoader(str(FOLDER / "nbconvert_config.py")).load_config()
    config.NotebookExporter.preprocessors.pop()  # which stores drawings
    text, _ = exporters.NotebookExporter(config=config).from_filename(str(path))
    assert path.read_text("utf-8") == text.rstrip("\n") + "\n", "minigrad chapters clean"


def test_the_table_names_the_chapters_as_they_name_themselves() -> None:
    table = (FOLDER / "README.md").read_text("utf-8")
    assert book.chosen() == CHAPTERS
    for path, (n, title, file, _) in zip(CHAPTERS, book.rows(), strict=True):
        assert source(cells(path)[0]).splitlines()[0] == f"# {n} · {title}"
        assert f"| {n} | [{title}]({file}) |" in table


def test_all_chapters_together_are_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) < MOST_IN_ALL
