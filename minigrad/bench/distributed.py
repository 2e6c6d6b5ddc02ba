"""Section `distributed`: data-parallel steps on one and two ranks under `mpiexec`, the all-reduce
alone, and a grid search in one and two processes. What is measured here is what `scale.py` fits its
model to.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import ExitStack, suppress
from math import ceil
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .. import data, models
from ..distribution import install_hint
from ..errors import DataError
from ..train import grid_search
from . import scale
from .jobs import JOBS
from .process import PATIENCE, Failed, Process, environment
from .race import AGREE

if TYPE_CHECKING:
    from .sections import Bench

Found = dict[str, Any]
MODELS = ("J1a", "J2", "J3a", "J4b")  # the four models of the papers
#: samples of all ranks together: that of the table, then those that the model of costs is fitted
#: to, and those kept from it
BATCH, FITTED, HELD_OUT = 128, (32, 64, 256), (128, 512)
RANKS = (1, 2)
SIZES = tuple(4**k for k in range(2, 12))  # bytes of an all-reduce, 16 to 4 Mi
WARM = 10  # steps before the first round: they compile, and their losses are compared
GRID = {"lr": [0.003, 0.01, 0.03, 0.1]}


class Group(Process):
    """The ranks of one `mpiexec`, which do everything together. Raises `Failed` where MPI is
    missing or a rank ends.
    """

    def __init__(self, ranks: int, threads: int, patience: float = PATIENCE) -> None:
        self.library, self.patience, self._made = "minigrad", patience, 0
        command = [_mpiexec(), "-n", str(ranks), sys.executable, "-m", f"{__package__}.ranks"]
        self._start(command, environment(threads, {}))

    def end(self) -> None:
        """Rank 0 hears the end of its input, and all end together; who does not is killed."""
        assert self._process.stdin is not None
        with suppress(OSError, subprocess.TimeoutExpired):
            self._process.stdin.close()
            self._process.wait(5)
        super().end()


def _mpiexec() -> str:
    """The launcher beside this Python, or that of the system. Raises `Failed` where there is none,
    or no mpi4py.
    """
    found = shutil.which(
        "mpiexec",
        path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    )
    missing = [
        name
        for name, there in (("mpi4py", importlib.util.find_spec("mpi4py")), ("mpiexec", found))
        if not there
    ]
    if missing:
        raise Failed(f"no {' and no '.join(missing)}: {install_hint('distributed')}")
    assert found is not None
    return found


def distributed(bench: Bench, found: Found) -> None:
    """Samples per second on one rank and two, with one thread and more each; what the ranks' talk
    costs; a grid search.
    """
    threads = sorted({1, bench.settings.threads})
    with ExitStack() as ended:
        groups = {}
        try:
            for point in ((ranks, each) for ranks in RANKS for each in threads):
                groups[point] = ended.enter_context(Group(*point))
                bench.learn(groups[point].versions)
        except Failed as error:
            found["reason"] = str(error)
            return
        bench.say("all-reduce between two ranks")
        found["all_reduce"] = _all_reduce(bench, groups[2, 1])
        found["jobs"] = {}
        for name in (name for name in MODELS if name in bench.settings.jobs):
            bench.say(f"job {name} on one rank and two")
            found["jobs"][name] = _job(bench, groups, name)
    bench.say("grid search in one process and two")
    found["grid"] = _grid(bench)


def in_turn(rounds: int, measures: Mapping[Hashable, Callable[[int], Any]]) -> dict[Any, list[Any]]:
    """What each measure gave, asked in turn, round after round, each round beginning with another
    one.
    """
    found: dict[Any, list[Any]] = {key: [] for key in measures}
    keys = list(measures)
    for turn in range(rounds):
        first = turn % len(keys)
        for key in keys[first:] + keys[:first]:
            found[key].append(measures[key](turn))
    return found


def _all_reduce(bench: Bench, group: Process) -> Found:
    def measure(size: int, times: int) -> float:
        return float(
            group.tell("call", what="all_reduce", **{"with": {"size": size, "times": times}})[
                "result"
            ]
        )

    times = {size: _enough(bench, measure(size, 20), 2) for size in SIZES}
    seconds = in_turn(
        bench.settings.rounds, {s: lambda turn, s=s: measure(s, times[s]) for s in SIZES}
    )
    return {"sizes": list(SIZES), "seconds": [median(seconds[size]) for size in SIZES]}


def _enough(bench: Bench, seconds: float, least: int) -> int:
    """How many times to do what takes so many seconds, for half of a round."""
    return max(least, min(ceil(bench.settings.unit / 2 / seconds), 50_000))


def _job(bench: Bench, groups: Mapping[tuple[int, int], Process], name: str) -> Found:
    job = JOBS[name]
    found: Found = {"title": job.title, "batch": BATCH, "held_out": list(HELD_OUT)}
    try:
        folder = bench.task(name, job)[0]
        made = {point: group.make("compiled", folder=folder) for point, group in groups.items()}

        def ask(ranks: int, threads: int, batch: int, steps: int, seed: int) -> Found:
            group, number = groups[ranks, threads], made[ranks, threads]
            return dict(group.ask(number, "measure", batch=batch, steps=steps, seed=seed)["result"])

        points = [
            (ranks, each, batch)
            for ranks, each in groups
            for batch in sorted({BATCH, *FITTED, *HELD_OUT})
            if each == 1 or batch == BATCH
        ]
        warm = {point: ask(*point, WARM, 0) for point in points}
        steps = {point: _enough(bench, ask(*point, WARM, 1)["seconds"], WARM) for point in points}
        rounds = in_turn(
            bench.settings.rounds,
            {p: lambda turn, p=p: ask(*p, steps[p], 1000 + turn) for p in points},
        )
        for point, group in groups.items():
            group.drop(made[point])
    except (DataError, Failed) as error:
        return {**found, "reason": str(error).splitlines()[0]}
    told = [_told(point, answers) for point, answers in rounds.items()]
    shared = [p for p in told if p["ranks"] == 2 and p["threads"] == 1]
    scatter = median(
        p["waiting"] / p["computing"] / scale.slowest(2)
        for p in shared
        if p["batch"] not in HELD_OUT
    )
    return {
        **found,
        "bytes": rounds[2, 1, BATCH][0]["bytes"],
        "scatter": scatter,
        "agree": _agree(warm),
        "rows": [p for p in told if p["batch"] == BATCH],
        "points": [p for p in told if p["threads"] == 1],
    }


def _told(point: tuple[int, int, int], answers: Sequence[Found]) -> Found:
    """The medians of what the rounds gave, and what each took in all; `each` is how many threads a
    rank got.
    """
    names = [name for name in ("seconds", "computing", "waiting", "talking") if name in answers[0]]
    found = dict(zip(("ranks", "threads", "batch"), point, strict=True)) | {
        "each": answers[0]["threads"]
    }
    return (
        found
        | {name: median(a[name] for a in answers) for name in names}
        | {"rounds": [a["seconds"] for a in answers]}
    )


def _agree(warm: Mapping[tuple[int, int, int], Found]) -> bool:
    """Do all ranks and threads come to the same losses, batch size by batch size?"""
    for batch in {batch for *_, batch in warm}:
        losses = [found["loss"] for (*_, b), found in warm.items() if b == batch]
        if not max(losses) - min(losses) <= AGREE * max(map(abs, losses)):
            return False
    return True


def _grid(bench: Bench) -> Found:
    """Seconds of a grid search in this process and in two others."""
    circle = data.circle(4000, seed=1)

    def search(jobs: int, epochs: int) -> float:
        began = perf_counter()
        grid_search(
            models.mlp,
            circle.x_train,
            circle.y_train,
            GRID,
            folds=2,
            epochs=epochs,
            batch_size=32,
            n_jobs=jobs,
        )
        return perf_counter() - began

    for jobs in (1, 2):  # starts the processes, which load what is compiled
        search(jobs, 1)
    epochs = 60 if bench.settings.quick else 300
    rounds = in_turn(
        min(3, bench.settings.rounds),
        {jobs: lambda turn, j=jobs: search(j, epochs) for jobs in (1, 2)},
    )
    gains = [one / two for one, two in zip(rounds[1], rounds[2], strict=True)]
    return {
        "fits": 2 * len(GRID["lr"]),
        "one": median(rounds[1]),
        "two": median(rounds[2]),
        "gain": median(gains),
        "low": min(gains),
        "high": max(gains),
    }
