"""A contender's process: it reads a message, does it, and answers; each is one line of JSON.

    {"do": "load", "path": "….npz", "mode": "fused"}   read a task; it replaces the one before
    {"do": "measure", "steps": 20, "seed": 0}          run it from the initial weights
    {"do": "peak_memory"}

`do` names a method of the worker or of its task's runner, or a function of the library's module.
The worker writes its first line when the library is imported: {"result": versions}. Every answer is
{"result": …}, or {"error": "…"}, after which the process goes on.

The module of a library, `on_<library>.py`, has `VERSIONS` and `RUNNERS`, the `Runner`s of models
and of operators. If it has `listen(lines)`, messages pass through it, and where `ANSWERS` is false
nothing is written.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from .task import load


class Worker:
    """Does what messages say, with the module of one library."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.runner: Any = None

    def load(self, path: str, mode: str) -> None:
        self.runner = None
        gc.collect()
        task = load(path)
        self.runner = self.library.RUNNERS[task.operator](task, mode)

    def peak_memory(self) -> int:
        """The largest resident set that this process has had, in bytes.

        Raises
        ------
        OSError : the system does not report it (Windows)
        """
        try:  # getrusage would include the process that started this one
            lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
        except (OSError, StopIteration):
            try:
                import resource
            except ImportError:
                raise OSError("this system does not report a process's peak memory") from None
            unit = 1 if sys.platform == "darwin" else 1024
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def answer(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The result, or the error in one line: a failure must not end the process."""
        try:
            for owner in (self, self.runner, self.library):
                if hasattr(owner, do):
                    return {"result": getattr(owner, do)(**arguments)}
            raise ValueError(f"worker: do={do!r} is unknown")
        except Exception as error:
            return {"error": _in_one_line(error)}


def _in_one_line(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}"[:300]


def main() -> None:
    """Serve messages from stdin with the library, and on as many cores, as the arguments say."""
    name, threads = sys.argv[1], int(sys.argv[2])
    # freed at once: from then on glibc reuses blocks of up to this size, whatever came before,
    # instead of returning them to the system in each step
    bytes(31 << 20)
    if name != "ranks" and hasattr(os, "sched_setaffinity"):  # some libraries use all cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not get among the answers
    library: Any = None

    def reply(answer: dict[str, Any]) -> None:
        if getattr(library, "ANSWERS", True):
            print(json.dumps(answer), file=replies, flush=True)

    try:
        library = importlib.import_module(f".on_{name}", __package__)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == name
        reply({"error": "not installed" if missing else _in_one_line(error)})
        return
    worker = Worker(library)
    reply({"result": library.VERSIONS})
    for line in getattr(library, "listen", iter)(sys.stdin):
        reply(worker.answer(**json.loads(line)))
