"""Section `distributed`: training steps on one and two ranks under `mpiexec`, the all-reduce alone,
and a grid search in one and two processes.

`scale.py` fits its model of the costs to these measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

from .. import data, models
from ..train import grid_search
from . import scale
from .jobs import JOBS
from .process import Failed, Process
from .race import Found, agree, race
from .session import CHECK_STEPS, Session

MODELS = ("J1a", "J2", "J3a", "J4b")  # the four models of the papers
#: samples of all ranks together: those of the table, those that the costs are fitted to, and those
#: held out from it
BATCH, FITTED, HELD_OUT = 128, (32, 64, 256), (128, 512)
RANKS = (1, 2)
SIZES = tuple(4**k for k in range(2, 12))  # bytes of an all-reduce, 16 to 4 Mi
GRID = {"lr": [0.003, 0.01, 0.03, 0.1]}


def distributed(session: Session, found: Found) -> None:
    """Samples per second on one rank and two, with one thread and more; an all-reduce; a grid."""
    settings = session.settings
    with ExitStack() as ended:
        groups: dict[tuple[int, int], Process] = {}  # by ranks, and threads of each
        try:
            for ranks in RANKS:
                for threads in sorted({1, settings.threads}):
                    group = session.start("ranks", threads, ranks=ranks)
                    groups[ranks, threads] = ended.enter_context(group)
        except Failed as error:
            found["reason"] = str(error)
            return
        session.say("  all-reduce between two ranks")
        seconds = _race(session, {n: partial(_all_reduce, groups[2, 1], n) for n in SIZES})
        found["all_reduce"] = {"sizes": SIZES, "seconds": [seconds[n]["median"] for n in SIZES]}
        found["jobs"] = {}
        for name in (name for name in MODELS if name in settings.jobs):
            if given := session.task(found["jobs"], name, JOBS[name]):
                entry, folder, _ = given
                try:
                    entry |= _job(session, groups, folder)
                except Failed as error:
                    entry["reason"] = str(error)
    session.say("  grid search in one process and two")
    found["grid"] = _grid(session)


def _race(session: Session, measures: Mapping[Any, Callable[..., Any]]) -> dict[Any, Found]:
    """Rows of a race that nobody may fail; its rounds are half as long, for they are many."""
    rows: dict[Any, Found] = {}
    unit, steps = session.settings.unit / 2, {"check_steps": CHECK_STEPS, "least": CHECK_STEPS}
    race(rows, measures, rounds=session.settings.rounds, unit=unit, **steps)
    for row in rows.values():
        if "reason" in row:
            raise Failed(row["reason"])
    return rows


def _all_reduce(group: Process, size: int, steps: int, seed: int) -> Any:
    return group.ask("all_reduce", size=size, steps=steps)


def _job(session: Session, groups: Mapping[tuple[int, int], Process], folder: str) -> Found:
    for group in groups.values():
        group.load(folder, "ranks compiled")

    def measure(point: tuple[int, int, int], steps: int, seed: int) -> Any:
        ranks, threads, batch = point
        return groups[ranks, threads].ask("measure", steps=steps, seed=seed, batch=batch)

    batches = sorted({BATCH, *FITTED, *HELD_OUT})
    points = [(*key, n) for key in groups for n in batches if key[1] == 1 or n == BATCH]
    rows = _race(session, {point: partial(measure, point) for point in points})
    told = []
    for (ranks, threads, batch), row in rows.items():
        point = {"ranks": ranks, "threads": threads, "batch": batch, "each": row["threads"]}
        parts = ("computing", "waiting", "talking", "rounds")
        measured = {name: row[name] for name in parts if name in row}
        told.append({**point, "seconds": row["median"], **measured})
    return {
        "batch": BATCH,
        "held_out": HELD_OUT,
        "bytes": rows[2, 1, BATCH]["bytes"],
        "scatter": median(
            point["waiting"] / point["computing"] / scale.slowest(2)
            for point in told
            if (point["ranks"], point["threads"]) == (2, 1) and point["batch"] not in HELD_OUT
        ),
        "agree": all(
            agree(row for (*_, n), row in rows.items() if n == batch) for batch in batches
        ),
        "rows": [point for point in told if point["batch"] == BATCH],
        "points": [point for point in told if point["threads"] == 1],
    }


def _grid(session: Session) -> Found:
    """Seconds of a grid search in this process and in two others."""
    circle = data.circle(4000, seed=1)
    x, y = circle.x_train, circle.y_train

    def search(n_jobs: int, epochs: int) -> float:
        began = perf_counter()
        recipe = {"folds": 2, "epochs": epochs, "batch_size": 32, "n_jobs": n_jobs}
        grid_search(models.mlp, x, y, GRID, **recipe)  # type: ignore[arg-type]  # all are integers
        return perf_counter() - began

    for n_jobs in (1, 2):  # starts the processes, which load compiled code
        search(n_jobs, 1)
    epochs = 60 if session.settings.quick else 300
    times = [(search(1, epochs), search(2, epochs)) for _ in range(min(3, session.settings.rounds))]
    one, two = map(median, zip(*times, strict=True))
    gains = sorted(alone / shared for alone, shared in times)
    spread = {"gain": median(gains), "low": gains[0], "high": gains[-1]}
    return {"fits": 2 * len(GRID["lr"]), "one": one, "two": two, **spread}
