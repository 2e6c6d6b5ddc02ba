"""Data-parallel training: one process per rank under `mpiexec`, one all-reduce per step (mpi4py).

Every rank holds the whole model and all data. Of each batch, cut from one global shuffling, a rank
takes its share; before the update the ranks exchange the mean of loss, gradients and running
statistics, weighted with the samples of each, in one all-reduce of one flat array. So n ranks make
the steps of one process with the whole batch, to rounding.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..distribution import install_hint
from ..errors import GraphError
from ..graph.conversion import Array
from .batches import Batches, Samples
from .course import Whole

if TYPE_CHECKING:
    from ..run.compiled import CompiledStep
    from .trainer import Trainer

GO_ON = "; fit(resume=True) goes on from the last checkpoint"
# seconds for the launcher to print what a rank has written; it prints no more once the job is ended
PASSING_ON = 0.4


class AllInterrupted(KeyboardInterrupt):
    """Ctrl-C that all ranks know of, and after which all stop at the same place."""


class Agreed(Whole):
    """Ctrl-C on one rank ends the training of all after the same step; a second one does not wait,
    and ends the job.
    """

    agreed = False  # set by what the ranks exchange

    def hear(self, *_: Any) -> None:
        if self._waiting:
            raise KeyboardInterrupt
        self._waiting = True

    def __exit__(self, kind: Any, *_: Any) -> None:
        if self.agreed and kind is None:
            self._waiting = self.agreed = False
            raise AllInterrupted


class Ranks:
    """The processes that train together, and this one's number `rank` of `size`; without
    `distributed` there is one.

    The cores of a machine are shared between its ranks: each one's threads are limited to its part.
    An exception that nobody catches on one rank, or one in a step, ends the job on all. Raises
    `ImportError` where mpi4py is missing.
    """

    def __init__(self, distributed: bool = False) -> None:
        self._comm: Any = _world() if distributed else None
        self.rank, self.size = (self._comm.rank, self._comm.size) if distributed else (0, 1)
        self.first = self.rank == 0  # which writes checkpoints and shows progress
        self._weight, self._flat = 1.0, np.empty(0)
        self.whole = Agreed() if self.size > 1 else Whole()
        if self.size > 1:
            _share_cores(self._comm)
            sys.excepthook = lambda kind, error, trace: self._abort(error)

    # ---------------- before training
    def align(
        self, trainer: Trainer, data: Samples | Batches, seed: int | None, **others: Any
    ) -> int | None:
        """Give all ranks the state of rank 0's trainer, and masks of dropout of their own; returns
        rank 0's seed.

        On all ranks alike, raises `ValueError` where they were called differently, or get no sample
        of a full batch, `TypeError` for an iterable, and `GraphError` for a loss that is no mean
        over the samples, of which shares could not be put together.
        """
        if self.size == 1:
            return seed
        from .checkpoint import _fill, _state

        self._need_same({**_called(trainer, data), "seed": seed, **others})
        if isinstance(data, Batches):
            raise TypeError(
                "Trainer: distributed=True and an iterable of batches; arrays were expected, to be "
                "shared out"
            )
        if data.size < self.size:
            raise ValueError(
                f"Trainer: batch_size={data.size} on {self.size} ranks; at least one sample each "
                f"was expected"
            )
        if seed is None:
            seed = self._comm.bcast(int(np.random.default_rng().integers(2**63)))
        _fill(
            trainer,
            _state(trainer),
            self._comm.bcast(_state(trainer) if self.first else None),
            Path("rank 0"),
        )
        _need_mean(trainer, data.x, data.y)
        for buffer in trainer.model.buffers():
            if self.rank and _is_stream(buffer):
                mixed = np.random.SeedSequence([int(buffer._data[0]), self.rank])
                buffer._data[0] = mixed.generate_state(1, np.uint64)[0] >> 1
        return seed

    def _need_same(self, called: dict[str, Any]) -> None:
        """Raise `ValueError` on all ranks where one was called with something else than rank 0."""
        first, *others = self._comm.allgather(called)
        for rank, other in enumerate(others, 1):
            if differing := [name for name in first if first[name] != other[name]]:
                told = [
                    ", ".join(f"{name}={each[name]!r}" for name in differing)
                    for each in (other, first)
                ]
                raise ValueError(
                    f"Trainer: rank {rank} was called with {told[0]}, rank 0 with {told[1]}"
                )

    # ---------------- a step
    def share(self, chosen: Any) -> Any:
        """This rank's part of a batch; the parts' sizes differ by one at most.

        A rank for which the last batch has no sample goes along with all of it, so that what counts
        passes keeps in step, and weighs nothing.
        """
        n = len(chosen)
        start, end = n * self.rank // self.size, n * (self.rank + 1) // self.size
        self._weight = (end - start) / n
        return chosen[start:end] if end > start else chosen

    def reduce(self, trainer: Trainer, loss: float) -> float:
        """Make gradients and running statistics their means over the batch, after a backward pass;
        returns that loss.
        """
        if self.size == 1:
            return loss
        grads = [p.grad for p in trainer.optimizer.params if p.grad is not None]
        self._exchange(loss, [*grads, *_statistics(trainer)])
        return self._take([*grads, *_statistics(trainer)])

    def run(
        self, trainer: Trainer, step: CompiledStep, x: Array, y: Array, order: Array, losses: Array
    ) -> int:
        """What `step.run` does, on this rank's share: one step where there are several ranks."""
        if self.size == 1:
            return step.run(x, y, order, losses)
        if not step.run(x, y, self.share(order[: trainer.course.batch_size]), losses):
            return 0
        gradient = step.arena.G[0] if step.parts == 1 else step.arena.G.sum(0)
        self._exchange(float(losses[0]), [gradient, *_statistics(trainer)])
        mean = self._flat[: gradient.size]
        losses[0] = self._take(_statistics(trainer), gradient.size)
        step.update(mean)
        return 1

    def _exchange(self, loss: float, arrays: Sequence[Array]) -> None:
        """All-reduce the arrays, the loss and whether to stop, one after the other in `_flat`."""
        from mpi4py import MPI

        size, dtype = sum(a.size for a in arrays) + 2, np.result_type(*arrays)
        if self._flat.size != size or self._flat.dtype != dtype:
            self._flat = np.empty(size, dtype)
        start = 0
        for array in arrays:
            np.multiply(array.reshape(-1), self._weight, out=self._flat[start : start + array.size])
            start += array.size
        assert isinstance(self.whole, Agreed)
        self._flat[start:] = loss * self._weight, self.whole._waiting
        self._comm.Allreduce(MPI.IN_PLACE, self._flat)
        self.whole.agreed = bool(self._flat[-1])

    def _take(self, arrays: Sequence[Array], start: int = 0) -> float:
        """Put the means that begin at `start` into the arrays; returns the mean loss."""
        for array in arrays:
            array[...] = self._flat[start : start + array.size].reshape(array.shape)
            start += array.size
        return float(self._flat[-2])

    # ---------------- the end
    def finish(self) -> None:
        """After the last step: Ctrl-C that one rank has heard since it exchanged something is told
        to all.
        """
        if isinstance(self.whole, Agreed):
            with self.whole:
                self.whole.agreed = any(self._comm.allgather(self.whole._waiting))

    @contextmanager
    def together(
        self, more: str = GO_ON, plain: tuple[type[Exception], ...] = ()
    ) -> Iterator[None]:
        """What leaves the block as an exception ends the job on all ranks: the others would wait
        for this one for ever.

        `more` is said then; exceptions of the kinds `plain` need no traceback.
        """
        try:
            yield
        except BaseException as error:
            if self.size > 1:
                self._abort(error, more, isinstance(error, plain))
            raise

    def agree(self, error: KeyboardInterrupt) -> None:
        """Ctrl-C that this rank alone has heard is raised again, for the others go on."""
        if self.size > 1 and not isinstance(error, AllInterrupted):
            raise error

    def _abort(self, error: BaseException, more: str = "", plain: bool = False) -> None:
        time.sleep(2 * PASSING_ON * min(self.rank, 3))  # where all fail alike, one speaks
        told = [f"minigrad: {error}\n"] if plain else traceback.format_exception(error)
        said = f"{type(error).__name__} on rank {self.rank} of {self.size} ends the job"
        print(
            *told, f"minigrad: {said}{more}", sep="", file=sys.__stderr__, flush=True
        )  # where it is seen in any case
        sys.stdout.flush()
        time.sleep(PASSING_ON)
        self._comm.Abort(1)
        os._exit(1)  # the launcher may take a moment to end this one


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


def _called(trainer: Trainer, data: Samples | Batches) -> dict[str, Any]:
    """What must be the same on all ranks, as plain things by name."""
    optimizer = trainer.optimizer
    return {
        "data": [data.x.shape, data.y.shape] if isinstance(data, Samples) else "an iterable",
        "batch_size": data.size,
        "mode": trainer.mode,
        "dtype": str(trainer._dtype),
        "optimizer": type(optimizer).__name__,
        "lr": optimizer.lr,
        "options": {**optimizer.options, "max_grad_norm": optimizer.max_grad_norm},
    }


def _is_stream(buffer: Any) -> bool:
    """Is this a dropout's stream of masks: seed, and number of the last draw?"""
    return not buffer.persistent and buffer.shape == (2,) and buffer.dtype == np.int64


def _statistics(trainer: Trainer) -> list[Array]:
    """The running statistics of batch norm."""
    return [buffer._data for buffer in trainer._buffers if buffer._data.dtype.kind == "f"]


def _need_mean(trainer: Trainer, x: Any, y: Any) -> None:
    """Is the loss on two samples the mean of the losses on each?"""
    if len(x) < 2:
        return
    both, *each = (trainer.evaluate(x[a:b], y[a:b])["loss"] for a, b in ((0, 2), (0, 1), (1, 2)))
    if not np.isclose(both, np.mean(each), rtol=1e-3) and np.isfinite(both):
        said = f"{both:.6g} for two samples, {each[0]:.6g} and {each[1]:.6g} for each"
        raise GraphError(
            f"Trainer: distributed=True needs a loss that is the mean over the samples; it "
            f"is {said}"
        )
