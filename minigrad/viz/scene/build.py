"""From a graph to a `Picture`: what becomes a box, what is written on it, what is collapsed, who
gets a ghost.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ...graph.node import Constant, GraphNode, Variable
from ...ops.recurrent import Step
from ..flow.alarms import Alarms
from . import words
from .alarms import is_bad
from .flowed import Array
from .focus import Excerpt, view
from .measure import Stats, measure, pooled
from .modules import ModuleCall, Path, parameter_names
from .opening import ALL, APART, MOST, Options, Uses, closed, opened, steps_of
from .picture import Box, Cluster, Edge, Flow, Picture
from .readings import Reading
from .steps import Skipped
from .summary import summarize
from .text import count, gradient_line, number, shorten, value_lines


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
        and not steps_of(order, options)
    ):
        return summarize(order, title, options.flow.nodes)
    seen = view(order, options.focus, options.radius)
    paths, depth = opened(seen.nodes, options)
    if depth is None:
        return summarize(order, title, options.flow.nodes)
    return _Builder(order, seen, options, heads, paths, depth).picture(title)


def _head_name(head: GraphNode) -> str:
    return shorten(head.name) if head.name else words.node_label(head)


#: what stands below the line of a node that nothing is read of
NOTHING = Reading("", "none", -1, "")


@dataclass
class _Wire:
    """A line from one box to another, before what it carries is measured: the nodes whose values it
    stands for, and the inputs that it feeds.
    """

    values: list[int]
    uses: Uses
    source: str
    target: str
    words: str
    back: bool = False
    port: int = 0


#: a place where values leave a box, and the lines that begin there
_Port = tuple[list[int], list[_Wire]]


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
        self.calls = [closed(paths[id(node)], depth) for node in self.order]
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
        self.flowed = {} if options.grads is False else options.flow.nodes
        grads = [
            measure(self.flowed[id(node)]) if id(node) in self.flowed else None for node in order
        ]
        self.alarms = Alarms(order, values, grads, self._name)
        self.values, self.grads = ([stats[n] for n in self.numbers] for stats in (values, grads))
        self.show_values = (
            options.values if options.values is not None else len(self.members) <= ALL
        )
        self.show_grads = (
            options.grads if options.grads is not None else any(g is not None for g in grads)
        )
        self.plain = options.readings is None and options.lit is None
        self.ports: dict[str, list[_Port]] = {}
        self.wires: list[_Wire] = []
        self.parts: dict[int, list[Array | None] | None] = {}
        self.ghosts: dict[str, list[Box]] = {}
        self.further: list[Box] = []

    def picture(self, title: str) -> Picture:
        self._connect()
        self._further()
        self._leave()
        boxes: list[Box] = []
        for i, (home, call) in enumerate(zip(self.homes, self.calls, strict=True)):
            if self.members[home][-1] == i:  # a module comes where its last node is computed
                for ghost in self.ghosts.get(home, ()):
                    boxes.append(replace(ghost, flows=self._flows(ghost.id, ghost=True)))
                boxes.append(self._module(call, i) if call else self._node(i))
        boxes += self.further
        links = sum(len(node.inputs) for node in self.whole)
        note = (
            f"{count(len(self.whole), 'node')}, {count(links, 'edge')}. "
            f"{self._around()}{self.alarms.note}"
        )
        if any(part is None for part in self.parts.values()) and not self.options.loops:
            note += (
                " Along some lines gradients are not known: values or passes have changed since."
            )
        return Picture(
            *(title, len(self.whole), links, note.strip()),
            *(tuple(boxes), self._edges(), self._clusters(boxes)),
            runs=self._runs(),
            alarms=tuple(self.alarms.texts),
            key=self.options.key,
        )

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
        """Edges in execution order; into a module one per value, out of skipped steps one per
        target, to a parameter's further users from a ghost.
        """
        wires: dict[object, _Wire] = {}
        first: dict[int, str] = {}
        for i, user in enumerate(self.order):
            target = self.homes[i]
            for slot, x in enumerate(() if self._cut(i) else user.inputs):
                j = self.index[id(x)]
                source = self.homes[j]
                if source == target:
                    continue
                drawn_at = first.setdefault(j, target if not self.calls[j] else source)
                if isinstance(x, Variable) and drawn_at != target:
                    source = self._ghost(j, i, target)
                key: object = (j, target) if self.calls[i] else (i, slot)
                if source in self.members and self._skipped(j):
                    key = source, target
                told = f"{self._at(i)}, input {slot + 1}"
                wire = wires.setdefault(key, _Wire([], [], source, target, told))
                wire.uses.append((i, slot))
                if j not in wire.values:
                    wire.values.append(j)
        self.wires += wires.values()
        for a, b in self.options.loops:
            j, i = self.index[id(a)], self.index[id(b)]
            ends = self.homes[j], self.homes[i], f"{self._at(i)} of the next step"
            self.wires.append(_Wire([j], [], *ends, True))

    def _skipped(self, j: int) -> bool:
        call = self.calls[j]
        return call is not None and isinstance(call.module, Skipped)

    def _leave(self) -> None:
        """The place where each line leaves its box: one for each value, or for each line where it
        is known what came back along it.
        """
        groups: dict[object, list[_Wire]] = {}
        self.lines: dict[int, list[_Wire]] = {}  # by node, those that carry its value alone
        for wire in self.wires:
            bundle = wire.source in self.members and self._skipped(wire.values[0])
            key = wire.source, wire.target if bundle else wire.values[0]
            groups.setdefault(key, []).append(wire)
            self.lines.setdefault(wire.values[0], []).append(wire)
        for wires in groups.values():
            ports = self.ports.setdefault(wires[0].source, [])
            apart = 1 < len(wires) <= APART and all(map(self._apart, wires))
            for part in ([wire] for wire in wires) if apart else (wires,):
                for wire in part:
                    wire.port = len(ports)
                ports.append((wires[0].values, part))
        for i, node in enumerate(self.order):
            ports = self.ports.setdefault(self.homes[i], [])
            if id(node) in self.heads and not any(i in values for values, _ in ports):
                ports.append(([i], []))

    def _apart(self, wire: _Wire) -> bool:
        """Does a line begin at a place of its own? In columns of time steps there is no room."""
        ends = [self.order[i] for i in (wire.values[0], *(i for i, _ in wire.uses))]
        stepped = any(isinstance(module, Step) for node in ends for module in node.scope)
        if stepped and self.options.focus is None:
            return False
        return self.options.lit is not None or (self.plain and self._given(wire.uses) is not None)

    def _ghost(self, j: int, i: int, target: str) -> str:
        mine, label, n = self.ghosts.setdefault(target, []), self._label(j), self.numbers[j]
        for box in mine:
            if box.id.endswith(f"n{n}"):
                return box.id
        name, title = f"g{self.numbers[i]}n{n}", f"{label} again: the same variable as n{n}"
        mine.append(Box(name, "ghost", (f"↗ {label}",), title, (), self._frame(i)))
        return name

    def _edges(self) -> tuple[Edge, ...]:
        edges: list[Edge] = []
        for wire in self.wires:
            reading = self._back(wire)
            title = self._words(
                wire.values, f"{self._called(wire.values)} to {wire.words}", reading
            )
            ends = (wire.source, wire.port, wire.target)
            ink = self._ink(wire.values, reading)
            edges.append(Edge(f"e{len(edges)}", *ends, *ink, title, wire.back))
        return tuple(edges)

    def _further(self) -> None:
        """A box for the users of a shown node that are left out."""
        for i, n in enumerate(self.numbers):
            if left := self.seen.onward.get(n, 0):
                told = f"{count(left, 'further user')} of {self._name(n)} left out"
                self.further.append(Box(f"a{n}", "more", ("⋯",), told, ()))
                self.wires.append(_Wire([i], [], self.homes[i], f"a{n}", "further users"))

    # ---------------- what is written
    def _value(self, nodes: Sequence[int]) -> Stats | None:
        """The value of one node, or of several as one array; None where it is not looked at."""
        values = [v for v in (self.values[j] for j in nodes) if v is not None]
        return pooled(values) if values else None

    def _given(self, uses: Uses) -> Stats | None:
        """What came back along the lines to these inputs; None where nothing did, or that is not
        known.
        """
        sums: dict[int, Array] = {}
        for i, slot in uses if self.show_grads and self.flowed else ():
            if i not in self.parts:
                self.parts[i] = self.options.flow.along(self.order[i])
            part = (self.parts[i] or {slot: None})[slot]
            if part is None:
                return None
            key = id(self.order[i].inputs[slot])
            sums[key] = sums[key] + part if key in sums else part
        return pooled([measure(part) for part in sums.values()]) if sums else None

    def _back(self, wire: _Wire, *others: _Wire) -> Reading:
        """What came back along lines, or what the caller reads in its place."""
        if self.options.lit is not None:
            uses = [use for each in (wire, *others) for use in each.uses]
            return self.options.lit([(self.numbers[i], slot) for i, slot in uses])
        if others:
            return self._below(wire.values, "∇ ")
        given = self._given(wire.uses) if self.plain else None
        if given is not None:
            return self._gradient(given, wire.values)
        if self.plain and len(self.lines[wire.values[0]]) > 1:
            return NOTHING  # there is a sum, but it is not known which part of it came here
        return self._below(wire.values, "∇ " if wire.uses else "")

    def _gradient(self, stats: Stats, nodes: Sequence[int], mark: str = "") -> Reading:
        """Of what has come back for these nodes."""
        states = [self.alarms.states[self.numbers[j]] for j in nodes]
        judged = [state for state in states if state in ("vanished", "exploded")]
        state = (judged or ["normal"])[0] if stats.state == "normal" else stats.state
        told = f" ({state})" if state in judged else ""
        line = f"{mark}{gradient_line(stats, state)}"
        return Reading(line, state, stats.step, f"gradient {words.stats_words(stats)}{told}")

    def _below(self, nodes: Sequence[int], mark: str = "") -> Reading:
        """All that has come back for these nodes, or what the caller reads in its place."""
        readings, call = self.options.readings, self.calls[nodes[0]]
        if self.options.lit is not None:
            return NOTHING
        if self.options.pool is not None and call is not None:
            return self.options.pool([self.order[i] for i in self.members[call.id]])
        if readings is not None:
            return readings.get(id(self.order[nodes[0]]), NOTHING) if len(nodes) == 1 else NOTHING
        grads = [g for g in (self.grads[j] for j in nodes) if g is not None]
        if grads and self.show_grads:
            return self._gradient(pooled(grads), nodes, mark)
        missing = self.options.grads is True and not isinstance(self.order[nodes[0]], Constant)
        return Reading("no gradient", "none", -1, "") if missing else NOTHING

    def _ink(self, nodes: Sequence[int], reading: Reading) -> tuple[str, int]:
        """State and step of a line; NaN is followed along values, too."""
        value = self._value(nodes)
        if value is not None and is_bad(value) and self.plain:
            return value.state, -1
        return reading.state, reading.step

    def _words(self, nodes: Sequence[int], label: str, reading: Reading) -> str:
        value = self._value(nodes) if self.show_values else None
        told = [f"value {words.stats_words(value)}"] if value is not None else []
        told += [reading.words] if reading.words else []
        return f"{label}: {'; '.join(told)}" if told else label

    def _called(self, nodes: Sequence[int]) -> str:
        name = self._at(nodes[0])
        return (
            name
            if len(nodes) == 1
            else f"{count(len(nodes), 'value')}, {name} to {self._at(nodes[-1])},"
        )

    def _flows(self, box: str, ghost: bool = False) -> tuple[Flow, ...]:
        """What stands at the places where values leave a box; a ghost repeats no values."""
        flows: list[Flow] = []
        known: list[list[int]] = []
        for values, wires in self.ports.get(box, ()):
            value = self._value(values) if self.show_values else None
            again = ghost or values in known
            above = () if again or value is None else value_lines(value)
            reading = self._back(*wires) if wires else self._below(values)
            below = "" if ghost and not self._apart(wires[0]) else reading.below
            title = self._words(values, self._called(values), reading)
            flows.append(
                Flow(f"{box}f{len(flows)}", above, below, *self._ink(values, reading), title)
            )
            known.append(values)
        return tuple(flows)

    def _node(self, i: int) -> Box:
        node, value, label, n = self.order[i], self.values[i], self._label(i), self.numbers[i]
        name, frame = f"n{n}", self._frame(i)
        total = self._sum(i)
        told = [words.node_words(name, label, node, value), self._below([i]).words]
        title = "; ".join(filter(None, told))
        title += f", summed over {len(self.lines[i])} lines" if total else ""
        if self._cut(i):
            return Box(
                name,
                "more",
                ("⋯",),
                f"{title}; what leads to it is left out",
                self._flows(name),
                frame,
            )
        lines = (*words.node_lines(node, label, value if self.show_values else None), *total)
        relu = node.inputs and node.rule.name == "relu"  # type: ignore[attr-defined]
        dead = value.zeros if relu and value is not None else None
        head, bad = id(node) in self.heads and bool(node.inputs), self.alarms.bad == n
        kind, focus = words.node_kind(node), node is self.options.focus
        return Box(name, kind, lines, title, self._flows(name), frame, head, bad, dead, focus)

    def _sum(self, i: int) -> tuple[str, ...]:
        """The gradient of a node at which other things meet than what stands at its lines."""
        lines = self.lines.get(i, ())
        if not self.plain or not lines or self.grads[i] is None or not self.show_grads:
            return ()
        total, backs = self._below([i]).below, {self._back(line).below for line in lines}
        if backs <= {total, f"∇ {total}"} and len(lines) == 1:
            return ()
        apart = len({(line.source, line.port) for line in lines}) == len(lines)
        return (f"∇ {total}",) if apart else ()

    def _module(self, call: ModuleCall, i: int) -> Box:
        """The box of a collapsed module, whose last node is node i."""
        lines = call.name.split(" ", 1) if isinstance(call.module, Skipped) else [call.name]
        if call.parameters:
            lines.append(count(call.parameters, "parameter"))
            own = [
                self.grads[j] for j in self.members[call.id] if isinstance(self.order[j], Variable)
            ]
            stats = [grad for grad in own if grad is not None]
            if stats and self.show_grads and self.plain:
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
