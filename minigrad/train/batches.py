"""Feeding a training: arrays as they are; memory maps and iterables of batches piece by piece, read
ahead in the background.

However large the data is, only a few pieces of it are in memory at a time (and the order of the
samples, eight bytes each, where they are shuffled).
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Generator
from contextlib import closing
from contextvars import copy_context
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

import numpy as np

from ..errors import DTypeError, ShapeError
from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..graph.settings import native
from ..nn.layers import positive
from ..run.rebuild import READER

PIECE = 2**22  # bytes of samples that are handed over at a time
PAUSE = 0.05  # seconds that batches wait for others to go with them
AHEAD = 2  # pieces that wait for their turn
PATIENCE = 5.0  # seconds to wait for the end of a thread whose iterable hangs


class Chunk(NamedTuple):
    """Some batches: the samples `order` of x and y, `size` of them to a batch; the first batch has
    the number `first`.

    `full` says that batches of this size are the usual ones, not a rest.
    """

    x: Array
    y: Array
    order: Array
    size: int
    first: int
    full: bool = True

    @property
    def end(self) -> int:
        """The number of the first batch that comes after these."""
        return self.first - (-len(self.order) // self.size)

    @property
    def full_end(self) -> int:
        """The number of the first batch that is not full."""
        return self.first + len(self.order) // self.size if self.full else self.first

    def rest(self, number: int) -> Array:
        """The samples of batch `number` and of all that follow."""
        return self.order[(number - self.first) * self.size :]


class Mapped:
    """An array in a file, as `np.load(path, mmap_mode="r")` gives it: what is picked is read,
    floats in `dtype`.
    """

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


def as_array(name: str, data: Any, dtype: Any) -> Any:
    """Data as an array, or `Mapped` where it is in a file: floats in `dtype`, integers as they are.

    The byte order becomes this machine's.
    """
    if isinstance(data, Mapped):
        return data
    try:
        array = data._data if isinstance(data, GraphNode) else np.asarray(data)
    except ValueError:
        raise ShapeError(
            f"Trainer: {name} has rows of different lengths; an array of numbers was expected"
        ) from None
    if array.dtype.kind not in "biuf":
        raise DTypeError(
            f"Trainer: {name} is a {type(data).__name__} of dtype {array.dtype}; numbers were "
            f"expected"
        )
    dtype = dtype if array.dtype.kind == "f" else native(array.dtype)
    return Mapped(array, dtype) if is_mapped(array) else array.astype(dtype, copy=False)


def as_pair(x: Any, y: Any, dtype: Any, which: str = "") -> tuple[Any, Any]:
    """x and y as `as_array` makes them, with the same number of samples. `which` ones they are
    stands in the errors.
    """
    x, y = as_array(f"{which}x", x, dtype), as_array(f"{which}y", y, dtype)
    if x.ndim < 1 or y.ndim < 1 or len(x) != len(y) or not len(x):
        shapes = f"{which}x and y have shapes {x.shape} and {y.shape}"
        raise ShapeError(
            f"Trainer: {shapes}; the same number of samples was expected, at least one"
        )
    return x, y


def feed(x: Any, y: Any, batch_size: int | None, dtype: Any) -> Samples | Batches:
    """What `Trainer.fit` was given to train on, checked; floats in `dtype`."""
    if y is None:
        if batch_size is not None:
            raise ValueError(
                f"Trainer: batch_size={batch_size!r} without y; batches have a size of their own"
            )
        return Batches(x, dtype)
    x, y = as_pair(x, y, dtype)
    positive("Trainer", batch_size=batch_size)
    return Samples(x, y, int(batch_size))  # type: ignore[arg-type]


class Samples:
    """x and y with a sample to each entry of the first axis, cut into batches; the last one may be
    smaller.
    """

    def __init__(self, x: Array | Mapped, y: Array | Mapped, batch_size: int) -> None:
        self.x, self.y, self.size, self.length = x, y, batch_size, len(x)
        self.steps = -(-len(x) // batch_size)

    def epoch(self, order: Array, first: int) -> Generator[Chunk, None, None] | Ahead:
        """All samples once, in this order, from batch `first` on."""
        if isinstance(self.x, Mapped) or isinstance(self.y, Mapped):
            return Ahead(self._pieces(order, first))
        return self._whole(order, first)

    def _whole(self, order: Array, first: int) -> Generator[Chunk, None, None]:
        yield Chunk(self.x, self.y, order[first * self.size :], self.size, first)

    def _pieces(self, order: Array, first: int) -> Generator[Chunk, None, None]:
        sample = sum(
            data.dtype.itemsize * int(np.prod(data.shape[1:])) for data in (self.x, self.y)
        )
        some = max(1, PIECE // max(1, sample * self.size))  # batches at a time
        for number in range(first, self.steps, some):
            chosen = order[number * self.size : (number + some) * self.size]
            yield Chunk(self.x[chosen], self.y[chosen], np.arange(len(chosen)), self.size, number)


class Batches:
    """An iterable of batches (x, y) that has a length: a list, a loader. Its order and its sizes
    are its own.

    All batches are checked against the first one; floats become `dtype`.
    """

    size = 0  # none for all

    def __init__(self, batches: Any, dtype: Any) -> None:
        if not hasattr(batches, "__iter__") or not hasattr(batches, "__len__"):
            raise TypeError(
                f"Trainer: x is a {type(batches).__name__}, and there is no y; "
                "an iterable of batches (x, y) that has a length was expected"
            )
        if not len(batches):
            raise ShapeError("Trainer: there are no batches; at least one was expected")
        self._batches, self._dtype = batches, dtype
        self.steps = self.length = len(batches)
        self._kinds: list[tuple[Any, Any]] = []  # shape and dtype of the samples of x, and of y

    def epoch(self, order: Array, first: int) -> Ahead:
        """All batches once, in the order of the iterable; those before number `first` are asked for
        and left out.

        Raises `ShapeError` or `DTypeError` that names a batch unlike the first, `ValueError` where
        there are more or fewer than the length says; an error of the iterable's own is passed on,
        with the batch noted on it.
        """
        return Ahead(self._pieces(first))

    def _pieces(self, first: int) -> Generator[Chunk, None, None]:
        """Batches of one size together, up to a piece of so many bytes or the time that nobody
        minds to wait.

        Batches smaller than one before them in the epoch, left out or not, are a rest.
        """
        held: list[tuple[Array, Array]] = []
        number, largest, since, error = 0, 0, time.monotonic(), None
        try:
            for number, (x, y) in enumerate(self._read(), 1):
                if held and len(x) != len(held[0][0]):
                    yield _together(held, number - 1, largest)
                    held = []
                largest = max(largest, len(x))
                if number <= first:
                    continue
                held.append((x, y))
                if (x.nbytes + y.nbytes) * len(held) >= PIECE or time.monotonic() - since > PAUSE:
                    yield _together(held, number, largest)
                    held, since = [], time.monotonic()
        except Exception as caught:  # what came before it is used first
            error = caught
        if held:
            yield _together(held, number, largest)
        if error is not None:
            raise error

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
            if number == self.steps:
                raise ValueError(
                    f"Trainer: the data has the length {self.steps}, and gave more batches"
                )
            number += 1
            self._check(x, y, number)
            yield x, y
        if number != self.steps:
            raise ValueError(
                f"Trainer: the data has the length {self.steps}, and gave {number} batches"
            )

    def _pair(self, batch: Any) -> tuple[Array, Array]:
        """Copies, for who gives batches may fill the same memory anew with each."""
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            what = (
                f"{len(batch)} things" if isinstance(batch, tuple | list) else type(batch).__name__
            )
            raise TypeError(f"Trainer: a batch of {what}; a pair (x, y) was expected")
        x, y = as_pair(*batch, self._dtype)
        return np.array(x), np.array(y)

    def _check(self, x: Array, y: Array, number: int) -> None:
        name, kinds = (
            f"Trainer: batch {number} of the data",
            [(one.shape[1:], one.dtype) for one in (x, y)],
        )
        self._kinds = self._kinds or kinds
        for (shape, dtype), (first_shape, first_dtype) in zip(kinds, self._kinds, strict=True):
            if shape != first_shape:
                expected = f"samples of shape {first_shape} were expected, as in batch 1"
                raise ShapeError(f"{name} has shapes {x.shape} and {y.shape}; {expected}")
            if dtype != first_dtype:
                raise DTypeError(
                    f"{name} is {x.dtype} and {y.dtype}; {first_dtype} was expected, as in batch 1"
                )


def _together(held: list[tuple[Array, Array]], end: int, largest: int) -> Chunk:
    """Batches of one size, the last of which is the `end`-th, as one chunk."""
    x, y = (np.concatenate(parts) for parts in zip(*held, strict=True))
    size = len(held[0][0])
    return Chunk(x, y, np.arange(len(x)), size, end - len(held), size == largest)


class Ahead:
    """The same pieces, made ahead of time in a thread, `AHEAD` of them at most. Errors come out
    where their piece would.

    The thread begins with this and ends with `close`. Only queues without a lock in Python are
    used, so that Ctrl-C may come while a piece is waited for.
    """

    def __init__(self, pieces: Generator[Chunk, None, None]) -> None:
        self._pieces, self._closed = pieces, False
        self._made: SimpleQueue[tuple[Chunk | None, BaseException | None]] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()  # an entry for each piece that may be made
        for _ in range(AHEAD):
            self._room.put(None)
        self._thread = Thread(
            target=copy_context().run, args=(self._work,), name=READER, daemon=True
        )
        self._thread.start()

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            with closing(self._pieces):
                while True:
                    self._room.get()
                    if self._closed or (piece := next(self._pieces, None)) is None:
                        break
                    self._made.put((piece, None))
        except BaseException as caught:
            error = caught
        self._made.put((None, error))

    def __iter__(self) -> Ahead:
        return self

    def __next__(self) -> Chunk:
        piece, error = self._made.get()
        if error is not None:
            raise error
        if piece is None:
            raise StopIteration
        self._room.put(None)
        return piece

    def close(self) -> None:
        """End the thread. It is waited for, but not for ever, for what it reads from may hang."""
        self._closed = True
        self._room.put(None)
        self._thread.join(PATIENCE)
