"""Recurrent layers on (T, N, input_size): fused into one node per layer, or unrolled cell by cell to look at."""
from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..errors import ShapeError
from ..graph.node import Constant, GraphNode
from ..ops.recurrent import rnn_by_steps
from . import init
from .layers import positive, weight, zeros
from .module import Module


class RNN(Module):
    """h_t = f(W x_t + b + V h_{t-1} + c), f = tanh or relu, layers on top of each other.

    Takes x (T, N, input_size) and optionally h0 (num_layers, N, hidden_size), zeros by default; returns the last layer's
    hidden states (T, N, hidden_size) and the final state of each layer (num_layers, N, hidden_size), as PyTorch does.
    Parameters of layer k: `weight_ih_lk`, `weight_hh_lk`, `bias_ih_lk`, `bias_hh_lk`. `unroll=True` builds the graph out of
    elementary operators, step by step; the result agrees with the fused node to rounding.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
        unroll: bool = False, *, dtype: Any = None, seed: Any = None,
    ) -> None:  # fmt: skip
        positive("RNN", input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity={nonlinearity!r}; 'tanh' or 'relu' was expected")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.nonlinearity, self.unroll = nonlinearity, unroll
        rng = init.generator(seed)
        for k in range(num_layers):
            setattr(self, f"weight_ih_l{k}", weight((hidden_size, hidden_size if k else input_size), dtype, rng))
            setattr(self, f"weight_hh_l{k}", weight((hidden_size, hidden_size), dtype, rng))
            setattr(self, f"bias_ih_l{k}", zeros(hidden_size, dtype))
            setattr(self, f"bias_hh_l{k}", zeros(hidden_size, dtype))

    def _layer(self, k: int) -> tuple[Any, ...]:
        return tuple(getattr(self, f"{name}_l{k}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))

    def forward(self, x: Any, h0: Any = None) -> tuple[GraphNode, GraphNode]:  # type: ignore[override]
        dtype = self._layer(0)[0].dtype
        x = x if isinstance(x, GraphNode) else Constant(x, dtype=dtype)
        if x.ndim != 3 or x.shape[2] != self.input_size:
            raise ShapeError(f"RNN: shape {x.shape}; (T, N, {self.input_size}) was expected")
        shape = (self.num_layers, x.shape[1], self.hidden_size)
        start = None if h0 is None else h0 if isinstance(h0, GraphNode) else Constant(h0, dtype=dtype)
        if start is not None and start.shape != shape:
            raise ShapeError(f"RNN: shapes {x.shape} and {start.shape}; h0 of shape {shape} was expected")
        last = []
        for k in range(self.num_layers):
            h = Constant(np.zeros(shape[1:]), name="h0", dtype=dtype) if start is None else start[k]
            layer = rnn_by_steps if self.unroll else ops.rnn
            x = layer(x, h, *self._layer(k), nonlinearity=self.nonlinearity)
            last.append(x[-1] if x.shape[0] else h)
        return x, ops.stack(last)

    def extra_repr(self) -> str:
        layers = f", num_layers={self.num_layers}" if self.num_layers > 1 else ""
        return f"{self.input_size}, {self.hidden_size}{layers}, nonlinearity={self.nonlinearity!r}"
