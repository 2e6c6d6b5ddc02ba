"""The sections of `minigrad bench`.

Each section fills a dictionary as it goes, so that Ctrl-C leaves what there is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import perf_counter
from typing import Any

from .jobs import JOBS, OPERATORS, SCALING, scaled
from .process import Failed
from .race import Found
from .ranks import distributed
from .session import CHECK_STEPS, OURS, Session

#: of each library, the mode that does well from small to large
USUAL = ("minigrad compiled", "torch fused", "jax step", "autograd", "mygrad")


def jobs(session: Session, found: Found) -> None:
    """Seconds per training step: minigrad's compiled mode beside the peers."""
    for name in session.settings.jobs:
        session.race(found, name, JOBS[name], session.settings.contenders())


def modes(session: Session, found: Found) -> None:
    """Seconds per training step in minigrad's three modes, beside PyTorch's eager one."""
    for name in session.settings.jobs:
        contenders = session.settings.contenders(*OURS, "torch eager")
        session.race(found, name, JOBS[name], contenders)


def kernels(session: Session, found: Found) -> None:
    """Seconds of single operators, forward and backward, beside PyTorch's in both layouts."""
    for name, job in OPERATORS.items():
        images = ["torch channels-last"] * (job.kind in ("Conv2d", "MaxPool2d"))
        contenders = session.settings.contenders("minigrad replay", "torch NCHW", *images)
        ways = found[name] = {"title": job.title, "operator": job.kind}
        for way in ("forward", "backward"):
            session.race(ways, way, replace(job, direction=way), contenders, name=f"{name} {way}")


def scaling(session: Session, found: Found) -> None:
    """Seconds per step as the batch, the time steps, the channels and the threads grow."""
    settings = session.settings
    contenders = settings.contenders(*USUAL[:3])
    for axis, sizes in SCALING.items():
        found[axis] = {}
        for size in sizes[::2] if settings.quick else sizes:
            job, name = scaled(axis, size), f"{axis} {size}"
            session.race(found[axis], str(size), job, contenders, name=name)
    found["threads"] = {}
    for n in range(1, settings.threads + 1):
        session.race(found["threads"], str(n), JOBS["J1a"], contenders, name="J1a", threads=n)


def memory(session: Session, found: Found) -> None:
    """Peak memory of a job's process, and what minigrad's modes allocate in further steps."""
    for name in session.settings.jobs:
        if (given := session.task(found, name, JOBS[name])) is None:
            continue
        entry, folder, task = given
        contenders = session.settings.contenders(*USUAL)
        rows = {c: _or_reason(_peak, session, c, folder) for c in contenders}
        further = {c.split()[1]: _or_reason(_allocations, session, c, folder) for c in OURS}
        samples = task.arrays["x"].nbytes + task.arrays["y"].nbytes
        entry |= {"samples": samples, "rows": rows, "allocations": further}


def _or_reason(measure: Callable[..., Found], *arguments: Any) -> Found:
    try:
        return measure(*arguments)
    except Failed as error:
        return {"reason": str(error)}


def _peak(session: Session, contender: str, folder: str) -> Found:
    """Of the second process, if it is minigrad's: the first one may compile."""
    for _ in range(2 if contender in OURS else 1):
        with session.start(contender) as process:
            imported = process.ask("peak_memory")
            process.load(folder, contender)
            process.ask("measure", steps=CHECK_STEPS, seed=0)
            peak = process.ask("peak_memory")
    return {"peak": peak, "imported": imported}


def _allocations(session: Session, contender: str, folder: str) -> Found:
    with session.start(contender, extra={"NUMBA_NRT_STATS": "1"}) as process:
        process.load(folder, contender)
        return dict(process.ask("allocations", steps=CHECK_STEPS))


def startup(session: Session, found: Found) -> None:
    """Seconds from the start of a process to the import and to the first step.

    With an empty cache folder, then again with what that run left in it; one job of each model, and
    torch.compile, which is slow, in the first alone.
    """
    large, chosen = {"J1b": "J1a", "J3b": "J3a", "J4b": "J4a"}, session.settings.jobs
    contenders = [*session.settings.contenders(), "minigrad replay"]
    for name in (name for name in chosen if large.get(name) not in chosen):
        if given := session.task(found, name, JOBS[name]):
            entry, folder, _ = given
            entry["rows"] = {
                c: _or_reason(_starts, session, c, folder)
                for c in contenders
                if c not in ("jax scan", "torch fused")
            }
            contenders = [c for c in contenders if c != "torch compile"]


def _starts(session: Session, contender: str, folder: str) -> Found:
    times: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as caches:
        extra = {"NUMBA_CACHE_DIR": caches, "TORCHINDUCTOR_CACHE_DIR": caches}
        for _ in range(2 if session.settings.quick else 3):
            with session.start(contender, extra=extra) as process:
                imported = perf_counter() - process.started
                process.load(folder, contender)
                process.ask("measure", steps=1, seed=0)
                times.append({"import": imported, "step": perf_counter() - process.started})
    cold, *warm = times
    return {"cold": cold, "warm": {name: min(each[name] for each in warm) for name in cold}}


SECTIONS: Mapping[str, Callable[[Session, Found], None]] = {
    "jobs": jobs,
    "kernels": kernels,
    "modes": modes,
    "memory": memory,
    "startup": startup,
    "scaling": scaling,
    "distributed": distributed,
}
#: what "all" means: everything beside the peers; ranks have a command and a file of their own
ALL = tuple(name for name in SECTIONS if name != "distributed")
