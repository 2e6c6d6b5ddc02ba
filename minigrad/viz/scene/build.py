"""From a graph to a `Picture`: what becomes a box, what is written on it, what is collapsed, who
gets a ghost.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ...graph.node import Constant, GraphNode, Variable
from ...ops.recurrent import Step
from . import words
from .alarms import Alarms
from .flowed import Array
from .focus import Excerpt, view
from .measure import Stats, measure, pooled
from .modules import ModuleCall, Path, parameter_names, parameters_of, paths_of
from .picture import Box, Cluster, Edge, Flow, Picture
from .readings import Pool, Reading, Readings
from .steps import Skipped, scopes
from .summary import summarize
from .text import count, gradient_line, number, shorten, value_lines

#: up to this many boxes everything is drawn; up to the second, modules collapse by themselves;
#: above, a table
ALL, MOST = 60, 400
#: so many steps of an unrolled layer are drawn at its beginning and at its end, where not all fit
FEW = 3


@dataclass(frozen=True)
class Options:
    """What the caller of `draw` asked for: None leaves the choice to the picture.

    `steps` is how many time steps to draw at either end (0: all of them). `heads` are the nodes
    that were asked to be drawn, `loops` the back edges of a rolled cell, `gradients` what flowed to
    each node, by `id(node)`.
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
    gradients: Mapping[int, Array] = field(default_factory=dict)


def build(order: Sequence[GraphNode], options: Options) -> Picture:
    """The picture of a graph given in topological order."""
    heads = options.heads or (order[-1],)
    title = options.title
    if title is None:
        title = (
            f"Computation graph of "
            f"{' and '.join(map(_head_name, heads[:3]))}{' and more' * (len(heads) > 3)}"
        )
    if (
        len(order) > MOST
        and options.focus is None
        and options.depth is None
        and not _steps(order, options)
    ):
        return summarize(order, title, options.gradients)
    seen = view(order, options.focus, options.radius)
    paths, depth = _frames(seen.nodes, options)
    if depth is None:
        return summarize(order, title, options.gradients)
    return _Builder(order, seen, options, heads, paths, depth).picture(title)


def _frames(nodes: Sequence[GraphNode], options: Options) -> tuple[dict[int, Path], int | None]:
    """Which modules the nodes lie in, and how many levels of them to open; None if the picture
    would be too big.
    """
    few = _steps(nodes, options)
    if few is None and options.depth is None and len(nodes) > MOST:
        return {}, None
    paths = paths_of(nodes, scopes(nodes, few))
    deepest = max(len(path) for path in paths.values())

    def boxes(depth: int) -> int:
        return len({id(_closed(path, depth) or key) for key, path in paths.items()})

    if options.depth is not None or options.steps is not None:
        depth = deepest if options.depth is None else options.depth
        return paths, depth if boxes(depth) <= MOST else None
    if boxes(deepest) > MOST:
        return paths, None
    return paths, next((depth for depth in range(deepest, 0, -1) if boxes(depth) <= ALL), 0)


def _steps(nodes: Sequence[GraphNode], options: Options) -> int | None:
    """How many time steps to draw at either end of an unrolled layer; None for all of them."""
    if options.steps is not None:
        return options.steps or None
    return (
        FEW
        if len(nodes) > ALL and any(isinstance(m, Step) for node in nodes for m in node.scope)
        else None
    )


def _closed(path: Path, depth: int) -> ModuleCall | None:
    """The outermost call on the path that is drawn as one box, where so many levels are open."""
    return next(
        (
            call
            for level, call in enumerate(path)
            if level == depth or isinstance(call.module, Skipped)
        ),
        None,
    )


def _head_name(head: GraphNode) -> str:
    return shorten(head.name) if head.name else words.node_label(head)


#: what stands below the line of a node that nothing is read of
NOTHING = Reading("", "none", -1, "")


@dataclass(frozen=True)
class _Wire:
    """A line from one box to another, before what it carries is measured: the nodes whose values it
    stands for.
    """

    values: list[int]
    source: str
    port: int
    target: str
    words: str
    back: bool = False


class _Builder:
    """The boxes, edges and clusters of one picture, made in execution order."""

    def __init__(
        self,
        order: Sequence[GraphNode],
        seen: Excerpt,
        options: Options,
        heads: Collection[GraphNode],
        paths: dict[int, Path],
        depth: int,
    ) -> None:
        self.whole, self.seen, self.options, self.paths, self.depth = (
            order,
            seen,
            options,
            paths,
            depth,
        )
        self.order, self.numbers, self.heads = (
            seen.nodes,
            seen.numbers,
            {id(head) for head in heads},
        )
        self.index = {id(node): i for i, node in enumerate(self.order)}
        self.calls = [_closed(paths[id(node)], depth) for node in self.order]
        ways = [paths[id(node)] for node in self.order]
        self.frames = [
            way[: way.index(call)] if call else way
            for way, call in zip(ways, self.calls, strict=True)
        ]
        self.homes = [
            call.id if call else f"n{n}" for n, call in zip(self.numbers, self.calls, strict=True)
        ]
        self.members: dict[str, list[int]] = {}
        for i, home in enumerate(self.homes):
            self.members.setdefault(home, []).append(i)
        self.names = parameter_names(paths)
        # what the caller does not want to see is not looked at: a picture without values is the
        # same for all values
        values = [None if options.values is False else measure(node.value) for node in order]
        self.flowed = {} if options.grads is False else options.gradients
        grads = [
            measure(self.flowed[id(node)]) if id(node) in self.flowed else None for node in order
        ]
        self.alarms = Alarms(order, values, grads)
        self.values, self.grads = ([stats[n] for n in self.numbers] for stats in (values, grads))
        self.show_values = (
            options.values if options.values is not None else len(self.members) <= ALL
        )
        self.show_grads = (
            options.grads if options.grads is not None else any(g is not None for g in grads)
        )
        self.ports: dict[str, dict[object, list[int]]] = {}
        self.wires: list[_Wire] = []
        self.ghosts: dict[str, list[Box]] = {}
        self.further: list[Box] = []

    def picture(self, title: str) -> Picture:
        self._connect()
        self._further()
        boxes: list[Box] = []
        for i, (home, call) in enumerate(zip(self.homes, self.calls, strict=True)):
            if self.members[home][-1] == i:  # a module comes where its last node is computed
                boxes += self.ghosts.get(home, [])
                boxes.append(self._module(call, i) if call else self._node(i))
        boxes += self.further
        links = sum(len(node.inputs) for node in self.whole)
        note = (
            f"{count(len(self.whole), 'node')}, {count(links, 'edge')}. "
            f"{self._around()}{self.alarms.note(self._name)}"
        )
        parts = (tuple(boxes), self._edges(), self._clusters(boxes))
        return Picture(title, len(self.whole), links, note.strip(), *parts, runs=self._runs())

    # ---------------- who is where
    def _frame(self, i: int) -> str | None:
        """The id of the innermost frame around the box of node i."""
        return self.frames[i][-1].frame if self.frames[i] else None

    def _name(self, n: int) -> str:
        """What the node with that number in the whole graph is called."""
        return f"n{n} ({words.node_label(self.whole[n], self.names.get(id(self.whole[n])))})"

    def _at(self, i: int) -> str:
        return self._name(self.numbers[i])

    def _label(self, i: int) -> str:
        return words.node_label(self.order[i], self.names.get(id(self.order[i])))

    def _cut(self, i: int) -> bool:
        """Is node i only hinted at? A leaf never is: it says all in one box."""
        return self.numbers[i] in self.seen.cut and bool(self.order[i].inputs)

    def _around(self) -> str:
        """What the picture is about, if it shows a part of the graph."""
        if self.options.focus is None:
            return ""
        near, name = (
            count(self.options.radius, "edge"),
            self._name(self.numbers[self.index[id(self.options.focus)]]),
        )
        return f"Shown is what lies within {near} of {name}. "

    # ---------------- edges
    def _connect(self) -> None:
        """Edges in execution order; into a module one per value, to a parameter's further users
        from a ghost.
        """
        done: set[tuple[int, str]] = set()
        first: dict[int, str] = {}
        for i, user in enumerate(self.order):
            target = self.homes[i]
            for slot, x in enumerate(() if self._cut(i) else user.inputs):
                j = self.index[id(x)]
                source = self.homes[j]
                if source == target or (self.calls[i] and (j, target) in done):
                    continue
                done.add((j, target))
                drawn_at = first.setdefault(j, target if not self.calls[j] else source)
                if isinstance(x, Variable) and drawn_at != target:
                    source = self._ghost(j, i, target)
                    self.wires.append(
                        _Wire([j], source, 0, target, f"{self._at(i)}, input {slot + 1}")
                    )
                else:
                    self._leave(j, i, slot, target)
        for a, b in self.options.loops:
            j, i = self.index[id(a)], self.index[id(b)]
            port, values = self._port(self.homes[j], j, j)
            self.wires.append(
                _Wire(
                    values,
                    self.homes[j],
                    port,
                    self.homes[i],
                    f"{self._at(i)} of the next step",
                    True,
                )
            )
        for i, node in enumerate(self.order):
            if id(node) in self.heads:
                self._port(self.homes[i], i, i)

    def _leave(self, j: int, i: int, slot: int, target: str) -> None:
        """A wire from the box of node j; what leaves a run of skipped steps for one target is one
        wire.
        """
        source, call = self.homes[j], self.calls[j]
        bundle = call is not None and isinstance(call.module, Skipped)
        key = ("to", target) if bundle else j
        known = key in self.ports.get(source, {})
        port, values = self._port(source, key, j)
        if not (bundle and known):
            self.wires.append(
                _Wire(values, source, port, target, f"{self._at(i)}, input {slot + 1}")
            )

    def _port(self, box: str, key: object, j: int) -> tuple[int, list[int]]:
        """The place where node j leaves a box, and the list of all values that leave there."""
        ports = self.ports.setdefault(box, {})
        values = ports.setdefault(key, [])
        if j not in values:
            values.append(j)
        return list(ports).index(key), values

    def _ghost(self, j: int, i: int, target: str) -> str:
        mine, label, n = self.ghosts.setdefault(target, []), self._label(j), self.numbers[j]
        for box in mine:
            if box.id.endswith(f"n{n}"):
                return box.id
        name = f"g{self.numbers[i]}n{n}"
        reading = self._below([j])
        flow = Flow(f"{name}f0", (), "", reading.state, reading.step, f"{label}, again")
        title = f"{label} again: the same variable as n{n}"
        mine.append(Box(name, "ghost", (f"↗ {label}",), title, (flow,), self._frame(i)))
        return name

    def _edges(self) -> tuple[Edge, ...]:
        edges: list[Edge] = []
        for wire in self.wires:
            reading = self._below(wire.values)
            title = self._words(wire.values, f"{self._called(wire.values)} to {wire.words}")
            ink = (reading.state, reading.step)
            edges.append(
                Edge(f"e{len(edges)}", wire.source, wire.port, wire.target, *ink, title, wire.back)
            )
        return tuple(edges)

    def _further(self) -> None:
        """A box for the users of a shown node that are left out."""
        for i, n in enumerate(self.numbers):
            if left := self.seen.onward.get(n, 0):
                box = Box(
                    f"a{n}",
                    "more",
                    ("⋯",),
                    f"{count(left, 'further user')} of {self._name(n)} left out",
                    (),
                )
                port, values = self._port(self.homes[i], i, i)
                self.wires.append(
                    _Wire(values, self.homes[i], port, box.id, "users that are left out")
                )
                self.further.append(box)

    # ---------------- what is written
    def _told(self, nodes: Sequence[int]) -> tuple[Stats | None, Stats | None]:
        """The value and the gradient of one node, or of several as one array, as far as they are to
        be shown.
        """
        values, grads = (
            [self.values[j] for j in nodes],
            [g for g in (self.grads[j] for j in nodes) if g is not None],
        )
        value = (
            pooled([v for v in values if v is not None])
            if self.show_values and None not in values
            else None
        )
        return value, pooled(grads) if grads and self.show_grads else None

    def _below(self, nodes: Sequence[int]) -> Reading:
        """What stands below a line, and its ink: the gradient, or what the caller reads in its
        place.
        """
        readings = self.options.readings
        call = self.calls[nodes[0]]
        if self.options.pool is not None and call is not None:
            return self.options.pool([self.order[i] for i in self.members[call.id]])
        if readings is not None:
            return readings.get(id(self.order[nodes[0]]), NOTHING) if len(nodes) == 1 else NOTHING
        gradient = self._told(nodes)[1]
        if gradient is not None:
            return Reading(gradient_line(gradient), gradient.state, gradient.step, "")
        missing = self.options.grads is True and not isinstance(self.order[nodes[0]], Constant)
        return Reading("no gradient", "none", -1, "") if missing else NOTHING

    def _words(self, nodes: Sequence[int], label: str) -> str:
        value, gradient = self._told(nodes)
        if self.options.readings is not None:
            gradient = None
        uses = self.seen.uses[self.numbers[nodes[0]]] if len(nodes) == 1 else 0
        return " ".join(
            filter(None, [words.flow_words(label, value, gradient, uses), self._below(nodes).words])
        )

    def _called(self, nodes: Sequence[int]) -> str:
        name = self._at(nodes[0])
        return (
            name
            if len(nodes) == 1
            else f"{count(len(nodes), 'value')}, {name} to {self._at(nodes[-1])},"
        )

    def _flow(self, box: str, port: int, nodes: Sequence[int]) -> Flow:
        value, reading = self._told(nodes)[0], self._below(nodes)
        above = value_lines(value) if value is not None else ()
        title = self._words(nodes, self._called(nodes))
        return Flow(f"{box}f{port}", above, reading.below, reading.state, reading.step, title)

    def _flows(self, box: str) -> tuple[Flow, ...]:
        return tuple(
            self._flow(box, port, nodes)
            for port, nodes in enumerate(self.ports.get(box, {}).values())
        )

    def _node(self, i: int) -> Box:
        node, value, label, n = self.order[i], self.values[i], self._label(i), self.numbers[i]
        name, frame = f"n{n}", self._frame(i)
        told = self._told([i])[1] if self.options.readings is None else None
        if told is not None and node.grad is not None and node.grad is not self.flowed[id(node)]:
            told = measure(node.grad)  # the box is the node's own: it tells the sum of all passes
        title = "; ".join(
            filter(None, [words.node_words(name, label, node, value, told), self._below([i]).words])
        )
        if self._cut(i):
            return Box(
                name,
                "more",
                ("⋯",),
                f"{title}; what leads to it is left out",
                self._flows(name),
                frame,
            )
        lines = words.node_lines(node, label, value if self.show_values else None)
        relu = node.inputs and node.rule.name == "relu"  # type: ignore[attr-defined]
        dead = value.zeros if relu and value is not None else None
        head, bad = id(node) in self.heads and bool(node.inputs), self.alarms.bad == n
        kind, focus = words.node_kind(node), node is self.options.focus
        return Box(name, kind, lines, title, self._flows(name), frame, head, bad, dead, focus)

    def _module(self, call: ModuleCall, i: int) -> Box:
        """The box of a collapsed module, whose last node is node i."""
        lines = call.name.split(" ", 1) if isinstance(call.module, Skipped) else [call.name]
        if call.parameters:
            lines.append(count(call.parameters, "parameter"))
            stats = [measure(p.grad) for p in parameters_of(call.module) if p.grad is not None]
            if stats and self.flowed and self.show_grads and self.options.readings is None:
                lines.append(f"∇ rms {number(pooled(stats).rms)}")
        members = [self.numbers[j] for j in self.members[call.id]]
        title = (
            f"{call.id}, module {call.label}: {count(len(members), 'node')}, n{members[0]} to "
            f"n{members[-1]}"
        )
        head, bad = (
            any(id(self.whole[n]) in self.heads for n in members),
            self.alarms.bad in members,
        )
        return Box(
            call.id, "module", tuple(lines), title, self._flows(call.id), self._frame(i), head, bad
        )

    def _clusters(self, boxes: list[Box]) -> tuple[Cluster, ...]:
        """The frames that hold a box, outer ones first."""
        needed = {box.cluster for box in boxes}
        found: dict[str, Cluster] = {}
        for way in self.frames:
            for level, call in enumerate(way):
                if way[-1].frame in needed:
                    found.setdefault(
                        call.frame,
                        Cluster(call.frame, call.label, way[level - 1].frame if level else None),
                    )
        return tuple(found.values())

    def _runs(self) -> tuple[tuple[str, ...], ...]:
        """By unrolled layer the frames of its steps, in order of time, and a box where steps are
        left out.
        """
        runs: dict[int, dict[str, int]] = {}
        for i, node in enumerate(self.order if self.options.focus is None else ()):
            step = next((module for module in node.scope if isinstance(module, Step)), None)
            call = next(
                (call for call in self.paths[id(node)] if isinstance(call.module, Step | Skipped)),
                None,
            )
            if (
                node.inputs
                and step is not None
                and call is not None
                and call in (self.calls[i], *self.frames[i])
            ):
                key = call.id if call is self.calls[i] else call.frame
                runs.setdefault(id(step.steps), {}).setdefault(key, step.t)
        return tuple(tuple(sorted(times, key=times.__getitem__)) for times in runs.values())
