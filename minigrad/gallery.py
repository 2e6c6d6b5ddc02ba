"""The gallery: every kind of picture, made by the lines that are printed beside it.

`minigrad gallery` runs the code in `gallery.md` and writes the page with its pictures; `--out
figures` updates the stored ones. A section begins with lines for all its pictures; each picture
has a heading, lines of which the last is an expression, and a placeholder with its name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from . import viz
from .errors import DataError
from .files import write_atomically

START = "import minigrad as mg\nimport numpy as np\nfrom minigrad import models, nn\n"
INTRODUCTION, *SECTIONS = re.split(
    r"(?m)^(?=## )", Path(__file__).with_name("gallery.md").read_text(encoding="utf-8")
)
CODE = re.compile(r"```python\n(.+?)```(?:\n\n!\[\]\((.+?)\))?", re.S)


def gallery(out: Path, *, only: Iterable[str] = ()) -> None:
    """Make the page and all its pictures, or those of sections with a word of `only` in the title.

    The page is written only with all of them. A section whose data are not available is left out,
    with a message.
    """
    out.mkdir(parents=True, exist_ok=True)
    page = INTRODUCTION
    for section in SECTIONS:
        title = section.splitlines()[0].removeprefix("## ")
        if only and not any(word.lower() in title.lower() for word in only):
            continue
        print(title)
        try:
            for file, thing in made(section):
                section = section.replace(f"![]({file})", keep(thing, out / file))
            page += section
        except DataError as error:
            print(f"  left out: {error}")
    if not only:
        write_atomically(out / "README.md", page.encode())
    print(f"the gallery is in {out}/")


def made(section: str) -> Iterator[tuple[str, Any]]:
    """File and value of each picture of a section."""
    names: dict[str, Any] = {}
    exec(START, names)
    for code, file in CODE.findall(section):
        lines = ast.parse(code).body
        last = lines.pop() if file else None
        exec(compile(ast.Module(lines, []), "gallery.md", "exec"), names)
        if isinstance(last, ast.Expr):
            yield file, eval(compile(ast.Expression(last.value), "gallery.md", "eval"), names)


def keep(thing: Any, path: Path) -> str:
    """Save a picture; returns the Markdown that shows it (of a table, the table).

    A page is saved with a still of it, which links to it.
    """
    if hasattr(thing, "_repr_markdown_"):
        return str(thing._repr_markdown_())
    still = getattr(thing, "drawing", thing)
    safe = " ".join(still.description.replace("[", "(").replace("]", ")").split())
    if hasattr(thing, "savefig"):
        viz.save_figure(thing, path)
    else:
        thing.save(path)
    if path.suffix != ".html":
        return f"![{safe}]({path.name})"
    image = path.with_suffix(".svg")
    still.save(image)
    return f"[![{safe}]({image.name})]({path.name})"
