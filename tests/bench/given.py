"""A report with given numbers, for tables and pictures."""

from minigrad.bench.jobs import JOBS, OPERATORS, SCALING
from minigrad.bench.sections import USUAL


def row(*rounds, loss=0.25):
    low, *_, high = ordered = sorted(rounds) * (2 if len(rounds) == 1 else 1)
    return {
        "median": ordered[len(ordered) // 2],
        "low": low,
        "high": high,
        "rounds": list(rounds),
        "loss": loss,
    }


NOT_INSTALLED = {"reason": "not installed"}


def job(name, scale=1.0):
    rows = {
        "minigrad compiled": row(60e-6 * scale, 50e-6 * scale, 70e-6 * scale),
        "torch eager": row(700e-6 * scale, 600e-6 * scale, 650e-6 * scale),
        "torch fused": row(500e-6 * scale, 600e-6 * scale, 700e-6 * scale),
        "jax step": row(1.5e-3 * scale, 1.25e-3 * scale, 1.4e-3 * scale),
        "autograd": NOT_INSTALLED,
    }
    found = {
        "title": JOBS[name].title,
        "batch": JOBS[name].batch,
        "paper": "",
        "agree": True,
        "rows": rows,
    }
    return {**found, "work": {"flops": 10**7, "bytes": 10**5}, "floor": 20e-6 * scale}


def way(seconds, flops):
    rows = {
        "minigrad replay": row(seconds),
        "torch NCHW": row(2 * seconds),
        "torch channels-last": row(1.5 * seconds),
    }
    return {
        "agree": True,
        "work": {"flops": flops, "bytes": 10**6},
        "floor": seconds / 3,
        "rows": rows,
    }


def point(size):
    return {
        "title": "t",
        "batch": 1,
        "paper": "",
        "agree": True,
        "floor": 1e-7 * size,
        "rows": {name: row(1e-6 * size**0.7 * k) for k, name in enumerate(USUAL[:3], 1)},
    }


def machine():
    return {
        "processor": "Abacus 3",
        "cores": 2,
        "memory": 8 * 10**9,
        "vectors": "AVX2",
        "system": "Linux 6",
        "load": 0.1,
        "unset": {},
    }


def each_kernel():
    found = {}
    for i, (name, kernel) in enumerate(OPERATORS.items()):
        ways = {
            "forward": way(1e-4, 4 * 10**6 * (i + 1)),
            "backward": way(2e-4, 4 * 10**6 * (i + 1)),
        }
        found[name] = {"title": kernel.title, "operator": kernel.kind, **ways}
    return found


def memory():
    rows = {"minigrad compiled": {"peak": 2e8, "imported": 1e8}, "jax": NOT_INSTALLED}
    compiled, replay = (
        {"steps": 10, "bytes": held, "arrays": arrays} for held, arrays in ((2000, 0), (30_000, 20))
    )
    allocations = {"compiled": compiled, "replay": replay, "eager": {"reason": "gone"}}
    return {"J1a": {"samples": 6 * 10**6, "rows": rows, "allocations": allocations}}


def startup():
    ours = {"cold": {"import": 0.4, "step": 9.0}, "warm": {"import": 0.3, "step": 0.5}}
    return {"J1a": {"rows": {"minigrad compiled": ours, "jax": NOT_INSTALLED}}}


def modes():
    names = ("minigrad compiled", "minigrad replay", "minigrad eager", "torch eager")
    return {
        "J1a": {
            **job("J1a"),
            "rows": dict(zip(names, map(row, (1e-5, 1e-4, 2e-4, 4e-4)), strict=True)),
        }
    }


def growth():
    axes = {**SCALING, "threads": (1, 2)}
    return {axis: {str(size): point(size) for size in sizes} for axis, sizes in axes.items()}


def report():
    """Every section, with round numbers."""
    bandwidth = [[1 << p, 300e9 / (p - 14)] for p in range(15, 29)]
    return {
        "machine": machine(),
        "settings": {"threads": 2, "rounds": 3, "unit": 0.2, "quick": False},
        "versions": {"minigrad": "0.1.0", "torch": "2.0"},
        "ceilings": {"flops": 500e9, "flops_of_a_core": 250e9, "bandwidth": bandwidth},
        "jobs": {
            "J1a": job("J1a"),
            "J4b": job("J4b", 0.1),
            "J2": {"title": "text", "batch": 64, "reason": "no reviews"},
        },
        "kernels": each_kernel(),
        "modes": modes(),
        "memory": memory(),
        "startup": startup(),
        "scaling": growth(),
    }
