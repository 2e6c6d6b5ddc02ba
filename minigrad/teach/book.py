"""The chapters as files: their list, student versions without solutions, running and checking."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..distribution import install_hint
from ..files import write_atomically

#: drawings that the README shows: file in figures/ -> id of the cell that makes it
SHOWN = {"chapter-1.svg": "01-draw", "chapter-2.svg": "02-three", "chapter-4.svg": "04-dead"}
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
TURN = "your turn"
_READ = re.compile(r'"(\.\./[\w./-]+)"')
_ROW = re.compile(r"\| (\d+) \| (?:\[(?P<link>[^]]+)\]\(\S+\)|(?P<plain>[^|]+?)) \|.*\| (\d+) \|$")


@dataclass(frozen=True)
class Chapter:
    """A chapter: number, title, minutes that a class needs, and notebook (None: planned)."""

    number: int
    title: str
    minutes: int
    path: Path | None


def root() -> Path:
    """The folder with `notebooks/` and `figures/`: in the installed package, or the checkout.

    Raises `FileNotFoundError` where neither has them.
    """
    for place in (_packaged(), Path(__file__).parents[2]):
        if (place / "notebooks" / "README.md").exists():
            return place
    raise FileNotFoundError(
        f"the chapters are not part of the installed package; {install_hint()} brings them, "
        "and so does a checkout with `pip install -e .` in it"
    )


def folder() -> Path:
    """Where the notebooks are."""
    return root() / "notebooks"


def installed() -> bool:
    """Are the chapters part of an installed package? Then they may be copied, but not changed."""
    return root() == _packaged()


def _packaged() -> Path:
    return Path(__file__).parents[1] / "chapters"  # pyproject.toml: sources


def chapters() -> list[Chapter]:
    """All chapters, with title and minutes from the table in `notebooks/README.md`."""
    found = []
    for line in (folder() / "README.md").read_text(encoding="utf-8").splitlines():
        if row := _ROW.match(line):
            number = int(row[1])
            path = next(iter(folder().glob(f"{number:02d}-*.ipynb")), None)
            found.append(Chapter(number, row["link"] or row["plain"], int(row[4]), path))
    return found


def chosen(numbers: Sequence[int] = ()) -> list[Path]:
    """The notebooks of these chapters, or of all. Raises `ValueError` for an unknown number."""
    paths = {chapter.number: chapter.path for chapter in chapters() if chapter.path is not None}
    for number in numbers:
        if number not in paths:
            raise ValueError(
                f"chapters: there is no chapter {number}; there is {', '.join(map(str, paths))}"
            )
    return [paths[number] for number in numbers or paths]


# ---------------- versions
def student_version(path: Path) -> Any:
    """The notebook (`nbformat.NotebookNode`) without solutions and outputs."""
    notebook = _read(path)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.update(source=without_solutions(cell.source), outputs=[], execution_count=None)
    return notebook


def _read(path: Path) -> Any:
    import nbformat

    return nbformat.read(path, as_version=4)


def write_versions(
    out: Path, numbers: Sequence[int] = (), *, solutions: bool = False
) -> Iterable[Path]:
    """Write these chapters into a folder: without solutions and outputs, or with `solutions` whole.

    Files that a chapter reads from other folders are copied into the same folder, and read there.
    """
    import nbformat

    out.mkdir(parents=True, exist_ok=True)
    if out.resolve() == folder().resolve():
        raise ValueError(
            "chapters: this would overwrite the chapters themselves; another folder was expected"
        )
    for path in chosen(numbers):
        notebook = _read(path) if solutions else student_version(path)
        for cell in notebook.cells:
            for name in _READ.findall(cell.source) if cell.cell_type == "code" else ():
                write_atomically(out / Path(name).name, (folder() / name).read_bytes())
                cell.source = cell.source.replace(f'"{name}"', f'"{Path(name).name}"')
        text = nbformat.writes(notebook)
        write_atomically(out / path.name, (text + "\n").encode())
        yield out / path.name


def without_solutions(source: str) -> str:
    """The source of a cell with a stub in place of each solution between two marks.

    The stub sets each name that the rest of the cell reads to `...  # your turn`; in a function it
    raises an error that says "your turn". Raises `ValueError` for marks that are not in pairs.
    """
    lines = source.split("\n")
    marks = [(i, line.strip()) for i, line in enumerate(lines) if line.strip() in (BEGIN, END)]
    if [mark for _, mark in marks] != [BEGIN, END] * (len(marks) // 2):
        raise ValueError(f"solution: {BEGIN!r} and {END!r} were expected in turn")
    places = [i for i, _ in marks]
    for begin, end in reversed(list(zip(places[::2], places[1::2], strict=True))):
        indent = lines[begin][: len(lines[begin]) - len(lines[begin].lstrip())]
        solution = textwrap.dedent("\n".join(lines[begin + 1 : end]))
        stub = (
            [f'raise NotImplementedError("{TURN}")']
            if indent
            else _stub(solution, "\n".join(lines[end + 1 :]))
        )
        lines[begin : end + 1] = [indent + line for line in stub]
    return "\n".join(lines)


def _stub(solution: str, rest: str) -> list[str]:
    """The lines in place of a solution: each name that the rest of the cell reads, no value yet."""
    needed = {
        node.id
        for node in ast.walk(_parsed(rest))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    lines: dict[str, list[str]] = {}
    for statement in _parsed(solution).body:
        if isinstance(statement, ast.FunctionDef) and statement.name in needed:
            head = f"def {statement.name}({ast.unparse(statement.args)}):"
            lines[statement.name] = [head, f'    raise NotImplementedError("{TURN}")', "", ""]
        elif not isinstance(statement, ast.FunctionDef):
            for node in ast.walk(statement):
                if (
                    isinstance(node, ast.Name)
                    and isinstance(node.ctx, ast.Store)
                    and node.id in needed
                ):
                    lines[node.id] = [f"{node.id} = ...  # {TURN}"]
    return [line for stub in lines.values() for line in stub] or [f"...  # {TURN}"]


def _parsed(code: str) -> ast.Module:
    return ast.parse(re.sub(r"(?m)^[%!].*$", "", code))


# ---------------- running
def stored(path: Path, *, execute: bool) -> str:
    """The notebook as it is stored, cleaned by `notebooks/nbconvert_config.py`, perhaps run first.

    Raises `nbclient.exceptions.CellExecutionError` where a cell fails.
    """
    from nbconvert.exporters import NotebookExporter
    from traitlets.config.loader import PyFileConfigLoader

    config = PyFileConfigLoader(str(folder() / "nbconvert_config.py")).load_config()
    config.ExecutePreprocessor.enabled = execute
    exporter = NotebookExporter(config=config)
    text = str(exporter.from_filename(str(path))[0])
    return text.rstrip("\n") + "\n"


def clean(path: Path) -> None:
    """Run a chapter, store it cleaned, and store its drawings for the README.

    Nothing is changed where a cell fails. Raises `ValueError` in an installed package.
    """
    if installed():
        raise ValueError(
            "chapters: clean changes the chapters themselves; that needs a checkout, with `pip "
            "install -e .` in it"
        )
    write_atomically(path, stored(path, execute=True).encode())
    for name, svg in pictures(path).items():
        write_atomically(folder().parent / "figures" / name, svg.encode())


def pictures(path: Path) -> dict[str, str]:
    """The drawings of a chapter that the README shows, by file name."""
    cells = {cell.get("id"): cell for cell in _read(path).cells}
    return {
        name: next(
            output.data["image/svg+xml"] for output in cells[cell].outputs if "data" in output
        )
        for name, cell in SHOWN.items()
        if cell in cells
    }


def verify(numbers: Sequence[int] = ()) -> int:
    """Run chapters and compare their output with the stored one; returns pytest's exit code."""
    _need("nbval", "test")
    options = "--nbval --nbval-cell-timeout=300 -p no:cacheprovider -v --import-mode=importlib"
    return _run(root(), "pytest", *options.split(), "-o", "addopts=", *map(str, chosen(numbers)))


def open_lab(number: int | None, out: Path) -> int:
    """Open JupyterLab at a chapter, or at the folder; returns its exit code.

    The chapters of an installed package are copied to `out` first.
    """
    _need("jupyterlab", "notebooks")
    name = "" if number is None else chosen([number])[0].name
    place = copies(out) if installed() else folder()
    return _run(place, "jupyterlab", str(place / name))


def _run(folder: Path, module: str, *arguments: str) -> int:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=folder, check=False).returncode


def copies(out: Path) -> Path:
    """Copy chapters to a folder to work in, except those already there; returns its full path."""
    for chapter in chapters():
        if chapter.path is not None and not (out / chapter.path.name).exists():
            list(write_versions(out, [chapter.number], solutions=True))
    return out.resolve()


def _need(module: str, extra: str) -> None:
    if find_spec(module) is None:
        raise FileNotFoundError(f"{module} is not installed; {install_hint(extra)} brings it")
