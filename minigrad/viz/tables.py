"""Tables of text: aligned with spaces for a terminal, or as Markdown."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from .scene.text import markdown


def columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def aligned(rows: Sequence[Sequence[str]], left: int, most: int = 1000) -> list[str]:
    """A line for each row; the first `left` columns are flush left, the others flush right.

    Cells wider than `most` do not widen their column.
    """
    widths = [
        max(min(columns(cell), most) for cell in column) for column in zip(*rows, strict=True)
    ]
    lines = []
    for row in rows:
        line = ""
        for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - columns(cell))
            line += f"{cell}{space}  " if i < left else f"{space}{cell}  "
        lines.append(line.rstrip())
    return lines


def markdown_table(rows: Sequence[Sequence[str]], left: int) -> str:
    """A Markdown table whose first row is the header; columns from `left` on are flush right."""
    rule = ["---" if i < left else "---:" for i in range(len(rows[0]))]
    cells = [list(map(markdown, row)) for row in rows]
    return "\n".join(
        "".join(f"| {cell} " if cell else "| " for cell in row) + "|"
        for row in (cells[0], rule, *cells[1:])
    )
