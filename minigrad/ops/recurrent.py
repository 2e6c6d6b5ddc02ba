"""Recurrent layers as single nodes: all time steps of one layer, forward and back."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..graph.node import Array, GraphNode, Operator
from ..graph.rule import Mixed, Rule, by_name
from ..graph.settings import inside
from .linalg import linear
from .shape import stack

Grads = list[Array | None]


class Steps:
    """One run of a layer that was unrolled over so many time steps; what its `Step`s have in common."""

    def __init__(self, total: int) -> None:
        self.total = total


class Step:
    """The scope of time step `t` (from 0) of an unrolled layer: a drawing frames it as it frames a module."""

    def __init__(self, steps: Steps, t: int) -> None:
        self.steps, self.t = steps, t


def rnn_cell(x: Any, h: Any, w: Any, v: Any, b: Any, c: Any, nonlinearity: str = "tanh") -> GraphNode:
    """One step of `rnn` in elementary operators: x (N, in) and h (N, hidden) to the next h (N, hidden)."""
    return by_name(nonlinearity)(linear(x, w, b) + linear(h, v, c))


class Rnn(Rule):
    """h_t = f(W x_t + b + V h_{t-1} + c) (Elman 1990), gradients by backpropagation through time (Werbos 1990).

    After a backward pass `node.work["dh"]` (steps, N, hidden) holds ∂L/∂h_t for every step.
    """

    name, symbol = "rnn", "RNN"
    formula = "apply(nonlinearity, x[t] @ w.T + b + y[t - 1] @ v.T + c)"
    adjoints = tuple(
        f"given({term}, δ[t], (g[t] + δ[t + 1] @ v) * slope(y[t]))"  # the slope of the nonlinearity, from its result
        for term in ("δ[t] @ w", "δ[0] @ v", "sum(δ[t].T @ x[t])", "sum(δ[t].T @ y[t - 1])", "sum(δ[t])")
    )
    cell = staticmethod(rnn_cell)

    def plan(  # type: ignore[override]
        self, x: GraphNode, h0: GraphNode, w: GraphNode, v: GraphNode, b: GraphNode, c: GraphNode,
        nonlinearity: str = "tanh",
    ) -> Any:  # fmt: skip
        inputs = (x, h0, w, v, b, c)
        self.need_floats(*inputs)
        if nonlinearity not in ("tanh", "relu"):
            raise self.complain(inputs, f"nonlinearity={nonlinearity!r}; 'tanh' or 'relu' was expected", ValueError)
        hidden = w.shape[0] if w.ndim == 2 else -1
        fits = x.ndim == 3 and w.ndim == 2 and x.shape[2] == w.shape[1] and v.shape == (hidden, hidden)
        if not (fits and h0.shape == (x.shape[1], hidden) and b.shape == c.shape == (hidden,)):
            raise self.complain(
                inputs,
                "x (T, N, in), h0 (N, hidden), w (hidden, in), v (hidden, hidden), two biases (hidden,) were expected",
            )
        return kernels.recurrent.RecurrentDims(*x.shape, hidden, nonlinearity == "relu")

    def shape(self, node: Operator) -> tuple[int, ...]:
        d = node.plan
        return (d.steps, d.n, d.hidden)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        x, h0, w, v, b, c = xs
        d = node.plan
        wt, vt = node.buffer("wt", (d.width, d.hidden), w.dtype), node.buffer("vt", v.shape, v.dtype)
        bias = node.buffer("bias", b.shape, b.dtype)
        np.copyto(wt, w.T)
        np.copyto(vt, v.T)
        np.add(b, c, out=bias)
        node.call(kernels.recurrent.rnn_forward, x, wt, vt, bias, h0, out, d, kernels.jit.threads(d.n))

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        x, h0, w, v = xs[:4]
        d, dtype = node.plan, g.dtype
        shards = kernels.jit.threads(d.n)
        dh, dpre = node.buffer("dh", y.shape, dtype), node.buffer("dpre", h0.shape, dtype)
        gh0 = node.buffer("gh0", h0.shape, dtype) if grads[1] is None else grads[1]
        gx = np.empty((0,) * 3, dtype) if grads[0] is None else grads[0]
        gw, gv = node.buffer("gw", (shards, *w.shape), dtype), node.buffer("gv", (shards, *v.shape), dtype)
        gb = node.buffer("gb", (shards, d.hidden), dtype)
        dh[...] = 0
        gh0[...] = 0
        node.call(kernels.recurrent.rnn_backward, g, x, w, v, h0, y, dh, dpre, gx, gw, gv, gb, gh0, d)
        for grad, parts in zip(grads[2:], (gw, gv, gb, gb), strict=True):
            if grad is not None:
                np.sum(parts, axis=0, out=grad)

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        x, h0, *parameters = axes
        if x not in (1, None) or h0 not in (0, None) or any(axis is not None for axis in parameters):
            raise Mixed
        return 1 if x == 1 or h0 == 0 else None

    def flops(self, node: Operator) -> int:
        return int(2 * node.size * (node.plan.width + node.plan.hidden))

    def facts(self, node: Operator) -> dict[str, Any]:
        """`hidden` (T, N, hidden): h_t of every step; `hidden_grads`: ∂L/∂h_t in the same shape, None before a backward
        pass."""
        grads = None if node.grad is None else node.work.get("dh")
        return {**super().facts(node), "hidden": node._data, "hidden_grads": grads}


def rnn(x: Any, h0: Any, w: Any, v: Any, b: Any, c: Any, nonlinearity: str = "tanh") -> GraphNode:
    """Hidden states (T, N, hidden) of a recurrent layer over x (T, N, in), starting from h0 (N, hidden).

    w (hidden, in) and b belong to the input, v (hidden, hidden) and c to the state, as in PyTorch;
    `nonlinearity` is "tanh" or "relu". Raises `ShapeError` when shapes do not fit together.
    """
    return by_name("rnn")(x, h0, w, v, b, c, nonlinearity=nonlinearity)


def rnn_by_steps(x: Any, h0: Any, w: Any, v: Any, b: Any, c: Any, nonlinearity: str = "tanh") -> GraphNode:
    """The same as `rnn`, built cell by cell: to look at, and to check the fused node against."""
    states, h, steps = [], h0, Steps(x.shape[0])
    for t in range(steps.total):
        with inside(Step(steps, t)):
            h = rnn_cell(x[t], h, w, v, b, c, nonlinearity)
        states.append(h)
    return stack(states)
