"""What the caller of `draw` asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ...graph.node import GraphNode
from .flowed import Flowed
from .picture import Box, Key
from .readings import Reading, Readings

#: inputs of nodes: the number of the user, and which of its inputs
Uses = list[tuple[int, int]]
#: (box, the nodes that it stands for) -> the box as the caller wants it
Dress = Callable[[Box, Sequence[GraphNode]], Box]


@dataclass(frozen=True)
class Options:
    """What the caller of `draw` asked for: None leaves the choice to the picture.

    `steps` is how many time steps to draw at either end (0: all of them). `heads` are the nodes
    that were asked to be drawn, `loops` the back edges of a rolled cell, `flow` what the last
    backward pass gave. `lit` reads lines, by the inputs that they feed, in place of `readings`;
    `dress` changes boxes.
    """

    values: bool | None = None
    grads: bool | None = None
    depth: int | None = None
    title: str | None = None
    focus: GraphNode | None = None
    radius: int = 2
    steps: int | None = None
    heads: tuple[GraphNode, ...] = ()
    loops: Sequence[tuple[GraphNode, GraphNode]] = ()
    readings: Readings | None = None
    dress: Dress | None = None
    flow: Flowed = field(default_factory=lambda: Flowed((), ()))
    lit: Callable[[Uses], Reading] | None = None
    key: Key | None = Key()  # noqa: RUF009
