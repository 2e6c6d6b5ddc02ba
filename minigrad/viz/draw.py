"""`draw`: a graph as a picture that a notebook shows, a file keeps and a screen reader can read
out.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from os import PathLike
from typing import Any

from ..graph.node import GraphNode
from .page.html import embed
from .page.layout import Layout, dot_source, lay_out
from .page.palette import THEMES
from .page.svg import render
from .scene.build import Options, build
from .scene.flowed import flowed, of_last_pass
from .scene.heads import heads_of, order_of
from .scene.picture import Picture
from .scene.readings import Pool, Readings
from .scene.steps import Opened
from .scene.text import count
from .scene.words import describe

#: pixels: a line of a drawing is about as wide as a notebook
WIDTH = 1200


class Drawing:
    """A picture of a graph as it was when `draw` was called; later changes of the graph do not
    show.

    In a notebook it shows itself. `svg` is the picture, `source` the graph in DOT, `describe()` the
    same in words, `save()` writes a file.
    """

    def __init__(
        self, picture: Picture, theme: str | None = None, width: float | None = WIDTH
    ) -> None:
        self.picture, self.theme, self.width = picture, theme, width

    @cached_property
    def source(self) -> str:
        """The graph in DOT, with the sizes that are asked of Graphviz."""
        return dot_source(self.picture)

    @cached_property
    def layout(self) -> Layout:
        """Where everything is; an engine is asked when this is first needed."""
        return lay_out(self.picture, self.source, self.width)

    @cached_property
    def svg(self) -> str:
        """The picture as SVG."""
        return render(self.picture, self.layout, self.theme)

    def describe(self) -> str:
        """The picture in words, a line for each node and edge, in the order of computation."""
        return describe(self.picture)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the drawing to a `.svg`, `.png` or `.pdf` file. Raises `ValueError` for any other
        name.
        """
        from .page.export import save

        def plain() -> str:
            return render(self.picture, self.layout, self.theme or "light", plain=True)

        save(path, self.svg, plain, self.picture.title)

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "image/svg+xml": self.svg, "text/html": self.html}

    @property
    def html(self) -> str:
        """The picture for a page: an image that becomes the SVG itself where scripts may run."""
        return embed(self.svg, self.description)

    @property
    def description(self) -> str:
        """Title and note: the gist for who cannot see the picture; `describe()` tells it all."""
        return f"{self.picture.title}. {self.picture.note}"

    def __repr__(self) -> str:
        return (
            f"<Drawing of {count(self.picture.nodes, 'node')}, {count(self.picture.links, 'edge')}>"
        )


def draw(
    graph: Any,
    *,
    values: bool | None = None,
    grads: bool | None = None,
    depth: int | None = None,
    focus: GraphNode | None = None,
    radius: int = 2,
    unroll: int | str | None = None,
    width: float | None = WIDTH,
    theme: str | None = None,
    title: str | None = None,
) -> Drawing:
    """Draw the computation that led to a node, a `Graph`, or a tuple of nodes (what calling a model
    gave).

    Above each line stands the value that runs along it, below it the gradient that came back; the
    stronger the line, the larger the gradient. Operators are ellipses (thin: between single
    numbers, thick: between arrays), variables rounded boxes, constants dashed ones; `↗ W` is W once
    more. Nothing in the graph is changed.

    * `values`: write values? By default up to 60 boxes.
    * `grads`: write gradients? By default where there are any.
    * `depth`: levels of modules to open; modules below are drawn as one box (0: all of them). By
      default as many as leave a picture of 60 boxes; a graph that does not become small enough is
      drawn as a table by kind of operator.
    * `focus`, `radius`: draw only what lies within so many edges of this node.
    * `unroll`: open fused recurrent nodes: `"rolled"` (one cell for all steps), a number k (the
      first and the last k steps), `"all"`. The gradients of the steps are those that the kernel
      computed. A layer that was built step by step is drawn with three steps at either end where it
      is too long.
    * `width`: pixels after which the picture goes on in a further line (None: never).
    * `theme`: `"light"`, `"dark"` or `"print"`; by default what the reader's system or JupyterLab
      is set to.
    * `title`: what stands above the picture.
    """
    _check(values, grads, depth, focus, radius, title)
    _check_choices(unroll, width, theme)
    return Drawing(
        _picture(graph, unroll, Options(values, grads, depth, title, focus, radius)), theme, width
    )


def inked(
    graph: Any,
    readings: Readings,
    pool: Pool | None = None,
    *,
    depth: int | None = None,
    theme: str | None = None,
    title: str | None = None,
) -> Drawing:
    """The drawing of a graph with `readings` (by `id(node)`) below its lines in place of gradients.

    `pool` makes one reading of those of the nodes of a closed module. Other options as in `draw`.
    """
    _check(None, None, depth, None, None, title)
    _check_choices(None, None, theme)
    return Drawing(
        _picture(graph, None, Options(depth=depth, title=title, readings=readings, pool=pool)),
        theme,
    )


def _picture(graph: Any, unroll: int | str | None, options: Options) -> Picture:
    heads, order = heads_of(graph, "draw", several=True), order_of(graph, "draw", several=True)
    if options.focus is not None and not any(node is options.focus for node in order):
        raise ValueError(f"draw: focus={options.focus!r} is not part of the graph")
    loops: list[tuple[GraphNode, GraphNode]] = []
    gradients = flowed(order, heads)
    if unroll is not None:
        opened = Opened(order, unroll == "rolled")
        order, loops = opened.order, opened.loops
        heads = tuple(opened.twins[id(head)] for head in heads)
        gradients |= of_last_pass(order, heads)
        if options.focus is not None:
            options = replace(options, focus=opened.twins[id(options.focus)])
    steps = None if unroll is None else unroll if isinstance(unroll, int) else 0
    return build(
        order, replace(options, steps=steps, heads=heads, loops=loops, gradients=gradients)
    )


def _check(values: Any, grads: Any, depth: Any, focus: Any, radius: Any, title: Any) -> None:
    """Raise `TypeError` or `ValueError`, which say what was expected, for an option that makes no
    sense.
    """
    kinds = {
        "values": bool,
        "grads": bool,
        "depth": int,
        "focus": GraphNode,
        "radius": int,
        "title": str,
    }
    given = (values, grads, depth, focus, radius, title)
    for (name, kind), value in zip(kinds.items(), given, strict=True):
        if value is not None and not isinstance(value, kind):
            found = type(value).__name__
            raise TypeError(
                f"draw: {name}={value!r} is a {found}; {kind.__name__} or None was expected"
            )
    for name, value in (("depth", depth), ("radius", 0 if radius is None else radius)):
        if isinstance(value, bool) or (value is not None and value < 0):
            raise ValueError(f"draw: {name}={value!r}; 0, 1, 2, … was expected")


def _check_choices(unroll: Any, width: Any, theme: Any) -> None:
    counted = isinstance(unroll, int) and not isinstance(unroll, bool) and unroll > 0
    if unroll is not None and not counted and unroll not in ("rolled", "all"):
        raise ValueError(
            f"draw: unroll={unroll!r}; 'rolled', 'all', a number of steps ≥ 1 or None was expected"
        )
    if width is not None and (
        isinstance(width, bool) or not isinstance(width, int | float) or not width >= 200
    ):
        raise ValueError(f"draw: width={width!r}; a number of pixels ≥ 200 or None was expected")
    if theme is not None and theme not in THEMES:
        raise ValueError(
            f"draw: theme={theme!r}; {', '.join(map(repr, THEMES))} or None was expected"
        )


def _show(node: GraphNode) -> dict[str, str]:
    """What a notebook shows of a node that is the last line of a cell."""
    drawing = draw(node)
    return {"image/svg+xml": drawing.svg, "text/html": drawing.html}


GraphNode.pictured_by = staticmethod(_show)
