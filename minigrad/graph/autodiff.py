"""Topological order, and the two passes along it: values forward, gradients backward.

Nodes are used here through their attributes and methods only. Nothing recurses, so the depth of a
graph costs no stack.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError
from .context import add_node_context
from .hooks import fire

N = TypeVar("N")


class Versions:
    """Counters that say whether a computed value still belongs to the present values of its leaves.

    A leaf's `version` is the number of its last change, an operator's the count at its last run.
    """

    changes = 0  # how often any leaf has been given another value
    passes = 0  # how many backward passes there have been

    @classmethod
    def next_change(cls) -> int:
        cls.changes += 1
        return cls.changes

    @classmethod
    def next_pass(cls) -> int:
        cls.passes += 1
        return cls.passes


def topological_sort(head: N, known: Iterable[N] = ()) -> list[N]:
    """All nodes that `head` was computed from, inputs before users, `head` last.

    The order is that of a depth-first search over the inputs from left to right, so the same graph
    gives the same list. The search stops at nodes that are `known`, which are left out.

    >>> x = mg.Variable(2.0, name="x")
    >>> [node.name or node.rule.name for node in mg.topological_sort(mg.exp(x * x))]
    ['x', 'multiply', 'exp']
    """
    if not hasattr(head, "inputs"):
        got = type(head).__name__
        raise TypeError(f"topological_sort: a {got}; a node was expected (call a model first)")
    order: list[N] = []
    seen = set(known)
    stack: list[Any] = [head]
    while stack:
        node = stack.pop()
        if node is None:  # the inputs of the node below are in the order now
            order.append(stack.pop())
        elif node not in seen:
            seen.add(node)
            if node.inputs:
                stack += (node, None, *node.inputs[::-1])
            else:
                order.append(node)
    return order


def forward(order: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Recompute every operator of the order, in place, from the present values of its leaves.

    Returns the value of the last node.

    >>> x = mg.Variable(2.0)
    >>> order = mg.topological_sort(x * x)
    >>> x.value = 3.0
    >>> mg.forward(order)
    array(9., dtype=float32)
    """
    try:
        for node in order:
            if node.inputs:
                node.rule.run(node, node._data)
                node.version = Versions.changes
                if node.hooks:
                    fire(node.hooks, "forward", node, node._data)
    except Exception as error:
        add_node_context(error, node)
        raise
    value: np.ndarray[Any, Any] = order[-1].value
    return value


def backward(order: Sequence[Any], grad: Any = None) -> None:
    """Propagate gradients along the order, from its last node to its leaves.

    `grad` is the gradient of the last node (1 by default if that holds a single number). Gradients
    of leaves add up over calls, those of operators are recomputed. Raises `GraphError` where a leaf
    of the graph has been given another value (`x.value = …`, `x.value -= …`) since the last node
    was computed; writing into `x.value[…]` is not noticed.

    >>> x = mg.Variable(2.0)
    >>> mg.backward(mg.topological_sort(x * x))
    >>> x.grad
    array(4., dtype=float32)
    """
    head = order[-1]
    seed, number = seed_of(head, grad), Versions.next_pass()
    for node in order:
        if node.inputs:
            node.recycle_grad()
            node.grad_pass = number
        elif node.version > head.version:
            raise GraphError(
                f"backward from {head.brief}: {node.brief} has been given another value since; "
                "run forward again, or rebuild the graph"
            )
        else:
            node.grad_pass = number if node._grad is None else 0
    head.receive(seed, owned=True)
    try:
        for node in reversed(order):
            if node._grad is None or not node.requires_grad:
                continue
            if node.hooks:
                fire(node.hooks, "backward", node, node._grad)
            if node.inputs:
                node.rule.vjp(node, node._grad)
    except Exception as error:
        add_node_context(error, node)
        raise


def seed_of(head: Any, grad: Any) -> np.ndarray[Any, Any]:
    """The gradient of `head` to start from: `grad` as an array, or 1 for a single number."""
    if not head.requires_grad:
        raise GraphError(
            f"backward from {head.brief}: it depends on no Variable, so there is no gradient"
        )
    if grad is None and head.size != 1:
        raise GraphError(
            f"backward from {head.brief}: shape {head.shape} is not a single number; "
            "reduce it (mean, sum) or give grad, an array of that shape"
        )
    given = np.ones(head.shape) if grad is None else grad
    return array_like(head, given, "backward from {node.brief}: grad")


def array_like(node: Any, value: Any, what: str) -> np.ndarray[Any, Any]:
    """A copy of an array or of a node's value, in the dtype of `node`, whose shape it must have.

    `what` names it in errors; `{node.brief}` in it is filled in only there, because it takes time.
    """
    array = np.asarray(getattr(value, "_data", value))
    if array.shape != node.shape:
        expected = f"{node.shape} was expected"
        raise ShapeError(f"{what.format(node=node)} has shape {array.shape}, {expected}")
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{what.format(node=node)} holds {array.dtype}, numbers were expected")
    return np.array(array, node.dtype, order="C")
