"""The memory of compiled graphs: one arena, in which arrays share memory where they can."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..graph.node import Buffer, GraphNode, Variable
from .fusion import fuse
from .simplify import simplify, sparse_gradients, swapped_input
from .symbolic import Assign, Statement, Storage, View, formula
from .trace import Trace, leaves_of

LINE = 64  # bytes that memory is fetched in
ALIGN = 16  # numbers: such a line of float32
STRETCH = 4096  # parameters that are updated at a time: their gradient is still in the cache


class Arena:
    """The arrays of a compiled graph, and the place of every storage of its program in them.

    P holds the parameters, each from the beginning of a cache line on, those that are trained first
    (`trained` numbers with the zeros that fill up the lines); G their gradients at the same places,
    a row for each part of the batch; M the optimiser's memory. `stretches` are the ranges in them
    of the optimiser's groups of parameters. S holds the model's buffers, an array for each dtype,
    whose rows stay equal: each part changes its own. Computed arrays share the rows of V (an array
    for each dtype): memory is reused after the last statement that needs it. `groups` are the
    statements, those of a group in one loop nest; `dtype` is that of all floats. Without an
    optimizer nothing is trained.
    """

    def __init__(
        self,
        trace: Trace,
        inputs: Mapping[str, GraphNode],
        dtype: np.dtype[Any],
        parts: int,
        optimizer: Any = None,
        together: bool = False,
    ) -> None:
        values, gradients = trace.values, trace.gradients
        trained = [p for p in optimizer.params if p in gradients] if optimizer else []
        fixed = {*gradients, *inputs.values()}
        frozen = [x for x in values if isinstance(x, Variable) and x not in fixed]
        self.dtype, self.optimizer = dtype, optimizer
        self._views: dict[tuple[Any, ...], Any] = {}  # of the places of variables and the others
        self.trained = sum(_lines(p.size) for p in trained)
        self.stretches: list[tuple[int, int]] = []
        for group in optimizer.param_groups if optimizer else ():
            begin = self.stretches[-1][1] if self.stretches else 0
            own = (_lines(p.size) for p in group["params"] if p in gradients)
            self.stretches.append((begin, begin + sum(own)))
        self.starts: dict[Variable, int] = {}
        size = 0
        for variable in (*trained, *frozen):
            _place(values[variable], "P", size)
            if variable in gradients:
                _place(gradients[variable], "G", size)
            self.starts[variable], size = size, size + _lines(variable.size)
        self.buffers = [(x, view.storage) for x, view in values.items() if isinstance(x, Buffer)]

        statements = trace.program.statements
        self.fed: dict[str, tuple[View, Assign | None]] = {}  # samples, and how they are swapped
        for name, node in inputs.items():
            samples = values[node]
            swap = None if together else swapped_input(statements, samples)
            if swap:
                samples = swap.target
                samples.storage.kind, samples.storage.name = "input", name
                statements = [s for s in statements if s is not swap]
            self.fed[name] = samples, swap
            _place(samples, name, 0)
        _place(trace.result, "each", 0)
        statements, self.clearing = sparse_gradients(simplify(statements, [trace.result.storage]))
        self.groups = fuse(statements)
        self._find_live_ranges()

        self.P = _zeros(size, self.dtype)
        self.G = _zeros((parts, self.trained), self.dtype)
        stretch = STRETCH if optimizer and optimizer.max_grad_norm is None else self.trained
        self.T = _zeros((parts, min(self.trained, stretch)), self.dtype)
        self.M = [_zeros(self.trained, self.dtype) for _ in (optimizer.memory if optimizer else ())]
        self.inputs = [_zeros((parts, view.size), view.dtype) for view, _ in self.fed.values()]
        sizes = self._stack()
        self.state = _zeros((parts, sum(_bytes(*each) for each in sizes.items())), np.uint8)
        self.S, start = dict[str, Any](), 0
        for name, size in sizes.items():
            kind, end = name.partition("_")[2], start + _bytes(name, size)
            self.S[name], start = self.state[:, start:end].view(kind)[:, :size], end
        self.each = _zeros((parts, 1), self.dtype)
        self.V = self._rows(self._share(trace.program.storages), parts)
        for storage in trace.program.storages:
            if storage.initial is not None and storage.array:
                rows = self.V[storage.array][:, storage.start : storage.end]
                rows[:] = storage.initial.reshape(-1)
                if storage.each:
                    rows += storage.each * np.arange(parts)[:, None]

    # ---------------- places
    def _find_live_ranges(self) -> None:
        """Set the first and the last group that need each storage; scalars have no live range."""
        for i, group in enumerate(self.groups):
            for storage in _touched(group):
                storage.live = (storage.live or (i, i))[0], i
        for i, group in enumerate(self.groups):
            for storage in _touched(group):
                if storage.live == (i, i) and _is_scalar(storage, group):
                    storage.live = None

    def _stack(self) -> dict[str, int]:
        """Place the model's buffers one after the other; array -> size."""
        sizes: dict[str, int] = {}
        for _, storage in self.buffers:
            storage.array = f"S_{storage.dtype}"
            storage.start = sizes.get(storage.array, 0)
            sizes[storage.array] = storage.start + storage.size
        return sizes

    def _share(self, storages: Sequence[Storage]) -> dict[str, int]:
        """Place all others, each where nothing lies as long as it is live; array -> size."""
        placed: dict[str, list[tuple[int, int, int, int]]] = {}
        waiting = [(*s.live, s) for s in storages if s.live and not s.array]
        for first, last, storage in sorted(waiting, key=lambda row: row[0]):
            if storage.kind == "constant":  # written once, before all steps
                storage.live = first, last = 0, len(self.groups)
            storage.array = "V" if storage.dtype == self.dtype else f"V_{storage.dtype}"
            others = placed.setdefault(storage.array, [])
            for start, end, begins, ends in others:
                if start >= storage.end:
                    break
                if begins <= last and first <= ends and storage.start < end:
                    storage.start = _lines(end)
            storage.takes = self._taken_over(storage, first)
            storage.start = storage.takes.start if storage.takes else storage.start
            insort(others, (storage.start, storage.end, first, last))
        return {name: max(_lines(end) for _, end, *_ in placed[name]) for name in sorted(placed)}

    def _taken_over(self, storage: Storage, first: int) -> Storage | None:
        """A storage in whose place this one can be written, entry by entry in one loop."""
        group = [s for s in map(formula, self.groups[first]) if s]
        elementwise = len(group) == len(self.groups[first]) and _whole(storage, group)
        if not (storage.computed and elementwise):
            return None
        written = next(i for i, s in enumerate(group) if storage in _touched([s]))
        after, touched = _touched(group[written + 1 :]), _touched(group)
        places = [(s.array, s.start) for s in touched]
        for other in touched:
            begins, ends = other.live or (first, first)
            same = other.size == storage.size and other.dtype == storage.dtype and other.computed
            dies = begins < first == ends and other not in after
            alone = places.count((other.array, other.start)) == 1
            if same and dies and alone and _whole(other, group):
                return other
        return None

    def _rows(self, sizes: dict[str, int], parts: int) -> dict[str, Any]:
        """The arrays of these names and sizes, with a row for each part of the batch."""
        return {
            name: _zeros((parts, size), name.partition("_")[2] or self.dtype)
            for name, size in sizes.items()
        }

    # ---------------- in use
    def arrays(self, part: int) -> dict[str, Any]:
        """The arrays by name: those of a part of the batch, and those of all parts."""
        found = {f"M{i}": memory for i, memory in enumerate(self.M)}
        found |= {"P": self.P, "G": self.G[part], "T": self.T[part], "each": self.each[part]}
        found |= {name: rows[part] for name, rows in zip(self.fed, self.inputs, strict=True)}
        return found | {name: rows[part] for name, rows in (*self.S.items(), *self.V.items())}

    def load(self, order: Sequence[GraphNode]) -> None:
        """Copy the values of the buffers and variables of a graph like the traced one."""
        starts = [(self.S[s.array][0], s.start) for _, s in self.buffers]
        starts += [(self.P, start) for start in self.starts.values()]
        for (row, start), leaf in zip(starts, leaves_of(order), strict=True):
            row[start : start + leaf.size] = leaf._data.reshape(-1)
        self._share_state()

    def _share_state(self) -> None:
        for rows in self.S.values():
            rows[1:] = rows[0]

    def adopt(self) -> None:
        """Make the arrays of variables, buffers and the optimiser's memory views of the arena."""
        numbers = {p: i for i, p in enumerate(self.optimizer.params)}
        for variable, start in self.starts.items():
            place = slice(start, start + variable.size)
            variable._data = self._adopted((variable,), variable._data, self.P[place])
            if start < self.trained:
                memory = self.optimizer._of(numbers[variable])
                for name, whole in zip(self.optimizer.memory, self.M, strict=True):
                    memory[name] = self._adopted((variable, name), memory[name], whole[place])
        for buffer, storage in self.buffers:
            place = self.S[storage.array][0][storage.start : storage.end]
            buffer._data = self._adopted((buffer,), buffer._data, place)
        self._share_state()

    def _adopted(self, key: tuple[Any, ...], array: Any, place: Any) -> Any:
        """The place as an array of this shape, with the same numbers."""
        mine = self._views.get(key)
        if array is not mine:  # not there yet, or another step's
            place[...] = array.reshape(-1)
            mine = self._views[key] = place.reshape(array.shape)
        return mine


def _place(view: View, array: str, start: int) -> None:
    view.storage.array, view.storage.start = array, start


def _touched(group: Iterable[Statement]) -> dict[Storage, None]:
    """The storages that statements touch, in their order."""
    return dict.fromkeys(view.storage for s in group for view in s.touches)


def _whole(storage: Storage, group: Iterable[Statement]) -> bool:
    """Is the storage touched, and only as a whole?"""
    mine = [view for s in group for view in s.touches if view.storage is storage]
    return bool(mine) and all(view.whole for view in mine)


def _is_scalar(storage: Storage, group: Sequence[Statement]) -> bool:
    """Is one number at a time enough for a storage that only one loop needs?

    It is, if the loop writes the entry before it reads it.
    """
    mine = [view for s in group for view in s.touches if view.storage is storage]
    first = next(s for s in group if storage in _touched([s]))
    read_first = any(view.storage is storage for view in first.reads)
    whole = all(view.whole and view.shape == mine[0].shape for view in mine)
    return storage.computed and len(group) > 1 and len(mine) > 1 and whole and not read_first


def _bytes(name: str, size: int) -> int:
    """The bytes of an array of the model's buffers, in whole cache lines."""
    return _lines(size) * np.dtype(name.partition("_")[2]).itemsize


def _lines(size: int) -> int:
    """A size, rounded up to whole cache lines."""
    return -(-size // ALIGN) * ALIGN


def _zeros(shape: Any, dtype: Any) -> Any:
    """Zeros that begin with a cache line: a vector in two lines takes twice as long to load."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.zeros(size + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + size].view(dtype).reshape(shape)
