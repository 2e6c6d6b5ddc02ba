"""The chapters as files: their list, versions for students and instructors, checks."""

from __future__ import annotations

import re
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..distribution import NAME, install_hint
from ..files import write_atomically

#: actions of `minigrad chapters` that run a Python module: the module, its extra, and options
PROGRAMS = {
    "open": ("jupyterlab", "notebooks", ""),
    "check": (
        "pytest",
        "test",
        "--nbval --nbval-cell-timeout=300 -p no:cacheprovider -v --import-mode=importlib "
        "-o addopts=",
    ),
    "clean": (
        "nbconvert",
        "notebooks",
        "--to=notebook --execute --inplace --config=nbconvert_config.py",
    ),
}
ACTIONS = ("list", "student", "instructor", "figures", *PROGRAMS)
INSTALL = f"""\
# Installs minigrad where it is missing: from the folder around this one, or from the index.
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("minigrad") is None:
    around = [p for p in Path.cwd().parents if (p / "minigrad/PACKAGE.md").is_file()]
    what = f"{{around[0]}}[notebooks]" if around else "{NAME}[notebooks]"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", what], check=True)"""
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
TURN = "your turn"
_SOLUTION = re.compile(rf"(?ms)^( *){BEGIN}\n(.*?)^ *{END}$")
_READ = re.compile(r'"(\.\./[\w./-]+)"')
_CAPTION = re.compile(r"(?m)^\*Figure (\d+)\. ")
_ROW = re.compile(r"(?m)^\| (\w+) \| \[(.+?)\]\((.+?)\) \|.*\| (\d+) \|$")


def folder() -> Path:
    """Where the notebooks are: in the installed package, or in the checkout.

    Raises `FileNotFoundError` where neither has them.
    """
    package = Path(__file__).parents[1]
    for place in (package / "chapters", package.parent):  # pyproject.toml: sources
        if (place / "notebooks" / "README.md").exists():
            return place / "notebooks"
    raise FileNotFoundError(
        f"the chapters are not part of the installed package; {install_hint()} brings them, "
        "and so does a checkout with `pip install -e .` in it"
    )


def installed() -> bool:
    """Are the chapters part of an installed package? Then they may be copied, but not changed."""
    return folder().parent.name == "chapters"


def rows() -> list[tuple[str, str, str, str]]:
    """Number, title, file and minutes of each chapter, from the table in `notebooks/README.md`."""
    return _ROW.findall((folder() / "README.md").read_text(encoding="utf-8"))


def chosen(numbers: Sequence[str] = ()) -> list[Path]:
    """The notebooks of these chapters, or of all. Raises `ValueError` for an unknown one."""
    paths = {number: folder() / file for number, _, file, _ in rows()}
    for number in numbers:
        if number not in paths:
            raise ValueError(f"chapters: there is no chapter {number}; there is {', '.join(paths)}")
    return [paths[number] for number in numbers or paths]


# ---------------- versions
def read(path: Path) -> Any:
    """The notebook as `nbformat.NotebookNode`."""
    import nbformat

    return nbformat.read(path, as_version=4)


def student_version(path: Path) -> Any:
    """The notebook without solutions and outputs; its first cell installs minigrad if need be."""
    import nbformat

    notebook = read(path)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.update(source=without_solutions(cell.source), outputs=[], execution_count=None)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(INSTALL, id="install"))
    return notebook


def without_solutions(source: str) -> str:
    """The source of a cell with a stub in place of each solution between two marks.

    The stub sets each name that the rest of the cell reads to `...  # your turn`; between marks in
    the body of a function it raises an error that says "your turn". Raises `ValueError` for marks
    that are not in pairs.
    """

    def stub(found: re.Match[str]) -> str:
        indent, solution = found.groups()
        if indent:
            return f'{indent}raise NotImplementedError("{TURN}")'
        names = ", ".join(re.findall(r"(?m)^(\w+(?:, \w+)*) =", solution)).split(", ")
        rest = source[found.end() :]
        needed = [name for name in names if name and re.search(rf"\b{name}\b", rest)]
        return "\n".join(f"{name} = ...  # {TURN}" for name in needed) or f"...  # {TURN}"

    made, pairs = _SOLUTION.subn(stub, source)
    if {source.count(BEGIN), source.count(END)} != {pairs}:
        raise ValueError(f"solution: {BEGIN!r} and {END!r} were expected in turn")
    return made


def write(version: Callable[[Path], Any], paths: Iterable[Path], out: Path) -> None:
    """Write chapters into a folder, as `read` or `student_version` gives them.

    Files that a chapter reads from other folders are copied into the same folder, and read there.
    """
    import nbformat

    if out.resolve() == folder().resolve():
        raise ValueError(
            "chapters: this would overwrite the chapters themselves; another folder was expected"
        )
    for path in paths:
        notebook = version(path)
        for cell in notebook.cells:
            for name in _READ.findall(cell.source) if cell.cell_type == "code" else ():
                write_atomically(out / Path(name).name, (folder() / name).read_bytes())
                cell.source = cell.source.replace(f'"{name}"', f'"{Path(name).name}"')
        write_atomically(out / path.name, (nbformat.writes(notebook) + "\n").encode())
        print(f"wrote {out / path.name}")


def write_figures(paths: Iterable[Path], out: Path) -> None:
    """Write the figures that chapters have stored, as SVG or PNG, named by chapter and figure."""
    for path in paths:
        waiting: list[tuple[str, bytes]] = []
        for cell in read(path).cells:
            for output in cell.get("outputs", ()):
                data = output.get("data", {})
                if "image/svg+xml" in data:
                    waiting.append((".svg", data["image/svg+xml"].encode()))
                elif "image/png" in data:
                    waiting.append((".png", b64decode(data["image/png"])))
            figures = _CAPTION.findall(cell.source) if cell.cell_type == "markdown" else []
            if not figures:
                continue
            if len(figures) != len(waiting):
                figures = [f"{figures[0]}{part}" for part in "abcdefgh"]
            for (suffix, image), figure in zip(waiting, figures, strict=False):
                name = f"{path.stem.partition('-')[0]}-figure-{figure}{suffix}"
                write_atomically(out / name, image)
                print(f"wrote {out / name}")
            waiting = []


# ---------------- the command
def chapters(action: str, numbers: list[str], out: Path) -> int | None:
    """Do an action of `ACTIONS` with these chapters, or all. Returns an exit code."""
    if action in PROGRAMS:
        return _run(action, numbers, out)
    if action == "list":
        for number, title, file, minutes in rows():
            print(f"{number:>2}  {title:30}{minutes:>4} minutes  {folder() / file}")
    elif action == "figures":
        write_figures(chosen(numbers), out)
    else:
        write(student_version if action == "student" else read, chosen(numbers), out)
    return None


def _run(action: str, numbers: list[str], out: Path) -> int:
    """Run a program with chapters; returns its exit code.

    The chapters of an installed package are copied to `out` to be opened, except those already
    there; storing them is a `ValueError`. A chapter with a cell that fails is not stored.
    """
    module, extra, options = PROGRAMS[action]
    place, paths = folder(), chosen(numbers)
    if find_spec(module) is None:
        raise FileNotFoundError(f"{module} is not installed; {install_hint(extra)} brings it")
    if action == "clean" and installed():
        raise ValueError(
            "chapters: clean changes the chapters themselves; that needs a checkout, with `pip "
            "install -e .` in it"
        )
    if action == "open":
        if installed():
            place = out.resolve()
            write(read, [path for path in chosen() if not (out / path.name).exists()], out)
        paths = [place / paths[0].name if numbers else place]
    command = [sys.executable, "-m", module, *options.split(), *map(str, paths)]
    return subprocess.run(command, cwd=place, check=False).returncode
