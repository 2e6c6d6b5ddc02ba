"""What is drawn, as plain data: boxes, edges and clusters with their words. No arrays, no
coordinates, no colours.

`build.py` makes a `Picture` from a graph, `layout.py` gives it coordinates, `svg.py` ink,
`words.py` sentences.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Flow:
    """What is written where a value leaves its box: the value above the line, its gradient below.

    `state` is that of the gradient (`none` where there is none) and `step` its ink, 0 (weak) to 5,
    or -1.
    """

    id: str
    above: tuple[str, ...]
    below: str
    state: str
    step: int
    title: str


@dataclass(frozen=True, slots=True)
class Box:
    """A node, a collapsed module, or the ghost of a parameter that is drawn elsewhere.

    `kind` is `constant`, `variable`, `scalar` or `broadcasted` (the two kinds of operator),
    `module`, `ghost`, or `more` for what is left out. `flows` are the values that leave it, one for
    a node. `dead` is the share of zeros that a ReLU put out. `focus` marks the node that the
    picture is about.
    """

    id: str
    kind: str
    lines: tuple[str, ...]
    title: str
    flows: tuple[Flow, ...]
    cluster: str | None = None
    head: bool = False
    bad: bool = False
    dead: float | None = None
    focus: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """A line from flow number `port` of one box to another; `state` and `step` as in `Flow`.

    `back` marks the line of a rolled cell that leads from one time step to the next.
    """

    id: str
    source: str
    port: int
    target: str
    state: str
    step: int
    title: str
    back: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """A module drawn as a frame around its nodes; `parent` is the frame that it lies in."""

    id: str
    label: str
    parent: str | None


@dataclass(frozen=True, slots=True)
class Key:
    """What the legend says of the marks below lines, and of the weakest and the strongest ink."""

    below: str = "gradient"
    low: str = "1e-6"
    high: str = "100"


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything a drawing shows. `rows` is the table that stands in for boxes where a graph is too
    big to draw.

    `runs` are the unrolled layers: the frames of a layer's time steps, from first to last; a box
    where steps are left out. `alarms` are what is marked as wrong, in words. Without a `key` there
    is no legend.
    """

    title: str
    nodes: int
    links: int
    note: str
    boxes: tuple[Box, ...] = ()
    edges: tuple[Edge, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    runs: tuple[tuple[str, ...], ...] = field(default=(), repr=False)
    alarms: tuple[str, ...] = ()
    key: Key | None = None
