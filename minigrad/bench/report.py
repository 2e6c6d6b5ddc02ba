"""A whole run of the benchmark: measured, printed, written down."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..files import write_atomically
from . import shared, table
from .machine import cores, machine
from .sections import PEERS, SECTIONS, Bench, Settings

Report = dict[str, Any]
BEGIN, END = "<!-- minigrad bench -->", "<!-- end -->"


def measure(sections: Iterable[str], settings: Settings, say: Callable[[str], None]) -> Report:
    """Run sections, by the names of `SECTIONS`; after Ctrl-C the report holds what there is and
    `interrupted`.

    Raises `ValueError` for more threads than there are processors, `Failed` where minigrad's own
    process does not start.
    """
    if strange := set(settings.pythons) - set(PEERS):
        raise ValueError(
            f"bench: python={', '.join(sorted(strange))}; a Python of one of {', '.join(PEERS)} "
            f"was expected"
        )
    if settings.threads > cores():
        raise ValueError(
            f"bench: threads={settings.threads}; this process may use {cores()} processors"
        )
    report: Report = {"machine": machine(), "settings": _told(settings)}
    with tempfile.TemporaryDirectory(prefix="minigrad-bench-") as folder:
        bench = Bench(settings, Path(folder), say)
        with bench.pool:
            try:
                bench.measure_ceilings()
                report["ceilings"] = bench.ceilings
                for name in sections:
                    SECTIONS[name](bench, report.setdefault(name, {}))
            except KeyboardInterrupt:
                report["interrupted"] = True
            report["versions"] = bench.versions()
    return _rounded(report)


def _told(settings: Settings) -> dict[str, Any]:
    return {
        "threads": settings.threads,
        "rounds": settings.rounds,
        "unit": settings.unit,
        "quick": settings.quick,
    }


def _rounded(value: Any) -> Any:
    """Floats with four digits: more would be noise, and no two runs' files could be compared by
    eye.
    """
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value


def told(report: Report) -> str:
    """Circumstances and the tables of every section that was measured."""
    parts = [table.everything(report)]
    if report.get("distributed"):
        parts.append(shared.distributed(report["distributed"]))
    return "\n\n".join(parts)


def write_json(report: Report, path: Path) -> None:
    """The report as JSON, each list of numbers in one line."""
    text = json.dumps(report, indent=1, ensure_ascii=False)
    text = re.sub(r"\[[^][{}]*\]", lambda found: " ".join(found[0].split()), text)
    write_atomically(path, (text + "\n").encode())


def read_json(path: Path) -> Report:
    """What `write_json` wrote."""
    report: Report = json.loads(path.read_text(encoding="utf-8"))
    return report


def update_readme(report: Report, path: Path) -> None:
    """Put the tables for the README between their markers. Raises `ValueError` where there are
    none.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(
            f"bench: {path} has no place for the tables; {BEGIN} and {END} were expected"
        )
    write_atomically(path, f"{before}{BEGIN}\n\n{table.readme(report)}\n\n{END}{after}".encode())


def bench(
    sections: Iterable[str],
    settings: Settings,
    *,
    json_path: Path | None = None,
    plots: Path | None = None,
    readme: Path | None = None,
    say: Callable[[str], None] = print,
    note: Callable[[str], None] = print,
) -> Report:
    """Measure sections, print their tables, and write what was asked for: numbers, pictures, the
    README's tables.

    `note` is told what goes on, `say` the result. Raises `KeyboardInterrupt` at the end of a run
    that was cut short, which leaves the README as it is.
    """
    report = measure(sections, settings, note)
    say(told(report))
    if json_path is not None:
        write_json(report, json_path)
        note(f"wrote {json_path}")
    if plots is not None:
        from .plots import draw

        for path in draw(report, plots):
            note(f"drew {path}")
    if report.get("interrupted"):
        raise KeyboardInterrupt
    if readme is not None:
        update_readme(report, readme)
        note(f"wrote {readme}")
    return report
