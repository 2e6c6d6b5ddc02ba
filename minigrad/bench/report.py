"""A whole run of the benchmark: measured, printed, written to files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from ..files import write_atomically
from . import tables
from .machine import cores, machine
from .records import Record
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


def joined(report: Report, path: Path) -> Report:
    """The report with the jobs of an earlier one in a file that were not measured again.

    Nothing is taken from a run that was interrupted, of other versions or settings, or on another
    machine.
    """
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    versions = earlier.get("versions", {}) | report["versions"]
    same = [earlier.get(name) == report[name] for name in ("machine", "settings")]
    if not all(same) or earlier["versions"].items() - versions.items() or "interrupted" in earlier:
        return report
    records = chain.from_iterable((_by_job(earlier) | _by_job(report)).values())
    return report | {"versions": versions, "records": list(records)}


def _by_job(report: Report) -> dict[tuple[str, str], list[Record]]:
    found: dict[tuple[str, str], list[Record]] = {}
    for record in report["records"]:
        found.setdefault((record["section"], record["job"]), []).append(record)
    return found


def update_page(report: Report, path: Path) -> None:
    """Replace the tables of a page, which stand between two markers; `ValueError` without them.

    Raises `Disturbed` where other programs were at work while the numbers were taken.
    """
    text = path.read_text(encoding="utf-8")
    block = f"{BEGIN}\n\n{tables.page(report)}\n\n{END}"
    text, found = re.subn(f"{BEGIN}.*{END}", lambda _: block, text, flags=re.DOTALL)
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
    page: Path | None = None,
) -> None:
    """Measure sections, print their tables, and write numbers, figures and a page's tables.

    What `json_path` has of other jobs stays, and goes into figures and page, too.
    The page stays as it is after a run that was interrupted, which raises `KeyboardInterrupt` at
    its end, or disturbed: `Disturbed`, and there are no figures either.
    """
    report = measure(sections, session)
    print(tables.everything(report))
    interrupted = report.get("interrupted")
    if json_path is not None:
        report = joined(report, json_path)
        write_json(report, json_path)
        session.say(f"wrote {json_path}")
    if page is not None and not interrupted:
        update_page(report, page)
        session.say(f"wrote {page}")
    if plots is not None:
        from .charts import draw

        for path in draw(report, plots):
            session.say(f"drew {path}")
    if interrupted:
        raise KeyboardInterrupt
