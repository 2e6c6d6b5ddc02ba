"""Settings, processes and tasks that the sections of the benchmark share, and their races."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import DataError
from .floor import floor
from .jobs import JOBS, Job
from .peers.task import Task
from .process import Failed, Process
from .race import Found, agree, race

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
    """Which jobs are timed, beside which peers, and for how long.

    `pythons` maps a peer to the Python in which it is installed, if that is not this one.
    """

    jobs: Sequence[str] = tuple(JOBS)
    peers: Sequence[str] = PEERS
    pythons: Mapping[str, str] = field(default_factory=dict)
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

    def __init__(self, settings: Settings, folder: Path, say: Callable[[str], None]) -> None:
        self.settings, self.folder, self.say = settings, folder, say
        self.versions: dict[str, str] = {}
        self.ceilings: Found = {}
        self._tasks: dict[str, tuple[str, Task]] = {}
        self._processes: dict[tuple[str, int], Process | Failed] = {}

    def start(self, contender: str, threads: int = 0, **options: Any) -> Process:
        """Start a process of a contender's library; raises `Failed`."""
        library = contender.split()[0]
        python = self.settings.pythons.get(library, "")
        process = Process(library, threads or self.settings.threads, python=python, **options)
        self.versions |= process.versions
        return process

    def process(self, contender: str, threads: int = 0) -> Process:
        """The contender's process, started when first used and again after a crash.

        Raises `Failed`, and does not try again, where it did not start.
        """
        key = contender, threads
        found = self._processes.get(key)
        if isinstance(found, Failed):
            raise found
        if found is None or not found.alive:
            if found is not None:
                found.end()
            try:
                found = self._processes[key] = self.start(contender, threads)
            except Failed as error:
                self._processes[key] = error
                raise
        return found

    def end(self) -> None:
        """End all processes."""
        for found in self._processes.values():
            if isinstance(found, Process):
                found.end()
        self._processes.clear()

    def task(
        self, section: Found, key: str, job: Job, name: str = ""
    ) -> tuple[Found, str, Task] | None:
        """The report's entry for a job, its folder and its task, which the first call writes.

        `name` tells jobs apart that have one key in several sections. Where data is missing, the
        entry has the reason, and None is returned.
        """
        name = name or key
        self.say(f"  {name}")
        entry = section[key] = {"title": job.title, "batch": job.batch}
        try:
            if name not in self._tasks:
                task, folder = job.task(), self.folder / str(len(self._tasks))
                task.save(folder)
                self._tasks[name] = str(folder), task
        except DataError as error:
            entry["reason"] = str(error).splitlines()[0]
            return None
        return entry, *self._tasks[name]

    def race(
        self,
        section: Found,
        key: str,
        job: Job,
        contenders: Sequence[str],
        *,
        name: str = "",
        threads: int = 0,
    ) -> None:
        """Let contenders race on a job; its entry gets rows, whether losses agree, the floor."""
        if (found := self.task(section, key, job, name)) is None:
            return
        entry, folder, task = found

        def measure(contender: str, steps: int, seed: int) -> Any:
            process = self.process(contender, threads)
            process.load(folder, contender)
            return process.ask("measure", steps=steps, seed=seed)

        rows = entry["rows"] = {}
        try:
            race(
                rows,
                {contender: partial(measure, contender) for contender in contenders},
                rounds=self.settings.rounds,
                unit=self.settings.unit,
                check_steps=1 if task.direction else min(CHECK_STEPS, task.steps_per_epoch),
            )
        finally:
            entry["agree"] = agree(rows.values())
        try:
            work = entry["work"] = self.process(contenders[0], threads).ask("work")
        except Failed as error:
            self.say(f"  no floor: {error}")
            return
        cores = (threads or self.settings.threads) * self.ceilings["flops_of_a_core"]
        most = {**self.ceilings, "flops": min(cores, self.ceilings["flops"])}
        entry["floor"] = floor(work, most)
