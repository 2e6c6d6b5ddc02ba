"""minigrad on the ranks of one `mpiexec`: each is a worker, and all do the same messages at once.

Rank 0 passes each message on and answers for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from time import perf_counter, sleep
from typing import Any

import mpi4py
import numpy as np
from mpi4py import MPI

from minigrad.kernels.jit import threads

from . import on_minigrad
from .task import Task

COMM = MPI.COMM_WORLD
ANSWERS = COMM.rank == 0
_library = " ".join(MPI.Get_library_version().split()[:3]).replace("Version: ", "").rstrip(",")
VERSIONS = {**on_minigrad.VERSIONS, "mpi4py": mpi4py.__version__, "MPI": _library}
_PAUSE = 0.005  # seconds between two looks for a message: idle ranks must leave the cores alone


class RecordingComm:
    """A communicator that records when each all-reduce began and ended, in `times`."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(COMM, name)

    def Allreduce(self, *arrays: Any) -> None:
        began = perf_counter()
        COMM.Allreduce(*arrays)
        self.times.append((began, perf_counter()))


class RankTraining(on_minigrad.MinigradTraining):
    """A training job shared by all ranks."""

    distributed = True

    def __init__(self, task: Task, mode: str) -> None:
        super().__init__(task, mode)
        self.comm = self.trainer.ranks._comm = RecordingComm()

    def measure(self, steps: int, seed: int, batch: int = 0) -> dict[str, float]:
        """Train from the initial weights, with a batch shared by all ranks.

        Besides the usual: `threads`, a rank's share of the cores, and with several ranks `bytes`,
        the size of the message, and seconds per step: the mean `computing` from one all-reduce to
        the next, how long the mean rank is `waiting` for the slowest, and `talking`, in all-reduces
        with the wait for them.
        """
        self.reset()
        self.comm.times.clear()
        batch = batch or self.task.batch
        history = self.fit(steps, seed, batch)
        made = len(history.batch_loss)
        found = {
            "seconds": sum(history.epoch_seconds) / made,
            "steps": made,
            "loss": history.batch_loss[-1],
            "threads": threads(batch),
        }
        if COMM.size == 1:
            return found
        times = np.array(self.comm.times)
        mine = [times[1:, 0] - times[:-1, 1], times[1:, 1] - times[1:, 0]]
        computing, talking = np.array(COMM.allgather(mine)).swapaxes(0, 1)  # each (ranks, steps)
        return {
            **found,
            "bytes": self.trainer.ranks._flat.nbytes,
            "computing": float(computing.mean()),
            "waiting": float((computing.max(0) - computing.mean(0)).mean()),
            "talking": float(talking.mean()),
        }


runner = RankTraining


def all_reduce(size: int, steps: int) -> dict[str, float]:
    """Time all-reduces of `size` bytes of float32, each after the last."""
    array = np.zeros(size // 4, np.float32)
    for _ in range(3):
        COMM.Allreduce(MPI.IN_PLACE, array)
    began = perf_counter()
    for _ in range(steps):
        COMM.Allreduce(MPI.IN_PLACE, array)
    return {"seconds": (perf_counter() - began) / steps, "steps": steps, "loss": 0.0}


def listen(lines: Iterable[str]) -> Iterator[str]:
    """Rank 0's messages, on every rank."""
    if COMM.rank == 0:
        for line in chain(lines, [""]):
            for rank in range(1, COMM.size):
                COMM.send(line, rank)
            if line:
                yield line
        return
    while True:
        while not COMM.iprobe(source=0):
            sleep(_PAUSE)
        if not (line := COMM.recv(source=0)):
            return
        yield line
