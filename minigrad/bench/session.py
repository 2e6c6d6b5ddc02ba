"""One run of the benchmark: its settings, processes and records, and the races on its jobs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
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
THEIRS = ("torch eager", "torch fused", "torch compile", "jax step", "jax scan")
PEERS = tuple(dict.fromkeys(name.split()[0] for name in THEIRS))
#: steps after which losses are compared
CHECK_STEPS = 10
#: steps of a first short fit
FIRST_STEPS = 30
#: (session, contender, file of the task) to what a record says
Measure = Callable[["Session", str, str], dict[str, Any]]


@dataclass
class Session:
    """One run: which jobs are timed, beside which peers, for how long; `say` is told what goes on.

    `records` are the results, `versions` those of the libraries, `ceilings` those of the machine.
    """

    jobs: Sequence[str] = tuple(JOBS)
    peers: Sequence[str] = PEERS
    threads: int = 1
    rounds: int = 5
    unit: float = 0.2
    quick: bool = False
    say: Callable[[str], None] = print
    records: list[Record] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    ceilings: dict[str, Any] = field(default_factory=dict)
    processes: dict[tuple[str, int], Process] = field(default_factory=dict)

    def contenders(self, *names: str) -> list[str]:
        """Those whose library takes part."""
        libraries = ("minigrad", *self.peers)
        return [
            name
            for name in names
            if name.split()[0] in libraries and not (self.quick and name == "torch compile")
        ]

    def add(self, section: str, job: str, contender: str, **found: Any) -> None:
        """Add a record."""
        self.records.append({"section": section, "job": job, "contender": contender, **found})

    def start(self, contender: str, **options: Any) -> Process:
        """Start a process of a contender's library; raises `Failed`."""
        library, _, mode = contender.partition(" ")
        threads = self.threads
        if library == "ranks":  # "ranks 2 × 1": two processes of one thread
            options["ranks"], threads = map(int, mode.split(" × "))
        process = Process(library, threads, **options)
        self.versions |= process.versions
        return process

    def process(self, contender: str) -> Process:
        """The contender's process, started when first used and again after a crash."""
        key = contender, self.threads
        if key in self.processes and not self.processes[key].alive:
            self.processes.pop(key).end()
        if key not in self.processes:
            self.processes[key] = self.start(contender)
        return self.processes[key]

    def end(self) -> None:
        """End all processes."""
        for process in self.processes.values():
            process.end()
        self.processes.clear()

    def attempt(self, section: str, job: str, contender: str, measure: Measure, where: str) -> None:
        """Add a record of what `measure(self, contender, where)` finds, or why it failed."""
        try:
            found = measure(self, contender, where)
        except Failed as error:
            found = {"reason": str(error)}
        self.add(section, job, contender, **found)

    def saved(self, section: str, *jobs: Task) -> Iterator[list[tuple[Task, str]]]:
        """Yield jobs with their arrays, and their files; where data is missing, add the reason."""
        self.say(f"  {jobs[0].label}")
        try:
            tasks = [prepared(job) for job in jobs]
        except DataError as error:
            self.add(section, jobs[0].label, "", reason=str(error).splitlines()[0])
            return
        with tempfile.TemporaryDirectory(prefix="minigrad-bench-") as folder:
            paths = [str(Path(folder, f"task-{i}.npz")) for i in range(len(tasks))]
            for task, path in zip(tasks, paths, strict=True):
                task.save(path)
            yield list(zip(tasks, paths, strict=True))

    def each(self, section: str, job: Task, contenders: Sequence[str], measure: Measure) -> None:
        """Measure a job with one contender after the other."""
        for [(_, path)] in self.saved(section, job):
            for contender in contenders:
                self.attempt(section, job.label, contender, measure, path)

    def race(self, section: str, job: Task, contenders: Sequence[str]) -> None:
        """Let contenders race on a job; the last record is the floor, if minigrad trains."""
        checked = [job.certain] if job.certain != job else []  # for losses, at seed 0
        for [(task, path), *others] in self.saved(section, job, *checked):
            paths = [others[0][1] if others else path, path]

            def measure(contender: str, steps: int, seed: int, paths: Sequence[str] = paths) -> Any:
                return self.process(contender).measure(paths[seed > 0], contender, steps, seed)

            race(
                {contender: partial(measure, contender) for contender in contenders},
                partial(self.add, section, job.label),
                rounds=self.rounds,
                unit=self.unit,
                least=1 if task.direction else min(CHECK_STEPS, task.steps_per_epoch),
            )
            if contenders[0] in OURS and (task.operator or not task.direction):
                self.attempt(section, job.label, "floor", _floor, contenders[0])


def _floor(session: Session, _: str, contender: str) -> dict[str, Any]:
    """The shortest possible seconds of the step that a process has just run, and its work."""
    work = session.process(contender).ask("work")
    cores = session.threads * session.ceilings["flops_of_a_core"]
    most = {**session.ceilings, "flops": min(cores, session.ceilings["flops"])}
    return {"rounds": [floor(work, most)], **work}
