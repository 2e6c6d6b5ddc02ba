"""From a graph to a `Picture`: what becomes a box, what is written on it, what is collapsed, who gets a ghost."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...graph.node import Constant, GraphNode, ScalarOperator, Variable
from . import words
from .alarms import Alarms
from .measure import Stats, measure
from .modules import Call, Path, parameter_names, parameters_of, paths_of
from .picture import Box, Cluster, Edge, Flow, Picture
from .summary import summarize
from .text import count, gradient_line, number, shape, shorten, value_lines

#: up to this many boxes everything is drawn; up to the second, modules collapse by themselves; above, a table
ALL, MOST = 60, 400


@dataclass(frozen=True)
class Options:
    """What the caller of `draw` asked for: None leaves the choice to the picture."""

    values: bool | None = None
    grads: bool | None = None
    depth: int | None = None
    title: str | None = None


def build(order: Sequence[GraphNode], options: Options) -> Picture:
    """The picture of a graph given in topological order, its head last."""
    head = order[-1]
    title = options.title if options.title is not None else f"Computation graph of {_head_name(head)}"
    paths = paths_of(order) if options.depth is not None or len(order) <= MOST else {}
    depth = _depth(order, paths, options.depth)
    if depth is None:
        return summarize(order, title)
    return _Builder(order, options, paths, depth).picture(title)


def _depth(order: Sequence[GraphNode], paths: dict[int, Path], asked: int | None) -> int | None:
    """How many levels of modules to show as frames; None where the picture would be too big all the same."""
    if not paths:
        return None
    deepest = max(len(path) for path in paths.values())

    def boxes(depth: int) -> int:
        return len({id(path[depth]) if len(path) > depth else key for key, path in paths.items()})

    if asked is not None:
        return asked if boxes(asked) <= MOST else None
    if len(order) <= ALL:
        return deepest
    return next((depth for depth in range(deepest, 0, -1) if boxes(depth) <= ALL), 0)


def _head_name(head: GraphNode) -> str:
    return shorten(head.name) if head.name else words.node_label(head)


class _Builder:
    """The boxes, edges and clusters of one picture, made in execution order."""

    def __init__(self, order: Sequence[GraphNode], options: Options, paths: dict[int, Path], depth: int) -> None:
        self.order, self.paths, self.depth = order, paths, depth
        self.index = {id(node): i for i, node in enumerate(order)}
        self.calls = [path[depth] if len(path) > depth else None for path in (paths[id(node)] for node in order)]
        self.homes = [call.id if call else f"n{i}" for i, call in enumerate(self.calls)]
        self.members: dict[str, list[int]] = {}
        for i, home in enumerate(self.homes):
            self.members.setdefault(home, []).append(i)
        self.names = parameter_names(paths)
        # what the caller does not want to see is not looked at: a picture without values is the same for all values
        self.values = [None if options.values is False else measure(node.value) for node in order]
        self.grads = [None if node.grad is None or options.grads is False else measure(node.grad) for node in order]
        self.alarms = Alarms(order, self.values, self.grads)
        self.show_values = options.values if options.values is not None else len(self.members) <= ALL
        self.show_grads = options.grads if options.grads is not None else any(g is not None for g in self.grads)
        self.ask_grads = options.grads is True
        self.uses = [0] * len(order)
        for node in order:
            for x in node.inputs:
                self.uses[self.index[id(x)]] += 1
        self.ports: dict[str, list[int]] = {}
        self.edges: list[Edge] = []
        self.ghosts: dict[str, list[Box]] = {}

    def picture(self, title: str) -> Picture:
        self._connect()
        boxes: list[Box] = []
        for i, (home, call) in enumerate(zip(self.homes, self.calls, strict=True)):
            if self.members[home][-1] == i:  # a module comes where its last node is computed
                boxes += self.ghosts.get(home, [])
                boxes.append(self._module(call, i) if call else self._node(i))
        links = sum(len(node.inputs) for node in self.order)
        note = f"{count(len(self.order), 'node')}, {count(links, 'edge')}. {self.alarms.note(self._name)}".strip()
        return Picture(title, len(self.order), links, note, tuple(boxes), tuple(self.edges), self._clusters(boxes))

    # ---------------------------------------------------------------- who is where
    def _frame(self, i: int) -> str | None:
        """The id of the innermost frame around the box of node number i."""
        path = self.paths[id(self.order[i])][: self.depth]
        return path[-1].frame if path else None

    def _name(self, i: int) -> str:
        return f"n{i} ({self._label(i)})"

    def _label(self, i: int) -> str:
        return words.node_label(self.order[i], self.names.get(id(self.order[i])))

    # ---------------------------------------------------------------- edges
    def _connect(self) -> None:
        """Edges in execution order; into a module one per value, to a parameter's further users from a ghost."""
        done: set[tuple[int, str]] = set()
        first: dict[int, str] = {}
        for i, user in enumerate(self.order):
            target = self.homes[i]
            for slot, x in enumerate(user.inputs):
                j = self.index[id(x)]
                source = self.homes[j]
                if source == target or (self.calls[i] and (j, target) in done):
                    continue
                done.add((j, target))
                drawn_at = first.setdefault(j, target if not self.calls[j] else source)
                if isinstance(x, Variable) and drawn_at != target:
                    source, port = self._ghost(j, i, target), 0
                else:
                    port = self._port(source, j)
                self._edge(j, i, slot, source, port, target)
        self._port(self.homes[-1], len(self.order) - 1)

    def _port(self, box: str, j: int) -> int:
        ports = self.ports.setdefault(box, [])
        if j not in ports:
            ports.append(j)
        return ports.index(j)

    def _ghost(self, j: int, i: int, target: str) -> str:
        mine = self.ghosts.setdefault(target, [])
        for box in mine:
            if box.id.endswith(f"n{j}"):
                return box.id
        label = self._label(j)
        name = f"g{i}n{j}"
        flow = Flow(f"{name}f0", (), "", *self._ink(j), f"{label}, again")
        title = f"{label} again: the same variable as n{j}"
        mine.append(Box(name, "ghost", (f"↗ {label}",), title, (flow,), self._frame(i)))
        return name

    def _edge(self, j: int, i: int, slot: int, source: str, port: int, target: str) -> None:
        here, there = self._name(j), self._name(i)
        flow = words.flow_words(f"{here} to {there}, input {slot + 1}", *self._told(j), self.uses[j])
        self.edges.append(Edge(f"e{len(self.edges)}", source, port, target, *self._ink(j), flow))

    # ---------------------------------------------------------------- what is written
    def _told(self, j: int) -> tuple[Stats | None, Stats | None]:
        """The value and the gradient of node j, as far as they are to be shown."""
        return (self.values[j] if self.show_values else None, self.grads[j] if self.show_grads else None)

    def _ink(self, j: int) -> tuple[str, int]:
        gradient = self._told(j)[1]
        return (gradient.state, gradient.step) if gradient is not None else ("none", -1)

    def _flow(self, box: str, port: int, j: int) -> Flow:
        value, gradient = self._told(j)
        above = value_lines(value) if value is not None else ()
        if gradient is not None:
            below = gradient_line(gradient)
        else:
            below = "no gradient" if self.ask_grads and not isinstance(self.order[j], Constant) else ""
        title = words.flow_words(self._name(j), value, gradient, self.uses[j])
        return Flow(f"{box}f{port}", above, below, *self._ink(j), title)

    def _flows(self, box: str) -> tuple[Flow, ...]:
        return tuple(self._flow(box, port, j) for port, j in enumerate(self.ports.get(box, ())))

    def _node(self, i: int) -> Box:
        node, value, label = self.order[i], self.values[i], self._label(i)
        kind = "scalar" if isinstance(node, ScalarOperator) else "broadcasted"
        if not node.inputs:
            kind = "variable" if isinstance(node, Variable) else "constant"
        second = shape(node.shape) if node.shape else ""
        if not node.shape and self.show_values and value is not None:
            second = number(value.mean)
        if node.inputs and node.name:
            second = f"{shorten(node.name, 16)} {second}".strip()
        lines = (label, second) if second and second != label else (label,)
        relu = node.inputs and node.rule.name == "relu"  # type: ignore[attr-defined]
        dead = value.zeros if relu and value is not None else None
        title = words.node_words(f"n{i}", label, node, value, self._told(i)[1])
        head = i == len(self.order) - 1 and bool(node.inputs)
        return Box(f"n{i}", kind, lines, title, self._flows(f"n{i}"), self._frame(i), head, self.alarms.bad == i, dead)

    def _module(self, call: Call, i: int) -> Box:
        """The box of a collapsed module, whose last node is number i."""
        lines = [call.name]
        if call.parameters:
            lines.append(count(call.parameters, "parameter"))
            rms = _rms(parameters_of(call.module)) if self.show_grads else None
            lines += [f"∇ rms {number(rms)}"] if rms is not None else []
        members = self.members[call.id]
        title = f"{call.id}, module {call.label}: {count(len(members), 'node')}, n{members[0]} to n{members[-1]}"
        head, bad = i == len(self.order) - 1, self.alarms.bad in members
        return Box(call.id, "module", tuple(lines), title, self._flows(call.id), self._frame(i), head, bad)

    def _clusters(self, boxes: list[Box]) -> tuple[Cluster, ...]:
        """The frames that hold a box, outer ones first."""
        needed = {box.cluster for box in boxes}
        found: dict[str, Cluster] = {}
        for path in self.paths.values():
            for level, call in enumerate(path[: self.depth]):
                if path[min(len(path), self.depth) - 1].frame in needed:
                    parent = path[level - 1].frame if level else None
                    found.setdefault(call.frame, Cluster(call.frame, call.label, parent))
        return tuple(found.values())


def _rms(parameters: list[Variable]) -> float | None:
    """The root mean square over all gradients of the parameters, None where there is none yet."""
    stats = [measure(p.grad) for p in parameters if p.grad is not None]
    size = sum(s.size for s in stats)
    return math.sqrt(sum(s.rms**2 * s.size for s in stats) / size) if size else None
