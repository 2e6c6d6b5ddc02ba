"""Comparing the graphs of two calls: a graph may replace a function that builds it each time."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from ..errors import GraphError
from ..graph.context import module_path
from ..graph.node import Buffer, Constant, GraphNode
from ..graph.rule import Operator, Rule
from ..ops.custom import Custom
from .fingerprint import contents

#: name of the thread that reads data ahead, in which a user's code may draw random numbers
READER = "minigrad batches"


# ---------------- two graphs
def first_difference(
    first: Sequence[GraphNode],
    second: Sequence[GraphNode],
    fed: Collection[tuple[GraphNode, GraphNode]],
) -> str:
    """In words, the first node in which two orders differ, constants included; empty if none does.

    `fed` are pairs of leaves, one of each graph, whose values are given with each run.
    """
    pairs = dict(fed)
    for i, (a, b) in enumerate(zip(first, second, strict=False)):
        same = pairs[a] is b if a in pairs else _same_node(a, b, pairs)
        if not same:
            module = module_path(a.scope)
            made = f" made in module {module}" if module else ""
            was = f"{b.brief}{_number(b)} the second time"
            return f"node number {i}{made}, {a.brief}{_number(a)}, was {was}"
        pairs[a] = b
    if len(first) != len(second):
        return f"it had {len(first)} nodes, and {len(second)} the second time"
    return ""


def _same_node(a: GraphNode, b: GraphNode, pairs: dict[GraphNode, GraphNode]) -> bool:
    """Are two nodes the same? Only values of leaves are compared."""
    if (a.shape, a.dtype, a.requires_grad) != (b.shape, b.dtype, b.requires_grad):
        return False
    if isinstance(a, Operator) and isinstance(b, Operator):
        same_inputs = [id(pairs.get(x)) for x in a.inputs] == [id(x) for x in b.inputs]
        if not (same_inputs and equal(a.rule, b.rule) and equal(a.attributes, b.attributes)):
            return False
        buffers = zip(a.buffers().values(), b.buffers().values(), strict=True)
        return all(pairs.setdefault(x, y) is y for x, y in buffers)
    return a is b or (type(a) is type(b) and equal(a._data, b._data))


def _number(node: GraphNode) -> str:
    number = isinstance(node, Constant) and node.size == 1
    return f" with the value {node._data.item():.6g}" if number else ""


def equal(a: Any, b: Any) -> bool:
    """Are two parts of nodes the same: rules, attributes, arrays?"""
    return a is b or bool(contents(a, _of_graph) == contents(b, _of_graph))


def _of_graph(x: Any) -> Any:
    if isinstance(x, Buffer):  # a random stream that is made with the graph, say
        return x.shape, x.dtype
    if isinstance(x, GraphNode):
        return type(x), contents(x._data, _of_graph)
    if isinstance(x, FunctionType):  # of a user's operator that is made with the graph
        cells = [cell.cell_contents for cell in x.__closure__ or ()]
        return x.__code__, contents((cells, x.__defaults__), _of_graph)
    return (type(x), contents(vars(x), _of_graph)) if isinstance(x, Rule) else x


def users_rules(order: Sequence[GraphNode]) -> list[str]:
    """The names of rules that are not minigrad's: their formulas may hold Python's numbers."""
    rules = {node.rule for node in order if isinstance(node, Operator)}
    return sorted(
        rule.name
        for rule in rules
        if isinstance(rule, Custom) or not type(rule).__module__.startswith("minigrad.")
    )


def written_alike(make: Callable[[], Any], order: Sequence[GraphNode], owner: str) -> Any:
    """What `make` gives; refused if a user's operators write another `source` the second time."""
    made, own = make(), users_rules(order)
    if own and made.source != make().source:
        refuse(f"{owner}: one of the operators {', '.join(own)}", "it has another formula")
    return made


# ---------------- what else a call may change
def python_state(modules: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """What a call might read and change, by name: attributes of modules, random generators."""
    found: dict[str, Any] = {}
    for name, module in modules:
        prefix = f"{type(module).__name__}.{name}".removesuffix(".")
        for key, value in vars(module).items():
            if key != "training":
                found[f"{prefix}.{key}"] = contents(value, lambda _: None)
    alone = all(thread.name != READER for thread in threading.enumerate())
    numpy = contents(np.random.get_state(legacy=False), lambda _: None)
    return found | {
        "np.random": numpy if alone else None,
        "random": random.getstate() if alone else None,
    }


def changed(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The name of the first thing that has changed; empty if nothing has. None is not known."""
    names = (name for name, value in after.items() if value is not None)
    differing = (name for name in names if before.get(name, "") not in (None, after[name]))
    return next(differing, "")


def refuse(what: str, found: str) -> None:
    """Raise `GraphError` if anything was found: `what` cannot be replaced by its graph."""
    if found:
        raise GraphError(
            f"{what} does something else when it is called again: {found}. Random numbers, "
            "counters and whatever else Python code looks at would stay those of the first batch; "
            'use operators, or mode="eager"'
        )
