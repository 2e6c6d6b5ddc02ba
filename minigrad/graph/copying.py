"""Copies and pickles of graphs of any depth, along the topological order instead of by recursion.

A copy has the values, gradients and names; hooks, and the modules in which nodes were made, stay
with the original. Values that depend on buffers, which may have changed since, are copied; all
others are computed again. Nodes are used here through their attributes only.
"""

from __future__ import annotations

import copy
from typing import Any

from . import settings
from .autodiff import topological_sort


def copy_graph(head: Any, memo: dict[int, Any]) -> Any:
    """A deep copy of an operator and of everything it was computed from (for `copy.deepcopy`)."""
    for node in topological_sort(head):
        if id(node) in memo:
            continue
        if not node.inputs:
            copy.deepcopy(node, memo)
            continue
        inputs = tuple(memo[id(x)] for x in node.inputs)
        attributes = copy.deepcopy(node.attributes, memo)
        with settings.state_kept():
            made = type(node)(node.rule, inputs, attributes, node.plan)
        _restore(made, copy.deepcopy(_kept(node)))
        made.name, made._grad = node.name, None if node._grad is None else node._grad.copy()
        made.grad_pass = node.grad_pass
        memo[id(node)] = made
    return memo[id(head)]


def flatten_graph(head: Any) -> list[Any]:
    """The graph as a list: leaves as they are, operators as rows for `rebuild_graph`."""
    order = topological_sort(head)
    position = {id(node): i for i, node in enumerate(order)}
    return [_row(node, position) if node.inputs else node for node in order]


def _row(node: Any, position: dict[int, int]) -> tuple[Any, ...]:
    inputs = tuple(position[id(x)] for x in node.inputs)
    return node.rule, inputs, node.attributes, node.name, _kept(node)


def rebuild_graph(rows: list[Any]) -> Any:
    """The inverse of `flatten_graph`: values are computed again by the same rules."""
    nodes: list[Any] = []
    for row in rows:
        if isinstance(row, tuple):
            rule, inputs, attributes, name, kept = row
            with settings.state_kept():
                row = rule.apply(tuple(nodes[i] for i in inputs), attributes)
            _restore(row, kept)
            row.name = name
        nodes.append(row)
    return nodes[-1]


def _kept(node: Any) -> Any:
    """The value and work arrays of a node with buffers, which running it again would not give."""
    return (node._data, node.work) if node.changes(()) else None


def _restore(node: Any, kept: Any) -> None:
    if kept is not None and node.inputs:
        node._data, node.work = kept
