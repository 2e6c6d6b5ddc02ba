"""A graph as a tree of boxes: modules, time steps, runs of alike parts, stretches of long insides.

Modules and time steps come from the scopes in which nodes were made. Where an inside would hold too
many boxes, parts that repeat become one box (`Block × 28`), and what is still too long becomes
stretches of about equal size. All of these are slices of one topological order, so that boxes
depend on each other in one direction only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeGuard

from ...graph.node import GraphNode
from ...graph.rule import Operator
from ...ops.recurrent import Step
from .modules import ModuleCall, Path
from .text import count, shorten

#: an inside holds at most so many boxes; stretches of a longer one hold about as many
MOST, STRETCH = 60, 20
#: so many stretches are seen at once: between all pairs of more there would be too many lines
FEW_SLICES = 12
#: so many repetitions of a module become one box; in an inside that is too long, of anything
MODULES, FEWEST = 12, 4
#: the longest part that is looked for in repetitions, in operators
PERIOD = 16
#: so many time steps at either end of a layer are boxes of their own, where not all fit
FEW = 3


@dataclass(eq=False)
class Group:
    """A box with an inside: `parts` are the numbers of nodes and other groups, inputs before users.

    `nodes` are the numbers of all nodes inside. `call` is the module or time step, if it is one;
    `bundled` says that values which leave it together are drawn as one line; `folded` that only an
    interactive drawing opens it.
    """

    id: str
    name: str
    call: ModuleCall | None = None
    parts: list[Part] = field(default_factory=list)
    nodes: list[int] = field(default_factory=list)
    bundled: bool = False
    folded: bool = False

    @property
    def parameters(self) -> int:
        """How many parameters its module has."""
        return self.call.parameters if self.call else 0

    @property
    def frame(self) -> str:
        """The id of its frame, where it is open."""
        return f"c{self.id[1:]}"

    @property
    def label(self) -> str:
        """`fc1 · Linear · 7,850 parameters`"""
        told = f" · {count(self.parameters, 'parameter')}" if self.parameters else ""
        return f"{self.name}{told}"


Part = Group | int


class Tree:
    """The tree of a graph; `root` is the page, `homes` has the group that each node lies in.

    `few` is how many time steps to keep at either end of an unrolled layer (0: all of them). Of
    nodes in `cut` the inputs are not shown.
    """

    def __init__(
        self,
        order: Sequence[GraphNode],
        paths: Mapping[int, Path],
        few: int,
        cut: Collection[int] = (),
    ) -> None:
        self.order, self.few, self.groups = order, few, 0
        index = {id(node): i for i, node in enumerate(order)}
        self.inputs = [
            [] if i in cut else [index[id(x)] for x in node.inputs] for i, node in enumerate(order)
        ]
        self.root = self._group("")
        calls: dict[str, Group] = {}
        for i, node in enumerate(order):
            group = self.root
            for call in paths[id(node)]:
                if call.id not in calls:
                    calls[call.id] = self._group(call.name, call)
                    group.parts.append(calls[call.id])
                group.nodes.append(i)
                group = calls[call.id]
            group.nodes.append(i)
            group.parts.append(i)
        for group in (self.root, *calls.values()):
            group.parts = self._shortened(self._ahead(group.parts))
        self.homes: dict[int, Group] = {}
        self.parents: dict[Group, Group] = {}
        for group in self.walk():
            for part in group.parts:
                if isinstance(part, Group):
                    self.parents[part] = group
                else:
                    self.homes[part] = group

    def walk(self, group: Group | None = None) -> Iterator[Group]:
        """All groups, outer ones first."""
        waiting = [group or self.root]
        while waiting:
            yield (group := waiting.pop())
            waiting += [part for part in reversed(group.parts) if isinstance(part, Group)]

    def levels(self) -> list[list[Group]]:
        """The groups by how many others they lie in; the first level is the page."""
        found = [[self.root]]
        while inner := [p for group in found[-1] for p in group.parts if isinstance(p, Group)]:
            found.append(inner)
        return found

    @cached_property
    def steps(self) -> int:
        """How many levels must be open for time steps to be seen."""
        depths = (k for k, level in enumerate(self.levels()) for g in level if _is_step(g))
        return min(depths, default=1) - 1

    def _group(self, name: str, call: ModuleCall | None = None, **options: Any) -> Group:
        self.groups += 1
        return Group(f"m{self.groups - 2}", name, call, **options)

    def _ahead(self, parts: list[Part]) -> list[Part]:
        """The parts, sorted; groups that feed each other are dissolved until none does."""
        while True:
            parts = self._sorted(parts)
            owner = {i: part for part in parts for i in nodes_of(part)}
            place = {part: k for k, part in enumerate(parts)}
            loops = (
                (part, owner[j])
                for part in parts
                for i in nodes_of(part)
                for j in self.inputs[i]
                if j in owner and place[owner[j]] > place[part]
            )
            one, other = next(loops, (None, None))
            if one is None:
                return parts
            gone = one if isinstance(one, Group) else other
            assert isinstance(gone, Group)
            parts = [p for part in parts for p in (gone.parts if part is gone else [part])]

    def _sorted(self, parts: list[Part]) -> list[Part]:
        """Inputs before users; else in the order in which the last node of each is computed."""
        owner = {i: part for part in parts for i in nodes_of(part)}
        found: dict[Part, bool] = {}
        for part in sorted(parts, key=lambda part: nodes_of(part)[-1]):
            self._visit(part, owner, set(), found)
        return list(found)

    def _visit(
        self, part: Part, owner: Mapping[int, Part], above: set[Part], found: dict[Part, bool]
    ) -> None:
        """Find what comes before a part, then the part; `above` are those that wait for it."""
        if part in found or part in above:
            return
        above.add(part)
        for i in nodes_of(part):
            for j in self.inputs[i]:
                if j in owner:
                    self._visit(owner[j], owner, above, found)
        above.remove(part)
        found[part] = True

    # ---------------- what is too long
    def _shortened(self, parts: list[Part]) -> list[Part]:
        """The parts, repetitions and stretches of them as groups where there are too many."""
        parts = self._few_steps(parts)
        least = FEWEST if len(parts) > MOST else MODULES
        units = list(_units(parts, self.order))
        kinds = [self._kind(unit) for unit in units]
        found: list[Part] = []
        for start, period, times in _runs(kinds, least):
            run = units[start : start + period * times]
            modules = any(isinstance(unit[-1], Group) for unit in run)
            steps = any(map(_is_step, (unit[-1] for unit in run)))
            if times < least or steps or not (modules or len(parts) > MOST):
                found += [part for unit in run for part in unit]
                continue
            each = [run[k : k + period] for k in range(0, len(run), period)]
            members = [self._member([p for unit in slot for p in unit]) for slot in each]
            name = self._called(run[:period])
            found.append(self._collect(f"{name} × {times}", self._stretched(members)))
        return self._stretched(found)

    def _few_steps(self, parts: list[Part]) -> list[Part]:
        """Time steps in the middle of a layer as one group that stays closed."""
        runs: dict[int, list[Group]] = {}
        for part in parts:
            if _is_step(part) and part.call:
                runs.setdefault(id(part.call.module.steps), []).append(part)
        hidden: dict[Part, Group] = {}
        for steps in runs.values():
            middle = steps[self.few : len(steps) - self.few]
            if self.few and len(middle) > 1:
                first, last = (s.call.module.t + 1 for s in (middle[0], middle[-1]) if s.call)
                group = self._collect(f"steps {first} to {last}", list(middle), folded=True)
                hidden |= dict.fromkeys(middle, group)
        return list(dict.fromkeys(hidden.get(part, part) for part in parts))

    def _stretched(self, parts: list[Part]) -> list[Part]:
        """At most `MOST` parts: longer lists in slices, and slices of slices."""
        while len(parts) > MOST:
            slices = -(-len(parts) // STRETCH)
            slices = min(slices, FEW_SLICES) if len(parts) <= FEW_SLICES * MOST else slices
            size = -(-len(parts) // slices)
            pieces = [parts[k : k + size] for k in range(0, len(parts), size)]
            parts = [self._collect(_stretch_name(piece), piece) for piece in pieces]
        return parts

    def _member(self, parts: list[Part]) -> Part:
        """One of several repetitions."""
        if len(parts) == 1:
            return parts[0]
        return self._collect(self._called(list(_units(parts, self.order))), parts)

    def _collect(self, name: str, parts: list[Part], folded: bool = False) -> Group:
        nodes = sorted(i for part in parts for i in nodes_of(part))
        return self._group(name, None, parts=parts, nodes=nodes, bundled=True, folded=folded)

    def _kind(self, unit: list[Part]) -> str:
        """What units that count as alike have in common: the operators, in order."""
        nodes = (self.order[i] for i in nodes_of(unit[-1]))
        kinds = [f"{n.rule.name}{len(n.inputs)}" for n in nodes if isinstance(n, Operator)]
        named = unit[-1].call if isinstance(unit[-1], Group) else None
        return f"{type(named.module).__name__ if named else ''}:{' '.join(kinds)}"

    def _called(self, units: list[list[Part]]) -> str:
        """What a repeated part is called: its modules or its symbols."""
        names = []
        for *_, part in units:
            if isinstance(part, Group):
                module = part.call.module if part.call else None
                names.append(shorten(type(module).__name__ if module else part.name, 16))
            else:
                node = self.order[part]
                names.append(node.rule.symbol if isinstance(node, Operator) else "leaf")
        if len(names) > 4:
            names = [*names[:3], "…"]
        return names[0] if len(names) == 1 else f"({' '.join(names)})"


def _is_step(part: Part) -> TypeGuard[Group]:
    return isinstance(part, Group) and part.call is not None and isinstance(part.call.module, Step)


def nodes_of(part: Part) -> list[int]:
    """The numbers of the nodes that a part of an inside stands for."""
    return part.nodes if isinstance(part, Group) else [part]


def _stretch_name(parts: list[Part]) -> str:
    return count(sum(len(nodes_of(part)) for part in parts), "node")


def _units(parts: list[Part], order: Sequence[GraphNode]) -> Iterator[list[Part]]:
    """Each operator or group with the leaves before it."""
    unit: list[Part] = []
    for part in parts:
        unit.append(part)
        if isinstance(part, Group) or order[part].inputs:
            yield unit
            unit = []
    if unit:
        yield unit


def _runs(kinds: list[str], least: int) -> Iterator[tuple[int, int, int]]:
    """(start, period, times) of the repetitions that cover the list, the longest at each place."""
    start = 0
    while start < len(kinds):
        best = (1, 1)
        for period in range(1, min(PERIOD, (len(kinds) - start) // least) + 1):
            if kinds[start + period] != kinds[start]:
                continue
            first, times = kinds[start : start + period], 1
            while kinds[start + times * period : start + (times + 1) * period] == first:
                times += 1
            if times >= least and times * period > best[0] * best[1]:
                best = (period, times)
        yield (start, *best)
        start += best[0] * best[1]
