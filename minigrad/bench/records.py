"""The benchmark's results: one flat list of records, and what is read from it.

A record is one contender's result for one job of one section:

    {"section": "jobs", "job": "J1b …, batch 1", "contender": "torch eager", "rounds": [0.12, …]}

`rounds` are seconds per step, or another `unit`. In their place stands a `reason` where there is no
result. `others` is the share of the machine that other programs took meanwhile. Whatever else a
section measures has a name of its own: `loss`, `flops`, `bytes`, ….
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from statistics import median
from typing import Any

import numpy as np

Record = dict[str, Any]
#: the records of one job, by contender
Row = dict[str, Record]

#: losses that differ by more, relative to the first, are not equal to rounding
AGREE = 1e-3


def rows_of(records: Iterable[Record], section: str) -> dict[str, Row]:
    """Return the records of a section by job and contender."""
    rows: dict[str, Row] = {}
    for record in records:
        if record["section"] == section:
            rows.setdefault(record["job"], {})[record["contender"]] = record
    return rows


def middle(record: Record) -> float:
    """Return the median over the rounds."""
    return float(median(record["rounds"]))


def best(row: Row, who: str) -> Record | None:
    """Return the record of a contender, or of a library's fastest mode; None without a result."""
    names = [name for name in row if who in (name, name.partition(" ")[0])]
    found = [row[name] for name in names if "rounds" in row[name]]
    return min(found, key=middle, default=None)


def ratio(slower: Record, faster: Record) -> tuple[float, float, float]:
    """Return how many times as long `slower` took, round by round: median, lowest, highest."""
    found = [a / b for a, b in zip(slower["rounds"], faster["rounds"], strict=False)]
    return median(found), min(found), max(found)


def most_disturbed(records: Iterable[Record]) -> Record:
    """Return the record during which other programs took most of the machine; {} if none says."""
    said = (record for record in records if "others" in record)
    return max(said, key=itemgetter("others"), default={})


def agree(row: Row) -> bool:
    """Return whether all losses of a job agree to rounding."""
    losses = [record["loss"] for record in row.values() if "loss" in record]
    return bool(np.allclose(losses, losses[:1], rtol=AGREE, atol=0.0))
