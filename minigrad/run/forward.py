"""The compiled forward pass: evaluation and prediction as generated source for Numba."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .. import kernels
from ..errors import GraphError
from ..graph.conversion import Array
from ..graph.node import GraphNode
from .arena import Arena
from .compiled import Generated, check_samples
from .step_module import FORWARD, compiling
from .trace import trace


class CompiledForward(Generated):
    """The forward pass of a graph whose samples are independent, on a slice of them at a time.

    `order` is the graph of one slice, which is fed through its constant `x`; its last node has a
    row for each sample. Each thread takes one slice after the other. `source` is the generated
    source. Raises `GraphError` that names the operator for a graph that cannot be compiled.
    """

    def __init__(self, order: Sequence[GraphNode], x: GraphNode, dtype: np.dtype[Any]) -> None:
        self.size, self._result = len(x._data), order[-1]._data
        self._threads, self._loaded = kernels.jit.threads(self.size), False
        with kernels.jit.one_thread():  # each slice has a thread of its own already
            self.trace = trace(order, {"x": x})
        self.arena = Arena(self.trace, {"x": x}, dtype, self._threads)
        flats = "".join(f"flat({name}), " for name in (*self.arena.S, *self.arena.V))
        title = f"The forward pass of a graph of {len(order)} nodes on {self.size} samples."
        self._generate(FORWARD, title, flats=flats)

    def run(self, order: Sequence[GraphNode], x: GraphNode, samples: Array) -> Array:
        """The results for all samples.

        `order` is a graph like the compiled one, of any number of samples, whose leaves hold the
        present values; `x` is the node in it that is fed. Raises what its rules raise for the
        samples, `IndexError` for a computed index out of range, and `GraphError` where the pass
        would change a buffer.
        """
        check_samples(order, {x: samples})
        self.arena.load(order)
        state, count = self._state(), -(-len(samples) // self.size)
        results = np.empty((count, *self._result.shape), self._result.dtype)
        slices, marks = iter(range(count)), np.zeros(count)

        def work(s: int) -> None:
            for i in slices:
                marks[i] = self._slice(s, i, samples, results[i])

        if not self._loaded:
            with compiling(self._module):
                marks[0] = self._slice(0, next(slices), samples, results[0])
            self._loaded = True
        threads = kernels.jit.threads(min(count, self._threads))
        with ThreadPoolExecutor(threads) as pool:
            others = [pool.submit(work, s) for s in range(1, threads)]
            try:
                work(0)
            finally:
                list(slices)  # after an error or Ctrl-C, threads end with their present slice
        for other in others:
            other.result()
        if np.isnan(marks).any():
            raise IndexError("a computed index is out of range")
        if self._state() != state:
            raise GraphError('the forward pass changes a buffer; use mode="replay"')
        return results.reshape(-1, *self._result.shape[1:])[: len(samples)]

    def _state(self) -> list[bytes]:
        return [rows.tobytes() for rows in self.arena.S.values()]

    def _slice(self, s: int, i: int, samples: Array, result: Array) -> Any:
        """Compute slice i in the rows of thread s; the last sample fills up the last slice."""
        arena, (view, swap) = self.arena, self.arena.fed["x"]
        row = arena.inputs[0][s]
        place = row.reshape(view.shape) if swap is None else row.reshape(view.shape).swapaxes(0, 1)
        given = samples[i * self.size : (i + 1) * self.size]
        place[: len(given)] = given.reshape(len(given), *place.shape[1:])
        place[len(given) :] = place[len(given) - 1]
        rows = (rows[s] for rows in (*arena.S.values(), *arena.V.values()))
        return self._module.part(*self._numbers, arena.P, *rows, row, result.reshape(-1))
