"""Feeding a training: arrays as they are; memory maps and iterables of batches piece by piece, read ahead in the background.

However large the data is, only a few pieces of it are in memory at a time (and the order of the samples, eight bytes each,
where they are shuffled).
"""
from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from contextvars import copy_context
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any, NamedTuple

import numpy as np

from ..errors import DTypeError, ShapeError
from ..graph.node import Array

PIECE = 2**22  # bytes of samples that are handed over at a time
PAUSE = 0.05  # seconds that batches wait for others to go with them
AHEAD = 2  # pieces that wait for their turn
PATIENCE = 5.0  # seconds to wait for the end of a thread whose iterable hangs


class Chunk(NamedTuple):
    """Some batches: the samples `order` of x and y, `size` of them to a batch; the first batch has the number `first`.

    `full` says that batches of this size are the usual ones, not a rest.
    """

    x: Array
    y: Array
    order: Array
    size: int
    first: int
    full: bool = True


class Mapped:
    """An array in a file, as `np.load(path, mmap_mode="r")` gives it: what is picked is read, floats in `dtype`."""

    def __init__(self, array: Array, dtype: Any) -> None:
        self._array, self.dtype = array, np.dtype(dtype)
        self.shape, self.ndim = array.shape, array.ndim

    def __len__(self) -> int:
        return len(self._array)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._array, dtype or self.dtype)

    def __getitem__(self, chosen: Any) -> Array:
        return np.asarray(self._array[chosen]).astype(self.dtype, copy=False)


def is_mapped(data: Any) -> bool:
    """Is this an array whose memory is a file?"""
    while isinstance(data, np.ndarray):
        data = data.base
    return isinstance(data, mmap.mmap)


class Samples:
    """x and y with a sample to each entry of the first axis, cut into batches; the last one may be smaller."""

    def __init__(self, x: Array | Mapped, y: Array | Mapped, batch_size: int) -> None:
        self.x, self.y, self.size = x, y, batch_size
        self.steps = -(-len(x) // batch_size)

    def epoch(self, rng: np.random.Generator | None) -> Generator[Chunk, None, None]:
        """All samples once, in an order that the generator decides, or as they stand."""
        order = np.arange(len(self.x)) if rng is None else rng.permutation(len(self.x))
        if isinstance(self.x, Mapped) or isinstance(self.y, Mapped):
            yield from in_background(self._pieces(order))
        else:
            yield Chunk(self.x, self.y, order, self.size, 0)

    def _pieces(self, order: Array) -> Generator[Chunk, None, None]:
        sample = sum(data.dtype.itemsize * int(np.prod(data.shape[1:])) for data in (self.x, self.y))
        some = max(1, PIECE // max(1, sample * self.size))  # batches at a time
        for first in range(0, self.steps, some):
            chosen = order[first * self.size : (first + some) * self.size]
            yield Chunk(self.x[chosen], self.y[chosen], np.arange(len(chosen)), self.size, first)


class Batches:
    """An iterable of batches (x, y) that has a length: a list, a loader. Its order and its sizes are its own.

    All batches are checked against the first one; `convert` makes an array of what is given.
    """

    def __init__(self, batches: Any, convert: Callable[[Any], Any]) -> None:
        if not hasattr(batches, "__iter__") or not hasattr(batches, "__len__"):
            raise TypeError(
                f"Trainer: x is a {type(batches).__name__}, and there is no y; "
                "an iterable of batches (x, y) that has a length was expected"
            )
        if not len(batches):
            raise ShapeError("Trainer: there are no batches; at least one was expected")
        self._batches, self._convert = batches, convert
        self.steps, self._largest = len(batches), 0
        self._kinds: list[tuple[Any, Any]] = []  # shape and dtype of the samples of x, and of y

    def epoch(self, rng: np.random.Generator | None) -> Generator[Chunk, None, None]:
        """All batches once.

        Raises `ShapeError` or `DTypeError` that names a batch unlike the first, `ValueError` where there are more or fewer
        than the length says; an error of the iterable's own is passed on, with the batch noted on it.
        """
        yield from in_background(self._pieces())

    def _pieces(self) -> Generator[Chunk, None, None]:
        """Batches of one size together, up to a piece of so many bytes or the time that nobody minds to wait."""
        held: list[tuple[Array, Array]] = []
        number, since, error = 0, time.monotonic(), None
        try:
            for number, (x, y) in enumerate(self._read()):
                if held and len(x) != len(held[0][0]):
                    yield self._together(held, number)
                    held = []
                held.append((x, y))
                if (x.nbytes + y.nbytes) * len(held) >= PIECE or time.monotonic() - since > PAUSE:
                    yield self._together(held, number + 1)
                    held, since = [], time.monotonic()
        except Exception as caught:  # what came before it is used first
            error = caught
        if held:
            yield self._together(held, number + 1)
        if error is not None:
            raise error

    def _together(self, held: list[tuple[Array, Array]], end: int) -> Chunk:
        """The batches that come before number `end` as one chunk. Smaller ones than there were before are a rest."""
        x, y = (np.concatenate(parts) for parts in zip(*held, strict=True))
        size = len(held[0][0])
        self._largest = max(self._largest, size)
        return Chunk(x, y, np.arange(len(x)), size, end - len(held), size == self._largest)

    def _read(self) -> Generator[tuple[Array, Array], None, None]:
        number, end = 0, object()
        given: Any = None
        while True:
            try:
                given = iter(self._batches) if given is None else given
                batch = next(given, end)
                if batch is end:
                    break
                x, y = self._pair(batch)
            except Exception as error:
                error.add_note(f"in batch {number + 1} of the data")
                raise
            number += 1
            self._check(x, y, number)
            yield x, y
        if number != self.steps:
            raise ValueError(f"Trainer: the data has the length {self.steps}, and gave {number} batches")

    def _pair(self, batch: Any) -> tuple[Array, Array]:
        """Copies, for who gives batches may fill the same memory anew with each."""
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            what = f"{len(batch)} things" if isinstance(batch, tuple | list) else type(batch).__name__
            raise TypeError(f"Trainer: a batch of {what}; a pair (x, y) was expected")
        x, y = (self._convert(part) for part in batch)
        return np.array(x), np.array(y)

    def _check(self, x: Array, y: Array, number: int) -> None:
        name = f"Trainer: batch {number} of the data"
        if x.ndim < 1 or y.ndim < 1 or len(x) != len(y) or not len(x):
            raise ShapeError(f"{name} has shapes {x.shape} and {y.shape}; the same number of samples was expected")
        kinds = [(one.shape[1:], one.dtype) for one in (x, y)]
        self._kinds = self._kinds or kinds
        for (shape, dtype), (first_shape, first_dtype) in zip(kinds, self._kinds, strict=True):
            if shape != first_shape:
                expected = f"samples of shape {first_shape} were expected, as in batch 1"
                raise ShapeError(f"{name} has shapes {x.shape} and {y.shape}; {expected}")
            if dtype != first_dtype:
                raise DTypeError(f"{name} is {x.dtype} and {y.dtype}; {first_dtype} was expected, as in batch 1")


def in_background(pieces: Generator[Chunk, None, None]) -> Generator[Chunk, None, None]:
    """The same pieces, made ahead of time in a thread, `AHEAD` of them at most. Errors come out where their piece would.

    The thread ends with the generator, whether that was used up or closed.
    """
    queue: Queue[tuple[Chunk | None, BaseException | None]] = Queue(AHEAD)
    stop = Event()

    def work() -> None:
        error: BaseException | None = None
        try:
            with closing(pieces):
                for piece in pieces:
                    queue.put((piece, None))
                    if stop.is_set():
                        return
        except BaseException as caught:
            error = caught
        queue.put((None, error))

    thread = Thread(target=copy_context().run, args=(work,), name="minigrad batches", daemon=True)
    thread.start()
    try:
        while True:
            piece, error = queue.get()
            if error is not None:
                raise error
            if piece is None:
                return
            yield piece
    finally:
        stop.set()
        with suppress(Empty):
            while True:
                queue.get_nowait()  # room for the piece that the thread holds in its hands
        thread.join(PATIENCE)
