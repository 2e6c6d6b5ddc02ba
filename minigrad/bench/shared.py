"""Section `distributed` in words: steps on one rank and two, the model of their costs, and what it
says of a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from ..viz.scene.text import quantity
from . import scale
from .table import notes, plain, seconds, table

Section = Mapping[str, Any]
AT, BATCH = 64, 1024  # workers and samples for which the tables say what would help


def distributed(section: Section) -> str:
    """All tables of the section, as far as it was measured; where MPI is missing, why it was left
    out.
    """
    if "reason" in section:
        return f"distributed: left out: {section['reason']}"
    jobs = {name: job for name, job in section.get("jobs", {}).items() if "rows" in job}
    parts = [_throughput(jobs)] if jobs else []
    if said := notes(
        {name: job for name, job in section.get("jobs", {}).items() if "reason" in job}
    ):
        parts.append(said)
    if "all_reduce" in section:
        parts.append(_all_reduce(section["all_reduce"], scale.network_of(section)))
    if jobs:
        network = scale.network_of(section)
        costs = {name: scale.cost_of(job, network) for name, job in jobs.items()}
        parts += [
            _costs(jobs, costs, network),
            _cluster(jobs, {name: cost.apart() for name, cost in costs.items()}),
        ]
    if "grid" in section:
        parts.append(_grid(section["grid"]))
    return "\n\n".join(parts)


def _rate(batch: int, step: float) -> str:
    return f"{float(f'{batch / step:.3g}'):,.0f}"


def _share(x: float) -> str:
    return f"{x:.0%}"


def _throughput(jobs: Section) -> str:
    """Samples per second; which share of a step is all-reduce, and which is waiting in it for the
    slower rank.
    """
    points = [(row["ranks"], row["threads"]) for row in next(iter(jobs.values()))["rows"]]
    rows, limited = [], set()
    for name, job in jobs.items():
        found = {(row["ranks"], row["threads"]): row for row in job["rows"]}
        limited |= {
            (point, row["each"]) for point, row in found.items() if row["each"] < row["threads"]
        }
        one, two = found[1, 1], found[2, 1]
        whole = two["computing"] + two["talking"]
        agree = {True: "yes", False: "NO"}[job["agree"]]
        rates = [_rate(job["batch"], found[point]["seconds"]) for point in points]
        shares = [_share(two[name] / whole) for name in ("talking", "waiting")]
        gain = plain(one["seconds"] / two["seconds"])
        rows.append(
            [f"{name} {job['title']}", quantity(job["bytes"], "B"), *rates, gain, *shares, agree]
        )
    batch = next(iter(jobs.values()))["batch"]
    head = [
        f"samples/s, ranks × threads, batch {batch} in all",
        "gradient",
        *(f"{r} × {t}" for r, t in points),
    ]
    told = table([*head, "2 × 1 ÷ 1 × 1", "all-reduce", "of it waiting", "same losses"], rows)
    lines = [
        f"{r} × {t}: only {each} for each rank, for there are no more cores"
        for (r, t), each in sorted(limited)
    ]
    return "\n\n".join([told, *lines])


def _all_reduce(found: Section, network: scale.Network) -> str:
    """The all-reduce alone, and the two numbers fitted to it."""
    rows = [
        [quantity(size, "B"), seconds(took), seconds(network.all_reduce(2, size))]
        for size, took in zip(found["sizes"], found["seconds"], strict=True)
    ]
    between = (
        f"between two ranks: latency {seconds(network.latency)}, bandwidth "
        f"{quantity(network.bandwidth, 'B/s')}"
    )
    return f"{table(['all-reduce of', 'measured', 'fitted'], rows)}\n\n{between}"


def _costs(jobs: Section, costs: Mapping[str, scale.Cost], network: scale.Network) -> str:
    """The fitted numbers, and how far off they are, also for batch sizes that they have not
    seen.
    """
    rows = []
    for name, cost in costs.items():
        off = []
        for held_out in (False, True):
            sizes = sorted(
                map(abs, scale.errors(cost, network, scale.measured_of(jobs[name], held_out)))
            )
            off.append(f"{_share(median(sizes))}, {_share(sizes[-1])}")
        parts = (cost.step, cost.sample, cost.leave, cost.beside)
        rows.append([name, *map(seconds, parts), _share(cost.scatter), *off])
    head = [
        "cost of a step",
        "step",
        "a sample",
        "leaving",
        "a sample beside another rank",
        "scatter",
        "off: median, most",
        "unseen batches",
    ]
    return table(head, rows)


def _cluster(jobs: Section, costs: Mapping[str, scale.Cost]) -> str:
    """Where more machines stop paying, and what would help."""
    network, rows, helps = scale.CLUSTER, [], []
    for name, cost in costs.items():
        one, best = cost.seconds(1, BATCH, network), scale.best(cost, BATCH, network)
        rows.append(
            [
                f"{name} {jobs[name]['title']}",
                str(best),
                plain(one / cost.seconds(best, BATCH, network)),
                str(scale.pays_until(cost, BATCH, network)),
            ]
        )
        helps.append(
            [
                name,
                plain(one / cost.seconds(AT, BATCH, network)),
                *(plain(gain) for gain in scale.remedies(cost, AT, BATCH, network).values()),
            ]
        )
    where = (
        f"batch {BATCH:,}, machines at {quantity(network.latency, 's')} and "
        f"{quantity(8 * network.bandwidth, 'bit/s')}"
    )
    first = table([where, "fastest with", "then times as fast as one", "half is used up to"], rows)
    second = table(
        [f"{AT} of them", "times as fast as one", *(f"{name}: times" for name in scale.REMEDIES)],
        helps,
    )
    return f"{first}\n\n{second}"


def _grid(found: Section) -> str:
    gain = f"{plain(found['gain'])} times as fast ({plain(found['low'])}–{plain(found['high'])})"
    took = f"{seconds(found['one'])} in one process, {seconds(found['two'])} in two"
    return f"grid search of {found['fits']} fits: {took}, {gain}"
