"""The lines of an inside: from which part of a group to which, with which values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...graph.node import GraphNode, Variable
from ...ops.recurrent import Step
from .options import Uses
from .tree import Group, Part, Tree, nodes_of


@dataclass
class Wire:
    """A line in an inside, before what it carries is measured: the nodes whose values it stands
    for, and the inputs that it feeds, however far away they are.

    `source` and `target` are ids of boxes; "" is the border of the group. `port` and `slot` are as
    in `Edge`. `last` is the input that the line ends at, None where it ends at a group or goes on.
    """

    values: list[int]
    uses: Uses
    source: str
    target: str
    last: tuple[int, int] | None = None
    slot: int = -1
    port: int = 0
    back: bool = False


#: a place where values leave a box, and the lines that begin there
Port = tuple[list[int], list[Wire]]


@dataclass
class Inside:
    """An open group: its lines, by box the places where values leave it, and the ghosts that stand
    before a box, by its id: (id, number of the leaf).
    """

    group: Group
    level: int
    wires: list[Wire] = field(default_factory=list)
    ports: dict[str, list[Port]] = field(default_factory=dict)
    ghosts: dict[str, list[tuple[str, int]]] = field(default_factory=dict)


class Connector:
    """Draws the lines of insides; `numbers` are those of the nodes in the whole graph."""

    def __init__(self, order: Sequence[GraphNode], numbers: Sequence[int], tree: Tree) -> None:
        self.order, self.numbers, self.tree = order, numbers, tree
        self.first: dict[int, int] = {}  # by node: the number of its first user
        for i, inputs in enumerate(tree.inputs):
            for j in inputs:
                self.first.setdefault(j, i)

    def connect(self, inside: Inside, entries: list[list[int]], exits: list[Port]) -> None:
        """Fill in the wires of an inside; `entries` and `exits` are what crosses its border."""
        group = inside.group
        where = {i: part for part in group.parts for i in nodes_of(part)}
        enters = {j: e for e, values in reversed(list(enumerate(entries))) for j in values}
        wires: dict[object, Wire] = {}

        def wire(key: object, j: int, uses: Uses, target: str) -> Wire:
            source = self.box(where[j]) if j in where else ""
            found = wires.setdefault(key, Wire([], [], source, target, port=enters.get(j, 0)))
            found.uses += uses
            if j not in found.values:
                found.values.append(j)
            return found

        for part in group.parts:
            target = self.box(part)
            for i in nodes_of(part):
                for slot, j in enumerate(self.tree.inputs[i]):
                    if where.get(j) is part and isinstance(part, Group):
                        continue
                    if self._again(j, i):
                        if part == i:
                            ghost = self._ghost(inside, j, i)
                            line = Wire([j], [(i, slot)], ghost, target, (i, slot))
                            wires[i, slot] = line
                        continue
                    bundle = self._bundle(j, where, enters, entries)
                    if bundle is not None:
                        key: object = (bundle, target)
                    else:
                        key = (j, target) if isinstance(part, Group) else (i, slot)
                    found = wire(key, j, [(i, slot)], target)
                    found.last = None if isinstance(part, Group) else (i, slot)
        for number, (values, leaving) in enumerate(exits):
            uses = [use for line in leaving for use in line.uses]
            for j in values if leaving else ():
                own = [(i, slot) for i, slot in uses if self.tree.inputs[i][slot] == j]
                bundle = self._bundle(j, where, enters, entries)
                key = ("exit", number, bundle if bundle is not None else j)
                wire(key, j, own, "").slot = number
        inside.wires += wires.values()
        into: dict[str, int] = {}
        for line in inside.wires:
            if line.target and line.last is None:
                line.slot = into[line.target] = into.get(line.target, -1) + 1

    def box(self, part: Part) -> str:
        """The id of the box of a part."""
        return part.id if isinstance(part, Group) else f"n{self.numbers[part]}"

    def _bundle(
        self, j: int, where: dict[int, Part], enters: dict[int, int], entries: list[list[int]]
    ) -> object:
        """What all values that run together from there share; None for a value that runs alone."""
        if j not in where:
            return ("entry", enters[j]) if len(entries[enters[j]]) > 1 else None
        part = where[j]
        return part.id if isinstance(part, Group) and part.bundled else None

    def _ghost(self, inside: Inside, j: int, i: int) -> str:
        target = f"n{self.numbers[i]}"
        name = f"g{self.numbers[i]}n{self.numbers[j]}"
        mine = inside.ghosts.setdefault(target, [])
        if (name, j) not in mine:
            mine.append((name, j))
        return name

    def _again(self, j: int, i: int) -> bool:
        """Does leaf j stand as a ghost before its user i, and not as a line from its own box?"""
        if self.order[j].inputs:
            return False
        home, user = self.tree.homes[j], self.tree.homes[i]
        chain = self._chain(user)
        if home not in chain:
            return True
        if home is user:
            return isinstance(self.order[j], Variable) and self.first[j] != i
        part = chain[chain.index(home) - 1]
        step = part.call is not None and isinstance(part.call.module, Step)
        return (step or part.bundled) and self.first[j] not in part.nodes

    def _chain(self, group: Group) -> list[Group]:
        """The group and those around it, inner ones first."""
        found = [group]
        while found[-1] in self.tree.parents:
            found.append(self.tree.parents[found[-1]])
        return found
