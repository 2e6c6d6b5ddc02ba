"""The sections of `minigrad bench`: which contenders race on which jobs, and what else is measured.

Each adds its records to the session as it goes, so that Ctrl-C leaves what there is.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from .. import data, models
from ..train import grid_search
from ..viz.scene.text import quantity
from .disturbance import Rounds
from .jobs import JOBS, NETWORKS, OPERATORS, SCALING, changed, few, scaled
from .peers.task import Task
from .process import Failed
from .race import race
from .scale import BATCHES
from .session import CHECK_STEPS, FIRST_STEPS, OURS, THEIRS, Session

#: of each library, the mode that does well from small to large
USUAL = ("minigrad compiled", "torch fused", "jax step")
SIZES = tuple(4**k for k in range(2, 12))  # bytes of an all-reduce, 16 to 4 Mi


def _layouts(job: Task) -> list[str]:
    """PyTorch's other layout, for images: sometimes faster."""
    return ["torch channels-last"] * (job.kind in ("Conv2d", "MaxPool2d", "lenet", "residual"))


def jobs(session: Session) -> None:
    """Seconds per training step: minigrad's compiled mode beside the peers."""
    for job in (JOBS[name] for name in session.jobs):
        session.race("jobs", job, session.contenders(OURS[0], *THEIRS, *_layouts(job)))


def modes(session: Session) -> None:
    """Seconds per training step in minigrad's three modes, beside PyTorch's eager one."""
    for name in _one_of_each(session):
        session.race("modes", JOBS[name], session.contenders(*OURS, "torch eager"))


def kernels(session: Session) -> None:
    """Seconds of single operators, forward and backward, beside PyTorch's in both layouts."""
    for job in OPERATORS:
        contenders = session.contenders("minigrad replay", "torch NCHW", *_layouts(job))
        for way in ("forward", "backward"):
            session.race("kernels", replace(job, direction=way), contenders)


def scaling(session: Session) -> None:
    """Seconds per step as the batch, the time steps, the channels and the threads grow."""
    contenders = session.contenders(*USUAL)
    for axis, sizes in SCALING.items():
        for size in sizes[::2] if session.quick else sizes:
            session.race(axis, scaled(axis, size), contenders)
    for n in range(1, session.threads + 1):
        job = replace(JOBS["J1a"], title=str(n))
        replace(session, threads=n).race("threads", job, contenders)


def memory(session: Session) -> None:
    """Peak memory of a job's process, and what minigrad's modes allocate in further steps."""
    for name in _one_of_each(session):
        session.each("memory", JOBS[name], session.contenders(*USUAL), _peak)
        session.each("allocations", JOBS[name], OURS, _further)


def _peak(session: Session, contender: str, path: str) -> dict[str, Any]:
    """Of the second process, if it is minigrad's: the first one may compile."""
    for _ in range(2 if contender in OURS else 1):
        with session.start(contender) as process:
            process.measure(path, contender, CHECK_STEPS)
            peak = process.ask("peak_memory")
    return {"rounds": [peak], "unit": "B", "data": Path(path).stat().st_size}


def _further(session: Session, contender: str, path: str) -> dict[str, Any]:
    with session.start(contender, extra={"NUMBA_NRT_STATS": "1"}) as process:
        process.measure(path, contender, CHECK_STEPS)
        return {"unit": "B", **process.ask("allocations", steps=CHECK_STEPS)}


def _one_of_each(session: Session) -> list[str]:
    """The first of the chosen jobs with each model."""
    return [*{JOBS[name].kind: name for name in reversed(session.jobs)}.values()][::-1]


def looking(session: Session) -> None:
    """Seconds of `evaluate` and `predict` on the same samples, without training."""
    for name in session.jobs:
        names = ("minigrad compiled", "torch eager", *_layouts(JOBS[name]), "jax step")
        for way in ("evaluate", "predict"):
            job = replace(JOBS[name], direction=way)
            session.race("looking", job, session.contenders(*names))


def starting(session: Session) -> None:
    """Seconds to the end of a first short fit, and to the first step after a number has changed.

    The first fit is that of a new process, whose start counts. Minigrad's kernels are compiled, the
    step is not; then again with nothing compiled, as for torch.compile. The changes are made one
    after the other in that process, and each trains a new model.
    """
    names = ("minigrad compiled", "minigrad replay", "torch eager", "jax step", "torch compile")
    for name in _one_of_each(session):
        job = few(JOBS[name], FIRST_STEPS)
        changes = changed(job) if name in NETWORKS else {}
        for saved in session.saved("first fit", job, *changes.values()):
            labels = [job.label, *(f"{job.title}, {change}" for change in changes)]
            paths = [path for _, path in saved]
            with tempfile.TemporaryDirectory() as caches:
                for contender in session.contenders(*names[: 5 if changes else 4]):
                    _starts(session, contender, dict(zip(labels, paths, strict=True)), caches)


def _starts(session: Session, contender: str, paths: Mapping[str, str], caches: str) -> None:
    """Record a first fit and what follows in the same process, with caches in a folder."""
    extra = {"NUMBA_CACHE_DIR": caches, "TORCHINDUCTOR_CACHE_DIR": caches}

    def start(rounds: Rounds) -> Iterator[float]:
        with session.start(contender, extra=extra) as process:
            began, steps = process.started, FIRST_STEPS
            for path in paths.values():
                process.measure(path, contender, steps)
                yield perf_counter() - began
                began, steps = perf_counter(), 1
            rounds.done()  # while the process's own children can be counted

    def starts(name: str, forgotten: str, wanted: int) -> None:
        rounds, found = Rounds(wanted), list[list[float]]()
        while rounds.needed():
            for folder in Path(caches).glob(forgotten):
                shutil.rmtree(folder, ignore_errors=True)
            found.append([*start(rounds)])
        columns = zip(*(found[number] for number in rounds.quietest()), strict=True)
        sections = ["first fit", *["changed"] * (name == contender and len(paths) - 1)]
        for section, label, seconds in zip(sections, paths, columns, strict=False):
            session.add(section, label, name, rounds=seconds, **rounds.found())

    try:
        if contender == OURS[0]:
            starts("minigrad, empty caches", "*", 1)
        if contender == "torch compile":
            starts(contender, "*", 1)
        else:
            starts(contender, "*/steps*", max(1, session.rounds // 3))
    except Failed as error:
        session.add("first fit", next(iter(paths)), contender, reason=str(error))


def distributed(session: Session) -> None:
    """Steps on one MPI rank and two, with one thread and more; all-reduces; a grid search."""
    threads = sorted({1, session.threads})
    contenders = [f"ranks {ranks} × {each}" for ranks in (1, 2) for each in threads]
    try:
        for contender in contenders:
            session.process(contender)
    except Failed as error:
        session.add("distributed", "", "", reason=str(error))
        return
    for size in SIZES:
        job = Task(quantity(size, "B"), "all_reduce", (size,), direction="all_reduce")
        session.race("all-reduce", job, ["ranks 2 × 1"])
    for name in (name for name in _one_of_each(session) if name not in NETWORKS):
        for batch in BATCHES:
            session.race("distributed", replace(JOBS[name], batch=batch), contenders)
    _grid(session)


def _grid(session: Session) -> None:
    """A grid search in this process and in two others."""
    circle, epochs = data.circle(4000, seed=1), 60 if session.quick else 300
    grid = {"lr": [0.003, 0.01, 0.03, 0.1]}

    def search(n_jobs: int, steps: int, seed: int) -> dict[str, float]:
        began = perf_counter()
        recipe: Any = {"folds": 2, "epochs": epochs, "batch_size": 32, "n_jobs": n_jobs}
        grid_search(models.mlp, circle.x_train, circle.y_train, grid, **recipe)
        return {"seconds": perf_counter() - began, "steps": 1, "loss": 0.0}

    race(
        {"one process": partial(search, 1), "two processes": partial(search, 2)},
        partial(session.add, "grid", "grid search of 8 fits"),
        rounds=min(3, session.rounds),
        unit=session.unit,
    )


SECTIONS = {
    measure.__name__: measure
    for measure in (jobs, looking, starting, kernels, modes, memory, scaling, distributed)
}
#: what "all" means: everything beside the peers; ranks have a command and a file of their own
ALL = tuple(name for name in SECTIONS if name != "distributed")
