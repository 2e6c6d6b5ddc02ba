"""Recurrent layers as single nodes: all time steps of one layer, forward and back."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import kernels
from ..graph.conversion import Array
from ..graph.node import Constant, GraphNode
from ..graph.registry import by_name, public
from ..graph.rule import Grads, Operand, Operator, Rule, register
from ..graph.settings import inside
from .elementwise import sigmoid, tanh
from .indexing import Indexed, Limit
from .kernel import add_parts, in_parts, launch, shards
from .kinds import Axes, NotSeparable
from .linalg import linear
from .shape import stack


@dataclass(eq=False)
class Steps:
    """One run of a layer that was unrolled over `total` time steps; its `Step`s share it."""

    total: int


@dataclass(eq=False)
class Step:
    """The scope of time step `t` (from 0) of an unrolled layer, drawn like a module."""

    steps: Steps
    t: int


def named(name: str, node: Any) -> Any:
    """The node with a name, for drawings to show."""
    node.name = name
    return node


def rnn_cell(x: Any, h: Any, w: Any, v: Any, b: Any, c: Any, nonlinearity: str = "tanh") -> Any:
    """One step of `rnn` in elementary operators, from x (N, in) and h (N, hidden) to the next h."""
    return by_name(nonlinearity)(linear(x, w, b) + linear(h, v, c))


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
        x, *others = inputs = self.floats(*operands)
        v = others[self.states + 1]
        hidden = v.shape[-1] if v.ndim else 0
        rows, states = self.gates * hidden, [(*x.shape[1:2], hidden)] * self.states
        expected = [*states, (rows, *x.shape[2:]), (rows, hidden), (rows,), (rows,)]
        if x.ndim != 3 or [a.shape for a in others] != expected:
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
        d, work, dtype, count = node.plan, node.work, g.dtype, self._shards(node)
        gx, *others = grads
        # the kernel writes all gradients but that of x
        found = [
            node.buffer(f"g{i}", x.shape, dtype) if grad is None else grad
            for i, (x, grad) in enumerate(zip(xs[1:], others, strict=True))
        ]
        (gh0, *gmore), own = found[: self.states], found[self.states :]
        # another number of threads has other parts
        parts = [in_parts(node, f"part {i} of {count}", grad, count) for i, grad in enumerate(own)]
        gw, gv, gb, gc = parts if self.splits else (*parts[:3], None)
        dy = node.buffer("dh", y.shape, dtype)
        dpre = drest = node.buffer("dpre", (d.steps, d.n, len(w)), dtype)
        if self.splits:
            drest = node.buffer("drest", dpre.shape, dtype)
        c0, gc0 = (more[0], gmore[0]) if more else (None, None)
        g, y, dy = (a.reshape(self._all_states(node)) for a in (g, y, dy))
        before = g, x, w, v, h0, c0, y, work.get("gates"), work.get("q")
        after = dy, gx, gw, gv, gb, gc, gh0, gc0, dpre, drest
        launch(node, kernels.recurrent.backward, *before, *after, d)
        add_parts((gw, gv, gb, gc), own)
        if not self.splits:
            np.copyto(own[3], own[2])

    def _shards(self, node: Operator) -> int:
        return shards(node, kernels.recurrent.groups_of(node.plan.n))

    # ---------------- cell by cell
    def by_steps(self, x: Any, *others: Any, **attributes: Any) -> list[tuple[GraphNode, ...]]:
        """The states of each step, in elementary operators."""
        states, parameters = others[: self.states], others[self.states :]
        found, steps = [], Steps(x.shape[0])
        for t in range(steps.total):
            with inside(Step(steps, t)):
                new = type(self).cell(x[t], *states, *parameters, **attributes)
            states = new if isinstance(new, tuple) else (new,)
            found.append(states)
        return found

    def unrolled(self, *inputs: Any, **attributes: Any) -> Any:
        """What the layer returns, for drawings, and to check the fused node against."""
        steps = self.by_steps(*inputs, **attributes)
        hidden = stack([states[0] for states in steps])
        return hidden if self.states == 1 else (hidden, steps[-1][1])

    # ---------------- for other readers
    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode | None:
        steps = self.by_steps(*xs, **node.attributes)
        if not steps:
            return Constant(np.zeros(node.shape), dtype=node.dtype)
        joined = [stack(column) for column in zip(*steps, strict=True)]
        return joined[0] if self.states == 1 else stack(joined)

    def input_grads(self, node: Operator) -> Array:
        """∂L/∂(W x_t + b) of every step (T, N, gates · hidden), after a backward pass."""
        grads: Array = node.work["dpre"]
        return grads

    def batch_axis(self, node: Operator, axes: Axes) -> int:
        may = [1, *[0] * self.states, *[None] * 4]
        if any(axis not in (place, None) for axis, place in zip(axes, may, strict=True)):
            raise NotSeparable
        return node.ndim - 2

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

    >>> x, h0 = np.ones((5, 2, 3)), np.zeros((2, 4))
    >>> w, v, b, c = np.ones((4, 3)), np.ones((4, 4)), np.zeros(4), np.zeros(4)
    >>> mg.rnn(x, h0, w, v, b, c).shape
    (5, 2, 4)
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


# ---------------- LSTM
def lstm_cell(
    x: Any, h: Any, c: Any, w: Any, v: Any, b: Any, d: Any
) -> tuple[GraphNode, GraphNode]:
    """One step of `lstm` in elementary operators: the next h and c (N, hidden)."""
    n = c.shape[1]
    gates = linear(x, w, b) + linear(h, v, d)
    i, f, g, o = (gates[:, k * n : (k + 1) * n] for k in range(4))
    i, f = named("i", sigmoid(i)), named("f", sigmoid(f))
    g, o = named("g", tanh(g)), named("o", sigmoid(o))
    c = named("c", f * c + i * g)
    return named("h", o * tanh(c)), c


class Lstm(Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997).

    With a forget gate (Gers, Schmidhuber & Cummins 2000):

        i, f, g, o = W x_t + b + V h_{t-1} + d (four blocks)
        c_t = σ(f) c_{t-1} + σ(i) tanh(g)
        h_t = σ(o) tanh(c_t)

    The value (2, T, N, hidden) holds h and c of every step: an operator has one result, and so both
    get their gradients in the same way; `lstm` returns the parts that a layer returns.
    """

    name, symbol, states, gates = "lstm", "LSTM", 2, 4
    formula = (
        "given(given(σ(p['o']) * apply('tanh', y[1, t]),"
        " y[1, t], σ(p['f']) * y[1, t - 1] + σ(p['i']) * apply('tanh', p['g'])),"
        " p, x[t] @ w.T + b + y[0, t - 1] @ v.T + d)"
    )
    vjp_formulas = tuple(
        f"given(given(given({term}, δ[t], η[t] * slope(y[0, t], p) + γ[t] * slope(y[1, t], p)),"
        " η[t], g[0, t] + δ[t + 1] @ v),"
        " γ[t], g[1, t] + η[t] * slope(y[0, t], y[1, t]) + γ[t + 1] * slope(y[1, t + 1], y[1, t]))"
        for term in (
            "δ[t] @ w",
            "δ[0] @ v",
            "γ[0] * slope(y[1, 0], c0)",
            "sum(δ[t].T @ x[t])",
            "sum(δ[t].T @ y[0, t - 1])",
            "sum(δ[t])",
        )
    )
    cell = staticmethod(lstm_cell)

    def plan(
        self, x: Operand, h0: Operand, c0: Operand, w: Operand, v: Operand, b: Operand, d: Operand
    ) -> Any:
        return self.sizes(x, h0, c0, w, v, b, d)


register(_lstm := Lstm())


@public()
def lstm(
    x: Operand, h0: Operand, c0: Operand, w: Operand, v: Operand, b: Operand, d: Operand
) -> tuple[GraphNode, GraphNode]:
    """Hidden states (T, N, hidden) of an LSTM over x (T, N, in), and the last cell state.

    It starts from h0 and c0 (N, hidden). w (4 hidden, in) and the bias b (4 hidden,) belong to the
    input, v (4 hidden, hidden) and d to the state; their blocks of rows are those of the gates i,
    f, g, o, as in PyTorch. Raises `ShapeError` when shapes do not fit together.

    >>> x, h0, c0 = np.ones((5, 2, 3)), np.zeros((2, 4)), np.zeros((2, 4))
    >>> w, v, b, c = np.ones((16, 3)), np.ones((16, 4)), np.zeros(16), np.zeros(16)
    >>> h, last = mg.lstm(x, h0, c0, w, v, b, c)
    >>> h.shape, last.shape
    ((5, 2, 4), (2, 4))
    """
    both = _lstm(x, h0, c0, w, v, b, d)
    return both[0], both[1, -1] if both.shape[1] else _lstm.operands((both, c0))[1]


# ---------------- GRU
def gru_cell(x: Any, h: Any, w: Any, v: Any, b: Any, c: Any) -> Any:
    """One step of `gru` in elementary operators: the next h (N, hidden)."""
    n = h.shape[1]
    seen, known = linear(x, w, b), linear(h, v, c)
    r = named("r", sigmoid(seen[:, :n] + known[:, :n]))
    z = named("z", sigmoid(seen[:, n : 2 * n] + known[:, n : 2 * n]))
    new = named("n", tanh(seen[:, 2 * n :] + r * known[:, 2 * n :]))
    return named("h", new + z * (h - new))  # (1 - z) new + z h


class Gru(Recurrent):
    """Hidden states (T, N, hidden) of a GRU over x (T, N, in), starting from h0 (N, hidden).

    A gated recurrent unit (Cho et al. 2014) in PyTorch's form, where r acts on V h_{t-1} + c:

        r, z, p = W x_t + b and r', z', q = V h_{t-1} + c (three blocks)
        new = tanh(p + σ(r + r') q)
        h_t = (1 - σ(z + z')) new + σ(z + z') h_{t-1}

    w (3 hidden, in) and the bias b (3 hidden,) belong to the input, v (3 hidden, hidden) and c to
    the state, as in PyTorch. Raises `ShapeError` when shapes do not fit together.

    >>> x, h0 = np.ones((5, 2, 3)), np.zeros((2, 4))
    >>> w, v, b, c = np.ones((12, 3)), np.ones((12, 4)), np.zeros(12), np.zeros(12)
    >>> mg.gru(x, h0, w, v, b, c).shape
    (5, 2, 4)
    """

    name, symbol, gates, splits = "gru", "GRU", 3, True
    formula = (
        "given(given(given(given((1 - z) * n + z * y[t - 1], n, apply('tanh', p['n'] + σ(p['r'] + "
        "q['r']) * q['n'])),"
        " z, σ(p['z'] + q['z'])), p, x[t] @ w.T + b), q, y[t - 1] @ v.T + c)"
    )
    vjp_formulas = tuple(
        f"given(given(given({term}, δ[t], η[t] * slope(y[t], p)), ε[t], η[t] * slope(y[t], q)),"
        " η[t], g[t] + η[t + 1] * z[t + 1] + ε[t + 1] @ v)"
        for term in (
            "δ[t] @ w",
            "η[0] * z[0] + ε[0] @ v",
            "sum(δ[t].T @ x[t])",
            "sum(ε[t].T @ y[t - 1])",
            "sum(δ[t])",
            "sum(ε[t])",
        )
    )
    cell = staticmethod(gru_cell)

    def plan(self, x: Operand, h0: Operand, w: Operand, v: Operand, b: Operand, c: Operand) -> Any:
        return self.sizes(x, h0, w, v, b, c)


gru = register(Gru())


# ---------------- sequences of different lengths
class ReverseSequence(Indexed):
    """The first lengths[n] steps of each sample n of x (…, T, N, width) in reverse order, then 0.

    So it does for each sample what [::-1] does for all; twice, it sets to 0 what follows the end
    of a sample, and its first step is the last valid one of each. lengths (N,) are integers from 1
    to T, else `IndexError`; an array or a node, which may come with each batch. Raises `ShapeError`
    and `DTypeError` for what does not fit.

    >>> x = np.arange(1.0, 4.0).reshape(3, 1, 1)  # three steps of one sample
    >>> mg.reverse_sequence(x, [2]).value.ravel()  # of which two are valid
    array([2., 1., 0.], dtype=float32)
    """

    name, symbol, multilinear = "reverse_sequence", "reverse", sys.maxsize
    formula = "apply('reverse', x, lengths)"
    vjp_formulas = ("apply('reverse', g, lengths)", None)
    index_input, flops = 1, 0

    def plan(self, x: Operand, lengths: Operand) -> tuple[int, ...]:
        x, lengths = inputs = self.given(x, lengths)
        if x.ndim < 3 or lengths.shape != x.shape[-2:-1]:
            raise self.error(inputs, "x (…, T, N, width) and lengths (N,) were expected")
        self.check_dtypes("lengths", lengths, x)
        return x.shape

    def limits(self, node: Operator) -> Sequence[Limit]:
        return [Limit(1, 1, node.inputs[0].shape[-3] + 1, "length")]

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        shape = math.prod(out.shape[:-3]), *out.shape[-3:]
        launch(node, kernels.recurrent.reverse, xs[0].reshape(shape), xs[1], out.reshape(shape))

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        assert grads[0] is not None
        self.forward(node, grads[0], g, xs[1])

    def batch_axis(self, node: Operator, axes: Axes) -> int:
        if tuple(axes) != (node.ndim - 2, 0):
            raise NotSeparable
        return node.ndim - 2


reverse_sequence = register(ReverseSequence())
