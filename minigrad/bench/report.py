"""A whole run of the benchmark: measured, printed, written to files."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..files import write_atomically
from . import overview
from .machine import cores, machine
from .sections import SECTIONS
from .session import PEERS, Session, Settings

Report = dict[str, Any]
BEGIN, END = "<!-- minigrad bench -->", "<!-- end -->"


def measure(sections: Iterable[str], settings: Settings, say: Callable[[str], None]) -> Report:
    """Run sections, by their names in `SECTIONS`.

    After Ctrl-C the report holds what there is, and `interrupted`. Raises `ValueError` for more
    threads than cores, `Failed` where minigrad's own process does not start.
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
    told = {name: asdict(settings)[name] for name in ("threads", "rounds", "unit", "quick")}
    report: Report = {"machine": machine(), "settings": told}
    with tempfile.TemporaryDirectory(prefix="minigrad-bench-") as folder:
        session = Session(settings, Path(folder), say)
        try:
            say("ceilings of this machine")
            with session.start("minigrad") as process:
                session.ceilings = report["ceilings"] = process.ask("ceilings")
            for name in sections:
                say(name)
                SECTIONS[name](session, report.setdefault(name, {}))
                session.end()
        except KeyboardInterrupt:
            report["interrupted"] = True
        finally:
            session.end()
        report["versions"] = session.versions
    return {name: _rounded(each) for name, each in report.items()}


def _rounded(value: Any) -> Any:
    """Floats with four digits: more would be noise, and hide what differs between two files."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value


def write_json(report: Report, path: Path) -> None:
    """Write the report as JSON, each list of numbers in one line."""
    text = json.dumps(report, indent=1, ensure_ascii=False)
    text = re.sub(r"\[[^][{}]*\]", lambda found: " ".join(found[0].split()), text)
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
    write_atomically(path, f"{before}{BEGIN}\n\n{overview.readme(report)}\n\n{END}{after}".encode())


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
    say(overview.everything(report))
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
