"""What `minigrad bench` measures, section by section. Each fills a dictionary, so that Ctrl-C
leaves what there is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from ..errors import DataError
from . import kernels, scaling
from .distributed import distributed
from .floor import floor
from .jobs import JOBS, Job
from .process import LIBRARIES, Failed, Pool, Process
from .race import Contender, Entry, KernelRunner, agree, race

MODES = {
    "minigrad": ("compiled", "replay", "eager"),
    "torch": ("eager", "fused", "compile"),
    "jax": ("step", "scan"),
    "autograd": ("",),
    "mygrad": ("",),
}
PEERS = LIBRARIES[1:]
CHECK_STEPS = 10
Found = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """How long and with whom. `pythons` says in which Python a library lives, where it is not this
    one.
    """

    jobs: tuple[str, ...] = tuple(JOBS)
    peers: tuple[str, ...] = PEERS
    pythons: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    rounds: int = 7
    unit: float = 0.2
    quick: bool = False

    def contenders(self, *libraries: str) -> list[Contender]:
        """Those of minigrad's compiled mode and of all modes of the peers asked for, or of some
        libraries.
        """
        chosen = libraries or ("minigrad", *self.peers)
        pairs = [(library, mode) for library in chosen for mode in MODES[library]]
        left_out = {("torch", "compile")} if self.quick else set()
        if not libraries:
            left_out |= {("minigrad", "replay"), ("minigrad", "eager")}
        return [Contender(*pair) for pair in pairs if pair not in left_out]


class Bench:
    """What the sections share: settings, processes, a folder for tasks, the ceilings, and how to
    tell what goes on.
    """

    def __init__(self, settings: Settings, folder: Path, say: Callable[[str], None]) -> None:
        self.settings, self.folder, self.say = settings, folder, say
        self.pool = Pool(settings.pythons, settings.threads)
        self.ceilings: Found = {}
        self._tasks: dict[str, tuple[str, int]] = {}
        self._versions: dict[str, str] = {}

    def measure_ceilings(self) -> None:
        """Once, in minigrad's process."""
        self.say("ceilings of this machine")
        self.ceilings = self.pool.process("minigrad").tell("call", what="ceilings")["result"]

    def task(self, name: str, job: Job) -> tuple[str, int]:
        """The folder of a job's task and the steps after which losses are compared: whole epochs,
        or less than one.

        Written at the first call. Raises `DataError` where its data is missing.
        """
        if name not in self._tasks:
            task, folder = job.task(), self.folder / name
            task.save(folder)
            self._tasks[name] = str(folder), min(CHECK_STEPS, task.per_epoch)
        return self._tasks[name]

    def folders(self, found: Found, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """(name, folder) of each job; one whose data is missing has its reason in `found`."""
        for name in names:
            try:
                yield name, self.task(name, JOBS[name])[0]
            except DataError as error:
                found[name] = {"reason": str(error).splitlines()[0]}

    def race(
        self, name: str, job: Job, contenders: Iterable[Contender], pool: Pool | None = None
    ) -> Found:
        """A race between contenders for a job, for the report; `pool` is one with another number of
        threads.
        """
        found: Found = {"title": job.title, "batch": job.batch, "paper": job.paper}
        try:
            folder, check_steps = self.task(name, job)
        except DataError as error:
            return {**found, "reason": str(error).splitlines()[0]}
        return self._race(
            found, contenders, pool or self.pool, folder=folder, check_steps=check_steps
        )

    def race_kernel(
        self, kernel: kernels.Kernel, way: str, contenders: Iterable[Contender]
    ) -> Found:
        """The same for one way through a kernel."""
        message = {**kernel.save(self.folder / "kernel"), "way": way}
        return self._race({}, contenders, self.pool, runner=KernelRunner, kernel=message)

    def _race(
        self, found: Found, contenders: Iterable[Contender], pool: Pool, **what: Any
    ) -> Found:
        entries: list[Entry] = []
        try:
            self._floor(
                found, pool, **{key: what[key] for key in ("folder", "kernel") if key in what}
            )
            race(
                pool,
                contenders,
                entries,
                rounds=self.settings.rounds,
                unit=self.settings.unit,
                **what,
            )
        except KeyboardInterrupt:
            found["interrupted"] = True
        found["agree"] = agree(entries)
        found["rows"] = {entry.contender.name: entry.to_dict() for entry in entries}
        return found

    def _floor(self, found: Found, pool: Pool, **what: Any) -> None:
        try:
            ours = pool.process("minigrad")
            made = ours.make("eager", **what)
            found["work"] = ours.ask(made, "work")["result"]
            cores = {
                "flops": min(
                    pool.threads * self.ceilings["flops_of_a_core"], self.ceilings["flops"]
                )
            }
            found["floor"] = floor(found["work"], {**self.ceilings, **cores})
            ours.drop(made)
        except Failed as error:
            self.say(f"  no floor: {error}")

    def start(self, library: str, **extra: str) -> Process:
        """A fresh process of a library; raises `Failed`."""
        python = self.settings.pythons.get(library, "")
        process = Process(library, python=python, threads=self.settings.threads, extra=extra)
        self.learn(process.versions)
        return process

    def learn(self, versions: Mapping[str, str]) -> None:
        """Versions for the report, of a process that was started otherwise."""
        self._versions |= versions

    def versions(self) -> dict[str, str]:
        """Of every library that was started."""
        return {**self._versions, **self.pool.versions()}


def keep(found: Found, key: str, value: Found) -> None:
    """Put a result into the report, and end there if it was cut short."""
    found[key] = value
    if value.pop("interrupted", False):
        raise KeyboardInterrupt


# ---------------- the sections
def jobs(bench: Bench, found: Found) -> None:
    """Seconds per training step: minigrad's compiled mode beside the peers."""
    for name in bench.settings.jobs:
        bench.say(f"job {name}")
        keep(found, name, bench.race(name, JOBS[name], bench.settings.contenders()))


def modes(bench: Bench, found: Found) -> None:
    """Seconds per training step in minigrad's three modes, beside PyTorch's eager one."""
    peers = [Contender("torch", "eager")] if "torch" in bench.settings.peers else []
    for name in bench.settings.jobs:
        bench.say(f"modes, job {name}")
        keep(
            found, name, bench.race(name, JOBS[name], bench.settings.contenders("minigrad") + peers)
        )


def each_kernel(bench: Bench, found: Found) -> None:
    """Seconds of single operators, forward and backward, beside PyTorch's in both layouts."""
    for name, kernel in kernels.KERNELS.items():
        bench.say(f"kernel {name}")
        layouts = ("NCHW", "channels-last") if kernel.pictures else ("NCHW",)
        peers = [
            Contender("torch", layout) for layout in layouts if "torch" in bench.settings.peers
        ]
        found[name] = {"title": kernel.title, "operator": kernel.operator}
        for way in kernels.WAYS:
            keep(
                found[name],
                way,
                bench.race_kernel(kernel, way, [Contender("minigrad", "replay"), *peers]),
            )


def memory(bench: Bench, found: Found) -> None:
    """The most memory that a job's process held at once, and what minigrad's modes allocate in
    further steps.
    """
    for name, folder in bench.folders(found, bench.settings.jobs):
        bench.say(f"memory, job {name}")
        found[name] = {"samples": _bytes_of(Path(folder)), "rows": {}, "allocations": {}}
        for contender in _one_mode_each(bench):
            found[name]["rows"][contender.name] = _or_reason(
                lambda c=contender, f=folder: _peak(bench, c, f)
            )
        for mode in MODES["minigrad"]:
            found[name]["allocations"][mode] = _or_reason(
                lambda m=mode, f=folder: _allocations(bench, m, f)
            )


def _or_reason(measure: Callable[[], Found]) -> Found:
    try:
        return measure()
    except Failed as error:
        return {"reason": str(error)}


def _allocations(bench: Bench, mode: str, folder: str) -> Found:
    with bench.start("minigrad", NUMBA_NRT_STATS="1") as process:
        made = process.make(mode, folder=folder)
        found: Found = process.ask(made, "allocations", steps=CHECK_STEPS)["result"]
    return found


def _one_mode_each(bench: Bench) -> list[Contender]:
    """Of each library the mode that a user would take."""
    usual = {"minigrad": "compiled", "torch": "fused", "jax": "step"}
    return [
        Contender(library, usual.get(library, ""))
        for library in ("minigrad", *bench.settings.peers)
    ]


def _bytes_of(folder: Path) -> int:
    return sum((folder / f"{name}.npy").stat().st_size for name in "xy")


def _peak(bench: Bench, contender: Contender, folder: str) -> Found:
    """The second process is measured: what the first one compiled is on the disk then."""
    for _ in range(2 if contender.library == "minigrad" else 1):
        with bench.start(contender.library) as process:
            imported = process.tell("memory")["result"]
            made = process.make(contender.mode, folder=folder)
            process.ask(made, "train", steps=CHECK_STEPS, seed=0)
            peak = process.tell("memory")["result"]
    return {"peak": peak, "imported": imported}


def startup(bench: Bench, found: Found) -> None:
    """Seconds from a process's start to its library's import and to its first step: with an empty
    cache folder, then again with what that run left in it. One job of each model; `torch.compile`,
    which is slow, in the first.
    """
    chosen = [*bench.settings.contenders(), Contender("minigrad", "replay")]
    large = {"J1b": "J1a", "J3b": "J3a", "J4b": "J4a"}
    names = [name for name in bench.settings.jobs if large.get(name) not in bench.settings.jobs]
    for name, folder in bench.folders(found, names):
        bench.say(f"start-up, job {name}")
        rows = found[name] = {"rows": {}}
        for c in chosen:
            if c.mode not in ("scan", "fused") and (c.mode != "compile" or name == names[0]):
                rows["rows"][c.name] = _or_reason(lambda c=c, f=folder: _starts(bench, c, f))


def _starts(bench: Bench, contender: Contender, folder: str) -> Found:
    cold: Found = {}
    warm: list[Found] = []
    with tempfile.TemporaryDirectory() as caches:
        extra = {"NUMBA_CACHE_DIR": caches, "TORCHINDUCTOR_CACHE_DIR": caches}
        for turn in range(2 if bench.settings.quick else 3):
            with bench.start(contender.library, **extra) as process:
                imported = perf_counter() - process.started
                process.ask(process.make(contender.mode, folder=folder), "train", steps=1, seed=0)
                times = {"import": imported, "step": perf_counter() - process.started}
            if turn:
                warm.append(times)
            else:
                cold = times
    return {"cold": cold, "warm": {key: min(times[key] for times in warm) for key in cold}}


def growth(bench: Bench, found: Found) -> None:
    """Seconds per step as the batch, the steps, the channels and the threads grow."""
    contenders = [c for c in scaling.CONTENDERS if c.library in ("minigrad", *bench.settings.peers)]
    for axis, sizes in scaling.SIZES.items():
        found[axis] = {}
        for size in sizes[::2] if bench.settings.quick else sizes:
            bench.say(f"scaling, {axis} {size}")
            keep(
                found[axis],
                str(size),
                bench.race(f"{axis} {size}", scaling.job(axis, size), contenders),
            )
    found["threads"] = {}
    for threads in range(1, bench.settings.threads + 1):
        bench.say(f"scaling, threads {threads}")
        with Pool(bench.settings.pythons, threads) as pool:
            raced = bench.race(scaling.THREADS, JOBS[scaling.THREADS], contenders, pool)
            keep(found["threads"], str(threads), raced)


SECTIONS: Mapping[str, Callable[[Bench, Found], None]] = {
    "jobs": jobs,
    "kernels": each_kernel,
    "modes": modes,
    "memory": memory,
    "startup": startup,
    "scaling": growth,
    "distributed": distributed,
}
#: what "all" means: all that is told beside the peers; ranks have a command, and a file, of their
#: own
ALL = tuple(name for name in SECTIONS if name != "distributed")
