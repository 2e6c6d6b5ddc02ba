"""What nbval lets pass in silence: no outputs, the wrong order, warnings, paths, pictures without a caption."""
from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
CHAPTERS = sorted(FOLDER.glob("*.ipynb"))
MOST_BYTES = 400_000
LOCAL = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|Users|private|mnt|opt|usr|var)/|\b[A-Z]:\\|\b0x[0-9a-f]{6,}")

Cell = dict[str, Any]

pytestmark = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def cells(path: Path, kind: str | None = None) -> list[Cell]:
    found: list[Cell] = json.loads(path.read_text("utf-8"))["cells"]
    return [cell for cell in found if kind in (None, cell["cell_type"])]


def source(cell: Cell) -> str:
    return "".join(cell["source"])


def texts(cell: Cell) -> list[str]:
    """What the cell's outputs say in words."""
    plain = [output["data"].get("text/plain", "") for output in cell["outputs"] if "data" in output]
    return ["".join(text) for text in [*(output.get("text", "") for output in cell["outputs"]), *plain]]


def speaks(code: str) -> bool:
    """Does this code leave an output: does it print, or end in an expression?"""
    tree = ast.parse(re.sub(r"(?m)^%.*$", "", code))
    prints = any(isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "print" for n in ast.walk(tree))
    return prints or (bool(tree.body) and isinstance(tree.body[-1], ast.Expr) and not code.rstrip().endswith(";"))


def has_picture(cell: Cell) -> bool:
    return any(kind.startswith("image/") for output in cell.get("outputs", ()) for kind in output.get("data", ()))


def has_caption(cell: Cell) -> bool:
    return cell["cell_type"] == "markdown" and bool(re.search(r"(?m)^\*Figure \d+\. .+", source(cell)))


def test_was_run_from_top_to_bottom(path: Path) -> None:
    counts = [cell["execution_count"] for cell in cells(path, "code")]
    assert counts == list(range(1, len(counts) + 1))


def test_has_the_outputs_it_should_have(path: Path) -> None:
    silent = [cell["id"] for cell in cells(path, "code") if speaks(source(cell)) and not cell["outputs"]]
    assert not silent


def test_has_no_error_and_no_warning(path: Path) -> None:
    for cell in cells(path, "code"):
        for output in cell["outputs"]:
            assert output["output_type"] != "error", cell["id"]
            assert output.get("name") != "stderr", f"{cell['id']}: {output['text']}"


def test_every_check_came_out_true(path: Path) -> None:
    checks = {cell["id"][3:]: "".join(texts(cell)) for cell in cells(path, "code")}
    for name in ("validate", "check"):
        assert ": True" in checks[name], f"{name} checks nothing"
    wrong = [name for name, text in checks.items() if re.search(r": False\b", text)]
    assert not wrong


def test_says_nothing_about_this_machine(path: Path) -> None:
    for cell in cells(path):
        for text in [source(cell), *(texts(cell) if cell["cell_type"] == "code" else ())]:
            found = LOCAL.search(text)
            assert not found, f"{cell['id']}: {found}"


def test_pictures_have_captions(path: Path) -> None:
    order = cells(path)
    for i, cell in enumerate(order):
        if has_picture(cell):
            near = [c for c in order[max(0, i - 2) : i + 3] if c["cell_type"] == "markdown"]
            assert any(has_caption(c) for c in near), f"{cell['id']}: a line that begins with *Figure 1. was expected"
    captions = re.findall(r"(?m)^\*Figure (\d+)\.", "\n".join(map(source, cells(path, "markdown"))))
    numbers = range(1, sum(map(has_picture, order)) + 1)
    assert [int(n) for n in captions] == list(numbers), "a numbered caption for each picture"


def test_cells_have_lasting_names(path: Path) -> None:
    names = [cell["id"] for cell in cells(path)]
    assert len(set(names)) == len(names)
    odd = [name for name in names if not re.fullmatch(rf"{path.name[:2]}-[a-z]+(-[a-z]+)*", name)]
    assert not odd


def test_file_is_small_and_clean(path: Path) -> None:
    assert path.stat().st_size < MOST_BYTES
    notebook = json.loads(path.read_text("utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert notebook["metadata"]["language_info"] == {"name": "python"}
    assert not [cell["id"] for cell in notebook["cells"] if set(cell["metadata"]) - {"tags"}], "metadata besides tags"
    assert not [cell["id"] for cell in notebook["cells"] if "nbval-skip" in cell["metadata"].get("tags", ())], "not tested"
