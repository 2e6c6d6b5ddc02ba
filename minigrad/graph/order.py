"""The order in which values flow, and gradients flow back. Nothing here recurses: depth costs no
stack.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError
from .hooks import fire
from .node import Array, GraphNode, Operator
from .notes import tell_node
from .stamps import COUNT, next_pass


def topological_sort(head: GraphNode, known: Iterable[GraphNode] = ()) -> list[GraphNode]:
    """All nodes that `head` was computed from, inputs before users, `head` last.

    The order is that of a depth-first walk over the inputs from left to right: the same graph, the
    same list. The walk stops before nodes that are `known`, which are not in the list.
    """
    if not isinstance(head, GraphNode):
        raise TypeError(
            f"topological_sort: a {type(head).__name__}; a node was expected (call a model first)"
        )
    order: list[GraphNode] = []
    seen: set[GraphNode] = set(known)
    stack: list[GraphNode | None] = [head]
    while stack:
        node = stack.pop()
        if node is None:  # above a node whose inputs are in the order now
            order.append(stack.pop())  # type: ignore[arg-type]
        elif node not in seen:
            seen.add(node)
            if node.inputs:
                stack += (node, None, *node.inputs[::-1])
            else:
                order.append(node)
    return order


def forward(order: Sequence[GraphNode]) -> Array:
    """Compute every operator of the order anew, in place, from the present values of its leaves.

    Returns the value of the last node.
    """
    now = COUNT[0]
    try:
        for node in order:
            if isinstance(node, Operator):
                node.rule.run(node, node._data)
                node.stamp = now
                for hooks in (
                    node.hooks or ()
                ):  # empty ones cost next to nothing: a module's output has those of the module
                    if hooks.forward:
                        fire([each.forward for each in node.hooks or ()], node, node._data)
                        break
    except Exception as error:
        tell_node(error, node)
        raise
    return order[-1].value


def backward(order: Sequence[GraphNode], grad: Any = None) -> None:
    """Pull gradients back along the order, from its last node to its leaves.

    `grad` is the gradient of the last node (1 by default if that is a single number). Gradients of
    leaves add up over calls, those of operators are made anew. Raises `GraphError` where a leaf of
    the graph has been given another value (`x.value = …`, `x.value -= …`) since the last node was
    computed; what is written into `x.value[…]` is not watched.
    """
    head = order[-1]
    seed, number = seed_of(head, grad), next_pass()
    for node in order:
        if isinstance(node, Operator):
            if node._grad is not None:
                node.recycle_grad()
            node.grad_pass = number
        elif node.stamp > head.stamp:
            raise GraphError(
                f"backward from {head!r}: {node!r} has been given another value since; "
                "run forward again, or build the graph anew"
            )
        else:
            node.grad_pass = number if node._grad is None else 0
    head.receive(seed, owned=True)
    try:
        for node in reversed(order):
            if node._grad is None or not node.requires_grad:
                continue
            for hooks in node.hooks or ():
                if hooks.backward:
                    fire([each.backward for each in node.hooks or ()], node, node._grad)
                    break
            if isinstance(node, Operator):
                node.rule.vjp(node, node._grad)
    except Exception as error:
        tell_node(error, node)
        raise


def seed_of(head: GraphNode, grad: Any) -> Array:
    if not head.requires_grad:
        raise GraphError(
            f"backward from {head!r}: it depends on no Variable, so there is no gradient to pull"
        )
    if grad is None:
        if head.shape != ():
            raise GraphError(
                f"backward from {head!r}: shape {head.shape} is not a single number; "
                "reduce it (mean, sum) or give grad, an array of that shape"
            )
        return np.array(1, head.dtype)
    return array_like(head, grad, "backward from {node!r}: grad")


def array_like(node: GraphNode, value: Any, who: str) -> Array:
    """A copy of an array or a node's value in the dtype of `node`, whose shape it must have.

    `who` says what it is in an error, where `{node!r}` stands for the node: most calls need no
    words, so none are made.
    """
    array = np.asarray(value._data if isinstance(value, GraphNode) else value)
    if array.shape != node.shape:
        raise ShapeError(
            f"{who.format(node=node)} has shape {array.shape}, {node.shape} was expected"
        )
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{who.format(node=node)} holds {array.dtype}, numbers were expected")
    return np.array(array, node.dtype, order="C")
