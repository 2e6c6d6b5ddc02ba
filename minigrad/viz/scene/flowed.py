"""Which gradients flowed through a graph: what its last backward pass gave to each node and along
each edge, whatever other passes added.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ...graph.node import GraphNode, Variable
from ...graph.rule import Operator
from ...graph.settings import state_kept

Array = np.ndarray[Any, Any]


class Flowed:
    """What the last backward pass through the heads gave.

    `nodes` has gradients by `id(node)`. Usually that is `node.grad`. Where several passes have
    added to the gradient of a variable, it is what this graph's operators gave to it. Nodes of
    which it is not known are left out: those that belong to another graph's later pass, and
    variables whose users do, or whose users would now compute with other values. `known` are
    gradients that are known already.
    """

    def __init__(
        self,
        order: Sequence[GraphNode],
        heads: Collection[GraphNode],
        known: Mapping[int, Array] | None = None,
    ) -> None:
        self._passes = {head.grad_pass for head in heads if head.grad is not None}
        self.nodes = dict(known or {})
        mixed: set[int] = set()
        for node in order:
            if node.grad is not None and node.grad_pass in self._passes:
                self.nodes[id(node)] = node.grad
            elif isinstance(node, Variable) and node.grad is not None and self._passes:
                mixed.add(id(node))
        mixed -= self.nodes.keys()
        sums: dict[int, Array] = {}
        for user in reversed(order):
            if user.requires_grad and any(id(x) in mixed for x in user.inputs):
                given = self.along(user)
                if given is None:
                    mixed.difference_update(map(id, user.inputs))
                for x, part in zip(user.inputs, given or (), strict=False):
                    if part is not None:
                        sums[id(x)] = sums[id(x)] + part if id(x) in sums else part
        self.nodes |= {key: total for key, total in sums.items() if key in mixed}

    def along(self, user: Any) -> list[Array | None] | None:
        """What an operator gave to each of its inputs, upstream times local; None: not known.

        It is computed again from the gradient and the values that the pass left behind, without a
        trace in the graph. Where the operator would now compute another value (an optimiser has
        made a step since), it is not known.
        """
        changed = any(x.version > user.version for x in user.inputs)
        if changed or user.grad_pass not in self._passes:
            return None
        twin = stand_in(user)
        with state_kept(), np.errstate(all="ignore"):
            value = user.rule.run(twin, None)
            if value.shape != user.shape or not np.allclose(
                value, user._data, 1e-5, equal_nan=True
            ):
                return None
            if user.grad is not None and user.requires_grad:
                user.rule.vjp(twin, user.grad)
        return [x.grad for x in twin.inputs]


def made(node: Operator, inputs: tuple[GraphNode, ...], data: Array, plan: Any = None) -> Operator:
    """An operator like `node` that has its arrays already: nothing is computed."""
    twin = type(node).__new__(type(node))
    GraphNode.__init__(twin, data, node.name)
    twin.rule, twin.inputs, twin.attributes, twin.plan = node.rule, inputs, node.attributes, plan
    twin.work = {name: array.copy() for name, array in node.work.items()}
    twin.requires_grad = node.requires_grad
    return twin


def stand_in(node: Operator) -> Operator:
    """The same with variables of its own in place of the inputs: also of f(x, x) two."""
    ends: list[Variable] = []
    for x in node.inputs:
        ends.append(Variable.__new__(Variable))
        GraphNode.__init__(ends[-1], x._data)
        ends[-1].requires_grad = x.requires_grad
    plan = node.plan
    if plan is None:  # of an opened cell
        plan = node.rule.plan(*ends, **node.attributes)
    return made(node, tuple(ends), node._data, plan)
