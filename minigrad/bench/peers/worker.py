"""One contender's process: it waits for a line, does what it says, and answers with a line. All
lines are JSON.

    {"do": "make", "id": 1, "folder": "…", "mode": "fused"}    a contender for the task in that folder
    {"do": "make", "id": 2, "kernel": {…}, "mode": "NCHW"}     or for one kernel (see kernels.py)
    {"do": "ask", "id": 1, "what": "train", "with": {"steps": 20, "seed": 0}}
    {"do": "drop", "id": 1}
    {"do": "call", "what": "ceilings"}                         a function of the library's module
    {"do": "memory"}

The first line comes from the worker when its library is imported: {"versions": {…}}. An answer is
{"result": …, "seconds": …}, measured around the work itself, or {"error": "…"}, after which the
process goes on.

What a contender can be asked: `reset()`, back to the first values; `train(steps, seed)`, which
returns the steps made (some round up) and the last loss; `run(times)` of a kernel, which returns a
checksum.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from .task import load


def peak_memory() -> int:
    """The most memory that this process has held at once (resident set), in bytes.

    Raises
    ------
    OSError : this system does not say, as Windows does not
    """
    try:  # what getrusage says would include the process that started this one
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        try:
            import resource
        except ImportError:
            raise OSError("this system does not say how much memory a process has held") from None
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
            1 if sys.platform == "darwin" else 1024
        )


class Worker:
    """Does what a message says, with contenders made by one library's module."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.made: dict[int, Any] = {}

    def do(self, message: dict[str, Any]) -> Any:
        what = message["do"]
        if what == "make":
            task = message["kernel"] if "kernel" in message else load(Path(message["folder"]))
            make = self.library.kernel if "kernel" in message else self.library.contender
            self.made[message["id"]] = make(task, message["mode"])
        elif what == "ask":
            return getattr(self.made[message["id"]], message["what"])(**message.get("with", {}))
        elif what == "drop":
            del self.made[message["id"]]
            gc.collect()
        elif what == "call":
            return getattr(self.library, message["what"])(**message.get("with", {}))
        elif what == "memory":
            return peak_memory()
        else:
            raise ValueError(f"worker: do={what!r} is unknown")
        return None

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """The result, or the error in one line; what fails must not end the process."""
        try:
            started = perf_counter()
            result = self.do(message)
            return {"result": result, "seconds": perf_counter() - started}
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            return {"error": f"{type(error).__name__}: {lines[0]}"[:300]}


def main() -> None:
    """Run a worker for the library named on the command line, on so many processors; messages come
    from stdin.
    """
    name, threads = sys.argv[1], int(sys.argv[2])
    if hasattr(
        os, "sched_setaffinity"
    ):  # some libraries take as many threads as there are processors
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints does not get among the answers

    def reply(answer: dict[str, Any]) -> None:
        replies.write(json.dumps(answer) + "\n")
        replies.flush()

    try:
        library = importlib.import_module(f".on_{name}", __package__)
        library.set_threads(threads)
    except Exception as error:
        reply({"error": f"{type(error).__name__}: {error}"[:300]})
        return
    worker = Worker(library)
    reply({"versions": library.versions()})
    for line in sys.stdin:
        reply(worker.answer(json.loads(line)))
