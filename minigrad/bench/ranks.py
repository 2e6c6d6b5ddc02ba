"""What runs on each rank of `minigrad bench distributed`: a worker as in peers/worker.py, on all
ranks at once.

Rank 0 is spoken to in lines of JSON, passes each message on, and answers for all.
"""

from __future__ import annotations

import json
import os
import sys
from time import perf_counter, sleep
from typing import Any

import numpy as np
from mpi4py import MPI

import minigrad as mg

from ..kernels.jit import threads
from . import jobs
from .peers import on_minigrad
from .peers.task import Task
from .peers.worker import Worker

# seconds between two looks for a message: ranks that wait must not take the others' cores
_ASLEEP = 0.005


class Watched:
    """A communicator that notes when each all-reduce began and ended, in `times`."""

    def __init__(self, comm: Any) -> None:
        self._comm = comm
        self.times: list[tuple[float, float]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._comm, name)

    def Allreduce(self, *arrays: Any) -> None:
        began = perf_counter()
        self._comm.Allreduce(*arrays)
        self.times.append((began, perf_counter()))


class Training(on_minigrad.Training):
    """One task in one mode, shared by all ranks."""

    def __init__(self, task: Task, mode: str) -> None:
        super().__init__(task, mode)
        loss, optimizer = jobs.LOSSES[task.loss], self.trainer.optimizer
        self.trainer = mg.Trainer(self.model, loss, optimizer, mode=mode, distributed=True)
        self.watched = Watched(MPI.COMM_WORLD)
        self.trainer.ranks._comm = self.watched

    def measure(self, batch: int, steps: int, seed: int) -> dict[str, Any]:
        """Train so many steps (or whole epochs, where they are more) from the first values, with
        this batch for all ranks.

        Seconds per step: `seconds` of all of it; of these, with several ranks, the mean `computing`
        from one all-reduce to the next, `waiting` of the mean rank for the slowest, `talking`, in
        all-reduces and the wait for them. `bytes` is the size of the message, `threads` each rank's
        share of the cores, `loss` the last one.
        """
        self.reset()
        self.watched.times.clear()
        one = max(1, min(steps, len(self.task.x) // batch))
        x, y = self.task.x[: one * batch], self.task.y[: one * batch]
        epochs = -(-steps // one)
        history = self.trainer.fit(x, y, epochs=epochs, batch_size=batch, seed=seed, progress=False)
        found = {
            "seconds": sum(history.epoch_seconds) / len(history.batch_loss),
            "steps": len(history.batch_loss),
            "loss": history.batch_loss[-1],
            "threads": threads(batch),
        }
        if self.watched.size > 1:
            found |= self._shared() | {"bytes": self.trainer.ranks._flat.nbytes}
        return found

    def _shared(self) -> dict[str, float]:
        """What all ranks found between their all-reduces; the first step, which has none before it,
        is left out.
        """
        times = np.array(self.watched.times)
        mine = np.stack([times[1:, 0] - times[:-1, 1], times[1:, 1] - times[1:, 0]])
        computing, talking = np.array(self.watched.allgather(mine)).swapaxes(
            0, 1
        )  # each (ranks, steps)
        waiting = (computing.max(0) - computing.mean(0)).mean()
        return {
            "computing": float(computing.mean()),
            "waiting": float(waiting),
            "talking": float(talking.mean()),
        }


def contender(task: Task, mode: str) -> Training:
    return Training(task, mode)


def all_reduce(size: int, times: int) -> float:
    """Seconds of an all-reduce of an array of `size` bytes of float32, one after the other: each
    waits for the last.
    """
    array = np.zeros(size // 4, np.float32)
    for _ in range(3):
        MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, array)
    began = perf_counter()
    for _ in range(times):
        MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, array)
    return (perf_counter() - began) / times


def versions() -> dict[str, str]:
    import mpi4py

    library = " ".join(MPI.Get_library_version().split()[:3]).replace("Version: ", "").rstrip(",")
    return {**on_minigrad.versions(), "mpi4py": mpi4py.__version__, "MPI": library}


def main() -> None:
    """Rank 0 hears messages from stdin and passes them on; all do what they say."""
    comm, worker = MPI.COMM_WORLD, Worker(sys.modules[__name__])
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints does not get among the answers
    if comm.rank:
        while (message := _wait(comm)) is not None:
            worker.answer(message)
        return
    replies.write(json.dumps({"versions": versions()}) + "\n")
    replies.flush()
    for line in sys.stdin:
        message = json.loads(line)
        _pass_on(comm, message)
        replies.write(json.dumps(worker.answer(message)) + "\n")
        replies.flush()
    _pass_on(comm, None)


def _pass_on(comm: Any, message: Any) -> None:
    for rank in range(1, comm.size):
        comm.send(message, rank)


def _wait(comm: Any) -> Any:
    while not comm.iprobe(source=0):
        sleep(_ASLEEP)
    return comm.recv(source=0)


if __name__ == "__main__":
    main()
