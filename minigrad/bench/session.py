"""Settings, processes and records that the sections of the benchmark share, and their races."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import DataError
from .floor import floor
from .jobs import JOBS, prepared
from .peers.task import Task
from .process import Failed, Process
from .race import race
from .records import Record

#: a contender's name is its library and, if that has several, its mode
OURS = ("minigrad compiled", "minigrad replay", "minigrad eager")
THEIRS = (
    *("torch eager", "torch fused", "torch compile"),
    *("jax step", "jax scan", "autograd", "mygrad"),
)
PEERS = tuple(dict.fromkeys(name.split()[0] for name in THEIRS))
#: steps after which losses are compared
CHECK_STEPS = 10


@dataclass(frozen=True)
class Settings:
    """Which jobs are timed, beside which peers, and for how long."""

    jobs: Sequence[str] = tuple(JOBS)
    peers: Sequence[str] = PEERS
    threads: int = 1
    rounds: int = 7
    unit: float = 0.2
    quick: bool = False

    def contenders(self, *names: str) -> list[str]:
        """Those whose library takes part; by default minigrad's compiled mode, and all peers'."""
        libraries = ("minigrad", *self.peers)
        return [
            name
            for name in names or (OURS[0], *THEIRS)
            if name.split()[0] in libraries and not (self.quick and name == "torch compile")
        ]


class Session:
    """One run of the benchmark; `say` is told what goes on."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.settings, self.say = settings, say
        self.records: list[Record] = []
        self.versions: dict[str, str] = {}
        self.ceilings: dict[str, Any] = {}
        self._processes: dict[tuple[str, int], Process] = {}

    def add(self, section: str, job: str, contender: str, **found: Any) -> None:
        """Add a record."""
        self.records.append({"section": section, "job": job, "contender": contender, **found})

    def start(self, contender: str, threads: int = 0, **options: Any) -> Process:
        """Start a process of a contender's library; raises `Failed`."""
        library, _, mode = contender.partition(" ")
        threads = threads or self.settings.threads
        if library == "ranks":  # "ranks 2 × 1": two processes of one thread
            options["ranks"], threads = map(int, mode.split(" × "))
        process = Process(library, threads, **options)
        self.versions |= process.versions
        return process

    def process(self, contender: str, threads: int = 0) -> Process:
        """The contender's process, started when first used and again after a crash."""
        found = self._processes.get((contender, threads))
        if found is None or not found.alive:
            if found is not None:
                found.end()
            found = self._processes[contender, threads] = self.start(contender, threads)
        return found

    def end(self) -> None:
        """End all processes."""
        for process in self._processes.values():
            process.end()
        self._processes.clear()

    def saved(self, section: str, job: Task) -> Iterator[tuple[Task, str]]:
        """Yield the job with its arrays, and its folder; nothing where data is missing.

        Then a record has the reason.
        """
        self.say(f"  {job.label}")
        try:
            task = prepared(job)
        except DataError as error:
            self.add(section, job.label, "", reason=str(error).splitlines()[0])
            return
        with tempfile.TemporaryDirectory(prefix="minigrad-bench-") as folder:
            task.save(Path(folder))
            yield task, folder

    def race(self, section: str, job: Task, contenders: Sequence[str], threads: int = 0) -> None:
        """Let contenders race on a job; the last record is the floor, if minigrad takes part."""
        add = partial(self.add, section, job.label)
        for task, folder in self.saved(section, job):

            def measure(contender: str, steps: int, seed: int, folder: str = folder) -> Any:
                return self.process(contender, threads).measure(folder, contender, steps, seed)

            least = 1 if task.direction else min(CHECK_STEPS, task.steps_per_epoch)
            measures = {contender: partial(measure, contender) for contender in contenders}
            race(measures, add, rounds=self.settings.rounds, unit=self.settings.unit, least=least)
            if contenders[0] in OURS:
                try:
                    work = self.process(contenders[0], threads).ask("work")
                except Failed as error:
                    add("floor", reason=str(error))
                    return
                cores = (threads or self.settings.threads) * self.ceilings["flops_of_a_core"]
                most = {**self.ceilings, "flops": min(cores, self.ceilings["flops"])}
                add("floor", rounds=[floor(work, most)], **work)
