"""Recurrent layers on (T, N, input_size): fused into one node per layer, or unrolled cell by cell
to look at.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..errors import ShapeError
from ..graph.node import Constant, GraphNode, Variable
from ..ops.gru import gru_by_steps
from ..ops.lstm import lstm_by_steps
from ..ops.recurrent import rnn_by_steps
from . import init
from .layers import as_node, positive, weight, zeros
from .module import Module


class _Recurrent(Module):
    """Layers on top of each other: parameters of layer k are `weight_ih_lk` (gates · hidden_size,
    input_size; hidden_size for k > 0), `weight_hh_lk` (gates · hidden_size, hidden_size),
    `bias_ih_lk` and `bias_hh_lk` (gates · hidden_size,).
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        unroll: bool,
        dtype: Any,
        seed: Any,
    ) -> None:
        positive(
            type(self).__name__,
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
        )
        self.input_size, self.hidden_size, self.num_layers, self.unroll = (
            input_size,
            hidden_size,
            num_layers,
            unroll,
        )
        rng = init.generator(seed)
        for k in range(num_layers):
            setattr(
                self, f"weight_ih_l{k}", self._weight(hidden_size if k else input_size, dtype, rng)
            )
            setattr(self, f"weight_hh_l{k}", self._weight(hidden_size, dtype, rng))
            setattr(self, f"bias_ih_l{k}", zeros(self.gates * hidden_size, dtype))
            setattr(self, f"bias_hh_l{k}", zeros(self.gates * hidden_size, dtype))

    def _weight(self, width: int, dtype: Any, rng: Any) -> Variable:
        """A block for each gate; each is a layer of its own and gets first values as such."""
        blocks = [weight((self.hidden_size, width), dtype, rng) for _ in range(self.gates)]
        return (
            blocks[0]
            if len(blocks) == 1
            else Variable(np.concatenate([b.value for b in blocks]), dtype=blocks[0].dtype)
        )

    def _layer(self, k: int) -> tuple[Any, ...]:
        return tuple(
            getattr(self, f"{name}_l{k}")
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )

    def _nodes(self, x: Any, **starts: Any) -> tuple[GraphNode, list[Any]]:
        """x as a node, and for each kind of state the first one of every layer: what was given, or
        zeros.
        """
        kind, dtype = type(self).__name__, self._layer(0)[0].dtype
        x = as_node(kind, x, dtype)
        if x.ndim != 3 or x.shape[2] != self.input_size:
            raise ShapeError(f"{kind}: shape {x.shape}; (T, N, {self.input_size}) was expected")
        shape = (self.num_layers, x.shape[1], self.hidden_size)
        given = {
            name: None if start is None else as_node(f"{kind}: {name}", start, dtype)
            for name, start in starts.items()
        }
        wrong = [
            name for name, start in given.items() if start is not None and start.shape != shape
        ]
        if wrong:
            shapes = " and ".join(
                str(node.shape) for node in (x, *given.values()) if node is not None
            )
            raise ShapeError(
                f"{kind}: shapes {shapes}; {' and '.join(given)} of shape {shape} was expected"
            )
        return x, [
            [
                Constant(np.zeros(shape[1:]), name=name, dtype=dtype) if start is None else start[k]
                for k in range(shape[0])
            ]
            for name, start in given.items()
        ]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + (
            f", num_layers={self.num_layers}" if self.num_layers > 1 else ""
        )


class RNN(_Recurrent):
    """h_t = f(W x_t + b + V h_{t-1} + c), f = tanh or relu, layers on top of each other.

    Takes x (T, N, input_size) and optionally h0 (num_layers, N, hidden_size), zeros by default;
    returns the last layer's hidden states (T, N, hidden_size) and the final state of each layer
    (num_layers, N, hidden_size), as PyTorch does. Parameters of layer k: `weight_ih_lk`,
    `weight_hh_lk`, `bias_ih_lk`, `bias_hh_lk`. `unroll=True` builds the graph out of elementary
    operators, step by step; the result agrees with the fused node to rounding.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        unroll: bool = False,
        *,
        dtype: Any = None,
        seed: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity={nonlinearity!r}; 'tanh' or 'relu' was expected")
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, unroll, dtype, seed)

    def forward(self, x: Any, h0: Any = None) -> tuple[GraphNode, GraphNode]:  # type: ignore[override]
        layer, last = rnn_by_steps if self.unroll else ops.rnn, []
        x, (starts,) = self._nodes(x, h0=h0)
        for k, h in enumerate(starts):
            x = layer(x, h, *self._layer(k), nonlinearity=self.nonlinearity)
            last.append(x[-1] if x.shape[0] else h)
        return x, ops.stack(last)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, nonlinearity={self.nonlinearity!r}"


class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997) with a forget gate (Gers, Schmidhuber
    & Cummins 2000).

    Takes x (T, N, input_size) and optionally (h0, c0), each (num_layers, N, hidden_size), zeros by
    default; returns the last layer's hidden states (T, N, hidden_size) and (h_n, c_n), the final
    states of each layer in the shape of h0, as PyTorch does. Parameters as in `RNN`, in blocks of
    rows for the gates i, f, g, o (PyTorch's order): `weight_ih_lk` is (4 hidden_size, input_size).
    `unroll=True` builds the graph out of elementary operators, step by step.
    """

    gates = 4

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        unroll: bool = False,
        *,
        dtype: Any = None,
        seed: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, unroll, dtype, seed)

    def forward(  # type: ignore[override]
        self, x: Any, state: Any = None
    ) -> tuple[GraphNode, tuple[GraphNode, GraphNode]]:
        layer = lstm_by_steps if self.unroll else ops.lstm
        if state is not None and (not isinstance(state, tuple | list) or len(state) != 2):
            raise TypeError(
                f"LSTM: a state of type {type(state).__name__}; a pair (h0, c0) was expected"
            )
        h0, c0 = state or (None, None)
        x, starts = self._nodes(x, h0=h0, c0=c0)
        hs, cs = [], []
        for k, (h, c) in enumerate(zip(*starts, strict=True)):
            x, c = layer(x, h, c, *self._layer(k))
            hs.append(x[-1] if x.shape[0] else h)
            cs.append(c)
        return x, (ops.stack(hs), ops.stack(cs))


class GRU(_Recurrent):
    """Gated recurrent unit (Cho et al. 2014), as PyTorch computes it: new = tanh(W x + b + r (V h +
    c)).

    Takes x (T, N, input_size) and optionally h0 (num_layers, N, hidden_size), zeros by default;
    returns the last layer's hidden states (T, N, hidden_size) and the final state of each layer
    (num_layers, N, hidden_size), as PyTorch does. Parameters as in `RNN`, in blocks of rows for r,
    z and new (PyTorch's order): `weight_ih_lk` is (3 hidden_size, input_size). `unroll=True` builds
    the graph out of elementary operators, step by step.
    """

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        unroll: bool = False,
        *,
        dtype: Any = None,
        seed: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, unroll, dtype, seed)

    def forward(self, x: Any, h0: Any = None) -> tuple[GraphNode, GraphNode]:  # type: ignore[override]
        layer, last = gru_by_steps if self.unroll else ops.gru, []
        x, (starts,) = self._nodes(x, h0=h0)
        for k, h in enumerate(starts):
            x = layer(x, h, *self._layer(k))
            last.append(x[-1] if x.shape[0] else h)
        return x, ops.stack(last)
