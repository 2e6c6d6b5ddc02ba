"""What is drawn, as plain data: boxes, edges and clusters with their words. No arrays, no
coordinates, no colours.

`tree.py` makes a tree of boxes from a graph, `build.py` a `Picture` of those that are open,
`arrange.py` gives it coordinates, `svg.py` ink, `words.py` sentences.
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
    """A node, a closed group of nodes, or the ghost of a leaf that is drawn elsewhere.

    `kind` is `constant`, `variable`, `scalar` or `broadcasted` (the two kinds of operator),
    `module`, `ghost`, `fork` (of a value that enters a group), or `more` for what is left out.
    `flows` are the values that leave it, one for a node. `cluster` is the open group that it lies
    in. `bar` is the length of its bar, from 0 to 1: of a ReLU the share of zeros. `focus` marks the
    node that the picture is about.
    """

    id: str
    kind: str
    lines: tuple[str, ...]
    title: str
    flows: tuple[Flow, ...]
    cluster: str | None = None
    head: bool = False
    bad: bool = False
    bar: float | None = None
    focus: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """A line within one group, from flow number `port` of one box to entry `slot` of another.

    A line that leads out of a group, or into one, has a piece in each. Where `source` is "", the
    piece begins at entry number `port` of its own `cluster`; where `target` is "", it ends at exit
    number `slot`. `ends` says that the line ends with this piece, `state` and `step` are as in
    `Flow`. `back` marks the line of a rolled cell that leads from one time step to the next. `uses`
    are the inputs that it feeds: (number of the user, which of its inputs).
    """

    id: str
    source: str
    port: int
    target: str
    slot: int
    cluster: str | None
    state: str
    step: int
    title: str
    ends: bool = True
    back: bool = False
    uses: tuple[tuple[int, int], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Cluster:
    """An open group, drawn as a frame around its boxes. `face` is how it looks when it is closed:
    edges name it by the id of its face. `parent` is the cluster that it lies in.
    """

    id: str
    label: str
    parent: str | None
    face: Box


@dataclass(frozen=True, slots=True)
class Key:
    """What the legend says of the marks below lines, of the weakest and the strongest ink, and of
    bars in boxes.
    """

    below: str = "gradient"
    low: str = "1e-6"
    high: str = "100"
    bar: str = "share of zeros"


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything a drawing shows. `alarms` are what is marked as wrong, in words. Without a `key`
    there is no legend.
    """

    title: str
    nodes: int
    links: int
    note: str
    boxes: tuple[Box, ...] = ()
    edges: tuple[Edge, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    alarms: tuple[str, ...] = ()
    key: Key | None = None

    def pieces(self, edge: Edge) -> list[Edge]:
        """The edge and, where it begins at a border, the pieces of the line before it."""
        frames = {cluster.id: cluster.face.id for cluster in self.clusters}
        faces = {face: frame for frame, face in frames.items()}
        found = [edge]
        for last in found:
            if not last.source and last.cluster is not None:
                face, slot = frames[last.cluster], last.port
                found += [e for e in self.edges if (e.target, e.slot) == (face, slot)]
            elif last.source.startswith("f"):  # a fork
                found += [e for e in self.edges if e.target == last.source]
            elif last.source in faces:
                inside, slot = faces[last.source], last.port
                found += [
                    e for e in self.edges if (e.cluster, e.target, e.slot) == (inside, "", slot)
                ]
        return found
