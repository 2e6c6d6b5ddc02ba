"""The gallery: every kind of picture, made by the lines that are printed beside it.

`minigrad gallery` runs the code in `gallery.md` and writes the page with its pictures; `--out
figures` updates the stored ones. A section begins with lines for all its pictures; each picture
has a heading, lines of which the last is an expression, and a placeholder with its name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from . import viz
from .errors import DataError
from .files import write_atomically

START = "import minigrad as mg\nimport numpy as np\nfrom minigrad import models, nn\n"
TEXT = Path(__file__).with_name("gallery.md").read_text(encoding="utf-8")
_PICTURE = r"!\[\]\(gallery-([\w-]+)\.svg\)"
_BLOCK = re.compile(rf"^(##+) ([^\n]+)\n\n```python\n(.+?)```\n(?:\n{_PICTURE})?", re.M | re.S)


class Plate(NamedTuple):
    """A picture: file name, title, and the code that makes it, the last line an expression."""

    name: str
    title: str
    code: str


class Section(NamedTuple):
    """Pictures whose code begins with the same lines."""

    title: str
    code: str
    plates: list[Plate]


def sections() -> list[Section]:
    """The sections of `gallery.md`."""
    found: list[Section] = []
    for level, title, code, name in _BLOCK.findall(TEXT):
        if level == "##":
            found.append(Section(title, code, []))
        else:
            found[-1].plates.append(Plate(name, title, code))
    return found


def gallery(out: Path, *, only: Iterable[str] = (), say: Callable[[str], None] = print) -> None:
    """Make the page and all its pictures, or those of sections with a word of `only` in the title.

    The page is written only with all of them. A section whose data are not available is left out,
    with a message.
    """
    out.mkdir(parents=True, exist_ok=True)
    chosen = [
        s for s in sections() if not only or any(word.lower() in s.title.lower() for word in only)
    ]
    shown: dict[str, str] = {}
    for section in chosen:
        say(section.title)
        try:
            shown |= {plate.name: keep(thing, plate, out) for plate, thing in made(section)}
        except DataError as error:
            say(f"  left out: {error}")
    if len(chosen) == len(sections()):
        write_atomically(out / "README.md", page(shown).encode())
    say(f"the gallery is in {out}/")


def made(section: Section) -> Iterator[tuple[Plate, Any]]:
    """Each plate of a section with the value of its last line."""
    names: dict[str, Any] = {}
    exec(compile(START + section.code, section.title, "exec"), names)
    for plate in section.plates:
        lines = ast.parse(plate.code)
        last = lines.body.pop()
        assert isinstance(last, ast.Expr)
        exec(compile(lines, plate.name, "exec"), names)
        yield plate, eval(compile(ast.Expression(last.value), plate.name, "eval"), names)


def keep(thing: Any, plate: Plate, out: Path) -> str:
    """Save a picture; returns the Markdown that shows it (of a table, the table)."""
    if hasattr(thing, "_repr_markdown_"):
        return str(thing._repr_markdown_())
    file = f"gallery-{plate.name}.svg"
    if hasattr(thing, "savefig"):
        viz.save_figure(thing, out / file)
    else:
        thing.save(out / file)
    safe = thing.description.replace("[", "(").replace("]", ")")
    return f"![{' '.join(safe.split())}]({file})"


def page(shown: Mapping[str, str]) -> str:
    """The gallery as Markdown, with what `keep` returned for each plate."""
    introduction, *parts = re.split(r"^(?=## )", TEXT, flags=re.M)
    kept = [
        part
        for part, section in zip(parts, sections(), strict=True)
        if any(plate.name in shown for plate in section.plates)
    ]
    text = "".join([introduction, *kept])
    return re.sub(_PICTURE, lambda match: shown[match[1]], text)
