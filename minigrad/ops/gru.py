"""Gated recurrent unit as a single node, and step by step."""

from __future__ import annotations

from typing import Any

from ..graph.node import GraphNode
from ..graph.rule import Operand, register
from .elementwise import sigmoid, tanh
from .linalg import linear
from .recurrent import Recurrent, named


def gru_cell(x: Any, h: Any, w: Any, v: Any, b: Any, c: Any) -> GraphNode:
    """One step of `gru` in elementary operators: the next h (N, hidden)."""
    n = h.shape[1]
    seen, known = linear(x, w, b), linear(h, v, c)
    r = named("r", sigmoid(seen[:, :n] + known[:, :n]))
    z = named("z", sigmoid(seen[:, n : 2 * n] + known[:, n : 2 * n]))
    new = named("n", tanh(seen[:, 2 * n :] + r * known[:, 2 * n :]))
    result: GraphNode = named("h", new + z * (h - new))  # (1 - z) new + z h
    return result


class Gru(Recurrent):
    """Hidden states (T, N, hidden) of a GRU over x (T, N, in), starting from h0 (N, hidden).

    A gated recurrent unit (Cho et al. 2014) in PyTorch's form, where r acts on V h_{t-1} + c:

        r, z, p = W x_t + b and r', z', q = V h_{t-1} + c (three blocks)
        new = tanh(p + σ(r + r') q)
        h_t = (1 - σ(z + z')) new + σ(z + z') h_{t-1}

    w (3 hidden, in) and the bias b (3 hidden,) belong to the input, v (3 hidden, hidden) and c to
    the state, as in PyTorch. Raises `ShapeError` when shapes do not fit together.
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
