"""Recurrent layers as single nodes: all time steps of one layer, forward and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..graph.conversion import Array
from ..graph.node import Constant, GraphNode
from ..graph.registry import by_name
from ..graph.rule import Grads, Operand, Operator, Rule, register
from ..graph.settings import inside
from .kernel import launch, shards
from .linalg import linear
from .separable import NotSeparable
from .shape import stack


class Steps:
    """One run of a layer that was unrolled over `total` time steps; its `Step`s share it."""

    def __init__(self, total: int) -> None:
        self.total = total


class Step:
    """The scope of time step `t` (from 0) of an unrolled layer, drawn like a module."""

    def __init__(self, steps: Steps, t: int) -> None:
        self.steps, self.t = steps, t


def named(name: str, node: Any) -> Any:
    """The node with a name, for drawings to show."""
    node.name = name
    return node


def rnn_cell(
    x: Any, h: Any, w: Any, v: Any, b: Any, c: Any, nonlinearity: str = "tanh"
) -> GraphNode:
    """One step of `rnn` in elementary operators, from x (N, in) and h (N, hidden) to the next h."""
    result: GraphNode = by_name(nonlinearity)(linear(x, w, b) + linear(h, v, c))
    return result


class Recurrent(Rule):
    """A recurrent layer; the subclasses differ in their cell.

    The inputs are x (T, N, in), one initial state (N, hidden) or two, the weights
    w (gates · hidden, in) and v (gates · hidden, hidden), and two biases (gates · hidden,).
    After a backward pass `node.work["dh"]`, of the node's shape, holds ∂L/∂state_t for every step.
    """

    #: One step in elementary operators, which drawings open: from x_t, the states and the
    #: parameters to the new states, of which the first is computed from the others.
    cell: Callable[..., Any]
    states = 1
    gates = 1  # blocks of rows in the weights
    splits = False  # does the cell use V h_{t-1} + c apart from W x_t + b?

    def sizes(self, *operands: Operand, relu: bool = False) -> Any:
        """The sizes of the layer, after checking that the inputs fit together."""
        inputs = self.floats(*operands)
        (x, *states), (w, v, *biases) = inputs[: 1 + self.states], inputs[1 + self.states :]
        rows = w.shape[0] if w.ndim == 2 else -1
        hidden = rows // self.gates
        fits = x.ndim == 3 and w.ndim == 2 and x.shape[2] == w.shape[1]
        fits = fits and rows == hidden * self.gates and v.shape == (rows, hidden)
        fits = fits and all(b.shape == (rows,) for b in biases)
        if not (fits and all(state.shape == (x.shape[1], hidden) for state in states)):
            names = ("h0", "h0 and c0")[self.states - 1]
            m = "hidden" if self.gates == 1 else f"{self.gates} hidden"
            raise self.error(
                inputs,
                f"x (T, N, in), {names} (N, hidden), w ({m}, in), v ({m}, hidden), "
                f"two biases ({m},) were expected",
            )
        return kernels.recurrent.RecurrentDims(*x.shape, hidden, relu)

    def shape(self, node: Operator) -> tuple[int, ...]:
        return self._all_states(node)[0 if self.states > 1 else 1 :]

    def _all_states(self, node: Operator) -> tuple[int, ...]:
        d = node.plan
        return self.states, d.steps, d.n, d.hidden

    # ---------------- the kernels and their memory
    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        (x, h0, *more), (w, v, b, c) = xs[: 1 + self.states], xs[1 + self.states :]
        d, m, dtype = node.plan, len(w), w.dtype
        wt, vt = node.buffer("wt", (d.width, m), dtype), node.buffer("vt", (d.hidden, m), dtype)
        gates = node.buffer("gates", (d.steps, d.n, m), dtype) if self.gates > 1 else None
        q, rest, second = None, None, None
        if self.splits:
            q, second = node.buffer("q", out.shape, dtype), c
            rest = node.buffer("rest", (d.n, m), dtype)
        else:
            b = np.add(b, c, out=node.buffer("bias", b.shape, dtype))
        c0, y = more[0] if more else None, out.reshape(self._all_states(node))
        given = x, w, v, b, second, h0, c0, y, gates, q, rest, wt, vt, self._shards(node)
        launch(node, kernels.recurrent.forward, *given, d)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        (x, h0, *more), (w, v) = xs[: 1 + self.states], xs[1 + self.states : 3 + self.states]
        d, work, dtype = node.plan, node.work, g.dtype
        found = self._gradients(node, grads, dtype)
        (gx, gh0, *gmore), (gw, gv, gb, gc) = found[: 1 + self.states], found[1 + self.states :]
        dy = node.buffer("dh", y.shape, dtype)
        dpre = drest = node.buffer("dpre", (d.steps, d.n, len(w)), dtype)
        if self.splits:
            drest = node.buffer("drest", dpre.shape, dtype)
        c0, gc0 = (more[0], gmore[0]) if more else (None, None)
        g, y, dy = (a.reshape(self._all_states(node)) for a in (g, y, dy))
        before = g, x, w, v, h0, c0, y, work.get("gates"), work.get("q")
        after = dy, gx, gw, gv, gb, gc, gh0, gc0, dpre, drest
        launch(node, kernels.recurrent.backward, *before, *after, d)
        for grad, parts in list(zip(grads, found, strict=True))[1 + self.states :]:
            if grad is not None and parts is not None and len(parts) > 1:
                np.sum(parts, axis=0, out=grad)
        if not self.splits and grads[-1] is not None:
            np.sum(gb, axis=0, out=grads[-1])

    def _shards(self, node: Operator) -> int:
        return shards(node, kernels.recurrent.groups_of(node.plan.n))

    def _gradients(self, node: Operator, grads: Grads, dtype: Any) -> list[Any]:
        """The arrays that the kernel writes to.

        The gradient of x is None where it is not asked for; those of the parameters have a part per
        shard, and a single part is the gradient itself.
        """
        count, found = self._shards(node), []
        for i, (x, grad) in enumerate(zip(node.inputs, grads, strict=True)):
            if i == 0:
                found.append(grad)
            elif i <= self.states:
                found.append(node.buffer(f"g{i}", x.shape, dtype) if grad is None else grad)
            elif i == len(grads) - 1 and not self.splits:
                found.append(None)  # as that of the other bias
            elif count == 1 and grad is not None:
                found.append(grad[None])
            else:
                name = f"g{i} in {count} parts"  # another number of threads has other arrays
                found.append(node.buffer(name, (count, *x.shape), dtype))
        return found

    # ---------------- for other readers
    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode | None:
        """The layer cell by cell."""
        x, states, parameters = xs[0], xs[1 : 1 + self.states], xs[1 + self.states :]
        steps = []
        for t in range(len(x)):
            found = type(self).cell(x[t], *states, *parameters, **node.attributes)
            states = found if isinstance(found, tuple) else (found,)
            steps.append(states)
        if not steps:
            return Constant(np.zeros(node.shape), dtype=node.dtype)
        joined = [stack(column) for column in zip(*steps, strict=True)]
        return joined[0] if self.states == 1 else stack(joined)

    def input_grads(self, node: Operator) -> Array:
        """∂L/∂(W x_t + b) of every step (T, N, gates · hidden), after a backward pass."""
        grads: Array = node.work["dpre"]
        return grads

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        x, states, parameters = axes[0], axes[1 : 1 + self.states], axes[1 + self.states :]
        alone = all(axis is None for axis in parameters)
        if x not in (1, None) or not alone or any(axis not in (0, None) for axis in states):
            raise NotSeparable
        return node.ndim - 2 if x == 1 or 0 in states else None

    def flops(self, node: Operator) -> int:
        d = node.plan
        return int(2 * d.steps * d.n * self.gates * d.hidden * (d.width + d.hidden))

    def kernel_info(self, node: Operator) -> dict[str, Any]:
        """`hidden` (T, N, hidden): h_t of every step; `hidden_grads`: ∂L/∂h_t in that shape.

        Gradients are None before a backward pass. An LSTM has `cells` and `cell_grads`, too.
        """
        grads = None if node._grad is None else node.work.get("dh")
        if self.states == 1:
            return {"hidden": node._data, "hidden_grads": grads}
        (hidden, cells), (dh, dc) = node._data, (None, None) if grads is None else grads
        return {"hidden": hidden, "hidden_grads": dh, "cells": cells, "cell_grads": dc}


class Rnn(Recurrent):
    """Hidden states (T, N, hidden) of a recurrent layer over x (T, N, in), from h0 (N, hidden).

    h_t = f(W x_t + b + V h_{t-1} + c) (Elman 1990), with gradients by backpropagation through time
    (Werbos 1990). w (hidden, in) and b belong to the input, v (hidden, hidden) and c to the state,
    as in PyTorch; `nonlinearity` is "tanh" or "relu". Raises `ShapeError` when shapes do not fit
    together.
    """

    name, symbol = "rnn", "RNN"
    formula = "apply(nonlinearity, x[t] @ w.T + b + y[t - 1] @ v.T + c)"
    vjp_formulas = tuple(
        # the slope of the nonlinearity, from its result
        f"given({term}, δ[t], (g[t] + δ[t + 1] @ v) * slope(y[t]))"
        for term in (
            "δ[t] @ w",
            "δ[0] @ v",
            "sum(δ[t].T @ x[t])",
            "sum(δ[t].T @ y[t - 1])",
            "sum(δ[t])",
        )
    )
    cell = staticmethod(rnn_cell)

    def plan(
        self,
        x: Operand,
        h0: Operand,
        w: Operand,
        v: Operand,
        b: Operand,
        c: Operand,
        nonlinearity: str = "tanh",
    ) -> Any:
        inputs = x, h0, w, v, b, c
        if nonlinearity not in ("tanh", "relu"):
            expected = f"nonlinearity={nonlinearity!r}; 'tanh' or 'relu' was expected"
            raise self.error(inputs, expected, ValueError)
        return self.sizes(*inputs, relu=nonlinearity == "relu")


rnn = register(Rnn())


def by_steps(
    cell: Callable[..., Any],
    x: GraphNode,
    states: Sequence[Any],
    *parameters: Any,
    **attributes: Any,
) -> tuple[GraphNode, Sequence[GraphNode]]:
    """The first states of all steps, and the last states, of a layer built cell by cell.

    For drawings, and to check the fused node against.
    """
    found, steps = [], Steps(x.shape[0])
    for t in range(steps.total):
        with inside(Step(steps, t)):
            new = cell(x[t], *states, *parameters, **attributes)
        states = new if isinstance(new, tuple) else (new,)
        found.append(states[0])
    return stack(found), states


def rnn_by_steps(
    x: Any, h0: Any, w: Any, v: Any, b: Any, c: Any, nonlinearity: str = "tanh"
) -> GraphNode:
    """The same as `rnn`, cell by cell."""
    return by_steps(rnn_cell, x, (h0,), w, v, b, c, nonlinearity=nonlinearity)[0]
