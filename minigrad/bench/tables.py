"""The report in words: circumstances, a table for each section, and those of the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import unescape
from typing import Any

from ..viz.scene.text import number, quantity
from ..viz.tables import aligned, markdown_table
from .disturbance import DISTURBED, Disturbed
from .jobs import AXES
from .records import Record, Row, agree, best, middle, most_disturbed, ratio, rows_of
from .session import FIRST_STEPS, OURS, PEERS

Report = dict[str, Any]
STEP = "one training step"
LIBRARIES = ("minigrad", *PEERS)
NONE = "–"
#: what the rows of a section are, and the last columns; the others are its contenders
TABLES: Mapping[str, tuple[str, ...]] = {
    "jobs": (STEP, "torch ÷ minigrad", "jax ÷ minigrad", "floor"),
    "looking": ("looking at 1,100 samples", "torch ÷ minigrad", "jax ÷ minigrad"),
    "first fit": (f"from the start of a process to the end of a fit of {FIRST_STEPS} steps",),
    "changed": ("from a changed number to the first step",),
    "kernels": (
        "kernel",
        "torch NCHW ÷ minigrad",
        "torch channels-last ÷ minigrad",
        "floor",
        "flop/s",
    ),
    "modes": (STEP, *(f"torch ÷ {mode}" for mode in OURS), "floor"),
    "memory": ("peak memory",),
    "allocations": ("memory of 10 further steps",),
    **{axis: (what, "floor") for axis, what in AXES.items()},
    "all-reduce": ("all-reduce between two ranks",),
    "distributed": ("ranks × threads", "ranks 1 × 1 ÷ ranks 2 × 1"),
    "grid": ("grid search", "one process ÷ two processes"),
}


_STARTS = ("minigrad compiled", "torch eager", "torch compile", "jax step")
#: the sections on the page about speed, and the columns there
PAGE: Mapping[str, tuple[str, ...]] = {
    "jobs": (*LIBRARIES, *TABLES["jobs"][1:]),
    "looking": tuple(
        column
        for way in ("evaluate", "predict")
        for column in (
            f"minigrad {way}",
            f"torch {way} ÷ minigrad {way}",
            f"jax {way} ÷ minigrad {way}",
        )
    ),
    "first fit": ("minigrad, empty caches", *_STARTS),
    "changed": _STARTS,
}
#: what has a line of its own below a job's, and its unit
DETAILS = {
    "data": "B",
    "arrays a step": "",
    "talking": "s",
    "waiting": "s",
}


def cell(row: Row, column: str) -> str:
    """A contender's or library's result, or of "a ÷ b" how many times as long a took as b."""
    first, divided, second = column.partition(" ÷ ")
    record, other = best(row, first), best(row, second)
    if divided:
        return spread(*ratio(record, other)) if record and other else NONE
    if column == "flop/s":
        took, flops = best(row, "minigrad"), row.get("floor", {}).get("flops")
        return quantity(flops / middle(took), column) if took and flops else NONE
    return quantity(middle(record), record.get("unit", "s")).strip() if record else NONE


def spread(middle: float, low: float, high: float) -> str:
    """A ratio with two digits, three from a hundred on: median (lowest–highest)."""
    told = [f"{x:.0f}" if x >= 99.5 else number(x, 2) for x in (middle, low, high)]
    return f"{told[0]} ({told[1]}–{told[2]})"


def cells(corner: str, rows: Mapping[str, Row], columns: Iterable[str]) -> list[list[str]]:
    """The rows of a table and its header; rows and columns that hold nothing are left out."""
    lines = [[corner, *columns]]
    lines += [[job, *(cell(row, column) for column in lines[0][1:])] for job, row in rows.items()]
    for _ in range(2):  # columns, then lines
        lines = [list(line) for line in zip(*lines, strict=True) if set(line[1:]) - {NONE}]
    return lines


def section(records: Iterable[Record], name: str) -> str:
    """The table of a section, why something is missing, and where losses differ."""
    rows: dict[str, Row] = {}
    for job, row in rows_of(records, name).items():
        rows[job] = row
        for detail, unit in DETAILS.items():
            rows[f"{job}: {detail}"] = {
                who: {"rounds": [record[detail]], "unit": unit}
                for who, record in row.items()
                if detail in record
            }
    corner, *last = TABLES[name]
    contenders = dict.fromkeys(contender for row in rows.values() for contender in row)
    columns = [contender for contender in contenders if contender not in ("", *last)]
    lines = cells(corner, rows, [*columns, *last])
    table = ["\n".join(aligned(lines, 1))] if lines[1:] else []
    return "\n\n".join([*table, *filter(None, ["\n".join(notes(rows))])])


def notes(rows: Mapping[str, Row]) -> list[str]:
    """Why something is missing, and where losses differ: a line each."""
    where: dict[str, list[str]] = {}
    for job, row in rows.items():
        said = [
            f"{name or 'left out'}: {record['reason']}"
            for name, record in row.items()
            if "reason" in record
        ]
        if not agree(row):
            losses = (f"{name} {r['loss']:.6g}" for name, r in row.items() if "loss" in r)
            said.append(f"losses differ: {', '.join(losses)}")
        for line in said:
            where.setdefault(line, []).append(job)
    return [f"{line} ({', '.join(filter(None, jobs))})" for line, jobs in where.items()]


def everything(report: Report) -> str:
    """Circumstances and the tables of every section that was measured."""
    records = report["records"]
    sections = dict.fromkeys(record["section"] for record in records)
    return "\n\n".join([circumstances(report), *(section(records, name) for name in sections)])


def circumstances(report: Report) -> str:
    """Machine, ceilings, versions and settings, a line each."""
    lines = [_listed(report["machine"])]
    lines += filter(None, [_disturbance(report["records"])])
    if c := report["ceilings"]:
        one, most = (quantity(c[name], "flop/s") for name in ("flops_of_a_core", "flops"))
        rates = [rate for _, rate in c["bandwidth"]]
        near, far = (quantity(rate, "B/s") for rate in (max(rates), rates[-1]))
        compute = f"measured here: {one} on one core, {most} in all"
        lines.append(f"{compute}; {near} in the nearest cache, {far} in memory")
    how = "float32; medians, ratios round by round with their range"
    lines += [_listed(report["versions"]), f"{_listed(report['settings'])}; {how}"]
    return "\n".join([*lines, *["interrupted"] * ("interrupted" in report)])


def _disturbance(records: Iterable[Record]) -> str:
    """How busy the machine was with other programs; empty where it does not say."""
    share = most_disturbed(records).get("others")
    return "" if share is None else f"other programs took at most {share:.0%} of the machine"


def _listed(pairs: Mapping[str, Any]) -> str:
    """Names and values, without what a system does not say."""
    return ", ".join(f"{name} {value}" for name, value in pairs.items() if value)


def page(report: Report) -> str:
    """The page's tables, each library in its fastest mode; and where they were measured.

    Raises `Disturbed` where other programs were at work, `ValueError` without one of the sections.
    """
    records = [record for record in report["records"] if record["section"] in PAGE]
    worst = most_disturbed(records)
    if worst.get("others", 0.0) >= DISTURBED:
        raise Disturbed(
            f"bench: {_disturbance([worst])} during {worst['section']}, {worst['job']}; less than "
            f"{DISTURBED:.0%} was expected. Page and figures stay as they are: close the other "
            "programs and measure this again"
        )
    found = {name: rows_of(records, name) for name in PAGE}
    if missing := [name for name, rows in found.items() if not rows]:
        raise ValueError(
            f"bench: no numbers for {', '.join(missing)}, which the page has, too; --json with a "
            "file that has them was expected"
        )
    found["looking"], found["changed"] = side_by_side(found["looking"]), longest(found["changed"])
    tables = [cells(TABLES[name][0], found[name], columns) for name, columns in PAGE.items()]
    texts = [unescape(markdown_table(lines, 1)) for lines in tables]  # the words hold no markup
    m, s = report["machine"], report["settings"]
    where = f"{m['cores']} cores of {m['processor']} ({m['vectors']})"
    how = f"{s['threads']} threads, {s['rounds']} rounds: {_listed(report['versions'])}"
    said = "; ".join(filter(None, [f"Measured on {where} with {how}", _disturbance(records)]))
    return "\n\n".join([*texts, f"{said}."])


def side_by_side(rows: Mapping[str, Row]) -> dict[str, Row]:
    """What `looking` found, a row for each job, with columns such as "torch predict"."""
    found: dict[str, Row] = {}
    for label, row in rows.items():
        job, _, way = label.rpartition(", ")
        fastest = {f"{who} {way}": best(row, who) for who in LIBRARIES}
        found.setdefault(job, {}).update({name: x for name, x in fastest.items() if x})
    return found


def longest(rows: Mapping[str, Row]) -> dict[str, Row]:
    """A row for each job of `changed`: whichever change took longest."""
    found: dict[str, Row] = {}
    for label, row in rows.items():
        kept = found.setdefault(label.rpartition(", ")[0], {})
        for name, record in row.items():
            kept[name] = max(record, kept.get(name, record), key=middle)
    return found
