"""Which module a node belongs to: calls of modules found from the scopes that nodes remember.

Nothing here imports `minigrad.nn`: a module is any object that a node's `scope` names;
`named_modules()` and `parameters()` are asked for what they know where they exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...graph.node import GraphNode, Variable
from ...ops.recurrent import Step
from .steps import Rolled, Scope
from .text import shorten


@dataclass(frozen=True, eq=False, slots=True)
class ModuleCall:
    """One call of a module: the nodes that it made. A module called in two places of a graph has
    two calls.
    """

    id: str
    module: Any
    parent: ModuleCall | None
    name: str
    parameters: int


Path = tuple[ModuleCall, ...]


def paths_of(order: Sequence[GraphNode]) -> dict[int, Path]:
    """By `id(node)`: the calls that the node belongs to, outermost first."""
    if not any(node.scope for node in order):
        return {id(node): () for node in order}
    finder = _Finder()
    paths: dict[int, Path] = {}
    for node in order:
        if node.inputs:
            paths[id(node)] = finder.path(node, node.scope)
    for node in order:  # a leaf lies where it is first used
        for x in node.inputs:
            if not x.inputs and id(x) not in paths:
                paths[id(x)] = _leaf_path(x, x.scope, paths[id(node)])
    return {id(node): paths.get(id(node), ()) for node in order}


class _Finder:
    """Walks the order and puts operators into calls.

    Two calls of one module must not become one frame: collapsed, it would be a loop. So an operator
    joins the call that is open unless a path to it has been in that call and has left it. The calls
    that were left are kept as bits of an int per node.
    """

    def __init__(self) -> None:
        self.calls: list[ModuleCall] = []
        self.open: dict[tuple[str, int], ModuleCall] = {}
        self.bit: dict[str, int] = {}
        self.left: dict[int, int] = {}
        self.inside: dict[int, int] = {}

    def path(self, node: GraphNode, scope: Scope) -> Path:
        left = passed = mine = 0
        for x in node.inputs:
            left |= self.left.get(id(x), 0)
            passed |= self.inside.get(id(x), 0)
        path: list[ModuleCall] = []
        for module in scope:
            parent = path[-1] if path else None
            key = (parent.id if parent else "", id(module))
            call = self.open.get(key)
            if call is None or left & self.bit[call.id]:
                call = self.open[key] = self._new(module, parent, scope[0])
            path.append(call)
            mine |= self.bit[call.id]
        self.inside[id(node)], self.left[id(node)] = mine, (left | passed) & ~mine
        return tuple(path)

    def _new(self, module: object, parent: ModuleCall | None, root: object) -> ModuleCall:
        size = sum(p.size for p in parameters_of(module))
        call = ModuleCall(f"m{len(self.calls)}", module, parent, _name(module, root), size)
        self.calls.append(call)
        self.bit[call.id] = 1 << len(self.calls)
        return call


def _leaf_path(leaf: GraphNode, scope: Scope, path: Path) -> Path:
    """The part of its user's path that a leaf shares: a parameter's up to the module that owns
    it.
    """
    for level in range(len(path), 0, -1):
        if isinstance(leaf, Variable) and any(
            p is leaf for p in parameters_of(path[level - 1].module)
        ):
            return path[:level]
    level = 0
    while level < min(len(path), len(scope)) and path[level].module is scope[level]:
        level += 1
    return path[:level]


def parameters_of(module: Any) -> list[Any]:
    """The module's parameters, each once; none for an object that does not say."""
    ask = getattr(module, "parameters", None)
    return list({id(p): p for p in ask()}.values()) if callable(ask) else []


def parameter_names(paths: dict[int, Path]) -> dict[int, str]:
    """By `id(parameter)`: its name within its own module (`weight`), for those that have none of
    their own.
    """
    names: dict[int, str] = {}
    roots = {id(path[0].module): path[0].module for path in paths.values() if path}
    for root in roots.values():
        ask = getattr(root, "named_parameters", None)
        for name, parameter in ask() if callable(ask) else ():
            names.setdefault(id(parameter), name.rpartition(".")[2])
    return names


def _name(module: object, root: object) -> str:
    """`layers.0 · Linear`: the way from the outermost module, where that knows it, and the class;
    or the time step.
    """
    if isinstance(module, Step):
        return f"step {module.t + 1}"
    if isinstance(module, Rolled):
        return f"× {module.total} steps"
    ask = getattr(root, "named_modules", None)
    way = (
        next((name for name, inner in ask() if inner is module), "")
        if callable(ask) and module is not root
        else ""
    )
    kind = shorten(type(module).__name__, 32)
    return f"{shorten(way, 32)} · {kind}" if way else kind
