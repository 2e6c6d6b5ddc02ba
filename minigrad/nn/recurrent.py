"""Recurrent layers and their cells: one node per layer and direction, or unrolled for drawings."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from .. import ops
from ..checks import one_of, positive
from ..errors import ShapeError
from ..graph.node import Constant, GraphNode, Variable
from ..graph.registry import by_name
from ..ops.indexing import keep_integers
from ..ops.random import stream_of
from ..seeds import Seed
from . import init
from .layers import Dtype, as_node, weight, zeros
from .module import Module


class _Gated(Module):
    """What layers and cells share: `rule` computes one layer, from parameters in blocks of rows,
    one block for each gate.
    """

    rule: ClassVar[Any]

    def __init__(self, input_size: int, hidden_size: int, **sizes: int) -> None:
        positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size, **sizes)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.options = dict[str, Any]()

    def _make(self, suffix: str, width: int, dtype: Dtype, rng: np.random.Generator) -> None:
        """Make the parameters of this suffix; each gate's weights are initialised by themselves."""
        gates = range(self.rule.gates)
        for name, columns in (("ih", width), ("hh", self.hidden_size)):
            blocks = [weight((self.hidden_size, columns), dtype, rng) for _ in gates]
            rows = np.concatenate([block.value for block in blocks])
            setattr(self, f"weight_{name}{suffix}", Variable(rows, dtype=blocks[0].dtype))
        for name in ("ih", "hh"):
            setattr(self, f"bias_{name}{suffix}", zeros(len(gates) * self.hidden_size, dtype))

    def _parameters(self, suffix: str) -> list[Variable]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [getattr(self, name + suffix) for name in names]

    def _input(self, x: Any, layout: str, suffix: str) -> GraphNode:
        """x as a node; `layout` has names for the axes before the last one, for messages."""
        kind = type(self).__name__
        node = as_node(kind, x, self._parameters(suffix)[0].dtype)
        if node.ndim != len(layout.split()) + 1 or node.shape[-1] != self.input_size:
            expected = f"({layout} {self.input_size}) was expected"
            if node.ndim == len(layout.split()) + 1:
                expected = f"x has {node.shape[-1]} features, the layer takes {self.input_size}"
            raise ShapeError(f"{kind}: shape {node.shape}; {expected}")
        return node

    def _initial(self, x: GraphNode, state: Any, *layers: int) -> list[Any]:
        """The initial states (*layers, N, hidden_size), h first, as nodes; None stands for zeros.

        Zeros of layers are a list of nodes, those of a cell are of one sample, for all. Raises
        `ShapeError` that names all shapes.
        """
        kind, names = type(self).__name__, ("h0", "c0")[: self.rule.states]
        shape = (*layers, x.shape[-2], self.hidden_size)

        def zero(name: str) -> Constant:
            return Constant(np.zeros(shape[-2:] if layers else (1, shape[-1])), name, x.dtype)

        if state is None:
            return [
                [zero(name) for _ in range(*layers)] if layers else zero(name) for name in names
            ]
        if len(names) == 1:
            state = (state,)
        elif not isinstance(state, tuple | list) or len(state) != 2:
            got = type(state).__name__
            raise TypeError(f"{kind}: a state of type {got}; a pair (h0, c0) was expected")
        given = [
            as_node(f"{kind}: {name}", value, x.dtype)
            for name, value in zip(names, state, strict=True)
        ]
        if any(node.shape != shape for node in given):
            shapes = " and ".join(str(node.shape) for node in (x, *given))
            raise ShapeError(
                f"{kind}: shapes {shapes}; {' and '.join(names)} of shape {shape} was expected"
            )
        return given

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


class _Recurrent(_Gated):
    """Base of RNN, LSTM and GRU: the loop over stacked layers and directions.

    Layer k has `weight_ih_lk` (gates · hidden_size, input_size; for k > 0 the size of the outputs),
    `weight_hh_lk` (gates · hidden_size, hidden_size), `bias_ih_lk` and `bias_hh_lk` (gates ·
    hidden_size,), and the same with `_reverse` for the other direction.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        unroll: bool = False,
        *,
        bidirectional: bool = False,
        batch_first: bool = False,
        dropout: float = 0.0,
        dtype: Dtype = None,
        seed: Seed = None,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers=num_layers)
        self.num_layers, self.unroll, self.dropout = num_layers, unroll, dropout
        self.bidirectional, self.batch_first = bidirectional, batch_first
        rng = init.generator(seed)
        for k in range(num_layers):
            for suffix in self._suffixes(k):
                self._make(suffix, input_size, dtype, rng)
            input_size = hidden_size * (1 + bidirectional)
        self.stream = stream_of(rng) if dropout else None

    def _suffixes(self, k: int) -> list[str]:
        return [f"_l{k}", f"_l{k}_reverse"][: 1 + self.bidirectional]

    def _run(self, x: Any, state: Any, lengths: Any) -> tuple[GraphNode, list[GraphNode]]:
        """The outputs of the last layer, and the final states of all layers, kind by kind."""
        x = self._input(x, "N, T," if self.batch_first else "T, N,", "_l0")
        if self.batch_first:
            x = ops.swapaxes(x, 0, 1)
        starts = self._initial(x, state, self.num_layers * (1 + self.bidirectional))
        if lengths is not None:  # padding becomes 0, so that NaN in it does not spread, either
            lengths = keep_integers(lengths)
            x = ops.reverse_sequence(ops.reverse_sequence(x, lengths), lengths)
        final: list[list[GraphNode]] = []
        for k in range(self.num_layers):
            if k and self.dropout:
                rows = ops.swapaxes(x, 0, 1)  # a mask keeps samples apart along the first axis
                rows = ops.dropout(rows, self.dropout, self.training, seed=self.stream)
                x = ops.swapaxes(rows, 0, 1)
            outputs = []
            for suffix in self._suffixes(k):
                start = [kind[len(final)] for kind in starts]
                output, *states = self._layer(x, start, suffix, lengths)
                outputs.append(output)
                final.append(states)
            x = outputs[0] if len(outputs) == 1 else ops.concatenate(outputs, axis=-1)
        if self.batch_first:
            x = ops.swapaxes(x, 0, 1)
        return x, [ops.stack(kind) for kind in zip(*final, strict=True)]

    def _layer(
        self, x: GraphNode, start: list[GraphNode], suffix: str, lengths: GraphNode | None
    ) -> list[GraphNode]:
        """The hidden states of one layer in one direction (T, N, hidden_size), its final states."""

        def turned(y: GraphNode) -> GraphNode:
            return y[::-1] if lengths is None else ops.reverse_sequence(y, lengths)

        backwards, rule = suffix.endswith("reverse"), self.rule
        given = turned(x) if backwards else x, *start, *self._parameters(suffix)
        if lengths is None:
            layer = rule.unrolled if self.unroll else getattr(ops, rule.name)
            found = layer(*given, **self.options)
            hidden, *others = found if isinstance(found, tuple) else (found,)
            last = hidden[-1] if hidden.shape[0] else start[0]
            return [turned(hidden) if backwards else hidden, last, *others]
        if self.unroll:
            steps = rule.by_steps(*given, **self.options)
            every = [ops.stack(states) for states in zip(*steps, strict=True)]
        else:
            found = rule(*given, **self.options)
            every = [found] if rule.states == 1 else [found[0], found[1]]
        ends = [turned(states) for states in every]  # which begin with the last valid step
        return [ends[0] if backwards else turned(ends[0]), *(states[0] for states in ends)]

    def extra_repr(self) -> str:
        names = ("num_layers", "bidirectional", "batch_first", "dropout")
        options = [f", {name}={getattr(self, name)}" for name in names if getattr(self, name)]
        return super().extra_repr() + "".join(options[self.num_layers == 1 :])


class _OneState(_Recurrent):
    def forward(
        self, x: ArrayLike, state: ArrayLike | None = None, lengths: ArrayLike | None = None
    ) -> tuple[GraphNode, GraphNode]:
        output, (h,) = self._run(x, state, lengths)
        return output, h


class RNN(_OneState):
    """h_t = f(W x_t + b + V h_{t-1} + c), f = tanh or relu, in stacked layers.

    Takes x (T, N, input_size), with `batch_first` (N, T, input_size), optionally the initial state
    (num_layers, N, hidden_size), zeros by default, and lengths (N,), integers from 1 to T, of
    sequences that are padded to T steps. Returns the last layer's hidden states (T, N, hidden_size)
    and the final state of each layer (num_layers, N, hidden_size), as PyTorch does. With lengths
    that is the state of each sequence's last step; padding has no part in any number or gradient,
    and outputs there are 0, as those of PyTorch's packed sequences are.

    `bidirectional` adds to each layer one that reads from the end: outputs have twice the size, the
    states of layer k are those of number 2k and 2k + 1. `dropout` acts between layers, in training.
    Parameters of layer k: `weight_ih_lk`, `weight_hh_lk`, `bias_ih_lk`, `bias_hh_lk`, with
    `_reverse` behind the name for the other direction. `unroll=True` builds the graph out of
    elementary operators, step by step; the result agrees with the fused node to rounding.

    >>> output, h = mg.nn.RNN(3, 4)(np.ones((5, 2, 3)))
    >>> output.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

    rule = by_name("rnn")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        unroll: bool = False,
        **options: Any,
    ) -> None:
        one_of("RNN", "nonlinearity", nonlinearity, ("tanh", "relu"))
        super().__init__(input_size, hidden_size, num_layers, unroll, **options)
        self.nonlinearity = self.options["nonlinearity"] = nonlinearity

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, nonlinearity={self.nonlinearity!r}"


class LSTM(_Recurrent):
    """Long short-term memory with a forget gate.

    Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000. Takes x, the initial states (a
    pair (h0, c0)) and lengths, and has the options of `RNN`; returns the last layer's hidden states
    and (h_n, c_n), the final states of each layer in the shape of h0, as PyTorch does. Parameters
    as in `RNN`, in blocks of rows for the gates i, f, g, o (PyTorch's order): `weight_ih_lk` is (4
    hidden_size, input_size).

    >>> lstm = mg.nn.LSTM(3, 4, bidirectional=True, batch_first=True)
    >>> output, (h, c) = lstm(np.ones((2, 5, 3)), lengths=[5, 2])
    >>> output.shape, h.shape, c.shape
    ((2, 5, 8), (2, 2, 4), (2, 2, 4))
    """

    rule = by_name("lstm")

    def forward(
        self,
        x: ArrayLike,
        state: tuple[ArrayLike, ArrayLike] | None = None,
        lengths: ArrayLike | None = None,
    ) -> tuple[GraphNode, tuple[GraphNode, GraphNode]]:
        output, (h, c) = self._run(x, state, lengths)
        return output, (h, c)


class GRU(_OneState):
    """Gated recurrent unit (Cho et al. 2014), as PyTorch computes it.

    That is, new = tanh(W x + b + r (V h + c)). Takes and returns what `RNN` does, with its options.
    Parameters as there, in blocks of rows for r, z and new (PyTorch's order): `weight_ih_lk` is (3
    hidden_size, input_size).

    >>> output, h = mg.nn.GRU(3, 4)(np.ones((5, 2, 3)))
    >>> output.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

    rule = by_name("gru")


# ---------------- cells
class _Cell(_Gated):
    """Base of the cells: one step, in elementary operators."""

    def __init__(
        self, input_size: int, hidden_size: int, *, dtype: Dtype = None, seed: Seed = None
    ) -> None:
        super().__init__(input_size, hidden_size)
        self._make("", input_size, dtype, init.generator(seed))

    def _step(self, x: Any, state: Any) -> Any:
        x = self._input(x, "N,", "")
        states = self._initial(x, state)
        return self.rule.cell(x, *states, *self._parameters(""), **self.options)


class RNNCell(_Cell):
    """One step of an `RNN`: x (N, input_size) and the state (N, hidden_size) give the next state.

    Without a state it is zero. Parameters: `weight_ih` (hidden_size, input_size), `weight_hh`
    (hidden_size, hidden_size), `bias_ih` and `bias_hh` (hidden_size,).

    >>> h = mg.nn.RNNCell(3, 4)(np.ones((2, 3)))
    >>> h.shape
    (2, 4)
    """

    rule = by_name("rnn")

    def __init__(
        self, input_size: int, hidden_size: int, nonlinearity: str = "tanh", **options: Any
    ) -> None:
        one_of("RNNCell", "nonlinearity", nonlinearity, ("tanh", "relu"))
        super().__init__(input_size, hidden_size, **options)
        self.options["nonlinearity"] = nonlinearity

    def forward(self, x: ArrayLike, state: ArrayLike | None = None) -> GraphNode:
        h: GraphNode = self._step(x, state)
        return h


class GRUCell(_Cell):
    """One step of a `GRU`: x (N, input_size) and the state (N, hidden_size) give the next state.

    Parameters as in `RNNCell`, in blocks of rows for r, z and new.

    >>> h = mg.nn.GRUCell(3, 4)(np.ones((2, 3)))
    >>> h.shape
    (2, 4)
    """

    rule = by_name("gru")

    def forward(self, x: ArrayLike, state: ArrayLike | None = None) -> GraphNode:
        h: GraphNode = self._step(x, state)
        return h


class LSTMCell(_Cell):
    """One step of an `LSTM`: x (N, input_size) and the states (h, c) give the next (h, c).

    Each is (N, hidden_size), zero by default. Parameters as in `RNNCell`, in blocks of rows for the
    gates i, f, g, o.

    >>> h, c = mg.nn.LSTMCell(3, 4)(np.ones((2, 3)))
    >>> h.shape
    (2, 4)
    """

    rule = by_name("lstm")

    def forward(
        self, x: ArrayLike, state: tuple[ArrayLike, ArrayLike] | None = None
    ) -> tuple[GraphNode, GraphNode]:
        h, c = self._step(x, state)
        return h, c
