"""A whole run of the benchmark: measured, printed, written to files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from ..files import write_atomically
from . import tables
from .machine import cores, machine
from .sections import SECTIONS
from .session import Session, Settings
from .tables import Report

BEGIN, END = "<!-- minigrad bench -->", "<!-- end -->"


def measure(sections: Iterable[str], settings: Settings, say: Callable[[str], None]) -> Report:
    """Run sections, by their names in `SECTIONS`.

    After Ctrl-C the report holds what there is, and `interrupted`. Raises `ValueError` for more
    threads than cores, `Failed` where minigrad's own process does not start.
    """
    if settings.threads > cores():
        raise ValueError(
            f"bench: threads={settings.threads}; this process may use {cores()} processors"
        )
    told = {name: getattr(settings, name) for name in ("threads", "rounds", "unit", "quick")}
    session = Session(settings, say)
    report: Report = {"machine": machine(), "settings": told}
    try:
        say("ceilings of this machine")
        with session.start("minigrad") as process:
            session.ceilings = report["ceilings"] = process.ask("ceilings")
        for name in sections:
            say(name)
            SECTIONS[name](session)
            session.end()
    except KeyboardInterrupt:
        report["interrupted"] = True
    finally:
        session.end()
    report |= {"versions": session.versions, "records": session.records}
    # floats with four digits: more would be noise, and hide what differs between two files
    rounded: Report = json.loads(json.dumps(report), parse_float=lambda x: float(f"{float(x):.4g}"))
    return rounded


def write_json(report: Report, path: Path) -> None:
    """Write the report as JSON, each record in one line."""
    text = json.dumps(report, indent=1, ensure_ascii=False)
    text = re.sub(r"\n(   +|  (?=[]}]))", " ", text)
    write_atomically(path, (text + "\n").encode())


def update_readme(report: Report, path: Path) -> None:
    """Replace the README's table, which stands between two markers; `ValueError` without them."""
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(
            f"bench: {path} has no place for the tables; {BEGIN} and {END} were expected"
        )
    write_atomically(path, f"{before}{BEGIN}\n\n{tables.readme(report)}\n\n{END}{after}".encode())


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
    """Measure sections, print their tables, and write numbers, figures and the README's table.

    `note` is told what goes on, `say` the result. Raises `KeyboardInterrupt` at the end of a run
    that was interrupted, which leaves the README as it is.
    """
    report = measure(sections, settings, note)
    say(tables.everything(report))
    if json_path is not None:
        write_json(report, json_path)
        note(f"wrote {json_path}")
    if plots is not None:
        from .charts import draw

        for path in draw(report, plots):
            note(f"drew {path}")
    if report.get("interrupted"):
        raise KeyboardInterrupt
    if readme is not None:
        update_readme(report, readme)
        note(f"wrote {readme}")
    return report
