"""`draw`: a graph as a picture, for notebooks, files and screen readers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from .. import checks
from ..files import write_atomically
from ..graph.node import GraphNode
from .explorer.explorer import IN_FILES, IN_NOTEBOOKS, Limits, fragment
from .explorer.explorer import page as page_of
from .page.geometry import Layout
from .page.layout import lay_out, source
from .page.svg import render
from .scene.build import Scene
from .scene.flowed import Flowed
from .scene.heads import GraphLike, heads_of, order_of
from .scene.options import Dress, Options
from .scene.picture import Key, Picture
from .scene.readings import Readings
from .scene.steps import Opened
from .scene.text import count
from .scene.words import describe
from .svg_picture import SvgPicture, check_theme

#: pixels: a drawing is as wide as a notebook, and about as high as a screen
WIDTH, HEIGHT = 1200, 1000
#: the same for pages on which the smallest text, of 10 pixels, prints at 7 pt: a column of 85 mm, a
#: page of text 170 mm wide, a slide of 16:9
PAGES = {"column": (312, 900), "text": (654, 900), "slide": (1334, 680)}
#: points of a printed page for each pixel of such a drawing
POINTS = 0.7
#: so many boxes are drawn at most
MOST = 400


class Drawing(SvgPicture):
    """A picture of a graph as of the call of `draw`; later changes of the graph do not show.

    A notebook shows it. `svg` is the picture, `source` the graph in DOT, `describe()` the same in
    words, `save()` writes a file.

    >>> picture = mg.draw(mg.Variable(2.0, name="w") * 3)
    >>> picture
    <Drawing of 3 nodes, 2 edges>
    >>> print(picture.describe())
    Computation graph of ×. 3 nodes, 2 edges.
      n0, variable w; shape (), float32; value 2
      n1, constant 3; shape (), float32; value 3
      n2, operator × (multiply); shape (), float32; value 6
        n0 (w) to n2 (×), input 1: value 2
        n1 (3) to n2 (×), input 2: value 3
    """

    def __init__(
        self,
        scene: Scene,
        picture: Picture,
        theme: str | None = None,
        width: float | None = WIDTH,
        points: float = 1.0,
    ) -> None:
        self.scene, self.picture, self.theme, self.width = scene, picture, theme, width
        #: points of a page for each pixel, in a PDF
        self.points = points

    @cached_property
    def source(self) -> str:
        """What is drawn as a graph in DOT, modules as clusters, for Graphviz and its kin."""
        return source(self.picture)

    @cached_property
    def layout(self) -> Layout:
        """All coordinates; the layout engine runs when they are first needed."""
        return lay_out(self.picture, self.width)

    @property
    def title(self) -> str:
        """The heading of the picture."""
        return self.picture.title

    @property
    def description(self) -> str:
        """Title and message of the picture; `describe()` has the details."""
        return f"{self.picture.title}. {self.picture.note}"

    @property
    def alt_text(self) -> str:
        """The description, for it begins with the title here."""
        return self.description

    @property
    def alarms(self) -> list[str]:
        """What is marked as wrong, in words."""
        return list(self.picture.alarms)

    @cached_property
    def svg(self) -> str:
        """The picture as SVG."""
        return self.render(self.theme)

    def render(self, theme: str | None, plain: bool = False) -> str:
        """The SVG in a theme; `plain` is for converters, which do not know CSS variables."""
        return render(self.picture, self.layout, theme, plain=plain)

    @property
    def html(self) -> str:
        """The picture for a page: boxes that open, a search, arrays under the pointer."""
        return self.explorer()

    def explorer(self, limits: Limits = IN_NOTEBOOKS, **more: Any) -> str:
        """The same with other limits, and more data for its script."""
        return fragment(
            *(self.scene, self.picture, self.svg, self.alt_text),
            *(self.theme, self.width or math.inf, limits),
            more,
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Write a `.svg`, `.png`, `.pdf` or `.html` file; the last is interactive and needs no
        network. Raises `ValueError` for any other name.
        """
        if Path(path).suffix.lower() != ".html":
            return super().save(path)
        text = page_of(self.explorer(IN_FILES), self.title, self.theme)
        write_atomically(Path(path), text.encode())

    def describe(self) -> str:
        """The picture in words, a line for each node and edge, in the order of computation."""
        return describe(self.picture)

    def __repr__(self) -> str:
        return (
            f"<Drawing of {count(self.picture.nodes, 'node')}, {count(self.picture.links, 'edge')}>"
        )


def draw(
    graph: GraphLike | Sequence[GraphNode],
    *,
    values: bool | None = None,
    grads: bool | None = None,
    depth: int | None = None,
    focus: GraphNode | None = None,
    radius: int = 2,
    unroll: int | str | None = None,
    width: float | None = WIDTH,
    page: str | None = None,
    theme: str | None = None,
    title: str | None = None,
    legend: bool = True,
) -> Drawing:
    """Draw the computation of a node, a `Graph`, or a tuple of nodes (the outputs of a model).

    Above each line stands the value that flows along it, below it the gradient that flowed back
    along it; the stronger the line, the larger the gradient. Where several meet, the node has their
    sum, `∇ 7`. They are those of the last backward pass of this graph. Operators are ellipses
    (thin: between single numbers, thick: between arrays), variables rounded boxes, constants dashed
    ones; `↗ W` repeats W. Modules, time steps, runs of alike parts and stretches of long graphs are
    boxes that open: in a notebook, and in a file `x.html`, with a click. The graph is not changed.

    * `values`, `grads`: write them? By default yes, where there are any.
    * `depth`: levels of boxes to open (0: all are closed). By default as many as fit a page of
      1,200 × 1,000 pixels.
    * `focus`, `radius`: draw only the nodes within `radius` edges of this node.
    * `unroll`: open fused recurrent nodes: `"rolled"` (one cell for all steps), a number k (the
      first and the last k steps), `"all"`. The gradients of the steps are those that the kernel
      computed. A layer that was built step by step is drawn with three steps at either end where it
      is too long.
    * `width`: pixels after which the picture continues in another row (None: never).
    * `page`: `"column"`, `"text"` or `"slide"`, in place of `width`: a picture that prints there
      with text of 7 pt or more; a PDF has the size of that page.
    * `theme`: `"light"`, `"dark"` or `"print"`; by default the setting of the reader's system or of
      JupyterLab.
    * `title`: the heading of the picture.
    * `legend`: a strip at the foot with the marks that occur?

    >>> x = mg.Variable(2.0, name="x")
    >>> y = mg.sin(x) * x
    >>> y.backward()
    >>> picture = mg.draw(y, title="x sin x")
    >>> picture.title, picture.svg[:4]
    ('x sin x', '<svg')
    """
    _check(values, grads, depth, focus, radius, title)
    _check_choices(unroll, width, page, theme)
    options = Options(values, grads, depth, title, focus, radius, key=Key() if legend else None)
    room, height = PAGES[page] if page else (width, HEIGHT)
    found = picture_of(graph, unroll, options, room or math.inf, height)
    return Drawing(*found, theme, room, POINTS if page else 1.0)


def inked(
    graph: GraphLike,
    readings: Readings,
    dress: Dress | None = None,
    *,
    depth: int | None = None,
    theme: str | None = None,
    title: str | None = None,
    key: Key | None = None,
) -> Drawing:
    """Draw a graph with `readings` (by `id(node)`) below its lines in place of gradients.

    `dress` changes boxes; `key` says in the legend what they show. Other options as in `draw`.
    """
    _check(None, None, depth, None, None, title)
    _check_choices(None, None, None, theme)
    options = Options(depth=depth, title=title, readings=readings, dress=dress, key=key or Key())
    return Drawing(*picture_of(graph, None, options), theme)


def picture_of(
    graph: GraphLike | Sequence[GraphNode],
    unroll: int | str | None,
    options: Options,
    width: float = WIDTH,
    height: float = HEIGHT,
) -> tuple[Scene, Picture]:
    """The scene and the picture of a graph; fused recurrent nodes are opened if asked for."""
    heads, order = heads_of(graph, "draw", several=True), order_of(graph, "draw", several=True)
    if options.focus is not None and not any(node is options.focus for node in order):
        raise ValueError(f"draw: focus={options.focus.brief} is not part of the graph")
    loops: list[tuple[GraphNode, GraphNode]] = []
    flow = Flowed(order, heads)
    if unroll is not None:
        opened = Opened(order, unroll == "rolled")
        order, loops = opened.order, opened.loops
        heads = tuple(opened.twins[id(head)] for head in heads)
        flow = Flowed(order, heads, flow.nodes)
        if options.focus is not None:
            options = replace(options, focus=opened.twins[id(options.focus)])
    steps = None if unroll is None else unroll if isinstance(unroll, int) else 0
    scene = Scene(order, replace(options, steps=steps, heads=heads, loops=loops, flow=flow))
    return scene, _fitting(scene, width, height)


def _fitting(scene: Scene, width: float, height: float) -> Picture:
    """The picture opened as deep as was asked for, or as fits the page."""
    deepest = len(scene.sizes) - 1
    depth = min(deepest if scene.options.depth is None else scene.options.depth, deepest)
    while depth and scene.sizes[depth] > MOST:
        depth -= 1
    picture = scene.picture(depth)
    if scene.options.depth is None:
        least = scene.tree.steps if scene.options.steps is not None else 0
        while depth > least and lay_out(picture, width, engine=False).size[1] > height:
            depth -= 1
            picture = scene.picture(depth)
    return picture


def _check(values: Any, grads: Any, depth: Any, focus: Any, radius: Any, title: Any) -> None:
    """Raise `TypeError` or `ValueError` for an option of the wrong type or out of range."""
    kinds = {"values": bool, "grads": bool, "focus": GraphNode, "title": str}
    for (name, kind), value in zip(kinds.items(), (values, grads, focus, title), strict=True):
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"draw: {name}={value!r}; {kind.__name__} or None was expected")
    checks.positive("draw", 0, depth=depth or 0, radius=radius or 0)


def _check_choices(unroll: Any, width: Any, page: Any, theme: Any) -> None:
    counted = isinstance(unroll, int) and not isinstance(unroll, bool) and unroll > 0
    if unroll is not None and not counted and unroll not in ("rolled", "all"):
        raise ValueError(
            f"draw: unroll={unroll!r}; 'rolled', 'all', a number of steps ≥ 1 or None was expected"
        )
    if page is not None and page not in PAGES:
        expected = ", ".join(map(repr, PAGES))
        raise ValueError(f"draw: page={page!r}; {expected} or None was expected")
    if width is not None:
        checks.number("draw", "≥ 200", lambda pixels: pixels >= 200, width=width)
    check_theme("draw", theme)


def _show(node: GraphNode) -> dict[str, str]:
    """The picture of a node that is the last line of a notebook's cell."""
    drawing = draw(node)
    return {"image/svg+xml": drawing.svg, "text/html": drawing.html}


GraphNode.pictured_by = staticmethod(_show)
