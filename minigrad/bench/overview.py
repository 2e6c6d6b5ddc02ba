"""The report in words: circumstances, the tables of all sections, and that of the README."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ..viz.scene.text import quantity
from . import cluster
from .jobs import AXES
from .race import Found
from .session import OURS, PEERS
from .table import (
    NONE,
    Columns,
    markdown,
    median,
    noted,
    seconds,
    size,
    table,
    times,
    title,
)

STEP = "one training step"
LIBRARIES = ("minigrad", *PEERS)
#: the load average from which on times are not reliable
BUSY = 0.5


def _names(section: Found) -> list[str]:
    """Every contender of a section, in the order of appearance."""
    return list(dict.fromkeys(name for found in section.values() for name in found.get("rows", {})))


def _races(names: Iterable[str], slower: Iterable[str] = ()) -> Columns:
    """Columns of contenders or libraries, of ratios to minigrad, and of the floor."""
    return {
        **{name: median(name) for name in names},
        **{f"{name} ÷ minigrad": times(name, "minigrad") for name in slower},
        "floor": lambda found: seconds(found.get("floor")),
    }


def jobs(section: Found) -> str:
    """Seconds per training step."""
    names = _names(section)
    measured = {name.split()[0] for name in names}
    columns = _races(names, [library for library in PEERS[:2] if library in measured])
    return noted(table(STEP, section, columns, title), section)


def modes(section: Found) -> str:
    """The three modes, and PyTorch's time over that of each."""
    columns = {name: median(name) for name in (*OURS, "torch eager")}
    columns |= {f"torch ÷ {name.split()[1]}": times("torch", name) for name in OURS}
    return noted(table(STEP, section, columns, title), section)


def kernels(section: Found) -> str:
    """Forward and backward of single operators."""
    ways = {
        f"{key} {way}: {found['title']}": found[way]
        for key, found in section.items()
        for way in ("forward", "backward")
        if way in found
    }

    def rate(found: Found) -> str:
        flops = found.get("work", {}).get("flops")
        took = found.get("rows", {}).get("minigrad replay", {}).get("median")
        return quantity(flops / took, "flop/s") if flops and took else NONE

    torch = ("torch NCHW", "torch channels-last")
    columns = {**_races(("minigrad", *torch), torch), "flop/s": rate}
    return noted(table("kernel", ways, columns), ways)


def memory(section: Found) -> str:
    """Peaks; the memory that NumPy and Python, and the arrays that compiled code, ask for later."""
    names, modes, rows = _names(section), [name.split()[1] for name in OURS], []
    for key, found in section.items():
        if "rows" in found:
            peaks = [found["rows"].get(name, {}).get("peak") for name in names]
            rows.append([key, *map(size, (found["samples"], *peaks))])
            rows[-1] += [_allocated(found["allocations"][mode]) for mode in modes]
    head = ["peak memory", "samples", *names, *(f"further steps, {mode}" for mode in modes)]
    return noted(markdown(head, rows), section)


def _allocated(made: Found) -> str:
    if "reason" in made:
        return NONE
    arrays = made["arrays"] / made["steps"]
    return f"{size(made['bytes'])} in {made['steps']}, {arrays:.2g} arrays a step"


def startup(section: Found) -> str:
    """From the start of the process to the import and to the first step."""
    rows = {
        f"{key} {name}".strip(): row
        for key, found in section.items()
        for name, row in found.get("rows", {"": found}).items()
    }
    columns: Columns = {
        "to the import": lambda row: seconds(row["warm"]["import"]),
        "to the first step": lambda row: seconds(row["warm"]["step"]),
        "with empty caches": lambda row: seconds(row["cold"]["step"]),
    }
    return noted(table("from the start of the process", rows, columns), rows)


def scaling(section: Found) -> str:
    """A table for each axis."""
    tables = [
        noted(table(AXES[axis], points, _races(_names(points))), points)
        for axis, points in section.items()
    ]
    return "\n\n".join(tables)


TOLD: Mapping[str, Callable[[Found], str]] = {
    "jobs": jobs,
    "kernels": kernels,
    "modes": modes,
    "memory": memory,
    "startup": startup,
    "scaling": scaling,
    "distributed": cluster.distributed,
}


def everything(report: Found) -> str:
    """Circumstances and the tables of every section that was measured."""
    tables = [tell(report[name]) for name, tell in TOLD.items() if report.get(name)]
    return "\n\n".join([circumstances(report), *tables])


def circumstances(report: Found) -> str:
    """Machine, ceilings, versions and settings, a line each."""
    m, s = report["machine"], report["settings"]
    held = "memory unknown" if m["memory"] is None else f"{size(m['memory'])} of memory"
    load = "unknown" if m["load"] is None else f"{m['load']:g}"
    where = f"{m['processor']}, {m['vectors']}, {m['cores']} cores, {held}, {m['system']}"
    lines = [f"{where}; load at the start {load}"]
    if _busy(report):
        lines.append("other programs were running: these times are not reliable")
    if c := report.get("ceilings"):
        one, most = (quantity(c[name], "flop/s") for name in ("flops_of_a_core", "flops"))
        rates = [rate for _, rate in c["bandwidth"]]
        near, far = (quantity(rate, "B/s") for rate in (max(rates), rates[-1]))
        compute = f"measured here: {one} on one core, {most} in all"
        lines.append(f"{compute}; {near} in the nearest cache, {far} in memory")
    rounds = f"{s['threads']} threads, {s['rounds']} rounds of {s['unit']:g} s"
    quick = ", quick" if s["quick"] else ""
    how = f"{rounds}{quick}; float32; medians, ratios round by round with their range"
    lines += [_listed(report.get("versions", {}), " "), how]
    if m["unset"]:
        lines.append(f"unset for all: {_listed(m['unset'], '=')}")
    if report.get("interrupted"):
        lines.append("interrupted")
    return "\n".join(lines)


def _listed(pairs: Mapping[str, str], between: str) -> str:
    return ", ".join(f"{name}{between}{value}" for name, value in pairs.items())


def _busy(report: Found) -> bool:
    return (report["machine"]["load"] or 0) >= BUSY


def readme(report: Found) -> str:
    """The README's table: each library in its fastest mode; and where it was measured."""
    m, s = report["machine"], report["settings"]
    text = table(STEP, report["jobs"], _races(LIBRARIES, PEERS[:2]), title)
    where = f"{m['cores']} cores of {m['processor']} ({m['vectors']})"
    how = f"{s['threads']} threads, {s['rounds']} rounds: {_listed(report['versions'], ' ')}"
    doubt = " Other programs were at work: these times cannot be trusted." if _busy(report) else ""
    return f"{text}\n\nMeasured on {where} with {how}.{doubt}"
