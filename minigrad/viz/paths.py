"""`paths`: through which paths of a graph the gradient of a variable comes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..calculus.transforms import forward_mode
from ..errors import GraphError
from ..graph.node import GraphNode, Variable
from .draw import Drawing, picture_of
from .flow.naming import node_names, parameters_in
from .inspection import rule_of
from .scene.build import NOTHING, Scene
from .scene.flowed import Array, Flowed, stand_in
from .scene.heads import GraphLike, heads_of, order_of
from .scene.options import Options, Uses
from .scene.picture import Key, Picture
from .scene.readings import Reading
from .scene.steps import Opened
from .scene.tree import FEW

#: the names of nodes from the variable to the loss; `⋯` last stands for all ways on from there
Path = tuple[str, ...]
#: a line, by the number of the node that it feeds and which of its inputs that is
Use = tuple[int, int]


class Paths(Drawing):
    """What `paths` returns: a drawing with the share of the gradient that comes along each line.

    `shares` has (path, contribution), the strongest way first; the contributions add up to `size`,
    the norm of the gradient, which is its projection on itself.

    >>> w = mg.Variable(2.0, name="w")
    >>> y = w * w
    >>> y.backward()
    >>> mg.viz.paths(y, w).size
    4.0
    """

    def __init__(
        self,
        scene: Scene,
        picture: Picture,
        theme: str | None,
        shares: list[tuple[Path, float]],
        size: float,
    ) -> None:
        super().__init__(scene, picture, theme)
        self.shares, self.size = shares, size


def paths(loss: GraphLike, w: GraphNode, *, theme: str | None = None) -> Paths:
    """Split the gradient of `w` by the paths through which it comes, after `loss.backward()`.

    A path contributes the product of the derivatives along it; its share is the part of that in the
    direction of the whole gradient g = ∂L/∂w, ⟨contribution, g⟩ / ‖g‖, so that all add up to ‖g‖;
    a negative one cancels. Listed are the way that takes the largest share at each fork, and for
    each fork what goes another way from there (`⋯`: all paths that begin so). Recurrent layers are
    opened, so that the forks of a weight are its time steps. All is found by pushing g / ‖g‖
    forward, once along all lines for the drawing and once along that way, for the gradient of a
    node knows of everything behind it; paths are not enumerated, of which there may be 2ⁿ.

    Raises `GraphError` without a backward pass, where `w` is no part of it, and where values have
    changed since; `TypeError` for anything but a graph.

    >>> a, b = mg.Variable(2.0, name="a"), mg.Variable(3.0, name="b")
    >>> y = (a + b) * a
    >>> y.backward()
    >>> for path, share in mg.viz.paths(y, a).shares:
    ...     print(f"{share:g}", *path)
    5 n0 (a) n3 (×)
    2 n0 (a) n2 (+) n3 (×)
    """
    (head,), order = heads_of(loss, "paths"), order_of(loss, "paths")
    nodes = Flowed(order, [head]).nodes
    recurrent = any(rule_of(node) in ("rnn", "lstm", "gru") for node in order)
    if id(w) not in nodes:
        raise GraphError(
            f"paths: {w!r} has no gradient from {head.brief}; call its backward() first"
        )
    if recurrent:
        opened = Opened(order, rolled=False)
        order, head, w = opened.order, opened.twins[id(head)], opened.twins[id(w)]
        nodes = Flowed(order, [head], nodes).nodes
    walk = _Walk(order, nodes, w)
    shares, strongest = walk.shares()
    if not math.isclose(walk.total, walk.size, rel_tol=1e-3):
        raise GraphError(
            f"paths: values have changed since {head.brief} was pulled back; run it again"
        )

    def lit(uses: Uses) -> Reading:
        found = [walk.lines[use] for use in uses if use in walk.lines]
        if not found:
            return NOTHING
        told = f"{100 * sum(found) / walk.size:.0f} %"
        step = 5 if set(uses).intersection(strongest) else 1
        return Reading(told, "normal", step, f"{told} of the gradient comes this way")

    options = Options(
        title=f"Paths of the gradient of {walk.names[walk.start]}",
        lit=lit,
        key=Key("share of the gradient", "other paths", "the strongest"),
    )
    scene, picture = picture_of(loss, FEW if recurrent else None, options)
    way, part = shares[0]
    note = f"The strongest path, {100 * part / walk.size:.0f} %: {' → '.join(way)}. {picture.note}"
    return Paths(scene, replace(picture, note=note), theme, shares, walk.size)


class _Walk:
    """The gradient's direction at `start` (an index of the order), pushed forward.

    `lines` has the share of each line on the way, by its user and which of its inputs it feeds;
    `total` is what arrives at the last node.
    """

    def __init__(
        self, order: Sequence[GraphNode], nodes: dict[int, Array], start: GraphNode
    ) -> None:
        self.order, self.nodes = order, nodes
        self.names = node_names(order, parameters_in(order))
        index = {id(node): i for i, node in enumerate(order)}
        self.start, g = index[id(start)], nodes[id(start)]
        self.size = float(np.linalg.norm(g.astype(np.float64)))
        if not 0 < self.size < math.inf:
            raise GraphError(
                f"paths: the gradient of {start.brief} has norm {self.size}, no direction"
            )
        pushed = {self.start: g / self.size}
        self.unit = pushed[self.start]
        self.lines: dict[Use, float] = {}
        self.users: dict[int, list[Use]] = {}
        for i, user in enumerate(order):
            for slot, x in enumerate(user.inputs if id(user) in nodes else ()):
                if (j := index[id(x)]) in pushed:
                    tangent, self.lines[i, slot] = self.step((i, slot), pushed[j])
                    pushed[i] = pushed[i] + tangent if i in pushed else tangent
                    self.users.setdefault(j, []).append((i, slot))
        self.total = sum(part for (i, _), part in self.lines.items() if i == len(order) - 1)

    def step(self, use: Use, tangent: Array) -> tuple[Array, float]:
        """A change of one input of a node as the change of the node, and of the loss."""
        twin = stand_in(self.order[use[0]])  # type: ignore[arg-type]
        x = twin.inputs[use[1]]
        assert isinstance(x, Variable)
        pushed = forward_mode(twin, [x])(x, tangent)
        g = self.nodes[id(self.order[use[0]])]
        return pushed, float(np.vdot(g.astype(np.float64), pushed))

    def shares(self) -> tuple[list[tuple[Path, float]], tuple[Use, ...]]:
        """The strongest way and its lines, and what parts from it, the largest share first."""
        way: tuple[Use, ...] = ()
        tangent, part = self.unit, self.size
        parted: list[tuple[Path, float]] = []
        while uses := self.users.get(way[-1][0] if way else self.start):
            steps = [(*self.step(use, tangent), (*way, use)) for use in uses]
            (tangent, part, way), *others = sorted(steps, key=lambda step: -abs(step[1]))
            parted += [(self._path(other), share) for _, share, other in others if share]
        parted.sort(key=lambda item: -abs(item[1]))
        return [(self._path(way), part), *parted], way

    def _path(self, way: tuple[Use, ...]) -> Path:
        nodes = [self.start, *(i for i, _ in way)]
        while len(uses := self.users.get(nodes[-1], [])) == 1:
            nodes.append(uses[0][0])
        return (*(self.names[i] for i in nodes), *["⋯"] * bool(uses))
