"""The report in words: tables in Markdown, which are easy to read in a terminal too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..viz.scene.text import number, quantity
from .process import LIBRARIES
from .race import best_of, ratio
from .scaling import AXES

Rows = Mapping[str, Mapping[str, Any]]
NONE = "–"
OURS = "minigrad compiled"
BUSY = 0.5  # other programs at work, on average, from which on times say little


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, its first column flush left, the others flush right."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(head))]
    rule = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]
    text = [
        f"| {line[0].ljust(widths[0])} | "
        f"{' | '.join(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))} |"
        for line in lines
    ]
    return "\n".join([text[0], f"| {' | '.join(rule)} |", *text[1:]])


def seconds(x: float | None) -> str:
    return NONE if x is None else quantity(x, "s")


def plain(x: float) -> str:
    """A ratio with two digits, three from a hundred on."""
    return f"{x:.0f}" if x >= 99.5 else number(x, 2)


def times(found: tuple[float, float, float] | None) -> str:
    """A ratio: median (lowest–highest)."""
    return NONE if found is None else f"{plain(found[0])} ({plain(found[1])}–{plain(found[2])})"


def compared(rows: Rows, library: str, ours: str = OURS) -> tuple[float, float, float] | None:
    """How many times as long a library's fastest mode took; None where one of the two is
    missing.
    """
    best = best_of(rows, library)
    if best is None or not rows.get(ours, {}).get("rounds"):
        return None
    return ratio(rows[best], rows[ours])


def _names(section: Mapping[str, Any]) -> list[str]:
    """Every contender of a section, in the order of appearance."""
    return list(dict.fromkeys(name for found in section.values() for name in found.get("rows", {})))


def _cell(rows: Rows, name: str | None) -> str:
    return seconds(rows.get(name, {}).get("median")) if name else NONE


def notes(section: Mapping[str, Any]) -> str:
    """Why something is missing, and where losses differ: a line each."""
    reasons: dict[str, list[str]] = {}
    for key, found in section.items():
        if "reason" in found:
            reasons.setdefault(f"left out: {found['reason']}", []).append(key)
        if found.get("agree") is False:
            losses = (
                f"{name} {row['loss']:.6g}"
                for name, row in found["rows"].items()
                if row.get("loss") is not None
            )
            reasons.setdefault(f"losses differ: {', '.join(losses)}", []).append(key)
        for name, row in found.get("rows", {}).items():
            if "reason" in row:
                reasons.setdefault(f"{name}: {row['reason']}", []).append(key)
    return "\n".join(f"{said} ({', '.join(where)})" for said, where in reasons.items())


def _noted(text: str, section: Mapping[str, Any]) -> str:
    said = notes(section)
    return f"{text}\n\n{said}" if said else text


def title(name: str, found: Mapping[str, Any]) -> str:
    return f"{name} {found['title']}, batch {found['batch']}"


def jobs(section: Mapping[str, Any]) -> str:
    """Seconds per training step, ratios to the compiled mode, floor."""
    names = _names(section)
    paper = ["paper"] if any(found.get("paper") for found in section.values()) else []
    libraries = [x for x in ("torch", "jax") if any(name.split()[0] == x for name in names)]
    rows = []
    for key, found in section.items():
        if "rows" not in found:
            continue
        ratios = [times(compared(found["rows"], library)) for library in libraries]
        rows.append(
            [
                title(key, found),
                *([found.get("paper") or NONE] if paper else []),
                *(_cell(found["rows"], name) for name in names),
                *ratios,
                seconds(found.get("floor")),
            ]
        )
    head = ["one training step", *paper, *names, *(f"{x} ÷ minigrad" for x in libraries), "floor"]
    return _noted(table(head, rows), section)


def modes(section: Mapping[str, Any]) -> str:
    """The three modes, and PyTorch's time over that of each."""
    ours = [f"minigrad {mode}" for mode in ("compiled", "replay", "eager")]
    rows = []
    for key, found in section.items():
        if "rows" in found:
            ratios = [times(compared(found["rows"], "torch", name)) for name in ours]
            cells = [_cell(found["rows"], name) for name in (*ours, "torch eager")]
            rows.append([title(key, found), *cells, *ratios])
    head = [
        "one training step",
        "compiled",
        "replay",
        "eager",
        "torch eager",
        *(f"torch ÷ {n.split()[1]}" for n in ours),
    ]
    return _noted(table(head, rows), section)


def kernels(section: Mapping[str, Any]) -> str:
    """Forward and backward of single operators."""
    rows, noted = [], {}
    for key, found in section.items():
        for way in ("forward", "backward"):
            if way in found:
                noted[f"{key} {way}"] = found[way]
                rows.append(_kernel(f"{key} {way}: {found['title']}", found[way]))
    head = [
        "kernel",
        "minigrad",
        "torch NCHW",
        "torch channels-last",
        "NCHW ÷ minigrad",
        "channels-last ÷ minigrad",
        "floor",
        "flop/s",
    ]
    return _noted(table(head, rows), noted)


def _kernel(title: str, found: Mapping[str, Any]) -> list[str]:
    rows, ours = found["rows"], "minigrad replay"
    layouts = ("torch NCHW", "torch channels-last")
    both = [
        times(
            ratio(rows[x], rows[ours])
            if rows.get(x, {}).get("rounds") and rows[ours].get("rounds")
            else None
        )
        for x in layouts
    ]
    median = rows[ours].get("median")
    flops = found.get("work", {}).get("flops")
    rate = quantity(flops / median, "flop/s") if flops and median else NONE
    return [
        title,
        *(_cell(rows, x) for x in (ours, *layouts)),
        *both,
        seconds(found.get("floor")),
        rate,
    ]


def memory(section: Mapping[str, Any]) -> str:
    """Peaks, and what further steps allocate."""
    names, rows, further = _names(section), [], []
    for key, found in section.items():
        if "rows" not in found:
            continue
        cells = [_peak(found["rows"].get(name, {})) for name in names]
        rows.append([key, quantity(found["samples"], "B"), *cells])
        further.append(
            [
                key,
                *(_allocated(found["allocations"].get(m)) for m in ("compiled", "replay", "eager")),
            ]
        )
    told = table(["most memory held", "samples", *names], rows)
    head = ["allocated in further steps", "compiled", "replay", "eager"]
    return _noted(f"{told}\n\n{table(head, further)}", section)


def _peak(row: Mapping[str, Any]) -> str:
    return quantity(row["peak"], "B") if "peak" in row else NONE


def _allocated(found: Mapping[str, Any] | None) -> str:
    """Bytes of NumPy and Python held at once, and arrays that compiled code asked for."""
    if not found or "reason" in found:
        return NONE
    return (
        f"{quantity(found['bytes'], 'B')} in {found['steps']}, "
        f"{found['arrays'] / found['steps']:.2g} arrays a step"
    )


def startup(section: Mapping[str, Any]) -> str:
    """From the process's start to the import and to the first step."""
    rows = []
    for key, found in section.items():
        for name, row in found.get("rows", {}).items():
            if "warm" in row:
                warm, cold = row["warm"], row["cold"]
                rows.append(
                    [f"{key} {name}", *map(seconds, (warm["import"], warm["step"], cold["step"]))]
                )
    head = [
        "from the start of the process",
        "to the import",
        "to the first step",
        "with empty caches",
    ]
    return _noted(table(head, rows), section)


def scaling(section: Mapping[str, Any]) -> str:
    """A table for each axis."""
    parts = []
    for axis, points in section.items():
        names = _names(points)
        rows = [
            [size, *(_cell(found["rows"], name) for name in names), seconds(found.get("floor"))]
            for size, found in points.items()
            if "rows" in found
        ]
        parts.append(_noted(table([AXES[axis], *names, "floor"], rows), points))
    return "\n\n".join(parts)


TOLD = {
    "jobs": jobs,
    "kernels": kernels,
    "modes": modes,
    "memory": memory,
    "startup": startup,
    "scaling": scaling,
}


def circumstances(report: Mapping[str, Any]) -> str:
    """Machine, ceilings, versions and settings, a line each."""
    m, s = report["machine"], report["settings"]
    held = "memory unknown" if m["memory"] is None else f"{quantity(m['memory'], 'B')} of memory"
    load = "unknown" if m["load"] is None else f"{m['load']:g}"
    where = f"{m['processor']}, {m['vectors']}, {m['cores']} cores, {held}, {m['system']}"
    lines = [f"{where}; load at the start {load}"]
    if _busy(m):
        lines.append("other programs were at work: too much for times that can be trusted")
    if report.get("ceilings"):
        c = report["ceilings"]
        compute = (
            f"{quantity(c['flops_of_a_core'], 'flop/s')} on one core, "
            f"{quantity(c['flops'], 'flop/s')} in all"
        )
        near, far = (
            quantity(rate, "B/s")
            for rate in (max(rate for _, rate in c["bandwidth"]), c["bandwidth"][-1][1])
        )
        lines.append(f"measured here: {compute}; {near} in the nearest cache, {far} in memory")
    lines.append(
        ", ".join(f"{name} {version}" for name, version in report.get("versions", {}).items())
    )
    rounds = (
        f"{s['threads']} threads, {s['rounds']} rounds of {s['unit']:g} s{', quick' * s['quick']}"
    )
    lines.append(f"{rounds}; float32; medians, ratios round by round with their range")
    if m["unset"]:
        lines.append(
            "unset for all: " + ", ".join(f"{name}={value}" for name, value in m["unset"].items())
        )
    if report.get("interrupted"):
        lines.append("cut short")
    return "\n".join(lines)


def _busy(machine: Mapping[str, Any]) -> bool:
    return machine["load"] is not None and machine["load"] >= BUSY


def everything(report: Mapping[str, Any]) -> str:
    """Circumstances and the table of every section that was measured."""
    return "\n\n".join(
        [
            circumstances(report),
            *(tell(report[name]) for name, tell in TOLD.items() if report.get(name)),
        ]
    )


def readme(report: Mapping[str, Any]) -> str:
    """What stands in the README: each library in its fastest mode, and where it was measured."""
    section = report["jobs"]
    rows = []
    for key, found in section.items():
        if "rows" in found:
            cells = [_cell(found["rows"], best_of(found["rows"], library)) for library in LIBRARIES]
            ratios = [times(compared(found["rows"], library)) for library in LIBRARIES[1:3]]
            rows.append([title(key, found), *cells, *ratios, seconds(found.get("floor"))])
    head = [
        "one training step",
        *LIBRARIES,
        *(f"{library} ÷ minigrad" for library in LIBRARIES[1:3]),
        "floor",
    ]
    return f"{table(head, rows)}\n\n{_sentence(report)}"


def _sentence(report: Mapping[str, Any]) -> str:
    m, s = report["machine"], report["settings"]
    where = f"{m['cores']} cores of {m['processor']} ({m['vectors']})"
    made = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    doubt = " Other programs were at work: these times cannot be trusted." if _busy(m) else ""
    return f"Measured on {where} with {s['threads']} threads, {s['rounds']} rounds: {made}.{doubt}"
