"""One block of memory for a compiled step: who lives where in it, and when."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..graph.node import Variable
from .emit import Place, fuse, views
from .trace import Trace
from .traced import Assign, Buffer, Call, MatMul, Reduce, Statement, View

ALIGN = 16  # numbers: a cache line of float32


class Arena:
    """Arrays of a compiled step, and the place of every buffer of its program in them.

    Parameters are contiguous in P (those that are trained first, `trained` numbers in all), their gradients at the same
    places in a row of G for each part of the batch. Everything that is computed shares the rows of V (and of an array
    for each other dtype): a buffer's place is used again after the last statement that needs it.
    """

    def __init__(self, trace: Trace, variables: Sequence[Variable], optimizer: Any, parts: int) -> None:
        trained = [p for p in optimizer.params if id(p) in trace.gradients]
        self.dtype, self.optimizer = trained[0].dtype, optimizer
        self.variables = [*trained, *(v for v in variables if id(v) not in trace.gradients)]
        self.starts = [int(x) for x in np.cumsum([0, *(v.size for v in self.variables)])]
        self.trained = self.starts[len(trained)]
        self._numbers = [next(i for i, p in enumerate(optimizer.params) if p is q) for q in trained]
        self.places: dict[int, Place] = {id(view.buffer): Place(name, 0) for name, view in trace.inputs.items()}
        for variable, start in zip(self.variables, self.starts, strict=False):
            self.places[id(trace.values[id(variable)].buffer)] = Place("P", start)
            if id(variable) in trace.gradients:
                self.places[id(trace.gradients[id(variable)].buffer)] = Place("G", start)
        self.groups = fuse(trace.program.statements)
        self.lives = _lives(self.groups)
        self.lives[id(trace.loss.buffer)] = (0, len(self.groups))  # it is what the part returns
        sizes = self._plan(trace.program.buffers, self.lives)
        self.names = sorted(sizes)
        self.P = np.zeros(self.starts[-1], self.dtype)
        self.G = np.zeros((parts, self.trained), self.dtype)
        self.M = [np.zeros(self.trained, self.dtype) for _ in optimizer.memory]
        self.rows = [np.zeros((parts, size), dtype) for name in self.names for dtype, size in [sizes[name]]]
        self.inputs = [np.zeros((parts, len(v), v.size // len(v)), v.dtype) for v in trace.inputs.values()]
        for buffer in trace.program.buffers:
            if buffer.initial is not None:
                place = self.places[id(buffer)]
                row = self.rows[self.names.index(place.array)]
                row[:, place.start : place.start + buffer.size] = buffer.initial.reshape(-1)

    def _plan(self, buffers: Sequence[Buffer], lives: dict[int, tuple[int, int]]) -> dict[str, tuple[Any, int]]:
        """Give every buffer that has no place yet the first one that is free as long as it lives; array -> dtype, size."""
        held: dict[str, list[tuple[int, int, int, int]]] = {}  # array -> (start, end, first, last)
        sizes: dict[str, tuple[Any, int]] = {}
        for buffer in sorted(buffers, key=lambda b: (lives.get(id(b), (0, 0))[0])):
            if id(buffer) in self.places or (id(buffer) not in lives and buffer.kind != "constant"):
                continue
            first, last = lives.get(id(buffer), (0, 0))
            if buffer.kind == "constant":  # written once, before all steps
                first, last = -1, 1 << 60
            name = "V" if buffer.dtype == self.dtype else f"V_{buffer.dtype}"
            mine = held.setdefault(name, [])
            start = 0
            for a, b, f, l in sorted(mine):
                if f <= last and first <= l and a < start + buffer.size and start < b:
                    start = -(-b // ALIGN) * ALIGN
            mine.append((start, start + buffer.size, first, last))
            self.places[id(buffer)] = Place(name, start)
            sizes[name] = (buffer.dtype, max(sizes.get(name, (0, 0))[1], start + buffer.size))
        return sizes

    # ---------------------------------------------------------------- in use
    def arrays(self) -> tuple[Any, ...]:
        """What the generated function takes, up to the samples."""
        return (self.P, self.G, *self.rows, *self.M)

    def adopt(self) -> None:
        """Make the arrays of variables and of the optimiser's memory views of the arena, where they are not yet."""
        for variable, start in zip(self.variables, self.starts, strict=False):
            variable._data = _adopted(variable._data, self.P[start : start + variable.size])
        for number, variable, start in zip(self._numbers, self.variables, self.starts, strict=False):
            memory = self.optimizer._of(number)
            for name, whole in zip(self.optimizer.memory, self.M, strict=True):
                memory[name] = _adopted(memory[name], whole[start : start + variable.size])


def _adopted(array: Any, place: Any) -> Any:
    """The place as an array of this shape, with the same numbers."""
    if array.ctypes.data != place.ctypes.data:
        place[...] = array.reshape(-1)
        return place.reshape(array.shape)
    return array


def _lives(groups: Sequence[Sequence[Statement]]) -> dict[int, tuple[int, int]]:
    """By `id(buffer)`: the first and the last group of statements that need it."""
    lives: dict[int, tuple[int, int]] = {}
    for i, group in enumerate(groups):
        for view in (view for statement in group for view in needed(statement)):
            first, _ = lives.get(id(view.buffer), (i, i))
            lives[id(view.buffer)] = (first, i)
    return lives


def needed(s: Statement) -> Iterator[View]:
    if isinstance(s, Assign | Reduce):
        yield s.target
        yield from views(s.value)
    elif isinstance(s, MatMul):
        yield from (s.out, s.a, s.b)
    elif isinstance(s, Call):
        yield from (x for x in s.args if isinstance(x, View))
