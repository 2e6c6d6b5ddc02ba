"""Long short-term memory as a single node, and step by step."""

from __future__ import annotations

from typing import Any

from ..graph.node import GraphNode
from ..graph.registry import public
from ..graph.rule import Operand, register
from .elementwise import sigmoid, tanh
from .linalg import linear
from .recurrent import Recurrent, named


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


_lstm = Lstm()
register(_lstm)


@public()
def lstm(
    x: Operand, h0: Operand, c0: Operand, w: Operand, v: Operand, b: Operand, d: Operand
) -> tuple[GraphNode, GraphNode]:
    """Hidden states (T, N, hidden) of an LSTM over x (T, N, in), and the last cell state.

    It starts from h0 and c0 (N, hidden). w (4 hidden, in) and the bias b (4 hidden,) belong to the
    input, v (4 hidden, hidden) and d to the state; their blocks of rows are those of the gates i,
    f, g, o, as in PyTorch. Raises `ShapeError` when shapes do not fit together.
    """
    both = _lstm(x, h0, c0, w, v, b, d)
    if not both.shape[1]:
        both, last = _lstm.operands((both, c0))
        return both[0], last
    return both[0], both[1, -1]
