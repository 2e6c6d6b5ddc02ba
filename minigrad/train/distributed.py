"""Data-parallel training: one process per rank under `mpiexec`, one all-reduce per step (mpi4py).

Every rank holds the whole model and all data. It takes its share of each batch, cut from one global
shuffling; before the update the ranks exchange the mean of loss, gradients and running statistics,
weighted with the samples of each, in one all-reduce of one flat array. So n ranks make the steps of
one process with the whole batch, to rounding.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from ..distribution import install_hint
from ..graph.conversion import Array
from ..graph.node import Buffer
from .guard import StepGuard

T = TypeVar("T")
RESUME = "; fit(resume=True) goes on from the last checkpoint"
# seconds for the launcher to print what a rank has written; after the abort it prints nothing
FLUSH = 0.4


class AllInterrupted(KeyboardInterrupt):
    """Ctrl-C that all ranks know of, and after which all stop after the same step."""


class RankGuard(StepGuard):
    """Ctrl-C on one rank ends the training on all after the same step.

    A second one is raised at once, and ends the job.
    """

    agreed = False  # set by the exchange between the ranks

    def handle(self, *_: Any) -> None:
        if self.waiting:
            raise KeyboardInterrupt
        self.waiting = True

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if self.agreed and kind is None:
            self.waiting = self.agreed = False
            raise AllInterrupted


class Ranks:
    """The processes that train together: number `rank`, of `size`; one if not `distributed`.

    The cores of a machine are shared between its ranks, by limiting the threads of each. An
    exception that nobody catches on one rank, or one in a step, ends the job on all. Raises
    `ImportError` where mpi4py is missing.
    """

    def __init__(self, distributed: bool = False) -> None:
        self._comm: Any = None
        self.rank, self.size = 0, 1
        if distributed:
            self._comm = _world()
            self.rank, self.size = self._comm.rank, self._comm.size
        self.first = self.rank == 0  # writes checkpoints and shows progress
        self._weight, self._flat = 1.0, np.empty(0)
        self.guard = RankGuard() if self.size > 1 else StepGuard()
        if self.size > 1:
            _share_cores(self._comm)
            sys.excepthook = lambda kind, error, trace: self._abort(error)

    # ---------------- before training
    def check_same(self, call: dict[str, Any]) -> None:
        """Raise `ValueError` on all ranks where one was called with other arguments than rank 0."""
        first, *others = self._comm.allgather(call)
        for rank, other in enumerate(others, 1):
            if differing := [name for name in first if first[name] != other[name]]:
                theirs, expected = (
                    ", ".join(f"{name}={each[name]!r}" for name in differing)
                    for each in (other, first)
                )
                raise ValueError(
                    f"Trainer: rank {rank} was called with {theirs}, rank 0 with {expected}"
                )

    def broadcast(self, value: T) -> T:
        """The value that rank 0 has."""
        received: T = self._comm.bcast(value if self.first else None)
        return received

    def separate_streams(self, buffers: Iterable[Buffer]) -> None:
        """Give each rank other dropout masks: mix its number into the seeds of the streams."""
        for buffer in buffers:
            is_stream = not buffer.persistent and buffer.shape == (2,) and buffer.dtype == np.int64
            if self.rank and is_stream:  # seed, and number of the last draw
                mixed = np.random.SeedSequence([int(buffer._data[0]), self.rank])
                buffer._data[0] = mixed.generate_state(1, np.uint64)[0] >> 1

    # ---------------- a step
    def share(self, batch: Array) -> Array:
        """This rank's part of the samples of a batch; sizes of parts differ by one at most.

        A rank without a sample in the last batch computes all of it, with weight 0, so that
        counters of passes stay equal on all ranks.
        """
        n = len(batch)
        start, end = n * self.rank // self.size, n * (self.rank + 1) // self.size
        self._weight = (end - start) / n
        return batch[start:end] if end > start else batch

    def average(self, loss: float, arrays: Sequence[Array]) -> float:
        """Replace arrays by their means over the batch; returns the mean loss. One all-reduce."""
        if self.size == 1:
            return loss
        from mpi4py import MPI

        assert isinstance(self.guard, RankGuard)
        size, dtype = sum(a.size for a in arrays) + 2, np.result_type(*arrays)
        if self._flat.size != size or self._flat.dtype != dtype:
            self._flat = np.empty(size, dtype)
        parts, start = [], 0
        for array in arrays:
            parts.append(self._flat[start : start + array.size])
            np.multiply(array.reshape(-1), self._weight, out=parts[-1])
            start += array.size
        self._flat[-2:] = loss * self._weight, self.guard.waiting
        self._comm.Allreduce(MPI.IN_PLACE, self._flat)
        self.guard.agreed = bool(self._flat[-1])
        for part, array in zip(parts, arrays, strict=True):
            array[...] = part.reshape(array.shape)
        return float(self._flat[-2])

    def any(self, said: Iterable[object]) -> bool:
        """Is one of these things true on one of the ranks?"""
        here = any(said)
        return here if self.size == 1 else any(self._comm.allgather(here))

    # ---------------- the end
    def finish(self) -> None:
        """After the last step, tell all ranks of a Ctrl-C since the last exchange."""
        if isinstance(self.guard, RankGuard):
            with self.guard:
                self.guard.agreed = self.any([self.guard.waiting])

    @contextmanager
    def together(
        self, hint: str = RESUME, plain: tuple[type[Exception], ...] = ()
    ) -> Iterator[None]:
        """An exception that leaves the block ends the job on all ranks, which would wait for ever.

        The message ends with `hint`; exceptions of the kinds `plain` are shown without a traceback.
        """
        try:
            yield
        except BaseException as error:
            if self.size > 1:
                self._abort(error, hint, isinstance(error, plain))
            raise

    def check_agreed(self, error: KeyboardInterrupt) -> None:
        """Raise a Ctrl-C again that only this rank knows of: the others go on."""
        if self.size > 1 and not isinstance(error, AllInterrupted):
            raise error

    def _abort(self, error: BaseException, hint: str = "", plain: bool = False) -> None:
        time.sleep(2 * FLUSH * min(self.rank, 3))  # where all ranks fail alike, one speaks
        lines = [f"minigrad: {error}\n"] if plain else traceback.format_exception(error)
        ends = f"{type(error).__name__} on rank {self.rank} of {self.size} ends the job{hint}"
        print(*lines, f"minigrad: {ends}", sep="", file=sys.__stderr__, flush=True)
        sys.stdout.flush()
        time.sleep(FLUSH)
        self._comm.Abort(1)
        os._exit(1)  # the launcher may take a moment to end this process


def _world() -> Any:
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: no MPI library
        needed = f"distributed=True needs mpi4py and an MPI library: {install_hint('distributed')}"
        raise ImportError(f"Trainer: {needed} ({error})") from None
    return MPI.COMM_WORLD


def _share_cores(comm: Any) -> None:
    """Limit this rank's threads to its part of the cores of its machine."""
    from joblib import cpu_count
    from mpi4py import MPI
    from numba import get_num_threads, set_num_threads

    here = comm.Split_type(MPI.COMM_TYPE_SHARED)
    set_num_threads(max(1, min(get_num_threads(), cpu_count() // here.size)))
    here.Free()
