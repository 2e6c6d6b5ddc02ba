"""The compiled forward pass: evaluation and prediction as generated source for Numba."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..errors import GraphError
from ..graph.conversion import Array
from ..graph.node import GraphNode
from .arena import Arena
from .generated import Generated, check_samples
from .trace import trace


class CompiledForward(Generated):
    """The forward pass of a graph whose samples are independent, on a slice of them at a time.

    `order` is the graph of one slice, which is fed through its constant `x`; its last node has a
    row for each sample. Each thread takes one slice after the other. `source` is the generated
    source. Raises `GraphError` that names the operator for a graph that cannot be compiled.
    """

    def __init__(self, order: Sequence[GraphNode], x: GraphNode, dtype: np.dtype[Any]) -> None:
        self.size, self.shape = len(x._data), order[-1].shape[1:]
        self.parts = kernels.jit.threads(self.size)
        with kernels.jit.one_thread():  # each slice has a thread of its own already
            self.trace = trace(order, {"x": x}, floats=dtype)
        kinds = {"X": x.dtype, "order": np.dtype(np.intp), "out": order[-1].dtype}
        self.given = {name: self.array(name, dtype) for name, dtype in kinds.items()}
        self.trace.give([self.given["out"].whole()], order[-1].size // self.size)
        self.arena = Arena(self.trace, {"x": x}, dtype, self.parts)
        self.generate(f"The forward pass of a graph of {len(order)} nodes on {self.size} samples.")

    def run(self, order: Sequence[GraphNode], x: GraphNode, samples: Array) -> Array:
        """The results for all samples.

        `order` is a graph like the compiled one, of any number of samples, whose leaves hold the
        present values; `x` is the node in it that is fed. Raises what its rules raise for the
        samples, `IndexError` for a computed index out of range, and `GraphError` where the pass
        would change a buffer.
        """
        from .loop import slices  # with Numba, which importing minigrad does without

        check_samples(order, {x: samples})
        self.load()
        self.arena.load(order)
        state, count = self.arena.state.copy(), -(-len(samples) // self.size)
        # the last sample fills up the last slice
        chosen = np.minimum(np.arange(count * self.size), len(samples) - 1)
        results = np.empty((count * self.size, *self.shape), self.given["out"].dtype)
        held = self.give(X=samples, order=chosen, out=results)
        run = slices if self.parts > 1 else kernels.jit.serial(slices)
        (part,) = self.codes
        inside = run(*part.program, self.table, self.arena.each, self.size, count)
        del held
        if not inside:
            raise IndexError("a computed index is out of range")
        if (self.arena.state != state).any():
            raise GraphError('the forward pass changes a buffer; use mode="replay"')
        return results[: len(samples)]
