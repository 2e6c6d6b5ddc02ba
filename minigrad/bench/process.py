"""A contender's process as its parent sees it: started, sent lines of JSON, ended.

Two libraries in one process would share, and fight over, one pool of threads. So each contender has
a process of its own, only one of them works at a time, and times are measured inside.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from threading import Timer
from time import perf_counter
from typing import Any

from ..distribution import PACKAGE, install_hint

#: settings that some machines have for one library, and that slow another's matrix products down
UNWANTED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
#: minigrad must be this one, whatever lies around; the others get the folder peers alone
_OURS = (
    f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); "
    "from minigrad.bench.peers.worker import main; main()"
)
_PEER = (
    f"import sys; sys.path.append({str(Path(__file__).parent)!r}); "
    "from peers.worker import main; main()"
)


class Failed(ChildProcessError):
    """A contender is missing, crashed, or could not do a task; the message is one line."""


class Process(AbstractContextManager[Any]):
    """A worker for one library, or for minigrad on several MPI ranks, with so many threads each.

    Raises `Failed` where the library is not installed, or the process does not start, crashes or
    takes too long. `started` is the time of its start, `versions` what it said of itself.
    """

    #: seconds after which a worker that does not answer is given up
    patience = 300.0

    def __init__(
        self,
        library: str,
        threads: int = 1,
        *,
        ranks: int = 0,
        extra: Mapping[str, str] = {},
    ) -> None:
        self._loaded, self._grace = "", 5 if ranks else 0
        launcher = [_mpiexec(), "-n", str(ranks)] if ranks else []
        code = _OURS if library in ("minigrad", "ranks") else _PEER
        kept = {name: value for name, value in os.environ.items() if name not in UNWANTED}
        self._errors = tempfile.TemporaryFile(  # noqa: SIM115 (closed in end)
            "w+", encoding="utf-8", errors="replace"
        )
        self.started = perf_counter()
        self._process = subprocess.Popen(
            # -X utf8: paths may hold letters that the console's encoding lacks
            [*launcher, sys.executable, "-X", "utf8", "-c", code, library, str(threads)],
            env={**kept, **dict.fromkeys(_THREADS, str(threads)), **_openmp(library), **extra},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            # Ctrl-C is for the parent, which ends its children; Windows reads the second line
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        try:
            self.versions: dict[str, str] = self._hear()
        except BaseException:  # Ctrl-C, too
            self.end()
            raise

    def _hear(self) -> Any:
        """The next answer; a worker that does not answer in time is killed, and its pipe ends."""
        assert self._process.stdout is not None
        asked, alarm = perf_counter(), Timer(self.patience, self._process.kill)
        alarm.start()
        try:
            line = self._process.stdout.readline()
        finally:
            alarm.cancel()
        if not line:
            code = self._process.wait()
            if perf_counter() - asked >= self.patience:
                raise Failed(f"no answer in {self.patience:.0f} s")
            raise Failed(f"ended with code {code}: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer["result"]

    def _last_words(self) -> str:
        if self._errors.closed:
            return "before"
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return (lines or ["without a word"])[-1][:200]

    def ask(self, do: str, **arguments: Any) -> Any:
        """Send a message, as in `peers/worker.py`, and return the answer's result."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError):  # it has ended, or was ended
            raise Failed(f"ended: {self._last_words()}") from None
        return self._hear()

    def measure(self, path: str, contender: str, steps: int, seed: int = 0) -> Any:
        """Measure the task in a file, which is read unless it is the one that the worker has."""
        if path != self._loaded:
            self.ask("load", path=path, mode=contender.partition(" ")[2])
            self._loaded = path
        return self.ask("measure", steps=steps, seed=seed)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """End the process, whatever it does; ending it again has no effect.

        MPI ranks end by themselves when rank 0's input ends; they are killed only if they do not.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(OSError):  # words that it has not read
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(self._grace)
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def __exit__(self, *error: object) -> None:
        self.end()


def _openmp(library: str) -> dict[str, str]:
    """Load the OpenMP library that PyTorch brings before all others.

    Code made by torch.compile links the system's, whose threads would compete with PyTorch's.
    """
    spec = importlib.util.find_spec(library)
    folder = Path(spec.origin).parent if spec and spec.origin else Path("nowhere")
    found = sorted(folder.glob("lib/libgomp*.so*"))
    return {"LD_PRELOAD": str(found[0])} if found else {}


def _mpiexec() -> str:
    """The launcher beside this Python, or the system's; raises `Failed` without it or mpi4py."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which("mpiexec", path=path)
    missing = [] if importlib.util.find_spec("mpi4py") else ["no mpi4py"]
    if not found:
        missing.append("no mpiexec")
    if not found or missing:
        raise Failed(f"{' and '.join(missing)}: {install_hint('distributed')}")
    return found
