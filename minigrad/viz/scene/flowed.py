"""Which gradients flowed through a graph: what its last backward pass gave to each node, whatever
other passes added.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from ...calculus.transforms import without_gradients
from ...graph.node import GraphNode, Variable
from ...graph.rule import Operator
from ...graph.settings import state_kept

Array = np.ndarray[Any, Any]


def flowed(order: Sequence[GraphNode], heads: Collection[GraphNode]) -> dict[int, Array]:
    """By `id(node)`: the gradient that the last backward pass through the heads gave to the node.

    Usually that is `node.grad`. Where several passes have added to the gradient of a variable, it
    is what this graph's operators gave to it, computed again from their gradients. Nodes of which
    it is not known are left out: those that belong to another graph's later pass, and variables
    whose users do, or whose users would now compute with other values.
    """
    found, passes = of_last_pass(order, heads), _passes(heads)
    mixed = {
        id(x)
        for x in order
        if isinstance(x, Variable) and x.grad is not None and id(x) not in found
    }
    if passes and mixed:
        found |= _contributions(order, mixed, passes)
    return found


def of_last_pass(order: Sequence[GraphNode], heads: Collection[GraphNode]) -> dict[int, Array]:
    """By `id(node)`: the gradients that come from no other pass than the last one through the
    heads.
    """
    passes = _passes(heads)
    return {
        id(node): node.grad for node in order if node.grad is not None and node.grad_pass in passes
    }


def _passes(heads: Collection[GraphNode]) -> set[int]:
    return {head.grad_pass for head in heads if head.grad is not None}


def _contributions(
    order: Sequence[GraphNode], mixed: set[int], passes: set[int]
) -> dict[int, Array]:
    """What operators gave to the variables in `mixed`, added in the order of a backward pass."""
    sums: dict[int, Array] = {}
    unknown: set[int] = set()
    for user in reversed(order):
        if (
            isinstance(user, Operator)
            and user.requires_grad
            and any(id(x) in mixed for x in user.inputs)
        ):
            if user.grad_pass not in passes or any(x.version > user.version for x in user.inputs):
                unknown.update(id(x) for x in user.inputs)
            elif user.grad is not None:
                for x, given in _given(user, user.grad):
                    sums[id(x)] = sums[id(x)] + given if id(x) in sums else given
    return {key: total for key, total in sums.items() if key in mixed - unknown}


def _given(user: Operator, grad: Array) -> Iterator[tuple[GraphNode, Array]]:
    """Each input of an operator with the gradient that the operator gave to it. Nothing in the
    graph changes.
    """
    inputs, work = list({id(x): x for x in user.inputs}.values()), user.work
    user.work = {name: array.copy() for name, array in work.items()}
    try:
        with without_gradients(inputs), state_kept(), np.errstate(all="ignore"):
            user.rule.vjp(user, grad)
            found = [(x, x.grad) for x in inputs]
    finally:
        user.work = work
    yield from ((x, given) for x, given in found if given is not None)
