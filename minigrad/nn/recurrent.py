"""Recurrent layers on (T, N, input_size): one node per layer, or unrolled for drawings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from .. import ops
from ..checks import one_of, positive
from ..errors import ShapeError
from ..graph.node import Constant, GraphNode, Variable
from ..graph.registry import by_name
from ..seeds import Seed
from . import init
from .layers import Dtype, as_node, weight, zeros
from .module import Module


class _Recurrent(Module):
    """Base of RNN, LSTM and GRU: parameters, checks, and the loop over stacked layers.

    Layer k has `weight_ih_lk` (gates · hidden_size, input_size; hidden_size for k > 0),
    `weight_hh_lk` (gates · hidden_size, hidden_size), `bias_ih_lk` and `bias_hh_lk` (gates ·
    hidden_size,). A subclass names the operators that compute one layer, fused and unrolled: they
    take x, the initial states, the parameters and `options`, and return the hidden states of all
    steps and, where there are other states, their final values.
    """

    gates: ClassVar[int] = 1
    fused: ClassVar[Callable[..., Any]]
    unrolled: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        unroll: bool = False,
        *,
        dtype: Dtype = None,
        seed: Seed = None,
    ) -> None:
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        positive(type(self).__name__, **sizes)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.unroll, self.options = unroll, dict[str, Any]()
        rng = init.generator(seed)
        for k in range(num_layers):
            setattr(self, f"weight_ih_l{k}", self._weight(input_size, dtype, rng))
            setattr(self, f"weight_hh_l{k}", self._weight(hidden_size, dtype, rng))
            setattr(self, f"bias_ih_l{k}", zeros(self.gates * hidden_size, dtype))
            setattr(self, f"bias_hh_l{k}", zeros(self.gates * hidden_size, dtype))
            input_size = hidden_size

    def _weight(self, width: int, dtype: Dtype, rng: np.random.Generator) -> Variable:
        """A block of rows for each gate, initialised by itself."""
        blocks = [weight((self.hidden_size, width), dtype, rng) for _ in range(self.gates)]
        return Variable(np.concatenate([block.value for block in blocks]), dtype=blocks[0].dtype)

    def _parameters(self, k: int) -> list[Variable]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [getattr(self, f"{name}_l{k}") for name in names]

    def _run(self, x: Any, **initial: Any) -> tuple[GraphNode, list[GraphNode]]:
        """The hidden states of the last layer, and the final states of all layers, kind by kind.

        `initial` has the initial states by name, h first; None stands for zeros.
        """
        operator = type(self).unrolled if self.unroll else type(self).fused
        x, states = self._nodes(x, initial)
        final: list[list[GraphNode]] = []
        for k in range(self.num_layers):
            start = [state[k] for state in states]
            result = operator(x, *start, *self._parameters(k), **self.options)
            x, *others = result if isinstance(result, tuple) else (result,)
            final.append([x[-1] if x.shape[0] else start[0], *others])
        return x, [ops.stack(kind) for kind in zip(*final, strict=True)]

    def _nodes(
        self, x: Any, initial: dict[str, Any]
    ) -> tuple[GraphNode, list[list[GraphNode] | GraphNode]]:
        """x and the initial states as nodes; zeros for those not given.

        Raises `ShapeError` that names all shapes.
        """
        kind, dtype = type(self).__name__, self._parameters(0)[0].dtype
        x = as_node(kind, x, dtype)
        if x.ndim != 3 or x.shape[2] != self.input_size:
            expected = f"(T, N, {self.input_size}) was expected"
            if x.ndim == 3:
                expected = f"x has {x.shape[2]} features, the layer takes {self.input_size}"
            raise ShapeError(f"{kind}: shape {x.shape}; {expected}")
        shape = (self.num_layers, x.shape[1], self.hidden_size)
        given = {
            name: as_node(f"{kind}: {name}", state, dtype)
            for name, state in initial.items()
            if state is not None
        }
        if any(state.shape != shape for state in given.values()):
            shapes = " and ".join(str(node.shape) for node in (x, *given.values()))
            raise ShapeError(
                f"{kind}: shapes {shapes}; {' and '.join(initial)} of shape {shape} was expected"
            )
        return x, [
            given[name] if name in given else self._zeros(name, shape, dtype) for name in initial
        ]

    def _zeros(self, name: str, shape: tuple[int, ...], dtype: Dtype) -> list[GraphNode]:
        return [Constant(np.zeros(shape[1:]), name=name, dtype=dtype) for _ in range(shape[0])]

    def extra_repr(self) -> str:
        layers = f", num_layers={self.num_layers}" if self.num_layers > 1 else ""
        return f"{self.input_size}, {self.hidden_size}{layers}"


class RNN(_Recurrent):
    """h_t = f(W x_t + b + V h_{t-1} + c), f = tanh or relu, in stacked layers.

    Takes x (T, N, input_size) and optionally h0 (num_layers, N, hidden_size), zeros by default;
    returns the last layer's hidden states (T, N, hidden_size) and the final state of each layer
    (num_layers, N, hidden_size), as PyTorch does. Parameters of layer k: `weight_ih_lk`,
    `weight_hh_lk`, `bias_ih_lk`, `bias_hh_lk`. `unroll=True` builds the graph out of elementary
    operators, step by step; the result agrees with the fused node to rounding.

    >>> output, h = mg.nn.RNN(3, 4)(np.ones((5, 2, 3)))
    >>> output.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

    fused, unrolled = ops.rnn, by_name("rnn").unrolled

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        unroll: bool = False,
        *,
        dtype: Dtype = None,
        seed: Seed = None,
    ) -> None:
        one_of("RNN", "nonlinearity", nonlinearity, ("tanh", "relu"))
        super().__init__(input_size, hidden_size, num_layers, unroll, dtype=dtype, seed=seed)
        self.nonlinearity = self.options["nonlinearity"] = nonlinearity

    def forward(self, x: ArrayLike, h0: ArrayLike | None = None) -> tuple[GraphNode, GraphNode]:
        output, (h,) = self._run(x, h0=h0)
        return output, h

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, nonlinearity={self.nonlinearity!r}"


class LSTM(_Recurrent):
    """Long short-term memory with a forget gate.

    Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000. Takes x (T, N, input_size) and
    optionally (h0, c0), each (num_layers, N, hidden_size), zeros by default; returns the last
    layer's hidden states (T, N, hidden_size) and (h_n, c_n), the final states of each layer in the
    shape of h0, as PyTorch does. Parameters as in `RNN`, in blocks of rows for the gates i, f, g, o
    (PyTorch's order): `weight_ih_lk` is (4 hidden_size, input_size). `unroll=True` builds the graph
    out of elementary operators, step by step.

    >>> output, (h, c) = mg.nn.LSTM(3, 4, num_layers=2)(np.ones((5, 2, 3)))
    >>> output.shape, h.shape, c.shape
    ((5, 2, 4), (2, 2, 4), (2, 2, 4))
    """

    gates, fused, unrolled = 4, ops.lstm, by_name("lstm").unrolled

    def forward(
        self, x: ArrayLike, state: tuple[ArrayLike, ArrayLike] | None = None
    ) -> tuple[GraphNode, tuple[GraphNode, GraphNode]]:
        if state is not None and (not isinstance(state, tuple | list) or len(state) != 2):
            raise TypeError(
                f"LSTM: a state of type {type(state).__name__}; a pair (h0, c0) was expected"
            )
        h0, c0 = state or (None, None)
        output, (h, c) = self._run(x, h0=h0, c0=c0)
        return output, (h, c)


class GRU(_Recurrent):
    """Gated recurrent unit (Cho et al. 2014), as PyTorch computes it.

    That is, new = tanh(W x + b + r (V h + c)). Takes x (T, N, input_size) and optionally h0
    (num_layers, N, hidden_size), zeros by default; returns the last layer's hidden states (T, N,
    hidden_size) and the final state of each layer (num_layers, N, hidden_size), as PyTorch does.
    Parameters as in `RNN`, in blocks of rows for r, z and new (PyTorch's order): `weight_ih_lk` is
    (3 hidden_size, input_size). `unroll=True` builds the graph out of elementary operators, step by
    step.

    >>> output, h = mg.nn.GRU(3, 4)(np.ones((5, 2, 3)))
    >>> output.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

    gates, fused, unrolled = 3, ops.gru, by_name("gru").unrolled

    def forward(self, x: ArrayLike, h0: ArrayLike | None = None) -> tuple[GraphNode, GraphNode]:
        output, (h,) = self._run(x, h0=h0)
        return output, h
