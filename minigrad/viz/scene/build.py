"""From a graph to a `Picture`: the tree of boxes, opened to a depth; what is written on each box
and at each line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial

from ...graph.node import Constant, GraphNode, Variable
from ...ops.recurrent import Step
from ..flow.alarms import Alarms
from . import words
from .alarms import is_bad
from .flowed import Array
from .focus import view
from .measure import Stats, measure, pooled
from .modules import parameter_names, paths_of
from .options import Options, Uses
from .picture import Box, Cluster, Edge, Flow, Picture
from .readings import Reading
from .text import count, gradient_line, number, shorten, value_lines
from .tree import FEW, MOST, Group, Part, Tree, nodes_of
from .wires import Connector, Inside, Port, Wire

#: up to so many lines leave a node each at a place of its own, with what came back along it
APART = 4
#: a closed group that more values leave has no texts at its lines
CROWD = 8
#: in larger graphs contributions, each of which computes an operator again, are not looked for
LARGE = 5000

#: the first letter of the id of a fork
FORK = "f"
#: what stands below the line of a node that nothing is read of
NOTHING = Reading("", "none", -1, "")


class Scene:
    """Everything that pictures of one graph have in common, whatever is open in them."""

    def __init__(self, order: Sequence[GraphNode], options: Options) -> None:
        self.whole, self.options = order, options
        self.heads = options.heads or (order[-1],)
        self.seen = view(order, options.focus, options.radius)
        self.order, self.numbers = self.seen.nodes, self.seen.numbers
        self.index = {id(node): i for i, node in enumerate(self.order)}
        paths = paths_of(self.order)
        self.names = parameter_names(paths)
        steps = any(isinstance(module, Step) for node in self.order for module in node.scope)
        few = FEW if steps and len(self.order) > MOST else 0
        few = few if options.steps is None else options.steps
        cut = [i for i, n in enumerate(self.numbers) if n in self.seen.cut]
        self.tree = Tree(self.order, paths, few, cut)
        self._measure()

    def _measure(self) -> None:
        # what the caller does not want to see is not looked at: a picture without values is the
        # same for all values
        options, order = self.options, self.whole
        values = [None if options.values is False else measure(node.value) for node in order]
        self.flowed = {} if options.grads is False else options.flow.nodes
        grads = [
            measure(self.flowed[id(node)]) if id(node) in self.flowed else None for node in order
        ]
        called = partial(
            _called, order, self.names
        )  # not a method: that would keep the graph alive
        self.alarms = Alarms(order, values, grads, called)
        self.values, self.grads = ([stats[n] for n in self.numbers] for stats in (values, grads))
        self.show_values = options.values is not False
        self.show_grads = (
            options.grads if options.grads is not None else any(g is not None for g in grads)
        )
        self.plain = options.readings is None and options.lit is None
        self.parts: dict[int, list[Array | None] | None] = {}

    def picture(self, depth: int, folded: bool = False) -> Picture:
        """The tree opened to a depth: so many levels of groups are drawn with their insides.

        `folded` opens those, too, that only an interactive drawing opens.
        """
        return _Builder(self, depth, folded).picture()

    @cached_property
    def sizes(self) -> list[int]:
        """How many boxes a picture has, by its depth."""
        levels = self.tree.levels()
        return [
            sum(
                sum(isinstance(part, int) or k == depth or part.folded for part in group.parts)
                for k, level in enumerate(levels[: depth + 1])
                for group in level
                if not group.folded
            )
            for depth in range(len(levels))
        ]

    @property
    def title(self) -> str:
        """What the picture is called."""
        if self.options.title is not None:
            return self.options.title
        names = " and ".join(map(_head_name, self.heads[:3]))
        return f"Computation graph of {names}{' and more' * (len(self.heads) > 3)}"

    # ---------------- what nodes are called
    def name(self, n: int) -> str:
        """What the node with that number in the whole graph is called."""
        return _called(self.whole, self.names, n)

    def at(self, i: int) -> str:
        """The same of a node that is shown."""
        return self.name(self.numbers[i])

    def label(self, i: int) -> str:
        """What stands in its box."""
        return words.node_label(self.order[i], self.names.get(id(self.order[i])))

    def called(self, nodes: Sequence[int]) -> str:
        """A node, or how many there are."""
        name = self.at(nodes[0])
        if len(nodes) == 1:
            return name
        return f"{count(len(nodes), 'value')}, {name} to {self.at(nodes[-1])},"

    # ---------------- what is read of values and gradients
    def value(self, nodes: Sequence[int]) -> Stats | None:
        """The value of one node, or of several as one array; None where it is not looked at."""
        values = [v for v in (self.values[j] for j in nodes) if v is not None]
        return pooled(values) if values else None

    def given(self, uses: Uses) -> Stats | None:
        """What came back along the lines to these inputs; None where nothing did, or that is not
        known.
        """
        sums: dict[int, Array] = {}
        known = self.show_grads and self.flowed and len(self.order) <= LARGE
        for i, slot in uses if known else ():
            if i not in self.parts:
                self.parts[i] = self.options.flow.along(self.order[i])
            part = (self.parts[i] or {slot: None})[slot]
            if part is None:
                return None
            key = id(self.order[i].inputs[slot])
            sums[key] = sums[key] + part if key in sums else part
        return pooled([measure(part) for part in sums.values()]) if sums else None

    def gradient(self, stats: Stats, nodes: Sequence[int], mark: str = "") -> Reading:
        """Of what has come back for these nodes."""
        states = [self.alarms.states[self.numbers[j]] for j in nodes]
        judged = [state for state in states if state in ("vanished", "exploded")]
        state = (judged or ["normal"])[0] if stats.state == "normal" else stats.state
        told = f" ({state})" if state in judged else ""
        line = f"{mark}{gradient_line(stats, state)}"
        return Reading(line, state, stats.step, f"gradient {words.stats_words(stats)}{told}")

    def ink(self, nodes: Sequence[int], reading: Reading) -> tuple[str, int]:
        """State and step of a line; NaN is followed along values, too."""
        value = self.value(nodes)
        if value is not None and is_bad(value) and self.plain:
            return value.state, -1
        return reading.state, reading.step

    def told(self, nodes: Sequence[int], label: str, reading: Reading) -> str:
        """The words for a line that carries the values of nodes."""
        value = self.value(nodes) if self.show_values else None
        told = [f"value {words.stats_words(value)}"] if value is not None else []
        told += [reading.words] if reading.words else []
        return f"{label}: {'; '.join(told)}" if told else label


def _called(order: Sequence[GraphNode], names: Mapping[int, str], n: int) -> str:
    return f"n{n} ({words.node_label(order[n], names.get(id(order[n])))})"


def _head_name(head: GraphNode) -> str:
    return shorten(head.name) if head.name else words.node_label(head)


class _Builder:
    """The boxes, edges and clusters of one picture, in execution order."""

    def __init__(self, scene: Scene, depth: int, folded: bool) -> None:
        self.scene, self.options, self.depth, self.folded = scene, scene.options, depth, folded
        self.order, self.numbers = scene.order, scene.numbers
        self.heads = {id(head) for head in scene.heads}
        self.connector = Connector(self.order, self.numbers, scene.tree)
        self.insides: dict[str, Inside] = {}
        self.lines: dict[int, list[Wire]] = {}  # by node: those that end somewhere
        self.clusters: list[Cluster] = []
        self.boxes: list[Box] = []
        self.edges: list[Edge] = []

    def picture(self) -> Picture:
        scene = self.scene
        self._connect(Inside(scene.tree.root, 0), [], [])
        self._draw(self.insides[scene.tree.root.id], None)
        links = sum(len(node.inputs) for node in scene.whole)
        note = (
            f"{count(len(scene.whole), 'node')}, {count(links, 'edge')}. "
            f"{self._around()}{self._folded()}{scene.alarms.note}"
        )
        if any(part is None for part in scene.parts.values()) and not self.options.loops:
            note += (
                " Along some lines gradients are not known: values or passes have changed since."
            )
        return Picture(
            *(scene.title, len(scene.whole), links, note.strip()),
            *(tuple(self.boxes), tuple(self.edges), tuple(self.clusters)),
            alarms=tuple(scene.alarms.texts),
            key=self.options.key,
        )

    def _around(self) -> str:
        """What the picture is about, if it shows a part of the graph."""
        if self.options.focus is None:
            return ""
        near = count(self.options.radius, "edge")
        name = self.scene.at(self.scene.index[id(self.options.focus)])
        return f"Shown is what lies within {near} of {name}. "

    def _folded(self) -> str:
        """What is closed, if that was not asked for."""
        shown = {box.id for box in self.boxes if box.kind == "module"}
        closed = [group for group in self.scene.tree.walk() if group.id in shown]
        if self.options.depth is not None or not closed:
            return ""
        nodes = count(sum(len(group.nodes) for group in closed), "node")
        boxes = f"{len(closed)} box{'es' * (len(closed) > 1)}"
        further = any(not group.folded for group in closed)
        opening = f": depth={self.depth + 1} opens them" * further
        return f"{nodes} folded into {boxes}{opening}. "

    # ---------------- lines
    def _opened(self, part: Part, level: int) -> bool:
        closed = not isinstance(part, Group) or (part.folded and not self.folded)
        return level < self.depth and not closed

    def _connect(self, inside: Inside, entries: list[list[int]], exits: list[Port]) -> None:
        """Connect an inside and those within it."""
        self.insides[inside.group.id] = inside
        self.connector.connect(inside, entries, exits)
        self._further(inside)
        self._loop(inside)
        self._fork(inside)
        self._leave(inside)
        for part in inside.group.parts:
            if not isinstance(part, Group) or not self._opened(part, inside.level):
                continue
            into = [wire for wire in inside.wires if wire.target == part.id and not wire.back]
            entering = [wire.values for wire in sorted(into, key=lambda wire: wire.slot)]
            leaving = inside.ports.get(part.id, [])
            self._connect(Inside(part, inside.level + 1), entering, leaving)
        for wire in inside.wires:
            if self._ends(wire) and not wire.back and len(wire.values) == 1:
                self.lines.setdefault(wire.values[0], []).append(wire)

    def _ends(self, wire: Wire) -> bool:
        return wire.target[:1] not in ("", FORK) and wire.target not in self.insides

    def _further(self, inside: Inside) -> None:
        """Lines to the users of a shown node that are left out."""
        onward = self.scene.seen.onward
        for part in inside.group.parts if onward else ():
            if not self._opened(part, inside.level):
                for i in nodes_of(part):
                    if self.numbers[i] in onward:
                        ends = self.connector.box(part), f"a{self.numbers[i]}"
                        inside.wires.append(Wire([i], [], *ends))

    def _loop(self, inside: Inside) -> None:
        """The lines of a rolled cell that lead from one time step to the next."""
        if not self.options.loops:
            return
        where = {i: self.connector.box(part) for part in inside.group.parts for i in nodes_of(part)}
        for a, b in self.options.loops:
            j, i = self.scene.index[id(a)], self.scene.index[id(b)]
            if j in where and i in where and where[j] != where[i]:
                inside.wires.append(Wire([j], [], where[j], where[i], (i, 0), back=True))

    def _fork(self, inside: Inside) -> None:
        """Where a value that enters a group takes several lines, a fork for what came back along
        each.
        """
        entering: dict[int, list[Wire]] = {}
        for wire in inside.wires:
            if not wire.source:
                entering.setdefault(wire.port, []).append(wire)
        for port, wires in entering.items():
            if 1 < len(wires) <= APART and all(map(self._apart, wires)):
                fork = f"{FORK}{inside.group.frame}.{port}"
                uses = [use for wire in wires for use in wire.uses]
                inside.wires.append(Wire(wires[0].values, uses, "", fork, port=port))
                for wire in wires:
                    wire.source = fork

    def _leave(self, inside: Inside) -> None:
        """The place where each line leaves its box: one for each value, or for each line where it
        is known what came back along it.
        """
        groups: dict[object, list[Wire]] = {}
        for wire in inside.wires:
            if wire.source:
                groups.setdefault((wire.source, *wire.values), []).append(wire)
        for wires in groups.values():
            ports = inside.ports.setdefault(wires[0].source, [])
            apart = 1 < len(wires) <= APART and all(map(self._apart, wires))
            for together in ([wire] for wire in wires) if apart else (wires,):
                for wire in together:
                    wire.port = len(ports)
                ports.append((wires[0].values, together))
        for part in inside.group.parts:
            for i in nodes_of(part):
                if id(self.order[i]) in self.heads:
                    ports = inside.ports.setdefault(self.connector.box(part), [])
                    if not any(i in values for values, _ in ports):
                        ports.append(([i], []))

    def _apart(self, wire: Wire) -> bool:
        """Does a line begin at a place of its own?"""
        if wire.back or not wire.uses:
            return False
        if self.options.lit is not None:
            return True
        return self.scene.plain and self.scene.given(wire.uses) is not None

    # ---------------- boxes
    def _draw(self, inside: Inside, cluster: str | None) -> None:
        """The boxes and edges of an inside and of those within it."""
        for part in inside.group.parts:
            box = self.connector.box(part)
            for ghost, j in inside.ghosts.get(box, ()):
                self.boxes.append(self._ghost(inside, ghost, j, cluster))
            if not isinstance(part, Group):
                self.boxes.append(self._node(inside, part, cluster))
                continue
            face = self._face(inside, part, cluster)
            if box in self.insides:
                self.clusters.append(Cluster(part.frame, part.label, cluster, face))
                self._draw(self.insides[box], part.frame)
            else:
                self.boxes.append(face)
        for wire in inside.wires:
            if wire.target.startswith(FORK):
                told = f"{self.scene.called(wire.values)} in several places"
                flows = self._flows(inside, wire.target, again=True)
                self.boxes.append(Box(wire.target, "fork", (), told, flows, cluster))
            if wire.target.startswith("a"):
                i = wire.values[0]
                left = count(self.scene.seen.onward[self.numbers[i]], "further user")
                told = f"{left} of {self.scene.at(i)} left out"
                self.boxes.append(Box(wire.target, "more", ("⋯",), told, (), cluster))
            self.edges.append(self._edge(wire, cluster))

    def _edge(self, wire: Wire, cluster: str | None) -> Edge:
        reading = self._back(wire)
        if wire.back and wire.last:
            to = f"{self.scene.at(wire.last[0])} of the next step"
        elif wire.uses:
            i, slot = wire.uses[0]
            to = f"{self.scene.at(i)}, input {slot + 1}"
        else:
            to = "further users"
        title = self.scene.told(wire.values, f"{self.scene.called(wire.values)} to {to}", reading)
        ends = (wire.source, wire.port, wire.target, wire.slot, cluster)
        ink = self.scene.ink(wire.values, reading)
        # the same id in every picture of the graph, whatever is open
        number = wire.slot if wire.last is None else wire.last[1]
        start, stop = wire.source or cluster, wire.target or cluster
        key = f"e{start}.{wire.port}.{stop}.{max(number, 0)}{'b' * wire.back}"
        uses = tuple((self.numbers[i], slot) for i, slot in wire.uses)
        return Edge(key, *ends, *ink, title, self._ends(wire), wire.back, uses)

    def _ghost(self, inside: Inside, ghost: str, j: int, cluster: str | None) -> Box:
        label = self.scene.label(j)
        title = f"{label} again: the same {_kind(self.order[j])} as n{self.numbers[j]}"
        flows = self._flows(inside, ghost, again=True)
        return Box(ghost, "ghost", (f"↗ {label}",), title, flows, cluster)

    def _node(self, inside: Inside, i: int, cluster: str | None) -> Box:
        scene, node, value, n = self.scene, self.order[i], self.scene.values[i], self.numbers[i]
        name, label = f"n{n}", scene.label(i)
        total = self._sum(inside, i)
        told = [words.node_words(name, label, node, value), self._below([i]).words]
        title = "; ".join(filter(None, told))
        title += f", summed over {len(self.lines[i])} lines" if total else ""
        flows = self._flows(inside, name)
        if n in scene.seen.cut and node.inputs:
            title += "; what leads to it is left out"
            return Box(name, "more", ("⋯",), title, flows, cluster)
        lines = (*words.node_lines(node, label, value if scene.show_values else None), *total)
        relu = node.inputs and node.rule.name == "relu"  # type: ignore[attr-defined]
        bar = value.zeros if relu and value is not None else None
        head, bad = id(node) in self.heads and bool(node.inputs), scene.alarms.bad == n
        kind, focus = words.node_kind(node), node is self.options.focus
        return self._dressed(
            Box(name, kind, lines, title, flows, cluster, head, bad, bar, focus), [i]
        )

    def _dressed(self, box: Box, nodes: Sequence[int]) -> Box:
        """The box as the caller wants it."""
        dress = self.options.dress
        return dress(box, [self.order[i] for i in nodes]) if dress is not None else box

    def _sum(self, inside: Inside, i: int) -> tuple[str, ...]:
        """The gradient of a node at which other things meet than what stands at its lines."""
        scene, lines = self.scene, self.lines.get(i, ())
        if not scene.plain or not lines or scene.grads[i] is None or not scene.show_grads:
            return ()
        total, backs = self._below([i]).below, {self._back(line).below for line in lines}
        if backs <= {total, f"∇ {total}"} and len(lines) == 1:
            return ()
        places = inside.ports.get(f"n{self.numbers[i]}", ())
        ghosts = any(line.source.startswith("g") for line in lines)
        return (f"∇ {total}",) if len(places) + ghosts > 1 or len(lines) == 1 else ()

    def _face(self, inside: Inside, group: Group, cluster: str | None) -> Box:
        """A closed group."""
        scene, lines = self.scene, [group.name]
        if not group.call:
            lines.append(count(len(group.nodes), "node"))
        if group.parameters:
            lines.append(count(group.parameters, "parameter"))
        own = (scene.grads[i] for i in group.nodes if isinstance(self.order[i], Variable))
        stats = [grad for grad in own if grad is not None]
        if stats and scene.show_grads and scene.plain:
            lines.append(f"∇ rms {number(pooled(stats).rms)}")
        members = [self.numbers[i] for i in group.nodes]
        title = (
            f"{group.id}, {'module' if group.call else 'group'} {group.label}: "
            f"{count(len(members), 'node')}, n{members[0]} to n{members[-1]}"
        )
        head = any(id(self.order[i]) in self.heads for i in group.nodes)
        bad, flows = scene.alarms.bad in members, self._flows(inside, group.id, group=group)
        told = tuple(dict.fromkeys(lines))
        face = Box(group.id, "module", told, title, flows, cluster, head, bad)
        return self._dressed(face, group.nodes)

    # ---------------- what is written at lines
    def _back(self, wire: Wire, *others: Wire) -> Reading:
        """What came back along lines, or what the caller reads in its place."""
        scene = self.scene
        if self.options.lit is not None:
            uses = [use for each in (wire, *others) for use in each.uses]
            return self.options.lit([(self.numbers[i], slot) for i, slot in uses])
        if others:
            return self._below(wire.values, "∇ ")
        given = scene.given(wire.uses) if scene.plain else None
        if given is not None:
            return scene.gradient(given, wire.values)
        if scene.plain and len(self.lines.get(wire.values[0], ())) > 1:
            return NOTHING  # there is a sum, but it is not known which part of it came here
        return self._below(wire.values, "∇ " if wire.uses else "")

    def _below(self, nodes: Sequence[int], mark: str = "") -> Reading:
        """All that has come back for these nodes, or what the caller reads in its place."""
        scene, readings = self.scene, self.options.readings
        if self.options.lit is not None:
            return NOTHING
        if readings is not None:
            return readings.get(id(self.order[nodes[0]]), NOTHING) if len(nodes) == 1 else NOTHING
        grads = [g for g in (scene.grads[j] for j in nodes) if g is not None]
        if grads and scene.show_grads:
            return scene.gradient(pooled(grads), nodes, mark)
        missing = self.options.grads is True and not isinstance(self.order[nodes[0]], Constant)
        return Reading("no gradient", "none", -1, "") if missing else NOTHING

    def _flows(
        self, inside: Inside, box: str, again: bool = False, group: Group | None = None
    ) -> tuple[Flow, ...]:
        """What stands at the places where values leave a box; a ghost repeats no values."""
        flows: list[Flow] = []
        known: list[list[int]] = []
        places = inside.ports.get(box, ())
        crowded = group is not None and len(places) > CROWD
        for values, wires in places:
            value = self.scene.value(values) if self.scene.show_values else None
            repeated = again or values in known
            shaped = group is not None
            bare = repeated or crowded
            above = () if bare or value is None else value_lines(value, shaped)
            reading = self._back(*wires) if wires else self._below(values)
            hidden = crowded or (again and not self._apart(wires[0]))
            below = "" if hidden else reading.below
            title = self.scene.told(values, self.scene.called(values), reading)
            ink = self.scene.ink(values, reading)
            flows.append(Flow(f"{box}f{len(flows)}", above, below, *ink, title))
            known.append(values)
        return tuple(flows)


def _kind(node: GraphNode) -> str:
    return "variable" if isinstance(node, Variable) else "constant"
