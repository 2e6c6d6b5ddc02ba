"""Recurrence in a drawing: a fused node opened into its cells, step by step or rolled up.

Opening runs nothing step by step. The cell is evaluated once, with the states of all steps that the
kernel exposes as one large batch; pulled back once, from the kernel's ∂L/∂h_t, it gives the
gradients of everything inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...graph.autodiff import topological_sort
from ...graph.node import Constant, GraphNode, Variable
from ...graph.registry import by_name
from ...graph.rule import BroadcastedOperator, Operator, Rule, ScalarOperator
from ...ops.recurrent import Recurrent, Step, Steps

Array = np.ndarray[Any, Any]
Scope = tuple[Any, ...]


class Rolled:
    """In a scope it stands for all steps at once."""

    def __init__(self, total: int) -> None:
        self.total = total


class Opened:
    """A graph for display in which every fused recurrent node has been opened; the graph itself is
    not touched.

    `order` has nodes of its own from the first opened one on, whose arrays are views of the
    graph's; `twins` leads from `id(node)` of the graph to the node that stands for it. `loops` are
    the back edges of a rolled cell: (from, to).
    """

    def __init__(self, order: Sequence[GraphNode], rolled: bool) -> None:
        self.order: list[GraphNode] = []
        self.twins: dict[int, GraphNode] = {}
        self.loops: list[tuple[GraphNode, GraphNode]] = []
        self._states: dict[int, list[_States]] = {}  # by id of a node with several states
        self._pass = self._version = 0  # of the node that is being opened
        read_whole = _read_whole(order)
        for node in order:
            inputs = tuple(self.twins[id(x)] for x in node.inputs)
            self._pass, self._version = node.grad_pass, node.version
            if (
                isinstance(node, Operator)
                and isinstance(node.rule, Recurrent)
                and len(node.inputs[0]._data)
            ):
                states = self._open(node, inputs, rolled)
                self._states[id(node)] = states
                if node.rule.states == 1:
                    twin: GraphNode = self._all(states[0], node)
                elif id(node) in read_whole:
                    each = tuple(self._all(state, node, j) for j, state in enumerate(states))
                    twin = self._make(
                        by_name("stack"),
                        each,
                        node._data,
                        node.grad,
                        node.scope,
                        {"axis": 0},
                        node.name,
                    )
                else:
                    twin = states[0].nodes[
                        -1
                    ]  # for who asks for the node itself; it is read in parts only
            elif (part := _part(node)) is not None and id(node.inputs[0]) in self._states:
                state = self._states[id(node.inputs[0])][part[0]]
                twin = self._all(state, node) if len(part) == 1 else self._last(state, node)
            elif all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
                twin = self._add(node)
            else:
                assert isinstance(node, Operator)
                twin = self._make(
                    node.rule, inputs, node._data, node.grad, node.scope, node.attributes, node.name
                )
                twin.work, twin.plan = node.work, node.plan
            self.twins[id(node)] = twin

    def _add(self, node: GraphNode) -> GraphNode:
        self.order.append(node)
        return node

    def _make(
        self,
        rule: Rule,
        inputs: tuple[GraphNode, ...],
        data: Array,
        grad: Array | None,
        scope: Scope,
        attributes: dict[str, Any],
        name: str | None = None,
    ) -> Operator:
        """An operator that has its arrays already: nothing is computed."""
        kind = BroadcastedOperator if any(x.shape for x in inputs) else ScalarOperator
        node = kind.__new__(kind)
        GraphNode.__init__(node, data, name)
        node.rule, node.inputs, node.attributes, node.plan, node.work = (
            rule,
            inputs,
            attributes,
            None,
            {},
        )
        node.requires_grad, node.grad, node.scope = grad is not None, grad, scope
        node.grad_pass, node.version = self._pass, self._version
        self._add(node)
        return node

    def _open(self, node: Operator, inputs: tuple[GraphNode, ...], rolled: bool) -> list[_States]:
        """The cells of a fused node, and the nodes that stand for its states."""
        cell = _Cell(node)
        if rolled:
            return self._roll(node, inputs, cell)
        steps, states = Steps(cell.steps), [_States([], False) for _ in cell.states]
        known: dict[int, GraphNode] = dict(zip(map(id, cell.leaves[1:]), inputs[1:], strict=True))
        for t in range(steps.total):
            scope = (*node.scope, Step(steps, t))
            part = (
                inputs[0]._data[t],
                None if cell.leaves[0].grad is None else cell.part(cell.leaves[0].grad, t),
            )
            known[id(cell.leaves[0])] = self._make(
                by_name("getitem"), inputs[:1], *part, scope, {"key": t}
            )
            for inner in cell.inner:
                known[id(inner)] = self._inner(
                    cell, inner, known, scope, lambda array, t=t: cell.part(array, t)
                )
            now = [known[id(state)] for state in cell.states]
            for leaf, state, found in zip(cell.leaves[1:], now, states, strict=False):
                known[id(leaf)] = state
                found.nodes.append(state)
        return states

    def _roll(self, node: Operator, inputs: tuple[GraphNode, ...], cell: _Cell) -> list[_States]:
        scope = (*node.scope, Rolled(cell.steps))
        known: dict[int, GraphNode] = dict(zip(map(id, cell.leaves), inputs, strict=True))
        for inner in cell.inner:
            known[id(inner)] = self._inner(cell, inner, known, scope, cell.whole)
        states = [known[id(state)] for state in cell.states]
        states[0].name = node.name or states[0].name
        for leaf, state in zip(cell.leaves[1:], states, strict=False):
            readers = (inner for inner in cell.inner if any(x is leaf for x in inner.inputs))
            self.loops += [(state, known[id(inner)]) for inner in readers]
        return [_States([state], True) for state in states]

    def _inner(
        self, cell: _Cell, inner: Operator, known: dict[int, GraphNode], scope: Scope, cut: Any
    ) -> Operator:
        data, grad = inner._data, inner.grad
        if (
            id(inner) in cell.stepped
        ):  # not what is computed from parameters alone, the same in every step
            data, grad = cut(data), None if grad is None else cut(grad)
        inputs = tuple(known[id(x)] for x in inner.inputs)
        return self._make(inner.rule, inputs, data, grad, scope, inner.attributes, inner.name)

    # ---------------- what reads the states
    def _all(self, state: _States, reader: Operator | GraphNode, j: int | None = None) -> GraphNode:
        """The node that stands for a state of all steps, which `reader` holds (as its part j, where
        that is given).
        """
        if state.rolled:
            return state.nodes[0]
        data, grad = reader._data, reader.grad
        if j is not None:
            data, grad = data[j], None if grad is None else grad[j]
        return self._make(
            by_name("stack"), tuple(state.nodes), data, grad, reader.scope, {"axis": 0}, reader.name
        )

    def _last(self, state: _States, reader: GraphNode) -> GraphNode:
        """The node that stands for the last step's."""
        if not state.rolled:
            return state.nodes[-1]
        key = {"key": -1}
        return self._make(
            by_name("getitem"),
            (state.nodes[0],),
            reader._data,
            reader.grad,
            reader.scope,
            key,
            reader.name,
        )


class _States:
    """The nodes that stand for one state of an opened node: one for each step, or one for all of
    them (rolled up).
    """

    def __init__(self, nodes: list[GraphNode], rolled: bool) -> None:
        self.nodes, self.rolled = nodes, rolled


def _part(node: GraphNode) -> tuple[int, ...] | None:
    """(j,) for a node that reads state j of all steps, (j, -1) for one that reads the last; of an
    operator with several.
    """
    if not isinstance(node, Operator) or node.rule.name != "getitem":
        return None
    x = node.inputs[0]
    if (
        not isinstance(x, Operator)
        or not isinstance(x.rule, Recurrent)
        or x.rule.states == 1
        or not len(x.inputs[0]._data)
    ):
        return None
    keys = ((j, *rest) for j in range(x.rule.states) for rest in ((), (-1,)))
    key: Any = getattr(node.plan, "key", None)
    return key if key in keys else None


def _read_whole(order: Sequence[GraphNode]) -> set[int]:
    """By id: the nodes that are read in another way, or by nobody."""
    parts = {id(node.inputs[0]) for node in order if _part(node) is not None}
    others = {id(x) for node in order if _part(node) is None for x in node.inputs}
    return {id(node) for node in order if id(node) in others or id(node) not in parts}


class _Cell:
    """A fused node's cell, evaluated once with all steps as one batch.

    `leaves` stand for the node's inputs (x, the states, the parameters), `inner` are the operators,
    `states` those among them that are the new states.
    """

    def __init__(self, node: Operator) -> None:
        rule = node.rule
        assert isinstance(rule, Recurrent)
        x, *others = node.inputs
        values = node._data if rule.states > 1 else node._data[None]
        self.steps: int = values.shape[1]
        self.batch: int = values.shape[2]
        before = (
            np.concatenate([start._data[None], value[:-1]])
            for start, value in zip(others, values, strict=False)
        )
        given = (_flat(x._data), *map(_flat, before), *(p._data for p in others[rule.states :]))
        follow = node.grad is not None and "dh" in node.work
        kinds = (
            Variable if follow and (0 < i <= rule.states or p.requires_grad) else Constant
            for i, p in enumerate(node.inputs)
        )
        self.leaves = [
            kind(array, dtype=array.dtype) for kind, array in zip(kinds, given, strict=True)
        ]
        made = rule.cell(*self.leaves, **node.attributes)
        self.states: tuple[GraphNode, ...] = made if isinstance(made, tuple) else (made,)
        order = topological_sort(self.states[0])
        if follow:
            grads = node.work["dh"] if rule.states > 1 else node.work["dh"][None]
            _pull(
                order,
                {id(state): _flat(grad) for state, grad in zip(self.states, grads, strict=True)},
            )
        self.inner = [inner for inner in order if isinstance(inner, Operator)]
        self.stepped = {
            id(leaf) for leaf in self.leaves[: 1 + rule.states]
        }  # what differs from step to step
        for inner in self.inner:
            if any(id(x) in self.stepped for x in inner.inputs):
                self.stepped.add(id(inner))

    def whole(self, array: Array) -> Array:
        """All steps of an array of the cell, as (steps, N, …)."""
        return array.reshape(self.steps, self.batch, *array.shape[1:])

    def part(self, array: Array, t: int) -> Array:
        """Step t of it."""
        step: Array = self.whole(array)[t]
        return step


def _pull(order: Sequence[GraphNode], known: dict[int, Array]) -> None:
    """Pull gradients back along the order; those that are known are complete, whatever comes to
    them on the way.
    """
    for node in reversed(order):
        if id(node) in known:
            node.grad = known[id(node)].copy()
        if isinstance(node, Operator) and node.grad is not None and node.requires_grad:
            node.rule.vjp(node, node.grad)


def _flat(array: Array) -> Array:
    """Steps and batch as one axis."""
    return array.reshape(-1, *array.shape[2:])
