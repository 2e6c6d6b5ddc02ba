"""When leaves were given other values: a count that says whether what was computed from them is
still theirs.

A leaf's `stamp` is the count at its last change, that of a computed node the count at its last run.

Backward passes are counted, too, so that a drawing can tell which of them a gradient comes from.
"""

from __future__ import annotations

#: how often a leaf has been given another value so far
COUNT = [0]
#: how many backward passes there have been so far
PASSES = [0]


def next_stamp() -> int:
    """The count, after one more change."""
    COUNT[0] += 1
    return COUNT[0]


def next_pass() -> int:
    """The number of a new backward pass; the first is 1."""
    PASSES[0] += 1
    return PASSES[0]
