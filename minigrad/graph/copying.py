"""Copying and pickling graphs of any depth: along the topological order, where Python itself would recurse.

A copy has the values, gradients and names; hooks, and the modules that nodes were made in, stay with the original.
"""
from __future__ import annotations

import copy
from typing import Any

from .node import GraphNode, Operator
from .order import topological_sort
from .rule import Rule

Row = tuple[Rule, tuple[int, ...], dict[str, Any], str | None]


def copy_graph(head: Operator, memo: dict[int, Any]) -> Operator:
    """A deep copy of the node and of everything it was computed from (what `copy.deepcopy` calls)."""
    for node in topological_sort(head):
        if id(node) in memo:
            continue
        if isinstance(node, Operator):
            inputs = tuple(memo[id(x)] for x in node.inputs)
            twin = type(node)(node.rule, inputs, copy.deepcopy(node.attributes, memo), node.plan)
            twin.name, twin.grad = node.name, None if node.grad is None else node.grad.copy()
            memo[id(node)] = twin
        else:
            copy.deepcopy(node, memo)
    result: Operator = memo[id(head)]
    return result


def flatten_graph(head: Operator) -> list[GraphNode | Row]:
    """The graph as a flat list: leaves as they are, operators as (rule, input positions, attributes, name)."""
    order = topological_sort(head)
    position = {id(node): i for i, node in enumerate(order)}
    return [
        (node.rule, tuple(position[id(x)] for x in node.inputs), node.attributes, node.name)
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
            rule, inputs, attributes, name = row
            node = rule.apply(tuple(nodes[i] for i in inputs), attributes)
            node.name = name
            nodes.append(node)
    return nodes[-1]
