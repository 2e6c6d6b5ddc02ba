"""Is a graph the same when its function builds it again? Only then may it run again in place of the
function.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Iterable, Sequence
from operator import is_
from types import FunctionType
from typing import Any

import numpy as np

from ..errors import GraphError
from ..graph.context import module_path
from ..graph.node import Buffer, Constant, GraphNode
from ..graph.rule import Operator, Rule
from ..ops.custom import Custom

#: name of the thread that reads data ahead, in which a user's code may draw random numbers
#: meanwhile
READER = "minigrad batches"
_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)


# ---------------- two graphs
def first_difference(
    first: Sequence[GraphNode],
    second: Sequence[GraphNode],
    fed: Collection[tuple[GraphNode, GraphNode]],
) -> str:
    """In words, the first node in which two orders differ, constants included; nothing where they
    are the same.

    `fed` are pairs of leaves, one of each graph, that are given with each run.
    """
    pairs = {id(a): b for a, b in fed}
    for i, (a, b) in enumerate(zip(first, second, strict=False)):
        if id(a) in pairs:
            same = pairs[id(a)] is b
        elif isinstance(a, Operator) and isinstance(b, Operator):
            inputs = [pairs.get(id(x)) for x in a.inputs]
            same = equal(a.rule, b.rule) and equal(a.attributes, b.attributes)
            same = (
                same
                and a.shape == b.shape
                and a.dtype == b.dtype
                and a.requires_grad == b.requires_grad
            )
            same = same and len(inputs) == len(b.inputs) and all(map(is_, inputs, b.inputs))
        else:
            same = a is b or (type(a) is type(b) and a.requires_grad == b.requires_grad)
            same = same and equal(a._data, b._data)
        if not same:
            module = module_path(a.scope)
            made = f" made in module {module}" if module else ""
            return (
                f"node number {i}{made}, {a!r}{_number(a)}, was {b!r}{_number(b)} the second time"
            )
        pairs[id(a)] = b
    if len(first) != len(second):
        return f"it had {len(first)} nodes, and {len(second)} the second time"
    return ""


def _number(node: GraphNode) -> str:
    return (
        f" with the value {node._data.item():.6g}"
        if isinstance(node, Constant) and node.size == 1
        else ""
    )


def equal(a: Any, b: Any) -> bool:
    """Do two things that a node is made of say the same?"""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, Buffer):  # a stream of random numbers that is made with the graph, say
        return bool(a.shape == b.shape and a.dtype == b.dtype)
    if isinstance(a, GraphNode):
        return equal(a._data, b._data)
    if isinstance(a, np.ndarray):
        return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())
    if isinstance(a, float | np.floating):
        return bool(a == b or (a != a and b != b))
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(map(equal, a.values(), b.values()))
    if isinstance(a, FunctionType):  # of an operator of the user's own that is made with the graph
        held = [[cell.cell_contents for cell in f.__closure__ or ()] for f in (a, b)]
        return a.__code__ == b.__code__ and equal(*held) and equal(a.__defaults__, b.__defaults__)
    if isinstance(a, Rule):
        return equal(vars(a), vars(b))
    return bool(a == b)


def users_rules(order: Sequence[GraphNode]) -> list[str]:
    """The names of rules that are no part of minigrad: their formulas may hold numbers of Python
    code.
    """
    rules = {node.rule for node in order if isinstance(node, Operator)}
    return sorted(
        rule.name
        for rule in rules
        if isinstance(rule, Custom) or not type(rule).__module__.startswith("minigrad.")
    )


# ---------------- what else a call may change
def python_state(modules: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Numbers that a call might draw on and change, by name: attributes of modules, generators of
    random numbers.
    """
    found: dict[str, Any] = {}
    for name, module in modules:
        prefix = ".".join(filter(None, (type(module).__name__, name)))
        found.update(
            (f"{prefix}.{key}", _kept(value))
            for key, value in vars(module).items()
            if key != "training"
        )
    alone = not any(thread.name == READER for thread in threading.enumerate())
    found["np.random"] = _kept(np.random.get_state(legacy=False)) if alone else None
    found["random"] = hash(random.getstate()) if alone else None
    return found


def _kept(value: Any) -> Any:
    """The numbers in a value, copied so that they can be compared later; nothing of what holds
    none.
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, np.ndarray):
        return value.copy() if value.dtype != object else None
    if isinstance(value, list | tuple):
        return [_kept(x) for x in value]
    if isinstance(value, dict):
        return {str(key): _kept(x) for key, x in value.items()}
    if isinstance(value, np.random.Generator):
        return _kept(value.bit_generator.state)
    if isinstance(value, random.Random):
        return value.getstate()
    return None


def changed(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The name of the first thing that has changed; nothing where nothing has. What is None on one
    side is not known.
    """
    known = (
        name
        for name, value in after.items()
        if value is not None and before.get(name, value) is not None
    )
    return next(
        (name for name in known if name not in before or not equal(before[name], after[name])), ""
    )


def refuse(what: str, found: str) -> None:
    """Raise `GraphError`: a forward that is no function of its inputs alone cannot be replaced by
    its graph.
    """
    if found:
        raise GraphError(
            f"{what} does something else when it is called again: {found}. Random numbers, "
            f"counters and "
            "whatever else Python code looks at would stay those of the first batch; use "
            'operators, or mode="eager"'
        )
