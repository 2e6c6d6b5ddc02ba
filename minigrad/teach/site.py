"""The site: the chapters, the examples, the gallery and the reference as pages that need no server.

`minigrad site` lays the sources out in a temporary folder, and lets Sphinx make the pages: myst-nb
reads the notebooks with their stored outputs, autodoc the docstrings, codeautolink links the names
in code to the reference and back. Mathematics is set by a copy of MathJax; no page asks another
host for anything.
"""

from __future__ import annotations

import ast
import re
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache, reduce
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import minigrad

from ..distribution import install_hint
from ..gallery import START
from . import book

#: the public modules: each is a page of the reference
PAGES = (
    "minigrad",
    "minigrad.nn",
    "minigrad.nn.init",
    "minigrad.optim",
    "minigrad.optim.lr_scheduler",
    "minigrad.random",
    "minigrad.train",
    "minigrad.train.metrics",
    "minigrad.viz",
    "minigrad.data",
    "minigrad.interop",
    "minigrad.sklearn",
    "minigrad.teach",
)
#: what in a docstring is not plain text: examples, bullets, names, other things in backticks, and
#: marks that would be read
WORDS = re.compile(
    r"""(?mx) ^\ *(?:>>>|\.\.\.).*$ | ^\ *\*\  | `(?:(?P<name>[\w.]+)|[^`]+)` (?P<after>(?=\w))?
    | (?P<mark>[*|])"""
)
EXTENSIONS = ("myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode")
CONFIG = {
    "project": "minigrad",
    "html_title": "minigrad",
    "html_theme": "furo",
    "html_show_sphinx": False,
    "html_show_copyright": False,
    "html_copy_source": False,
    "html_css_files": ["minigrad.css"],
    "extensions": [*EXTENSIONS, "sphinx.ext.mathjax", "sphinx_codeautolink"],
    "mathjax_path": "tex-svg.js",
    "myst_enable_extensions": ["amsmath", "dollarmath"],
    "myst_heading_anchors": 3,
    "nb_execution_mode": "off",
    "nb_merge_streams": True,
    "nb_code_prompt_show": "Show the {type}",
    "default_role": "py:obj",
    "autodoc_typehints": "none",
    "codeautolink_concat_default": True,
    "codeautolink_global_preface": START,
    "autodoc_inherit_docstrings": False,
    "suppress_warnings": ["ref.python"],  # a word in backticks that several things are called
}
STYLE = """\
.content { width: 51em }
details:not([class]) { margin: 0 0 1.5rem 2rem; font-size: .9em }
div.math { overflow-x: auto; overflow-y: hidden }
.cell_output pre { white-space: pre-wrap; overflow-wrap: anywhere }
.sphinx-codeautolink-a { border-bottom: 1px dotted var(--color-foreground-muted) }
.sphinx-codeautolink-a:hover { color: var(--color-link) }
.cell_output img, .cell_output svg { max-width: 100% }
body[data-theme=dark] .cell_output img[src$=".png"] { background: white; border-radius: 8px }
"""
HOME = """\
# minigrad

Automatic differentiation to read, to teach with, and to train small networks fast.

```python
import minigrad as mg

x = mg.Variable(2.0, name="x")
y = mg.sin(x**2)
y.backward()
mg.draw(y, title="sin(x²)")
```

![sin(x²): a value above each line, a gradient below it](figures/gallery-sin-x2.svg)

- [The book](notebooks/README.md): {count} chapters to run, with exercises
- [Examples](examples.md): whole trainings, each in one file
- [The gallery](figures/README.md): every kind of picture, with the lines that draw it
- [The reference](reference/minigrad.rst): every public name

```{{toctree}}
:hidden:
:caption: The book
:titlesonly:

notebooks/README
{chapters}
notebooks/glossary
```
```{{toctree}}
:hidden:
:glob:
:caption: For teachers
:titlesonly:

notebooks/teaching/*
```
```{{toctree}}
:hidden:
:caption: More
:titlesonly:

examples
figures/README
```
```{{toctree}}
:hidden:
:caption: Reference
:titlesonly:

{modules}
```
"""


def site(out: Path) -> None:
    """Make the site in a folder; `index.html` is where it begins.

    Raises `FileNotFoundError` where a part of the extra `site` is missing, or the gallery, which an
    installed package does not have.
    """
    if book.installed():
        raise FileNotFoundError(
            "the pictures of the gallery are not installed; a checkout has them"
        )
    for needed in ("sphinx", "furo", "myst_nb", "sphinx_codeautolink", "sphinx-mathjax-offline"):
        if find_spec(needed) is None:
            raise FileNotFoundError(f"{needed} is not installed; {install_hint('site')} brings it")
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        lay_out(source)
        style = Path(folder) / "minigrad.css"
        style.write_text(STYLE, "utf-8")
        config = CONFIG | {"html_static_path": [str(mathjax()), str(style)]}
        with docutils_namespace():
            app = Sphinx(
                source, None, out, Path(folder) / "trees", "html", config, status=None, parallel=2
            )
            app.connect("autodoc-process-docstring", plain)
            app.connect("autodoc-skip-member", foreign)
            app.connect("html-page-context", back)
            app.build()
    print(f"the site begins with {out / 'index.html'}")


def mathjax() -> Path:
    """The one file of MathJax that is needed, which draws with SVG and so has no fonts to load."""
    package = find_spec("sphinx-mathjax-offline")
    assert package and package.origin
    return Path(package.origin).parent / "static" / "mathjax" / "tex-svg.js"


# ---------------- sources
def lay_out(source: Path) -> None:
    """Write all sources of the site into a folder."""
    import nbformat

    notebooks = book.folder()
    for name in ("notebooks", "figures"):
        shutil.copytree(
            notebooks.parent / name,
            source / name,
            ignore=shutil.ignore_patterns("*.py", ".*", "*.ipynb", "*.json"),
        )
    paths = book.chosen()
    for path in paths:
        notebook = book.read(path)
        notebook.cells = [part for cell in notebook.cells for part in parts(cell)]
        (source / "notebooks" / path.name).write_text(nbformat.writes(notebook), "utf-8")
    (source / "examples.md").write_text("".join(examples(notebooks / "examples")), "utf-8")
    (source / "reference").mkdir()
    for page in PAGES:
        (source / "reference" / f"{page}.rst").write_text("\n".join(reference(page)), "utf-8")
    home = HOME.format(
        count=len(paths),
        chapters="\n".join(f"notebooks/{path.stem}" for path in paths),
        modules="\n".join(f"reference/{page}" for page in PAGES),
    )
    (source / "index.md").write_text(home, "utf-8")


def parts(cell: Any) -> list[Any]:
    """A cell of a chapter as the site shows it: an exercise first, then its solution, folded."""
    if cell.cell_type == "code":
        cell.source = re.sub(r"(?m)^%.*\n+", "", cell.source)  # magic
    if book.BEGIN not in cell.source:
        return [cell]
    asked, solved = cell.copy(), cell.copy()
    asked.update(source=book.without_solutions(cell.source), outputs=[], id=f"{cell.id}-asked")
    solved.update(metadata={"tags": ["hide-input"]})
    solved.metadata["mystnb"] = {"code_prompt_show": "Show a solution"}
    return [asked, type(cell)(solved)]


def examples(folder: Path) -> Iterator[str]:
    """The page of the examples: title, file, and the whole code of each."""
    yield "# Examples\n"
    for path in sorted(folder.glob("*.py")):
        code = path.read_text("utf-8")
        title, _, rest = (ast.get_docstring(ast.parse(code)) or path.stem).partition("\n")
        yield f"\n## {title.rstrip('.')}\n\n{rest.strip()}\n\n`notebooks/examples/{path.name}`\n"
        yield f"\n```python\n{code.split(chr(34) * 3, 2)[2].strip()}\n```\n"


def reference(page: str) -> Iterator[str]:
    """A page of the reference: the module's docstring, then each public name that is no module."""
    module = reduce(getattr, page.split(".")[1:], minigrad)  # some are known by another name
    text = plain_text((module.__doc__ or "").strip())
    yield from (page, "=" * len(page), "", f".. py:module:: {page}", "", text)
    for name, thing in names(page):
        kind, place = "class" if isinstance(thing, type) else "function", addresses()[name]
        if kind == "class" and place != f"{page}.{name}":
            yield from ("", f":py:class:`{page}.{name} <{place}>`")
            continue
        yield from ("", f".. auto{kind}:: {page}.{name}", *["   :members:"] * (kind == "class"))
        used = f"{thing.__module__}.{thing.__qualname__}" if kind == "class" else f"{page}.{name}"
        yield from ("", f".. autolink-examples:: {used}", "   :collapse:")


def names(page: str) -> Iterator[tuple[str, Any]]:
    """The public names of a module, and what they name."""
    module = reduce(getattr, page.split(".")[1:], minigrad)
    for name in getattr(module, "__all__", None) or dir(module):
        thing = getattr(module, name)
        if name[0] != "_" and callable(thing):
            yield name, thing


@cache
def addresses() -> dict[str, str]:
    """Where the reference has each public name, as it is written in docstrings."""
    return {name: f"{page}.{name}" for page in reversed(PAGES) for name, _ in names(page)}


# ---------------- docstrings
def plain(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Make a docstring what Sphinx reads; those of other libraries are for their own pages."""
    ours = str(getattr(thing, "__module__", "minigrad")).startswith("minigrad")
    lines[:] = plain_text("\n".join(lines)).split("\n") if ours else []


def plain_text(text: str) -> str:
    """A docstring is plain text with names in backticks, lists and examples: protect the rest.

    Public names become links, and what is indented after a colon a formula.
    """

    def protected(found: re.Match[str]) -> str:
        name, mark = found["name"], found["mark"]
        if mark:
            return f"\\{mark}"
        target = addresses().get((name or "").removeprefix("mg."))
        return (
            f"`{name} <{target}>`\\ " if target else found[0] + "\\ " * (found["after"] is not None)
        )

    return re.sub(r"(?<!:):\n\n(?= )", "::\n\n", WORDS.sub(protected, text))


def foreign(app: Any, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a class has from elsewhere: from other libraries, rules, functions."""
    inside = "." in getattr(thing, "__qualname__", "." if isinstance(thing, property) else "")
    own = getattr(thing, "__module__", "minigrad").startswith("minigrad")
    return None if inside and own else True


def back(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Mend the links from a source to the reference, where its names belong to several pages."""

    def right(found: re.Match[str]) -> str:
        wrong = max((p for p in PAGES if found["place"].startswith(f"{p}.")), key=len)
        return f"{found['page']}.html#{found['page']}{found['place'].removeprefix(wrong)}"

    if page.startswith("_modules/"):
        link = r"(?<=reference/)(?P<page>[\w.]+)\.html#(?P<place>[\w.]+)"
        context["body"] = re.sub(link, right, context["body"])
