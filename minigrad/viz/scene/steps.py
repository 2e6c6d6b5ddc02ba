"""Recurrence in a drawing: a fused node opened into its cells, step by step or rolled up; long runs of steps left out.

Opening runs nothing step by step. The cell is evaluated once, with the states of all steps that the kernel exposes as
one large batch; pulled back once, from the kernel's ∂L/∂h_t, it gives the gradients of everything inside.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...graph.node import BroadcastedOperator, Constant, GraphNode, Operator, ScalarOperator, Variable
from ...graph.order import backward, topological_sort
from ...graph.rule import Rule, by_name
from ...ops.recurrent import Step, Steps

Array = np.ndarray[Any, Any]
Scope = tuple[Any, ...]


class Skipped:
    """In a scope it stands for all the steps, `first` to `last`, that a drawing leaves out."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last


class Rolled:
    """In a scope it stands for all steps at once."""

    def __init__(self, total: int) -> None:
        self.total = total


def scopes(order: Sequence[GraphNode], few: int | None = None) -> dict[int, Scope]:
    """By `id(node)`: its scope, where all steps but the first and the last `few` have become one `Skipped`."""
    runs: dict[int, Skipped] = {}

    def told(module: Any) -> Any:
        if few is None or not isinstance(module, Step):
            return module
        total = module.steps.total
        if total <= 2 * few + 1 or not few <= module.t < total - few:
            return module
        return runs.setdefault(id(module.steps), Skipped(few, total - few - 1))

    return {id(node): tuple(map(told, node.scope)) for node in order}


class Opened:
    """A graph for display in which every fused recurrent node has been opened; the graph itself is not touched.

    `order` has nodes of its own from the first opened one on, whose arrays are views of the graph's; `twins` leads from
    `id(node)` of the graph to the node that stands for it. `loops` are the back edges of a rolled cell: (from, to).
    """

    def __init__(self, order: Sequence[GraphNode], rolled: bool) -> None:
        self.order: list[GraphNode] = []
        self.twins: dict[int, GraphNode] = {}
        self.loops: list[tuple[GraphNode, GraphNode]] = []
        for node in order:
            inputs = tuple(self.twins[id(x)] for x in node.inputs)
            if isinstance(node, Operator) and node.rule.cell is not None and node.shape[0]:
                twin: GraphNode = self._open(node, inputs, rolled)
            elif all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
                twin = self._add(node)
            else:
                assert isinstance(node, Operator)
                twin = self._make(node.rule, inputs, node._data, node.grad, node.scope, node.attributes, node.name)
                twin.work, twin.plan = node.work, node.plan  # type: ignore[attr-defined]
            self.twins[id(node)] = twin

    def _add(self, node: GraphNode) -> GraphNode:
        self.order.append(node)
        return node

    def _make(
        self, rule: Rule, inputs: tuple[GraphNode, ...], data: Array, grad: Array | None, scope: Scope,
        attributes: dict[str, Any], name: str | None = None,
    ) -> Operator:  # fmt: skip
        """An operator that has its arrays already: nothing is computed."""
        kind = BroadcastedOperator if any(x.shape for x in inputs) else ScalarOperator
        node = kind.__new__(kind)
        GraphNode.__init__(node, data, name)
        node.rule, node.inputs, node.attributes, node.plan, node.work = rule, inputs, attributes, None, {}
        node.requires_grad, node.grad, node.scope = grad is not None, grad, scope
        self._add(node)
        return node

    def _open(self, node: Operator, inputs: tuple[GraphNode, ...], rolled: bool) -> Operator:
        """The cells of a fused node, and the node that stands for its result."""
        cell = _Cell(node)
        if rolled:
            return self._roll(node, inputs, cell)
        total = node.shape[0]
        steps, states = Steps(total), []
        known: dict[int, GraphNode] = dict(zip(map(id, cell.leaves[2:]), inputs[2:], strict=True))
        known[id(cell.leaves[1])] = inputs[1]
        for t in range(total):
            scope = (*node.scope, Step(steps, t))
            part = inputs[0]._data[t], None if cell.leaves[0].grad is None else cell.part(cell.leaves[0].grad, t)
            known[id(cell.leaves[0])] = self._make(by_name("getitem"), inputs[:1], *part, scope, {"key": t})
            for inner in cell.inner:
                known[id(inner)] = self._inner(cell, inner, known, scope, lambda array, t=t: cell.part(array, t))
            state = known[id(cell.leaves[1])] = known[id(cell.inner[-1])]
            states.append(state)
        return self._make(by_name("stack"), tuple(states), node._data, node.grad, node.scope, {"axis": 0}, node.name)

    def _roll(self, node: Operator, inputs: tuple[GraphNode, ...], cell: _Cell) -> Operator:
        scope = (*node.scope, Rolled(node.shape[0]))
        known: dict[int, GraphNode] = dict(zip(map(id, cell.leaves), inputs, strict=True))
        made = [self._inner(cell, inner, known, scope, cell.whole) for inner in cell.inner]
        made[-1].name = node.name
        readers = (i for i, inner in enumerate(cell.inner) if any(x is cell.leaves[1] for x in inner.inputs))
        self.loops += [(made[-1], made[i]) for i in readers]
        return made[-1]

    def _inner(self, cell: _Cell, inner: Operator, known: dict[int, GraphNode], scope: Scope, cut: Any) -> Operator:
        data, grad = inner._data, inner.grad
        if id(inner) in cell.stepped:  # not what is computed from parameters alone, the same in every step
            data, grad = cut(data), None if grad is None else cut(grad)
        inputs = tuple(known[id(x)] for x in inner.inputs)
        twin = known[id(inner)] = self._make(inner.rule, inputs, data, grad, scope, inner.attributes)
        return twin


class _Cell:
    """A fused node's cell, evaluated once with all steps as one batch.

    `leaves` stand for the node's inputs (x, the state, the parameters), `inner` are the operators, the new state last.
    """

    def __init__(self, node: Operator) -> None:
        x, h0, *parameters = node.inputs
        self.steps, self.batch = node.shape[:2]
        before = np.concatenate([h0._data[None], node._data[:-1]])
        given = (_flat(x._data), _flat(before), *(p._data for p in parameters))
        follow = node.grad is not None and "dh" in node.work
        kinds = (Variable if follow and (i == 1 or p.requires_grad) else Constant for i, p in enumerate(node.inputs))
        self.leaves = [kind(array, dtype=array.dtype) for kind, array in zip(kinds, given, strict=True)]
        assert node.rule.cell is not None
        order = topological_sort(node.rule.cell(*self.leaves, **node.attributes))
        if follow:
            backward(order, _flat(node.work["dh"]))
        self.inner = [inner for inner in order if isinstance(inner, Operator)]
        self.stepped = {id(leaf) for leaf in self.leaves[:2]}  # what differs from step to step
        for inner in self.inner:
            if any(id(x) in self.stepped for x in inner.inputs):
                self.stepped.add(id(inner))

    def whole(self, array: Array) -> Array:
        """All steps of an array of the cell, as (steps, N, …)."""
        return array.reshape(self.steps, self.batch, *array.shape[1:])

    def part(self, array: Array, t: int) -> Array:
        """Step t of it."""
        return self.whole(array)[t]


def _flat(array: Array) -> Array:
    """Steps and batch as one axis."""
    return array.reshape(-1, *array.shape[2:])
