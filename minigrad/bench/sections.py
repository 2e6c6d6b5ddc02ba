"""What `minigrad bench` measures, section by section.

Each section fills a dictionary as it goes, so that Ctrl-C leaves what there is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from time import perf_counter
from typing import Any

from ..errors import DataError
from .jobs import JOBS, OPERATORS, SCALING, scaled
from .process import Failed
from .race import Contender
from .ranks import distributed
from .session import CHECK_STEPS, MODES, Found, Session

#: of each library, the mode that does well from small to large
USUAL = ("minigrad compiled", "torch fused", "jax step", "autograd", "mygrad")


def jobs(session: Session, found: Found) -> None:
    """Seconds per training step: minigrad's compiled mode beside the peers."""
    for name in session.settings.jobs:
        session.race(found, name, JOBS[name], session.settings.all_contenders)


def kernels(session: Session, found: Found) -> None:
    """Seconds of single operators, forward and backward, beside PyTorch's in both layouts."""
    for name, job in OPERATORS.items():
        images = ["torch channels-last"] * (job.kind in ("conv2d", "max_pool2d"))
        contenders = session.settings.contenders("minigrad replay", "torch NCHW", *images)
        found[name] = {"title": job.title, "operator": job.kind}
        for way in ("forward", "backward"):
            directed = replace(job, direction=way)
            session.race(found[name], way, directed, contenders, name=f"{name} {way}")


def modes(session: Session, found: Found) -> None:
    """Seconds per training step in minigrad's three modes, beside PyTorch's eager one."""
    ours = [f"minigrad {mode}" for mode in MODES["minigrad"]]
    for name in session.settings.jobs:
        contenders = session.settings.contenders(*ours, "torch eager")
        session.race(found, name, JOBS[name], contenders)


def scaling(session: Session, found: Found) -> None:
    """Seconds per step as the batch, the time steps, the channels and the threads grow."""
    settings = session.settings
    contenders = settings.contenders(*USUAL[:3])
    for axis, sizes in SCALING.items():
        found[axis] = {}
        for size in sizes[::2] if settings.quick else sizes:
            job = scaled(axis, size)
            session.race(found[axis], str(size), job, contenders, name=f"{axis} {size}")
    found["threads"] = {}
    for n in range(1, settings.threads + 1):
        session.race(found["threads"], str(n), JOBS["J1a"], contenders, name="J1a", threads=n)


def _folders(session: Session, found: Found, names: list[str]) -> Iterator[tuple[str, str]]:
    """(name, folder) of each job; where data is missing, `found` gets the reason."""
    for name in names:
        session.say(f"  {name}")
        try:
            yield name, session.task(name, JOBS[name])[0]
        except DataError as error:
            found[name] = {"reason": str(error).splitlines()[0]}


def _or_reason(measure: Callable[..., Found], *arguments: Any) -> Found:
    try:
        return measure(*arguments)
    except Failed as error:
        return {"reason": str(error)}


def memory(session: Session, found: Found) -> None:
    """Peak memory of a job's process, and what minigrad's modes allocate in further steps."""
    for name, folder in _folders(session, found, list(session.settings.jobs)):
        _, task = session.task(name, JOBS[name])
        found[name] = {
            "samples": task.arrays["x"].nbytes + task.arrays["y"].nbytes,
            "rows": {
                c.name: _or_reason(_peak, session, c, folder)
                for c in session.settings.contenders(*USUAL)
            },
            "allocations": {
                mode: _or_reason(_allocations, session, mode, folder) for mode in MODES["minigrad"]
            },
        }


def _peak(session: Session, contender: Contender, folder: str) -> Found:
    """Of the second process, if it is minigrad's: the first one may compile."""
    for _ in range(2 if contender.library == "minigrad" else 1):
        with session.start(contender.library) as process:
            imported = process.ask("peak_memory")
            process.load(folder, contender.mode)
            process.ask("measure", steps=CHECK_STEPS, seed=0)
            peak = process.ask("peak_memory")
    return {"peak": peak, "imported": imported}


def _allocations(session: Session, mode: str, folder: str) -> Found:
    with session.start("minigrad", extra={"NUMBA_NRT_STATS": "1"}) as process:
        process.load(folder, mode)
        return dict(process.ask("allocations", steps=CHECK_STEPS))


def startup(session: Session, found: Found) -> None:
    """Seconds from the start of a process to the import and to the first step.

    With an empty cache folder, then again with what that run left in it; one job of each model, and
    torch.compile, which is slow, in the first alone.
    """
    large = {"J1b": "J1a", "J3b": "J3a", "J4b": "J4a"}
    chosen = session.settings.jobs
    names = [name for name in chosen if large.get(name) not in chosen]
    contenders = session.settings.all_contenders + session.settings.contenders("minigrad replay")
    for name, folder in _folders(session, found, names):
        rows = found[name] = {"rows": {}}
        for c in contenders:
            if c.mode not in ("scan", "fused") and (c.mode != "compile" or name == names[0]):
                rows["rows"][c.name] = _or_reason(_starts, session, c, folder)


def _starts(session: Session, contender: Contender, folder: str) -> Found:
    times: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as caches:
        extra = {"NUMBA_CACHE_DIR": caches, "TORCHINDUCTOR_CACHE_DIR": caches}
        for _ in range(2 if session.settings.quick else 3):
            with session.start(contender.library, extra=extra) as process:
                imported = perf_counter() - process.started
                process.load(folder, contender.mode)
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
