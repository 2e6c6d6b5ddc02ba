"""Section `distributed` in words: what was measured, the fitted costs, and what they predict."""

from __future__ import annotations

from statistics import median

from ..viz.scene.text import quantity
from . import scale
from .race import Found
from .table import markdown, notes, plain, seconds, size, spread

AT, BATCH = 64, 1024  # workers and samples for which the tables say what would help


def distributed(section: Found) -> str:
    """All tables of the section, as far as it was measured; without MPI, why it was left out."""
    if "reason" in section:
        return f"distributed: left out: {section['reason']}"
    every = section.get("jobs", {})
    jobs = {name: dict(job) for name, job in every.items() if "rows" in job}
    parts = [_throughput(jobs)] if jobs else []
    parts.append(notes({name: job for name, job in every.items() if "reason" in job}))
    if "all_reduce" in section:
        network = scale.network_of(section)
        parts.append(_all_reduce(section["all_reduce"], network))
        for job in jobs.values():
            job["cost"] = scale.cost_of(job, network)
        parts += [_costs(jobs, network), _cluster(jobs)] if jobs else []
    if "grid" in section:
        grid = section["grid"]
        took = f"{seconds(grid['one'])} in one process, {seconds(grid['two'])} in two"
        gain = spread(grid["gain"], grid["low"], grid["high"])
        parts.append(f"grid search of {grid['fits']} fits: {took}; {gain} times as fast in two")
    return "\n\n".join(filter(None, parts))


def _share(x: float) -> str:
    return f"{x:.0%}"


def _title(key: str, job: Found) -> str:
    return f"{key} {job['title']}"


def _throughput(jobs: Found) -> str:
    """Samples per second; the all-reduce's share of a step, and that of waiting in it."""
    lines, columns, limited = [], [], set()
    for key, job in jobs.items():
        at = {f"{row['ranks']} × {row['threads']}": row for row in job["rows"]}
        columns = list(at)
        one, two = at["1 × 1"], at["2 × 1"]
        rates = [float(f"{job['batch'] / row['seconds']:.3g}") for row in at.values()]
        gain = plain(one["seconds"] / two["seconds"])
        whole = two["computing"] + two["talking"]
        shares = [_share(two[part] / whole) for part in ("talking", "waiting")]
        agree = "yes" if job["agree"] else "NO"
        told = [f"{rate:,.0f}" for rate in rates]
        lines.append([_title(key, job), size(job["bytes"]), *told, gain, *shares, agree])
        limited |= {
            f"{name}: only {row['each']} for each rank: all cores are in use"
            for name, row in at.items()
            if row["each"] < row["threads"]
        }
    batch = next(iter(jobs.values()))["batch"]
    head = [f"samples/s, ranks × threads, batch {batch} in all", "gradient", *columns]
    more = ["2 × 1 ÷ 1 × 1", "all-reduce", "of it waiting", "same losses"]
    return "\n\n".join([markdown([*head, *more], lines), *sorted(limited)])


def _all_reduce(found: Found, network: scale.Network) -> str:
    """The all-reduce alone, and the two numbers fitted to it."""
    rows = [
        [size(n), seconds(took), seconds(network.all_reduce(2, n))]
        for n, took in zip(found["sizes"], found["seconds"], strict=True)
    ]
    rate = quantity(network.bandwidth, "B/s")
    between = f"between two ranks: latency {seconds(network.latency)}, bandwidth {rate}"
    return f"{markdown(['all-reduce of', 'measured', 'fitted'], rows)}\n\n{between}"


def _costs(jobs: Found, network: scale.Network) -> str:
    """The fitted numbers, and their errors, also for batch sizes that were held out."""
    rows = []
    for key, job in jobs.items():
        cost, errors = job["cost"], []
        for held_out in (False, True):
            measured = scale.measured_of(job, held_out)
            off = [abs(error) for error in scale.errors(cost, network, measured)]
            errors.append(f"{_share(median(off))}, {_share(max(off))}")
        parts = map(seconds, (cost.step, cost.sample, cost.leave, cost.beside))
        rows.append([key, *parts, _share(cost.scatter), *errors])
    costs = ["step", "a sample", "leaving", "a sample beside another rank", "scatter"]
    return markdown(["cost of a step", *costs, "off: median, most", "unseen batches"], rows)


def _cluster(jobs: Found) -> str:
    """Where more machines stop paying, and what would help."""
    network, paying, helping = scale.CLUSTER, [], []
    for name, job in jobs.items():
        cost = job["cost"].apart()
        best = scale.best(cost, BATCH, network)
        one, most, at = (cost.seconds(n, BATCH, network) for n in (1, best, AT))
        half = scale.pays_until(cost, BATCH, network)
        paying.append([_title(name, job), str(best), plain(one / most), str(half)])
        gains = scale.remedies(cost, AT, BATCH, network).values()
        helping.append([name, plain(one / at), *map(plain, gains)])
    rate = quantity(8 * network.bandwidth, "bit/s")
    where = f"batch {BATCH:,}, machines at {quantity(network.latency, 's')} and {rate}"
    first = [where, "fastest with", "then times as fast as one", "half is used up to"]
    remedies = [f"{name}: times" for name in scale.REMEDIES]
    second = [f"{AT} of them", "times as fast as one", *remedies]
    return f"{markdown(first, paying)}\n\n{markdown(second, helping)}"
