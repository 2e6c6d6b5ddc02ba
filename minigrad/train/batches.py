"""The data of a training, cut into batches: arrays, memory maps, or an iterable of batches.

Memory maps and iterables are read ahead in the background, a few pieces at a time; only these
pieces are in memory, and, for shuffled samples, their order (eight bytes each).
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Generator
from typing import Any, NamedTuple

import numpy as np

from ..checks import positive
from ..errors import DTypeError, ShapeError
from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..graph.settings import native
from ..run.samples import Samples, arrays, count, each, kinds, take
from .prefetch import Prefetcher

PIECE = 2**22  # bytes of samples that are handed over at a time
PAUSE = 0.05  # seconds that batches wait for others to join them in a piece


class Mapped:
    """An array in a file (`np.load(path, mmap_mode="r")`), read by indexing, floats as `dtype`."""

    def __init__(self, array: Array, dtype: Any) -> None:
        self._array, self.dtype = array, np.dtype(dtype)
        self.shape, self.ndim = array.shape, array.ndim

    def __len__(self) -> int:
        return len(self._array)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._array, dtype or self.dtype)

    def __getitem__(self, chosen: Any) -> Array:
        return np.asarray(self._array[chosen]).astype(self.dtype, copy=False)


Data = Array | Mapped


class Chunk(NamedTuple):
    """Consecutive batches, numbered from `first`: samples `order` of x and y, `size` to a batch.

    `usual` is the size of full batches; 0 if there is none.
    """

    x: Samples
    y: Samples
    order: Array
    size: int
    first: int
    usual: int

    @property
    def end(self) -> int:
        """The number of the first batch after this chunk."""
        return self.first - (-len(self.order) // self.size)

    def rest(self, number: int) -> Array:
        """The samples of batch `number` and of all later ones."""
        return self.order[(number - self.first) * self.size :]


def is_mapped(data: Any) -> bool:
    """Whether this is an array whose memory is a file."""
    while isinstance(data, np.ndarray):
        data = data.base
    return isinstance(data, mmap.mmap)


def as_arrays(name: str, data: Any, dtype: np.dtype[Any]) -> Samples:
    """Data as `_as_array` makes it: all arrays of a tuple or a dict."""
    if isinstance(data, dict):
        return {key: _as_array(f"{name}[{key!r}]", one, dtype) for key, one in data.items()}
    if isinstance(data, tuple):
        return tuple(_as_array(f"{name}[{i}]", one, dtype) for i, one in enumerate(data))
    return _as_array(name, data, dtype)


def _as_array(name: str, data: Any, dtype: np.dtype[Any]) -> Data:
    """Data as an array, or as `Mapped` where it is in a file; floats become `dtype`, integers stay.

    The byte order becomes this machine's. Raises `ShapeError` for rows of different lengths and
    `DTypeError` for what holds no numbers.
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


def as_pair(x: Any, y: Any, dtype: np.dtype[Any], which: str = "") -> tuple[Samples, Samples]:
    """Return x and y as `as_arrays` makes them; `which` stands before their names in messages.

    Raises `ShapeError` unless all arrays have the same number of samples, at least one.
    """
    x, y = as_arrays(f"{which}x", x, dtype), as_arrays(f"{which}y", y, dtype)
    shapes = f"{which}x and y have shapes {_shapes(x)} and {_shapes(y)}"
    _need_samples(shapes, "the same number of samples was expected, at least one", x, y)
    return x, y


def as_samples(x: Any, dtype: np.dtype[Any]) -> Samples:
    """Return x as `as_arrays` makes it. Raises `ShapeError` unless there is at least one sample."""
    x = as_arrays("x", x, dtype)
    _need_samples(f"x has shape {_shapes(x)}", "at least one sample was expected", x)
    return x


def _need_samples(found: str, expected: str, *samples: Samples) -> None:
    every = [array for some in samples for array in arrays(some)]
    sizes = {len(array) if array.ndim else 0 for array in every}
    if len(sizes) != 1 or 0 in sizes or not all(map(arrays, samples)):
        raise ShapeError(f"Trainer: {found}; {expected}")


def _shapes(samples: Samples) -> Any:
    return each(lambda array: array.shape, samples)


def validation_data(pair: Any, dtype: np.dtype[Any]) -> tuple[Samples, Samples] | None:
    """The argument `validation` of `Trainer.fit`, checked before the training starts."""
    if pair is None:
        return None
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        kind = type(pair).__name__
        raise TypeError(f"Trainer: validation is a {kind}; a pair (x, y) was expected")
    return as_pair(pair[0], pair[1], dtype, "validation ")


def training_data(
    x: Any, y: Any, batch_size: int | None, dtype: np.dtype[Any], drop_last: bool = False
) -> SampleArrays | Batches:
    """The arguments of `Trainer.fit` as data, checked; floats become `dtype`."""
    if y is None:
        if batch_size is not None:
            raise ValueError(
                f"Trainer: batch_size={batch_size!r} without y; an iterable of batches decides "
                f"their size"
            )
        if drop_last:
            raise ValueError("Trainer: drop_last=True without y; an iterable decides its batches")
        return Batches(x, dtype)
    x, y = as_pair(x, y, dtype)
    positive("Trainer", batch_size=batch_size)
    assert batch_size is not None
    if drop_last and batch_size > count(x):
        raise ValueError(
            f"Trainer: drop_last=True, batch_size={batch_size} and {count(x)} samples; at least "
            f"one full batch was expected"
        )
    return SampleArrays(x, y, int(batch_size), drop_last)


class SampleArrays:
    """Samples along the first axis of x and y, cut into batches.

    The last one may be smaller; with `drop_last` it is left out.
    """

    def __init__(self, x: Samples, y: Samples, batch_size: int, drop_last: bool = False) -> None:
        self.x, self.y, self.batch_size, self.length = x, y, batch_size, count(x)
        self.drop_last = drop_last
        self.steps = self.length // batch_size if drop_last else -(-self.length // batch_size)

    def chunks(self, order: Array, first: int) -> Generator[Chunk, None, None] | Prefetcher[Chunk]:
        """All samples once, in this order, from batch `first` on; to be closed by the caller."""
        if any(isinstance(array, Mapped) for array in (*arrays(self.x), *arrays(self.y))):
            return Prefetcher(self._pieces(order, first))
        return self._whole(order, first)

    def _whole(self, order: Array, first: int) -> Generator[Chunk, None, None]:
        yield from self._cut(self.x, self.y, order[first * self.batch_size :], first)

    def _pieces(self, order: Array, first: int) -> Generator[Chunk, None, None]:
        size = self.batch_size
        every = *arrays(self.x), *arrays(self.y)
        sample = sum(data.dtype.itemsize * int(np.prod(data.shape[1:])) for data in every)
        together = max(1, PIECE // max(1, sample * size))  # batches
        for number in range(first, self.steps, together):
            chosen = order[number * size : (number + together) * size]
            x, y = take(self.x, chosen), take(self.y, chosen)
            yield from self._cut(x, y, np.arange(len(chosen)), number)

    def _cut(
        self, x: Samples, y: Samples, order: Array, first: int
    ) -> Generator[Chunk, None, None]:
        """The full batches as one chunk, and a smaller last one."""
        size = self.batch_size
        full = len(order) // size
        usual = size if size <= self.length else 0
        if full:
            yield Chunk(x, y, order[: full * size], size, first, usual)
        if (rest := len(order) % size) and not self.drop_last:
            yield Chunk(x, y, order[full * size :], rest, first + full, usual)


class Batches:
    """An iterable of batches (x, y) with a length: a list, a loader. It decides order and sizes.

    All batches are checked against the first one; floats become `dtype`.
    """

    batch_size = 0  # there is no common one

    def __init__(self, batches: Any, dtype: np.dtype[Any]) -> None:
        if not hasattr(batches, "__iter__") or not hasattr(batches, "__len__"):
            raise TypeError(
                f"Trainer: x is a {type(batches).__name__}, and there is no y; "
                "an iterable of batches (x, y) that has a length was expected"
            )
        if not len(batches):
            raise ShapeError("Trainer: there are no batches; at least one was expected")
        self._batches, self._dtype = batches, dtype
        self.steps = self.length = len(batches)
        self._kinds: Any = None  # of the samples of x, and of y

    def chunks(self, order: Array, first: int) -> Prefetcher[Chunk]:
        """All batches once, in the iterable's order; those before `first` are read and left out.

        Raises `ShapeError` or `DTypeError` that names a batch unlike the first, `ValueError` where
        there are more or fewer than the length says; an error of the iterable's own is passed on,
        with the batch noted on it.
        """
        return Prefetcher(self._pieces(first))

    def _pieces(self, first: int) -> Generator[Chunk, None, None]:
        """Batches of one size together, until `PIECE` bytes are read or `PAUSE` seconds over.

        Batches smaller than an earlier one of the epoch, left out or not, are not full.
        """
        held: list[tuple[Samples, Samples]] = []
        number, largest, since, error = 0, 0, time.monotonic(), None
        try:
            for number, (x, y) in enumerate(self._read(), 1):
                if held and count(x) != count(held[0][0]):
                    yield _join(held, number - 1, largest)
                    held = []
                largest = max(largest, count(x))
                if number <= first:
                    continue
                held.append((x, y))
                size = sum(array.nbytes for array in (*arrays(x), *arrays(y)))
                if size * len(held) >= PIECE or time.monotonic() - since > PAUSE:
                    yield _join(held, number, largest)
                    held, since = [], time.monotonic()
        except Exception as caught:  # batches read before the error are trained on first
            error = caught
        if held:
            yield _join(held, number, largest)
        if error is not None:
            raise error

    def _read(self) -> Generator[tuple[Samples, Samples], None, None]:
        number, end = 0, object()
        batches: Any = None
        while True:
            try:
                batches = iter(self._batches) if batches is None else batches
                batch = next(batches, end)
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

    def _pair(self, batch: Any) -> tuple[Samples, Samples]:
        """x and y of a batch, copied: a loader may fill the same memory for the next one."""
        pair = isinstance(batch, tuple | list)
        if not pair or len(batch) != 2:
            what = f"{len(batch)} things" if pair else type(batch).__name__
            raise TypeError(f"Trainer: a batch of {what}; a pair (x, y) was expected")
        x, y = as_pair(batch[0], batch[1], self._dtype)
        return each(np.array, x), each(np.array, y)

    def _check(self, x: Samples, y: Samples, number: int) -> None:
        name = f"Trainer: batch {number} of the data"
        (x_names, *x_kinds), (y_names, *y_kinds) = found = kinds(x), kinds(y)
        (first_x, *first_x_kinds), (first_y, *first_y_kinds) = self._kinds = self._kinds or found
        if (x_names, y_names) != (first_x, first_y):
            raise TypeError(f"{name} has other arrays than batch 1")
        pairs = zip([*x_kinds, *y_kinds], [*first_x_kinds, *first_y_kinds], strict=True)
        for (shape, dtype), (first_shape, first_dtype) in pairs:
            if shape != first_shape:
                expected = f"samples of shape {first_shape} were expected, as in batch 1"
                raise ShapeError(f"{name} has shapes {_shapes(x)} and {_shapes(y)}; {expected}")
            if dtype != first_dtype:
                dtypes = " and ".join(str(array.dtype) for array in (*arrays(x), *arrays(y)))
                raise DTypeError(f"{name} is {dtypes}; {first_dtype} was expected, as in batch 1")


def _join(held: list[tuple[Samples, Samples]], end: int, largest: int) -> Chunk:
    """Batches of one size, the last of them number `end` counted from 1, as one chunk."""
    x, y = (each(lambda *parts: np.concatenate(parts), *parts) for parts in zip(*held, strict=True))
    size = count(held[0][0])
    return Chunk(x, y, np.arange(count(x)), size, end - len(held), largest)
