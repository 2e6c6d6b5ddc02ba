"""How far a training has come, so that it can go on from there to the bit; and Ctrl-C, which waits
for whole steps.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import GraphError, ShapeError
from ..graph.conversion import Array

_WORD = (1 << 64) - 1


class Course:
    """How far `Trainer.fit` has come: what going on needs beside parameters, buffers and the
    optimiser's memory.

    `epoch` epochs are done, and `batch` batches of the next one, whose losses add up to `total`
    over their `seen` samples. The shuffling generator, started from `seed`, is kept as it was when
    that epoch began. An epoch has `length` samples in batches of `batch_size`, or, where that is 0,
    `length` batches of sizes of their own; before a training has begun both are 0.
    """

    def __init__(self, seed: int | None = 0) -> None:
        if not isinstance(seed, int | np.integer | None) or (seed is not None and seed < 0):
            kind = ValueError if isinstance(seed, int | np.integer) else TypeError
            raise kind(f"Trainer: seed={seed!r}; an integer ≥ 0 or None was expected")
        self.epoch = self.batch = self.seen = self.length = self.batch_size = 0
        self.total = 0.0
        self._generator: Any = np.random.PCG64(seed).state
        self._after = self._generator

    def enter(self, length: int, batch_size: int) -> None:
        """The data to train on. Raises `ShapeError` where an epoch that was cut had other
        batches.
        """
        if self.batch and (length, batch_size) != (self.length, self.batch_size):
            raise ShapeError(
                f"Trainer: resume=True within an epoch over "
                f"{_batches(self.length, self.batch_size)}; "
                f"{_batches(length, batch_size)} are no part of it"
            )
        self.length, self.batch_size = length, batch_size

    def order(self, shuffle: bool) -> Array:
        """The samples in the order of the present epoch, the same one each time."""
        self._after = self._generator
        if not shuffle:
            return np.arange(self.length)
        bits = np.random.PCG64(0)
        bits.state = self._generator
        order = np.random.Generator(bits).permutation(self.length)
        self._after = bits.state
        return order

    def note(self, losses: list[float], samples: int) -> None:
        """Steps are made, each on so many samples."""
        for loss in losses:  # one by one: the sum must not depend on how many came at a time
            self.total += loss * samples
        self.batch += len(losses)
        self.seen += len(losses) * samples

    def next_epoch(self) -> None:
        """The present epoch is done."""
        self.epoch, self.batch, self.seen, self.total, self._generator = (
            self.epoch + 1,
            0,
            0,
            0.0,
            self._after,
        )

    # ---------------- in a checkpoint
    def state_dict(self) -> dict[str, Array]:
        """Everything as arrays by name."""
        inner = self._generator["state"]
        words = [
            inner["state"] >> 64,
            inner["state"] & _WORD,
            inner["inc"] >> 64,
            inner["inc"] & _WORD,
            self._generator["has_uint32"],
            self._generator["uinteger"],
        ]
        done = np.array([self.epoch, self.batch, self.seen, self.length, self.batch_size], np.int64)
        return {
            "done": done,
            "total": np.array([self.total]),
            "generator": np.array(words, np.uint64),
        }

    @classmethod
    def of(cls, state: Mapping[str, Array]) -> Course:
        """The course that `state_dict` described. Raises `GraphError` where the state is none."""
        made = cls()
        kinds = {name: (array.shape, array.dtype) for name, array in made.state_dict().items()}
        if {name: (array.shape, array.dtype) for name, array in state.items()} != kinds or (
            state["done"] < 0
        ).any():
            raise GraphError(
                "Trainer: the state holds no course of a training (done, total, generator)"
            )
        made.epoch, made.batch, made.seen, made.length, made.batch_size = map(int, state["done"])
        made.total = float(state["total"][0])
        high, low, inc_high, inc_low, has, left = map(int, state["generator"])
        inner = {"state": high << 64 | low, "inc": inc_high << 64 | inc_low}
        made._generator = {
            "bit_generator": "PCG64",
            "state": inner,
            "has_uint32": has,
            "uinteger": left,
        }
        return made


def _batches(length: int, batch_size: int) -> str:
    return (
        f"{length} samples in batches of {batch_size}"
        if batch_size
        else f"{length} batches of sizes of their own"
    )


class Whole:
    """`with whole:` does its block as a whole: Ctrl-C waits for the end and is raised there. A
    second one does not wait.
    """

    def __init__(self) -> None:
        self._within = self._waiting = False

    def hear(self, *_: Any) -> None:
        """The handler of the signal."""
        if not self._within or self._waiting:
            raise KeyboardInterrupt
        self._waiting = True

    def __enter__(self) -> None:
        self._within = True

    def __exit__(self, kind: Any, *_: Any) -> None:
        waiting, self._waiting, self._within = self._waiting, False, False
        if waiting and kind is None:
            raise KeyboardInterrupt


@contextmanager
def whole_steps(whole: Whole) -> Iterator[Whole]:
    """Within the block Ctrl-C is heard by `whole`.

    Only in the main thread, and where Ctrl-C raises KeyboardInterrupt as Python has it; a program's
    own handler stays.
    """
    main = threading.current_thread() is threading.main_thread()
    usual = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if usual:
            signal.signal(signal.SIGINT, whole.hear)
        yield whole
    finally:
        if usual:
            # by no call, where Ctrl-C could come; signal.signal would raise it and change nothing
            whole._within = True
            signal.signal(signal.SIGINT, signal.default_int_handler)
            Whole.__exit__(whole, None)  # what is heard now, this process alone has heard
