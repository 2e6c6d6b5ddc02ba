"""A report with given numbers, for tables and pictures."""

from minigrad.bench.jobs import JOBS, OPERATORS, SCALING
from minigrad.bench.sections import USUAL


def record(section, job, contender, *rounds, **found):
    names = {"section": section, "job": job, "contender": contender}
    return {**names, **({"rounds": list(rounds)} if rounds else {}), **found}


def job(section, name, scale=1.0):
    """A race on a training job."""
    rounds = {
        "minigrad compiled": (60e-6, 50e-6, 70e-6),
        "torch eager": (700e-6, 600e-6, 650e-6),
        "torch fused": (500e-6, 600e-6, 700e-6),
        "jax step": (1.5e-3, 1.25e-3, 1.4e-3),
    }
    label, work = JOBS[name].label, {"flops": 10**7, "bytes": 10**5}
    return [
        *(
            record(section, label, who, *(scale * x for x in found), loss=0.25)
            for who, found in rounds.items()
        ),
        record(section, label, "jax scan", reason="not installed"),
        record(section, label, "floor", 20e-6 * scale, **work),
    ]


def kernels():
    found = []
    for i, operator in enumerate(OPERATORS):
        for way, seconds in (("forward", 1e-4), ("backward", 2e-4)):
            label, work = f"{operator.title}, {way}", {"flops": 4 * 10**6 * (i + 1), "bytes": 10**6}
            found += [
                record("kernels", label, "minigrad replay", seconds),
                record("kernels", label, "torch NCHW", 2 * seconds),
                record("kernels", label, "torch channels-last", 1.5 * seconds),
                record("kernels", label, "floor", seconds / 3, **work),
            ]
    return found


def point(axis, size):
    label = f"{size}, batch 1"
    return [
        *(
            record(axis, label, name, 1e-6 * size**0.7 * k, loss=0.5)
            for k, name in enumerate(USUAL, 1)
        ),
        record(axis, label, "floor", 1e-7 * size, flops=1, bytes=1),
    ]


def machine():
    return {
        "processor": "Abacus 3",
        "cores": 2,
        "memory": "8 GB",
        "vectors": "AVX2",
        "system": "Linux 6",
    }


def memory():
    label = JOBS["J1a"].label

    def held(section, contender, *rounds, **found):
        return record(section, label, contender, *rounds, unit="B", **found)

    return [
        held("memory", "minigrad compiled", 2e8, data=6e6),
        held("memory", "jax step", reason="not installed"),
        held("allocations", "minigrad compiled", 2000, **{"arrays a step": 0}),
        held("allocations", "minigrad replay", 30_000, **{"arrays a step": 2}),
        held("allocations", "minigrad eager", reason="gone"),
    ]


def modes():
    names = ("minigrad compiled", "minigrad replay", "minigrad eager", "torch eager")
    label = JOBS["J1a"].label
    return [
        record("modes", label, name, seconds, loss=0.25)
        for name, seconds in zip(names, (1e-5, 1e-4, 2e-4, 4e-4), strict=True)
    ]


def looking(name):
    contenders = ("minigrad compiled", "torch eager", "jax step")
    return [
        record("looking", f"{JOBS[name].title}, {way}", who, *(factor * x for x in (1e-3, 2e-3)))
        for way, factor in (("evaluate", 2), ("predict", 1))
        for who, factor in zip(contenders, (factor, 3 * factor, 2 * factor), strict=True)
    ]


def starting(name):
    title = JOBS[name].title
    return [
        record("first fit", JOBS[name].label, "minigrad, empty caches", 9.0, others=0.02),
        record("first fit", JOBS[name].label, "minigrad compiled", 2.5, 2.0, others=0.01),
        record("first fit", JOBS[name].label, "torch compile", 20.0),
        record("first fit", JOBS[name].label, "jax step", reason="not installed"),
        record("changed", f"{title}, another width", "minigrad compiled", 0.5, 0.4),
        record("changed", f"{title}, another width", "torch compile", 5.0),
        record("changed", f"{title}, another learning rate", "minigrad compiled", 0.25, 0.75),
        record("changed", f"{title}, another learning rate", "torch compile", 7.0),
    ]


def growth():
    axes = {**SCALING, "threads": (1, 2)}
    return [found for axis, sizes in axes.items() for size in sizes for found in point(axis, size)]


def report():
    """Every section but the distributed ones, with round numbers."""
    bandwidth = [[1 << p, 300e9 / (p - 14)] for p in range(15, 29)]
    return {
        "machine": machine(),
        "settings": {"threads": 2, "rounds": 3, "unit": 0.2, "quick": False},
        "versions": {"minigrad": "0.1.0", "torch": "2.0"},
        "ceilings": {"flops": 500e9, "flops_of_a_core": 250e9, "bandwidth": bandwidth},
        "records": [
            *job("jobs", "J1a"),
            *job("jobs", "J4b", 0.1),
            record("jobs", JOBS["J2"].label, "", reason="no reviews"),
            *kernels(),
            *modes(),
            *memory(),
            *looking("J5"),
            *starting("J5"),
            *growth(),
        ],
    }
