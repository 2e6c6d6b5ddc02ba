"""A whole run of the benchmark: measured, printed, written to files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from ..files import write_atomically
from . import tables
from .machine import cores, machine
from .sections import SECTIONS
from .session import Session
from .tables import Report

BEGIN, END = "<!-- minigrad bench -->", "<!-- end -->"


def measure(sections: Iterable[str], session: Session) -> Report:
    """Run sections, by their names in `SECTIONS`.

    After Ctrl-C the report holds what there is, and `interrupted`. Raises `ValueError` for more
    threads than cores, `Failed` where minigrad's own process does not start.
    """
    if session.threads > cores():
        raise ValueError(
            f"bench: threads={session.threads}; this process may use {cores()} processors"
        )
    told = {name: getattr(session, name) for name in ("threads", "rounds", "unit", "quick")}
    report: Report = {"machine": machine(), "settings": told}
    try:
        session.say("ceilings of this machine")
        with session.start("minigrad") as process:
            session.ceilings |= process.ask("ceilings")
        for name in sections:
            session.say(name)
            SECTIONS[name](session)
            session.end()
    except KeyboardInterrupt:
        report["interrupted"] = True
    finally:
        session.end()
    report |= {name: getattr(session, name) for name in ("ceilings", "versions", "records")}
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
    table = f"{BEGIN}\n\n{tables.readme(report)}\n\n{END}"
    text, found = re.subn(f"{BEGIN}.*{END}", lambda _: table, text, flags=re.DOTALL)
    if not found:
        raise ValueError(
            f"bench: {path} has no place for the tables; {BEGIN} and {END} were expected"
        )
    write_atomically(path, text.encode())


def bench(
    sections: Iterable[str],
    session: Session,
    *,
    json_path: Path | None = None,
    plots: Path | None = None,
    readme: Path | None = None,
) -> None:
    """Measure sections, print their tables, and write numbers, figures and the README's table.

    Raises `KeyboardInterrupt` at the end of a run that was interrupted, which leaves the README as
    it is.
    """
    report = measure(sections, session)
    print(tables.everything(report))
    if json_path is not None:
        write_json(report, json_path)
        session.say(f"wrote {json_path}")
    if plots is not None:
        from .charts import draw

        for path in draw(report, plots):
            session.say(f"drew {path}")
    if report.get("interrupted"):
        raise KeyboardInterrupt
    if readme is not None:
        update_readme(report, readme)
        session.say(f"wrote {readme}")
