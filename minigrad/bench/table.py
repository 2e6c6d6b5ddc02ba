"""Markdown tables of what was measured, which are easy to read in a terminal, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..viz.scene.text import number, quantity
from .race import Found, best_of, ratio

#: what a column says of one entry of a section
Column = Callable[[Found], str]
Columns = dict[str, Column]
NONE = "–"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, its first column flush left, the others flush right."""
    lines = [tuple(head), *map(tuple, rows)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    text = []
    for first, *others in (lines[0], rule, *lines[1:]):
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        text.append(f"| {' | '.join([first.ljust(widths[0]), *cells])} |")
    return "\n".join(text)


def table(
    what: str,
    section: Found,
    columns: Columns,
    first: Callable[..., str] | None = None,
) -> str:
    """A line for each entry of a section that was measured, begun by its key or by `first`."""
    rows = [
        [first(key, found) if first else key, *(column(found) for column in columns.values())]
        for key, found in section.items()
        if "rows" in found or "warm" in found
    ]
    return markdown([what, *columns], rows)


def noted(text: str, section: Found) -> str:
    """A table, and below it why something is missing and where losses differ, a line each."""
    said = notes(section)
    return f"{text}\n\n{said}" if said else text


def title(key: str, found: Found) -> str:
    """A job in words."""
    return f"{key} {found['title']}, batch {found['batch']}"


def notes(section: Found) -> str:
    """Why something is missing, and where losses differ: a line each."""
    reasons: dict[str, list[str]] = {}
    for key, found in section.items():
        rows = found.get("rows", {}).items()
        said = [f"{name}: {row['reason']}" for name, row in rows if "reason" in row]
        if "reason" in found:
            said.append(f"left out: {found['reason']}")
        if found.get("agree") is False:
            losses = (f"{name} {row['loss']:.6g}" for name, row in rows if row.get("loss"))
            said.append(f"losses differ: {', '.join(losses)}")
        for line in said:
            reasons.setdefault(line, []).append(key)
    return "\n".join(f"{line} ({', '.join(where)})" for line, where in reasons.items())


# ---------------- cells
def seconds(x: float | None) -> str:
    return NONE if x is None else quantity(x, "s")


def size(x: float | None) -> str:
    return NONE if x is None else quantity(x, "B")


def plain(x: float) -> str:
    """A ratio with two digits, three from a hundred on."""
    return f"{x:.0f}" if x >= 99.5 else number(x, 2)


def spread(middle: float, low: float, high: float) -> str:
    """A ratio: median (lowest–highest)."""
    return f"{plain(middle)} ({plain(low)}–{plain(high)})"


# ---------------- columns; a contender may be a library, which means its fastest mode
def median(who: str) -> Column:
    """Median seconds of a contender."""
    return lambda found: seconds(_row(found, who).get("median"))


def times(slower: str, faster: str) -> Column:
    """How many times as long one contender took as another."""

    def column(found: Found) -> str:
        long, short = _row(found, slower), _row(found, faster)
        return spread(*ratio(long, short)) if long and short else NONE

    return column


def _row(found: Found, who: str) -> Found:
    rows: dict[str, Found] = found.get("rows", {})
    return rows.get(best_of(rows, who) or "", {})
