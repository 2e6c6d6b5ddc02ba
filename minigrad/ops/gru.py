"""Gated recurrent unit as a single node, and step by step."""

from __future__ import annotations

from typing import Any

from .. import kernels
from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..graph.registry import by_name, public
from ..graph.rule import Operand, Operator, register
from .elementwise import sigmoid, tanh
from .kernel import launch
from .linalg import linear
from .recurrent import Grads, Recurrent, by_steps, named


def gru_cell(x: Any, h: Any, w: Any, v: Any, b: Any, c: Any) -> GraphNode:
    """One step of `gru` in elementary operators: x (N, in) and h (N, hidden) to the next h (N,
    hidden).
    """
    n = h.shape[1]
    seen, known = linear(x, w, b), linear(h, v, c)
    r = named("r", sigmoid(seen[:, :n] + known[:, :n]))
    z = named("z", sigmoid(seen[:, n : 2 * n] + known[:, n : 2 * n]))
    new = named("n", tanh(seen[:, 2 * n :] + r * known[:, 2 * n :]))
    result: GraphNode = named("h", new + z * (h - new))  # (1 - z) new + z h
    return result


class Gru(Recurrent):
    """Gated recurrent unit (Cho et al. 2014) in PyTorch's form, where r acts on what V gives and
    not on h_{t-1}:

    r, z, p = W x_t + b and r', z', q = V h_{t-1} + c (three blocks)
    new = tanh(p + σ(r + r') q)
    h_t = (1 - σ(z + z')) new + σ(z + z') h_{t-1}
    """

    name, symbol, gates = "gru", "GRU", 3
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
        return self.sizes(*self.floats(x, h0, w, v, b, c))

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        x, h0, w, v, b, c = xs
        scratch = self.scratch(node, w.dtype)
        gates, q = self.kept(node, "gates", w.dtype), node.buffer("q", out.shape, w.dtype)
        rest = node.buffer("rest", (len(gates), *h0.shape[:1], *b.shape), w.dtype)
        launch(
            node,
            kernels.gru.gru_forward,
            x,
            w,
            v,
            b,
            c,
            h0,
            out,
            gates,
            q,
            rest,
            *scratch,
            node.plan,
        )

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        x, h0, w, v = xs[:4]
        found = self.gradients(node, grads, g.dtype)
        gx, gh0, gw, gv, gb, gc = found
        dh, gates, q = (
            node.buffer("dh", y.shape, g.dtype),
            self.kept(node, "gates", g.dtype),
            node.work["q"],
        )
        launch(
            node,
            kernels.gru.gru_backward,
            g,
            x,
            w,
            v,
            h0,
            y,
            gates,
            q,
            dh,
            gx,
            gw,
            gv,
            gb,
            gc,
            gh0,
            *self.scratch(node, g.dtype)[2:],
            self.kept(node, "drows", g.dtype),
            self.kept(node, "erows", g.dtype),
            node.plan,
        )
        self.add_up(grads, found)


register(Gru())


@public()
def gru(x: Any, h0: Any, w: Any, v: Any, b: Any, c: Any) -> GraphNode:
    """Hidden states (T, N, hidden) of a GRU over x (T, N, in), starting from h0 (N, hidden).

    w (3 hidden, in) and the bias b (3 hidden,) belong to the input, v (3 hidden, hidden) and c to
    the state; their blocks of rows are those of r, z and the new state, as in PyTorch. Raises
    `ShapeError` when shapes do not fit together.
    """
    return by_name("gru")(x, h0, w, v, b, c)


def gru_by_steps(x: Any, h0: Any, w: Any, v: Any, b: Any, c: Any) -> GraphNode:
    """The same as `gru`, built cell by cell: to look at, and to check the fused node against."""
    return by_steps(gru_cell, x, h0, w, v, b, c)
