"""`draw`: a graph as a picture that a notebook shows, a file keeps and a screen reader can read out."""
from __future__ import annotations

from functools import cached_property
from os import PathLike
from typing import Any

from ..graph.node import GraphNode
from ..graph.order import topological_sort
from .page.layout import Layout, dot_source, lay_out
from .page.palette import THEMES
from .page.svg import render
from .scene.build import Options, build
from .scene.picture import Picture
from .scene.text import count
from .scene.words import describe


class Drawing:
    """A picture of a graph as it was when `draw` was called; later changes of the graph do not show.

    In a notebook it shows itself. `svg` is the picture, `source` the graph in DOT, `describe()` the same in words,
    `save()` writes a file.
    """

    def __init__(self, picture: Picture, theme: str | None = None) -> None:
        self.picture, self.theme = picture, theme

    @cached_property
    def source(self) -> str:
        """The graph in DOT, with the sizes that are asked of Graphviz."""
        return dot_source(self.picture)

    @cached_property
    def layout(self) -> Layout:
        """Where everything is; an engine is asked when this is first needed."""
        return lay_out(self.picture, self.source)

    @cached_property
    def svg(self) -> str:
        """The picture as SVG."""
        return render(self.picture, self.layout, self.theme)

    def describe(self) -> str:
        """The picture in words, a line for each node and edge, in the order of computation."""
        return describe(self.picture)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the drawing to a `.svg`, `.png` or `.pdf` file. Raises `ValueError` for any other name."""
        from .page.export import save

        save(self, path)

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "image/svg+xml": self.svg}

    def __repr__(self) -> str:
        return f"<Drawing of {count(self.picture.nodes, 'node')}, {count(self.picture.links, 'edge')}>"


def draw(
    graph: Any,
    *,
    values: bool | None = None,
    grads: bool | None = None,
    depth: int | None = None,
    theme: str | None = None,
    title: str | None = None,
) -> Drawing:
    """Draw the computation that led to a node (or a `Graph`).

    Above each line stands the value that runs along it, below it the gradient that came back; the stronger the line,
    the larger the gradient. Operators are ellipses (thin: between single numbers, thick: between arrays), variables
    rounded boxes, constants dashed ones; `↗ W` is W once more. Nothing in the graph is changed.

    * `values`: write values? By default up to 60 boxes.
    * `grads`: write gradients? By default where there are any.
    * `depth`: levels of modules to open; modules below are drawn as one box (0: all of them). By default as many as
      leave a picture of 60 boxes; a graph that does not become small enough is drawn as a table by kind of operator.
    * `theme`: `"light"`, `"dark"` or `"print"`; by default what the reader's system or JupyterLab is set to.
    * `title`: what stands above the picture.
    """
    _check("values", values, bool)
    _check("grads", grads, bool)
    _check("depth", depth, int)
    _check("title", title, str)
    if isinstance(depth, bool) or (depth is not None and depth < 0):
        raise ValueError(f"draw: depth={depth!r}; 0, 1, 2, … or None was expected")
    if theme is not None and theme not in THEMES:
        raise ValueError(f"draw: theme={theme!r}; {', '.join(map(repr, THEMES))} or None was expected")
    return Drawing(build(_order(graph), Options(values, grads, depth, title)), theme)


def _check(name: str, value: object, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"draw: {name}={value!r} is a {type(value).__name__}; {kind.__name__} or None was expected")


def _order(graph: Any) -> list[GraphNode]:
    if isinstance(graph, GraphNode):
        return topological_sort(graph)
    if isinstance(getattr(graph, "head", None), GraphNode) and isinstance(getattr(graph, "order", None), list):
        return list(graph.order)
    raise TypeError(f"draw: cannot draw a {type(graph).__name__}; a node or a Graph was expected (call a model first)")
