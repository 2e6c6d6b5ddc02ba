"""Contenders' processes, seen from outside: started, spoken to in lines of JSON, ended.

Two libraries in one process would share, and fight over, one pool of threads. So each has its own
process, and only one of them works at a time; seconds are measured inside.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

from ..distribution import other_package

LIBRARIES = ("minigrad", "torch", "jax", "autograd", "mygrad")
#: a contender that does not answer for so long is given up
PATIENCE = 300.0
_FOLDER = str(Path(__file__).parent)
_RUN = f"import sys; sys.path.append({_FOLDER!r}); from peers.worker import main; main()"
#: settings that some machines carry for one library and that slow another's products down
UNWANTED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class Failed(ChildProcessError):
    """A contender that is not there, crashed, or could not do what it was told; the message is one
    line for the table.
    """


def environment(threads: int, extra: Mapping[str, str]) -> dict[str, str]:
    """The same variables for every contender: so many threads, without what slows down."""
    kept = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    return {**kept, **dict.fromkeys(_THREADS, str(threads)), **extra}


def find(library: str, python: str) -> Path | None:
    """The folder of a library in that Python, or None where it is not installed; the library is not
    imported.
    """
    # -X utf8: the path may hold letters that the console's encoding lacks
    code = (
        f"import importlib.util as u; s = u.find_spec({library!r}); print(s.origin or '' if s "
        f"else '')"
    )
    try:
        command = [python, "-X", "utf8", "-c", code]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    except OSError as error:
        raise Failed(f"{python}: {error.strerror}") from None
    return Path(done.stdout.strip()).parent if done.stdout.strip() else None


class Process:
    """One library's worker. Raises `Failed` where it is not installed, does not start, crashes or
    takes too long.
    """

    def __init__(
        self,
        library: str,
        *,
        python: str = "",
        threads: int = 1,
        extra: Mapping[str, str] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.library, self.patience, self._made = library, patience, 0
        python = python or sys.executable
        folder = find(library, python)
        if folder is None:
            raise Failed("not installed")
        if library == "minigrad" and (other := other_package(folder)):
            raise Failed(other)
        variables = environment(threads, extra or {})
        if library == "torch" and (own := sorted(folder.glob("lib/libgomp*.so*"))):
            # torch.compile links the system's OpenMP, whose threads would fight with those of
            # PyTorch's own
            variables["LD_PRELOAD"] = str(own[0])
        self._start([python, "-X", "utf8", "-c", _RUN, library, str(threads)], variables)

    def _start(self, command: list[str], variables: Mapping[str, str]) -> None:
        """Start the worker and hear its first line."""
        self._errors = tempfile.TemporaryFile(  # noqa: SIM115 (closed in end)
            "w+", encoding="utf-8", errors="replace"
        )
        self.started = perf_counter()
        self._process = subprocess.Popen(
            command,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            # Ctrl-C is for the parent, which ends its children; the second line says so to Windows
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), daemon=True
        )
        self._reader.start()
        try:
            self.versions: dict[str, str] = self._hear()["versions"]
        except BaseException:  # Ctrl-C, too
            self.end()
            raise

    def _read(self, answers: Any) -> None:
        """Queue the worker's lines, "" at the end. A thread, since Windows cannot wait for a pipe
        with a time limit.
        """
        with answers:
            for line in answers:
                self._lines.put(line)
        self._lines.put("")

    def _hear(self) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=self.patience)
        except queue.Empty:
            self._process.kill()
            self._process.wait()
            raise Failed(f"no answer in {self.patience:.0f} s") from None
        if not line:
            self._lines.put("")  # for who asks again
            raise Failed(f"ended with code {self._process.wait()}: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def _last_words(self) -> str:
        if self._errors.closed:
            return "before"
        self._errors.seek(0)
        return ([line.strip() for line in self._errors if line.strip()] or ["without a word"])[-1][
            :200
        ]

    def tell(self, do: str, **message: Any) -> dict[str, Any]:
        """Send a message, wait for the answer: `{"result": …, "seconds": …}`."""
        words = self._process.stdin
        assert words is not None
        try:
            words.write(json.dumps({"do": do, **message}) + "\n")
            words.flush()
        except (OSError, ValueError):  # it has ended, or was ended
            raise Failed(f"ended: {self._last_words()}") from None
        return self._hear()

    def make(self, mode: str, **what: Any) -> int:
        """A contender for the task in `folder=` or for `kernel=`; the number by which to ask it."""
        self._made += 1
        self.tell("make", id=self._made, mode=mode, **what)
        return self._made

    def ask(self, contender: int, what: str, **arguments: Any) -> dict[str, Any]:
        """Let a contender do something."""
        return self.tell("ask", **{"id": contender, "what": what, "with": arguments})

    def drop(self, contender: int) -> None:
        """Let its memory go."""
        self.tell("drop", id=contender)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """End the process, whatever it does; ending it again does nothing."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        with suppress(OSError):  # words that it did not read any more
            self._process.stdin.close()
        self._reader.join(
            1.0
        )  # a child of the worker's may still hold the pipe; nobody waits for it
        self._errors.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()


class Pool:
    """One process for each library, started when first used and kept; a library that failed to
    start stays failed.
    """

    def __init__(self, pythons: Mapping[str, str], threads: int, **options: Any) -> None:
        self.pythons, self.threads, self.options = pythons, threads, options
        self._processes: dict[str, Process] = {}
        self._failed: dict[str, Failed] = {}

    def process(self, library: str) -> Process:
        """The library's process, a new one if the last one crashed. Raises `Failed`."""
        if library in self._failed:
            raise self._failed[library]
        found = self._processes.get(library)
        if found is None or not found.alive:
            if found is not None:
                found.end()
            try:
                found = self._processes[library] = Process(
                    library,
                    python=self.pythons.get(library, ""),
                    threads=self.threads,
                    **self.options,
                )
            except Failed as error:
                self._failed[library] = error
                raise
        return found

    def versions(self) -> dict[str, str]:
        """Of every library that has been started."""
        return {
            name: version
            for process in self._processes.values()
            for name, version in process.versions.items()
        }

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes.values():
            process.end()
