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
from .task import Runner

COMM = MPI.COMM_WORLD
ANSWERS = COMM.rank == 0
_library = " ".join(MPI.Get_library_version().split()[:3]).replace("Version: ", "").rstrip(",")
VERSIONS = {**on_minigrad.VERSIONS, "mpi4py": mpi4py.__version__, "MPI": _library}
_PAUSE = 0.005  # seconds between two looks for a message: idle ranks must leave the cores alone


class RecordingComm(MPI.Intracomm):
    """A communicator that records when each all-reduce began and ended, in `times`."""

    times: list[tuple[float, float]]

    def Allreduce(self, *arrays: Any) -> None:
        began = perf_counter()
        super().Allreduce(*arrays)
        self.times.append((began, perf_counter()))


class RankTraining(on_minigrad.MinigradModel):
    """A training job shared by all ranks, compiled."""

    distributed = True

    def prepare(self) -> None:
        self.mode = "compiled"
        super().prepare()
        self.comm = self.trainer.ranks._comm = RecordingComm(COMM)

    def measure(self, steps: int, seed: int) -> dict[str, float]:
        """Train from the initial weights, each batch shared by all ranks.

        Besides the usual: `ranks`, `batch`, `threads` of each rank, and with several ranks `bytes`,
        the size of the message, and seconds per step: the mean `computing` from one all-reduce to
        the next, how long the mean rank is `waiting` for the slowest, and `talking`, in all-reduces
        with the wait for them.
        """
        self.comm.times = []
        found, batch = super().measure(steps, seed), self.task.batch
        found["seconds"] = sum(self.history.epoch_seconds) / found["steps"]
        found |= {"ranks": COMM.size, "batch": batch, "threads": threads(batch)}
        if COMM.size > 1:
            times = np.array(self.comm.times)
            mine = [times[1:, 0] - times[:-1, 1], times[1:, 1] - times[1:, 0]]
            computing, talking = np.array(COMM.allgather(mine)).swapaxes(0, 1)  # (ranks, steps)
            found["bytes"] = self.trainer.ranks._flat.nbytes
            found["computing"], found["talking"] = float(computing.mean()), float(talking.mean())
            found["waiting"] = float(computing.max(0).mean()) - found["computing"]
        return found


class AllReduce(Runner):
    """All-reduces of a number of bytes, each after the last."""

    def prepare(self) -> None:
        self.array = np.zeros(self.task.options[0] // 4, np.float32)

    def all_reduce(self) -> list[Any]:
        COMM.Allreduce(MPI.IN_PLACE, self.array)
        return []

    def measure(self, steps: int, seed: int) -> dict[str, float]:
        return super().measure(steps, seed) | {"bytes": self.array.nbytes}


RUNNERS = RankTraining, AllReduce


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
