"""Section `distributed`: training steps on one and two ranks under `mpiexec`, the all-reduce alone,
and a grid search in one and two processes.

`scale.py` fits its model of the costs to what is measured here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

from .. import data, models
from ..errors import DataError
from ..train import grid_search
from . import scale
from .jobs import JOBS
from .process import Failed, Process
from .race import Row, agree, race
from .session import CHECK_STEPS, Found, Session

MODELS = ("J1a", "J2", "J3a", "J4b")  # the four models of the papers
#: samples of all ranks together: those of the table, those that the costs are fitted to, and those
#: held out from it
BATCH, FITTED, HELD_OUT = 128, (32, 64, 256), (128, 512)
RANKS = (1, 2)
SIZES = tuple(4**k for k in range(2, 12))  # bytes of an all-reduce, 16 to 4 Mi
GRID = {"lr": [0.003, 0.01, 0.03, 0.1]}
Groups = Mapping[tuple[int, int], Process]  # by ranks, and threads for each


def distributed(session: Session, found: Found) -> None:
    """Samples per second on one rank and two, with one thread and more; an all-reduce; a grid."""
    with ExitStack() as ended:
        groups = {}
        try:
            for ranks in RANKS:
                for threads in sorted({1, session.settings.threads}):
                    group = session.start("ranks", threads, ranks=ranks)
                    groups[ranks, threads] = ended.enter_context(group)
        except Failed as error:
            found["reason"] = str(error)
            return
        session.say("  all-reduce between two ranks")
        seconds = _race(session, {n: partial(_all_reduce, groups[2, 1], n) for n in SIZES})
        found["all_reduce"] = {"sizes": SIZES, "seconds": [seconds[n]["median"] for n in SIZES]}
        found["jobs"] = {}
        for name in (name for name in MODELS if name in session.settings.jobs):
            session.say(f"  job {name} on one rank and two")
            job = found["jobs"][name] = {
                "title": JOBS[name].title,
                "batch": BATCH,
                "held_out": HELD_OUT,
            }
            try:
                job |= _job(session, groups, name)
            except (DataError, Failed) as error:
                job["reason"] = str(error).splitlines()[0]
    session.say("  grid search in one process and two")
    found["grid"] = _grid(session)


def _race(session: Session, measures: Mapping[Any, Callable[..., Any]]) -> dict[Any, Row]:
    """Rows of a race in which nobody may fail; its rounds are half as long, for they are many."""
    rows: dict[Any, Row] = {}
    settings = session.settings
    race(
        rows,
        measures,
        rounds=settings.rounds,
        unit=settings.unit / 2,
        check_steps=CHECK_STEPS,
        least=CHECK_STEPS,
    )
    for row in rows.values():
        if "reason" in row:
            raise Failed(row["reason"])
    return rows


def _all_reduce(group: Process, size: int, steps: int, seed: int) -> Any:
    return group.ask("all_reduce", size=size, steps=steps)


def _job(session: Session, groups: Groups, name: str) -> Found:
    folder, _ = session.task(name, JOBS[name])
    for group in groups.values():
        group.load(folder, "compiled")

    def measure(point: tuple[int, int, int], steps: int, seed: int) -> Any:
        ranks, threads, batch = point
        return groups[ranks, threads].ask("measure", steps=steps, seed=seed, batch=batch)

    points = [
        (*group, batch)
        for group in groups
        for batch in sorted({BATCH, *FITTED, *HELD_OUT})
        if group[1] == 1 or batch == BATCH
    ]
    rows = _race(session, {point: partial(measure, point) for point in points})
    batches = {batch for *_, batch in points}
    equal = [agree(row for (*_, b), row in rows.items() if b == batch) for batch in batches]
    scatter = median(
        row["waiting"] / row["computing"] / scale.slowest(2)
        for (ranks, threads, batch), row in rows.items()
        if (ranks, threads) == (2, 1) and batch not in HELD_OUT
    )
    told = [_told(point, row) for point, row in rows.items()]
    return {
        "bytes": rows[2, 1, BATCH]["bytes"],
        "scatter": scatter,
        "agree": all(equal),
        "rows": [each for each in told if each["batch"] == BATCH],
        "points": [each for each in told if each["threads"] == 1],
    }


def _told(point: tuple[int, int, int], row: Row) -> Found:
    """A row as the report has it; `each` is how many threads a rank got."""
    ranks, threads, batch = point
    parts = ("computing", "waiting", "talking", "rounds")
    return {
        "ranks": ranks,
        "threads": threads,
        "batch": batch,
        "each": row["threads"],
        "seconds": row["median"],
        **{name: row[name] for name in parts if name in row},
    }


def _grid(session: Session) -> Found:
    """Seconds of a grid search in this process and in two others."""
    circle = data.circle(4000, seed=1)
    x, y = circle.x_train, circle.y_train

    def search(n_jobs: int, epochs: int) -> float:
        began = perf_counter()
        more = {"folds": 2, "epochs": epochs, "batch_size": 32, "n_jobs": n_jobs}
        grid_search(models.mlp, x, y, GRID, **more)
        return perf_counter() - began

    for n_jobs in (1, 2):  # starts the processes, which load what is compiled
        search(n_jobs, 1)
    epochs = 60 if session.settings.quick else 300
    times = [(search(1, epochs), search(2, epochs)) for _ in range(min(3, session.settings.rounds))]
    one, two = map(median, zip(*times, strict=True))
    gains = [alone / shared for alone, shared in times]
    low, high = min(gains), max(gains)
    gain = median(gains)
    return {
        "fits": 2 * len(GRID["lr"]),
        "one": one,
        "two": two,
        "gain": gain,
        "low": low,
        "high": high,
    }
