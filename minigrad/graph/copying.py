"""Copying and pickling graphs of any depth: along the topological order, where Python itself would
recurse.

A copy has the values, gradients and names; hooks, and the modules that nodes were made in, stay
with the original. What depends on buffers, which may have moved on, is copied; everything else is
computed again.
"""

from __future__ import annotations

import copy
from typing import Any

from . import settings
from .buffer import state_of
from .node import Array, GraphNode, Operator
from .order import topological_sort
from .rule import Rule

Kept = tuple[Array, dict[str, Array]] | None
Row = tuple[Rule, tuple[int, ...], dict[str, Any], str | None, Kept]


def copy_graph(head: Operator, memo: dict[int, Any]) -> Operator:
    """A deep copy of the node and of everything it was computed from (what `copy.deepcopy`
    calls).
    """
    for node in topological_sort(head):
        if id(node) in memo:
            continue
        if isinstance(node, Operator):
            inputs = tuple(memo[id(x)] for x in node.inputs)
            with settings.state_kept():
                twin = type(node)(
                    node.rule, inputs, copy.deepcopy(node.attributes, memo), node.plan
                )
            _restore(twin, copy.deepcopy(_kept(node)))
            twin.name, twin._grad = node.name, None if node._grad is None else node._grad.copy()
            twin.grad_pass = node.grad_pass
            memo[id(node)] = twin
        else:
            copy.deepcopy(node, memo)
    result: Operator = memo[id(head)]
    return result


def flatten_graph(head: Operator) -> list[GraphNode | Row]:
    """The graph as a flat list: leaves as they are, operators as (rule, input positions,
    attributes, name, arrays).
    """
    order = topological_sort(head)
    position = {id(node): i for i, node in enumerate(order)}
    return [
        (
            node.rule,
            tuple(position[id(x)] for x in node.inputs),
            node.attributes,
            node.name,
            _kept(node),
        )
        if isinstance(node, Operator)
        else node
        for node in order
    ]


def rebuild_graph(rows: list[GraphNode | Row]) -> GraphNode:
    """The inverse of `flatten_graph`: values are computed again by the same rules."""
    nodes: list[GraphNode] = []
    for row in rows:
        if isinstance(row, GraphNode):
            nodes.append(row)
        else:
            rule, inputs, attributes, name, kept = row
            with settings.state_kept():
                node = rule.apply(tuple(nodes[i] for i in inputs), attributes)
            _restore(node, kept)
            node.name = name
            nodes.append(node)
    return nodes[-1]


def _kept(node: Operator) -> Kept:
    """Of a node with buffers its value and its work, which running it again would not give."""
    return (node._data, node.work) if state_of(node) else None


def _restore(node: GraphNode, kept: Kept) -> None:
    if kept is not None and isinstance(node, Operator):
        node._data, node.work = kept
