"""The chapters as files: which there are, student versions without solutions, and how they are run,
cleaned and checked.
"""

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

#: drawings that the README shows: file in figures/ -> the cell that makes it
SHOWN = {"chapter-1.svg": "01-draw", "chapter-2.svg": "02-three", "chapter-4.svg": "04-dead"}
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
TURN = "your turn"
_READ = re.compile(r'"(\.\./[\w./-]+)"')
_ROW = re.compile(r"\| (\d+) \| (?:\[(?P<link>[^]]+)\]\(\S+\)|(?P<plain>[^|]+?)) \|.*\| (\d+) \|$")


@dataclass(frozen=True)
class Chapter:
    """A chapter: its number, its title, about how many minutes a class needs, and its notebook
    (None: only planned).
    """

    number: int
    title: str
    minutes: int
    path: Path | None


def root() -> Path:
    """The folder with `notebooks/` and the files in `figures/` that they read: within the package
    that a wheel has installed, or the checkout. Raises `FileNotFoundError` where neither has them.
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
    """Are the chapters part of an installed package? Then they are read, and copied, but not
    changed.
    """
    return root() == _packaged()


def _packaged() -> Path:
    return Path(__file__).parents[1] / "chapters"  # pyproject.toml: sources


def chapters() -> list[Chapter]:
    """All chapters, in the order of the table in `notebooks/README.md`, which says title and
    minutes.
    """
    found = []
    for line in (folder() / "README.md").read_text(encoding="utf-8").splitlines():
        if row := _ROW.match(line):
            number = int(row[1])
            path = next(iter(folder().glob(f"{number:02d}-*.ipynb")), None)
            found.append(Chapter(number, row["link"] or row["plain"], int(row[4]), path))
    return found


def chosen(numbers: Sequence[int] = ()) -> list[Path]:
    """The notebooks of these chapters; of none given, all. Raises `ValueError` for a chapter that
    is not there.
    """
    paths = {chapter.number: chapter.path for chapter in chapters() if chapter.path is not None}
    for number in numbers:
        if number not in paths:
            raise ValueError(
                f"chapters: there is no chapter {number}; there is {', '.join(map(str, paths))}"
            )
    return [paths[number] for number in numbers or paths]


# ---------------- versions
def student_version(path: Path) -> Any:
    """The notebook (`nbformat.NotebookNode`) without solutions and without outputs: nothing is seen
    before it is run.

    What stood between the two marks gives way to `name = ...  # your turn` for each name that the rest of the cell needs,
    or, in a function, to an error that says "your turn".
    """
    import nbformat
    from nbconvert.preprocessors import ClearOutputPreprocessor

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = without_solutions(cell.source)
    made, _ = ClearOutputPreprocessor().preprocess(notebook, {})
    return made


def write_versions(
    out: Path, numbers: Sequence[int] = (), *, solutions: bool = False
) -> Iterable[Path]:
    """Write the student's version of these chapters into a folder (or, with `solutions`, the
    instructor's).

    Files that a chapter reads from the folders beside its own are put into the same folder, and
    read from there.
    """
    import nbformat

    out.mkdir(parents=True, exist_ok=True)
    if out.resolve() == folder().resolve():
        raise ValueError(
            "chapters: the folder of the chapters themselves would be written over; another one "
            "was expected"
        )
    for path in chosen(numbers):
        notebook = nbformat.read(path, as_version=4) if solutions else student_version(path)
        for cell in notebook.cells:
            for name in _READ.findall(cell.source) if cell.cell_type == "code" else ():
                write_atomically(out / Path(name).name, (folder() / name).read_bytes())
                cell.source = cell.source.replace(f'"{name}"', f'"{Path(name).name}"')
        write_atomically(out / path.name, (nbformat.writes(notebook) + "\n").encode())
        yield out / path.name


def without_solutions(source: str) -> str:
    """The source of a cell with each solution replaced. Raises `ValueError` where the marks do not
    come in pairs.
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
    """What stands in for a solution: each name that the rest of the cell reads, still without a
    value.
    """
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
    """The notebook as it is to be stored, after running it or not: clean, by
    `notebooks/nbconvert_config.py`.

    Raises `nbclient.exceptions.CellExecutionError` where a cell fails.
    """
    from nbconvert.exporters import NotebookExporter
    from traitlets.config import PyFileConfigLoader

    config = PyFileConfigLoader(str(folder() / "nbconvert_config.py")).load_config()
    config.ExecutePreprocessor.enabled = execute
    text, _ = NotebookExporter(config=config).from_filename(str(path))
    return text.rstrip("\n") + "\n"


def clean(path: Path) -> None:
    """Run a chapter from top to bottom and store it clean, and what the README shows of it. Nothing
    is changed where a cell fails, nor in an installed package (`ValueError`).
    """
    if installed():
        raise ValueError(
            "chapters: clean changes the chapters themselves; that takes a checkout with `pip "
            "install -e .` in it"
        )
    write_atomically(path, stored(path, execute=True).encode())
    for name, svg in pictures(path).items():
        write_atomically(folder().parent / "figures" / name, svg.encode())


def pictures(path: Path) -> dict[str, str]:
    """The drawings of a chapter that the README shows, by file name."""
    import nbformat

    cells = {cell.get("id"): cell for cell in nbformat.read(path, as_version=4).cells}
    return {
        name: next(
            output.data["image/svg+xml"] for output in cells[cell].outputs if "data" in output
        )
        for name, cell in SHOWN.items()
        if cell in cells
    }


def verify(numbers: Sequence[int] = ()) -> int:
    """Run chapters and compare all that they say with what is stored (`pytest --nbval`); returns
    pytest's exit code.
    """
    _need("nbval", "test")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval",
        "--nbval-cell-timeout=300",
        "-p",
        "no:cacheprovider",
        "-v",
        "--import-mode=importlib",
        "-o",
        "addopts=",
        *map(str, chosen(numbers)),
    ]
    return subprocess.run(command, cwd=root(), check=False).returncode


def open_lab(number: int | None, out: Path) -> int:
    """Open JupyterLab at a chapter, or at the folder; returns its exit code. Of an installed
    package, copies in `out`.
    """
    _need("jupyterlab", "notebooks")
    name = "" if number is None else chosen([number])[0].name
    place = copies(out) if installed() else folder()
    return subprocess.run(
        [sys.executable, "-m", "jupyterlab", str(place / name)], cwd=place, check=False
    ).returncode


def copies(out: Path) -> Path:
    """Copy the chapters to a folder to work in; a chapter that is there stays as it is. Returns the
    folder's full path.
    """
    missing = [
        c.number for c in chapters() if c.path is not None and not (out / c.path.name).exists()
    ]
    for number in missing:
        list(write_versions(out, [number], solutions=True))
    return out.resolve()


def _need(module: str, extra: str) -> None:
    if find_spec(module) is None:
        raise FileNotFoundError(f"{module} is not installed; {install_hint(extra)} brings it")
