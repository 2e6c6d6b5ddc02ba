"""One block of memory for a compiled step: who lives where in it, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graph.node import Variable
from .emit import Place, fuse
from .simplify import by_rows, gathered_in_pieces, simplify, touches
from .trace import Trace
from .traced import Assign, Buffer, Statement, View, views

LINE = 64  # bytes that memory is fetched in
ALIGN = 16  # numbers: such a line of float32
STRETCH = (
    4096  # so many parameters at a time: what is added up is still in the cache when it is used
)


class Arena:
    """Arrays of a compiled step, and the place of every buffer of its program in them.

    Parameters are in P, each from the beginning of a cache line on (those that are trained first,
    `trained` numbers with the zeros that fill up the lines), their gradients at the same places in
    a row of G for each part of the batch. A model's own buffers are in S, an array for each dtype,
    whose rows stay equal: each part changes its own. Everything that is computed shares the rows of
    V (and of an array for each other dtype): a buffer's place is used again after the last
    statement that needs it.
    """

    def __init__(
        self, trace: Trace, variables: Sequence[Variable], optimizer: Any, parts: int
    ) -> None:
        trained = [p for p in optimizer.params if id(p) in trace.gradients]
        self.dtype, self.optimizer = trained[0].dtype, optimizer
        self.variables = [*trained, *(v for v in variables if id(v) not in trace.gradients)]
        self.starts = [int(x) for x in np.cumsum([0, *(_lines(v.size) for v in self.variables)])]
        self.trained = self.starts[len(trained)]
        self._numbers = [next(i for i, p in enumerate(optimizer.params) if p is q) for q in trained]
        statements: Sequence[Statement] = trace.program.statements
        self.fed: dict[str, tuple[View, Assign | None]] = {}  # see `gathered_in_pieces`
        for name, view in trace.inputs.items():
            statements, samples, turn = gathered_in_pieces(statements, view)
            self.fed[name] = samples, turn
        self.places: dict[int, Place] = {
            id(view.buffer): Place(name, 0) for name, (view, _) in self.fed.items()
        }
        for variable, start in zip(self.variables, self.starts, strict=False):
            self.places[id(trace.values[id(variable)].buffer)] = Place("P", start)
            if id(variable) in trace.gradients:
                self.places[id(trace.gradients[id(variable)].buffer)] = Place("G", start)
        self.S, self.state = _state(trace, self.places, parts)
        returned = [view.buffer for view in (trace.loss, trace.outside) if view is not None]
        statements, self.clearing = by_rows(simplify(statements, returned))
        self.groups = fuse(statements)
        self.lives = _lives(self.groups)
        self.lives.update((id(buffer), (0, len(self.groups))) for buffer in returned)
        self.single = {id(b) for b in trace.program.buffers if _single(b, self.lives, self.groups)}
        for key in self.single:
            del self.lives[key]
        sizes = self._plan(trace.program.buffers, self.lives)
        self.names = sorted(sizes)
        self.P = _zeros(self.starts[-1], self.dtype)
        self.G = _zeros((parts, self.trained), self.dtype)
        clipped = optimizer.max_grad_norm is not None
        self.T = _zeros(
            (parts, self.trained if clipped else min(self.trained, STRETCH)), self.dtype
        )
        self.M = [_zeros(self.trained, self.dtype) for _ in optimizer.memory]
        self.rows = [
            _zeros((parts, size), dtype) for name in self.names for dtype, size in [sizes[name]]
        ]
        self.inputs = [_zeros((parts, v.size), v.dtype) for v, _ in self.fed.values()]
        for buffer in trace.program.buffers:
            if buffer.initial is not None and id(buffer) in self.places:
                place = self.places[id(buffer)]
                mine = self.rows[self.names.index(place.array)][
                    :, place.start : place.start + buffer.size
                ]
                mine[:] = buffer.initial.reshape(-1)
                if buffer.each:
                    mine += buffer.each * np.arange(parts)[:, None]

    def _plan(
        self, buffers: Sequence[Buffer], lives: dict[int, tuple[int, int]]
    ) -> dict[str, tuple[Any, int]]:
        """Give every buffer that has no place yet the first one that is free as long as it lives;
        array -> dtype, size.
        """
        held: dict[str, list[tuple[int, int, int, int]]] = {}  # array -> (start, end, first, last)
        sizes: dict[str, tuple[Any, int]] = {}
        for buffer in sorted(buffers, key=lambda b: lives.get(id(b), (0, 0))[0]):
            if id(buffer) in self.places or id(buffer) not in lives:
                continue
            first, last = lives[id(buffer)]
            if buffer.kind == "constant":  # written once, before all steps
                first, last = -1, 1 << 60
            name = "V" if buffer.dtype == self.dtype else f"V_{buffer.dtype}"
            mine = held.setdefault(name, [])
            start = 0
            for a, b, f, l in sorted(mine):
                if f <= last and first <= l and a < start + buffer.size and start < b:
                    start = _lines(b)
            heir = self._heir(buffer, first, lives)
            start = start if heir is None else self.places[id(heir)].start
            mine.append((start, start + buffer.size, first, last))
            self.places[id(buffer)] = Place(name, start)
            sizes[name] = (
                buffer.dtype,
                max(sizes.get(name, (0, 0))[1], _lines(start + buffer.size)),
            )
        return sizes

    def _heir(self, buffer: Buffer, first: int, lives: dict[int, tuple[int, int]]) -> Buffer | None:
        """A buffer of which this one can take over the place while it is written: entry by entry,
        in the same loop.
        """
        group = self.groups[first] if buffer.kind == "value" else []
        mine = _of(buffer, group)  # none of the loss, which is given a place for all of the time
        if not mine or not all(isinstance(s, Assign) for s in group) or not all(map(_whole, mine)):
            return None
        written = next(i for i, s in enumerate(group) if _of(buffer, [s]))
        before = {id(v.buffer): v.buffer for s in group for v in touches(s)}
        after = {id(v.buffer) for s in group[written + 1 :] for v in touches(s)}
        taken = [self.places.get(id(b)) for b in before.values()]
        for other in before.values():
            ends, place = lives.get(id(other), (0, -1)), self.places.get(id(other))
            same = (
                other.size == buffer.size and other.dtype == buffer.dtype and other.kind == "value"
            )
            dies = ends[0] < first == ends[1] and id(other) not in after and taken.count(place) == 1
            if same and dies and all(_whole(v) for v in _of(other, group)):
                return other
        return None

    # ---------------- in use
    def arrays(self) -> tuple[Any, ...]:
        """What the generated function takes, up to the samples."""
        return (self.P, self.G, self.T, *self.S.values(), *self.rows, *self.M)

    def adopt(self) -> None:
        """Make the arrays of variables, buffers and the optimiser's memory views of the arena,
        where they are not yet.
        """
        for variable, start in zip(self.variables, self.starts, strict=False):
            variable._data = _adopted(variable._data, self.P[start : start + variable.size])
        for buffer, place in self.state:
            buffer._data = _adopted(buffer._data, place)
        for rows in self.S.values():
            rows[1:] = rows[0]
        for number, variable, start in zip(
            self._numbers, self.variables, self.starts, strict=False
        ):
            memory = self.optimizer._of(number)
            for name, whole in zip(self.optimizer.memory, self.M, strict=True):
                memory[name] = _adopted(memory[name], whole[start : start + variable.size])


def _lines(size: int) -> int:
    """So many numbers, and what is left of the last cache line."""
    return -(-size // ALIGN) * ALIGN


def _zeros(shape: Any, dtype: Any) -> Any:
    """Zeros that begin where a cache line does: a vector that lies in two lines takes as long as
    two.
    """
    dtype = np.dtype(dtype)
    count = int(np.prod(shape)) * dtype.itemsize
    memory = np.zeros(count + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + count].view(dtype).reshape(shape)


def _adopted(array: Any, place: Any) -> Any:
    """The place as an array of this shape, with the same numbers."""
    if array.ctypes.data != place.ctypes.data:
        place[...] = array.reshape(-1)
        return place.reshape(array.shape)
    return array


def _state(
    trace: Trace, places: dict[int, Place], parts: int
) -> tuple[dict[str, Any], list[tuple[Any, Any]]]:
    """One array for the buffers of each dtype, by name; each buffer with its place in the first
    row, noted in `places`.
    """
    sizes: dict[str, int] = {}
    for buffer, view in trace.state:
        name = f"S_{buffer.dtype}"
        places[id(view.buffer)] = Place(name, sizes.get(name, 0))
        sizes[name] = sizes.get(name, 0) + buffer.size
    arrays = {name: _zeros((parts, size), name[2:]) for name, size in sizes.items()}
    found = [(buffer, places[id(view.buffer)]) for buffer, view in trace.state]
    return arrays, [(b, arrays[at.array][0, at.start : at.start + b.size]) for b, at in found]


def _lives(groups: Sequence[Sequence[Statement]]) -> dict[int, tuple[int, int]]:
    """By `id(buffer)`: the first and the last group of statements that need it."""
    lives: dict[int, tuple[int, int]] = {}
    for i, group in enumerate(groups):
        for view in (view for statement in group for view in touches(statement)):
            first, _ = lives.get(id(view.buffer), (i, i))
            lives[id(view.buffer)] = (first, i)
    return lives


def _of(buffer: Buffer, group: Sequence[Statement]) -> list[View]:
    return [view for statement in group for view in touches(statement) if view.buffer is buffer]


def _whole(view: View) -> bool:
    return view.contiguous and view.size == view.buffer.size


def _single(
    buffer: Buffer, lives: dict[int, tuple[int, int]], groups: Sequence[Sequence[Statement]]
) -> bool:
    """Is the buffer written and read in one loop only, so that one number at a time is enough?"""
    if buffer.kind != "value" or id(buffer) not in lives:
        return False
    first, last = lives[id(buffer)]
    group = groups[first] if first == last else []
    mine = _of(buffer, group)
    if len(group) < 2 or not all(isinstance(s, Assign) for s in group):
        return False
    shape = group[0].target.shape  # type: ignore[union-attr]
    return (
        len(mine) > 1
        and all(_whole(v) and v.shape == shape for v in mine)
        and _written_first(buffer, group)
    )


def _written_first(buffer: Buffer, group: Sequence[Statement]) -> bool:
    for s in group:
        assert isinstance(s, Assign)
        if any(v.buffer is buffer for v in views(s.value)):
            return False
        if s.target.buffer is buffer:
            return True
    return False
