"""What the caller of `draw` asked for, and how many modules and time steps that opens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ...graph.node import GraphNode
from ...ops.recurrent import Step
from .flowed import Flowed
from .modules import ModuleCall, Path, paths_of
from .picture import Key
from .readings import Pool, Reading, Readings
from .steps import Skipped, scopes

#: up to this many boxes everything is drawn; up to the second, modules collapse by themselves;
#: above, a table
ALL, MOST = 60, 400
#: so many steps of an unrolled layer are drawn at its beginning and at its end, where not all fit
FEW = 3
#: up to so many lines leave a node each at a place of its own, with what came back along it
APART = 4

#: inputs of nodes: the number of the user, and which of its inputs
Uses = list[tuple[int, int]]


@dataclass(frozen=True)
class Options:
    """What the caller of `draw` asked for: None leaves the choice to the picture.

    `steps` is how many time steps to draw at either end (0: all of them). `heads` are the nodes
    that were asked to be drawn, `loops` the back edges of a rolled cell, `flow` what the last
    backward pass gave. `lit` reads lines, by the inputs that they feed, in place of `readings`.
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
    pool: Pool | None = None
    flow: Flowed = field(default_factory=lambda: Flowed((), ()))
    lit: Callable[[Uses], Reading] | None = None
    key: Key | None = Key()  # noqa: RUF009


def opened(nodes: Sequence[GraphNode], options: Options) -> tuple[dict[int, Path], int | None]:
    """Which modules the nodes lie in, and how many levels of them to open; None if the picture
    would be too big.
    """
    few = steps_of(nodes, options)
    if few is None and options.depth is None and len(nodes) > MOST:
        return {}, None
    paths = paths_of(nodes, scopes(nodes, few))
    deepest = max(len(path) for path in paths.values())

    def boxes(depth: int) -> int:
        return len({id(closed(path, depth) or key) for key, path in paths.items()})

    if options.depth is not None or options.steps is not None:
        depth = deepest if options.depth is None else options.depth
        return paths, depth if boxes(depth) <= MOST else None
    if boxes(deepest) > MOST:
        return paths, None
    return paths, next((depth for depth in range(deepest, 0, -1) if boxes(depth) <= ALL), 0)


def steps_of(nodes: Sequence[GraphNode], options: Options) -> int | None:
    """How many time steps to draw at either end of an unrolled layer; None for all of them."""
    if options.steps is not None:
        return options.steps or None
    return (
        FEW
        if len(nodes) > ALL and any(isinstance(m, Step) for node in nodes for m in node.scope)
        else None
    )


def closed(path: Path, depth: int) -> ModuleCall | None:
    """The outermost call on the path that is drawn as one box, where so many levels are open."""
    return next(
        (
            call
            for level, call in enumerate(path)
            if level == depth or isinstance(call.module, Skipped)
        ),
        None,
    )
