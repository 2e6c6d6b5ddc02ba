"""What the sections of the benchmark share: settings, processes, tasks, and how one race is run."""

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
from .race import Contender, agree, race

MODES = {
    "minigrad": ("compiled", "replay", "eager"),
    "torch": ("eager", "fused", "compile"),
    "jax": ("step", "scan"),
    "autograd": ("",),
    "mygrad": ("",),
}
PEERS = tuple(MODES)[1:]
#: steps after which losses are compared
CHECK_STEPS = 10
Found = dict[str, Any]


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

    def contenders(self, *names: str) -> list[Contender]:
        """The contenders of these names ("torch eager") whose library takes part."""
        pairs = [name.split() for name in names]
        return [Contender(*pair) for pair in pairs if pair[0] in ("minigrad", *self.peers)]

    @property
    def all_contenders(self) -> list[Contender]:
        """Minigrad's compiled mode, and every mode of the peers."""
        names = [f"{library} {mode}" for library in PEERS for mode in MODES[library]]
        if self.quick:
            names.remove("torch compile")
        return self.contenders("minigrad compiled", *names)


class Session:
    """One run of the benchmark; `say` is told what goes on."""

    def __init__(self, settings: Settings, folder: Path, say: Callable[[str], None]) -> None:
        self.settings, self.folder, self.say = settings, folder, say
        self.versions: dict[str, str] = {}
        self.ceilings: Found = {}
        self._tasks: dict[str, tuple[str, Task]] = {}
        self._processes: dict[tuple[Contender, int], Process | Failed] = {}

    def start(self, library: str, threads: int = 0, **options: Any) -> Process:
        """Start a process of a library; raises `Failed`."""
        python = self.settings.pythons.get(library, "")
        threads = threads or self.settings.threads
        process = Process(library, threads, python=python, **options)
        self.versions |= process.versions
        return process

    def process(self, contender: Contender, threads: int = 0) -> Process:
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
                found = self._processes[key] = self.start(contender.library, threads)
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

    def measure_ceilings(self) -> None:
        """Measure what this machine can do at most, in a process of minigrad."""
        self.say("ceilings of this machine")
        with self.start("minigrad") as process:
            self.ceilings = process.ask("ceilings")

    def task(self, name: str, job: Job) -> tuple[str, Task]:
        """A job's task, and the folder to which the first call writes it.

        Raises `DataError` where its data is missing.
        """
        if name not in self._tasks:
            task, folder = job.task(), self.folder / str(len(self._tasks))
            task.save(folder)
            self._tasks[name] = str(folder), task
        return self._tasks[name]

    def race(
        self,
        section: Found,
        key: str,
        job: Job,
        contenders: Sequence[Contender],
        *,
        name: str = "",
        threads: int = 0,
    ) -> None:
        """Let contenders race on a job; `section[key]` gets rows, losses' agreement, and the floor.

        `name` tells jobs apart that have the same key in several sections.
        """
        self.say(f"  {name or key}")
        found = section[key] = {"title": job.title, "batch": job.batch}
        try:
            folder, task = self.task(name or key, job)
        except DataError as error:
            found["reason"] = str(error).splitlines()[0]
            return

        def measure(contender: Contender, steps: int, seed: int) -> Mapping[str, float]:
            process = self.process(contender, threads)
            process.load(folder, contender.mode)
            answer: Mapping[str, float] = process.ask("measure", steps=steps, seed=seed)
            return answer

        measures = {contender.name: partial(measure, contender) for contender in contenders}
        found["rows"] = {}
        check_steps = 1 if task.direction else min(CHECK_STEPS, task.steps_per_epoch)
        try:
            race(
                found["rows"],
                measures,
                rounds=self.settings.rounds,
                unit=self.settings.unit,
                check_steps=check_steps,
            )
        finally:
            found["agree"] = agree(found["rows"].values())
        try:
            work = found["work"] = self.process(contenders[0], threads).ask("work")
        except Failed as error:
            self.say(f"  no floor: {error}")
            return
        cores = (threads or self.settings.threads) * self.ceilings["flops_of_a_core"]
        found["floor"] = floor(work, {**self.ceilings, "flops": min(cores, self.ceilings["flops"])})
