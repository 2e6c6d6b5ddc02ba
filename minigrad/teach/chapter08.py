"""The exercises of chapter 8, A text-CNN on IMDB."""

from __future__ import annotations

from typing import Any

import numpy as np

from .checking import answer, exercise

answer(
    "8/features",
    8 * ((130 - 2) // 8),
    "Count the windows of three words, then what pooling keeps, then the filters.",
    {
        1024: "Pooling keeps one of every 8 positions.",
        16: "That is for one filter; there are 8.",
        130: "A window of three words does not fit at the last two positions: 128 are left before "
        "pooling.",
        1040: "130 words have 128 windows of three, and pooling keeps one of every 8.",
    },
    rtol=0,
)


@exercise("8/touched")
def _touched(given: Any) -> str | None:
    batch = np.array([[0, 0, 7, 3], [0, 5, 3, 3]], np.int32)
    rows = np.asarray(given(batch)).ravel()
    if rows.size and rows.size == batch.size:
        return "a word that stands twice in the batch has only one row in the table."
    if set(rows.tolist()) == {3, 5, 7}:
        return "0 is an id like any other: padding has a row, too."
    right = sorted(rows.tolist()) == [0, 3, 5, 7]
    return None if right else f"of the batch {batch.tolist()} the rows 0, 3, 5 and 7 are used."


@exercise("8/words")
def _words(given: Any) -> str | None:
    """`given()` returns the ids of both texts and the probabilities that they are praise."""
    ids, good, bad = given()
    if not (ids[0] > 0).any() or not (ids[1] > 0).any():
        return "there is a text without words."
    if (ids == 1).any():
        return (
            f"{int((ids == 1).sum())} of your words are too rare: the network sees <other>. "
            f"Take common ones."
        )
    if good <= 0.8:
        return f"your praise gets {good:.2f}, more than 0.80 is needed: stronger words."
    if bad >= 0.2:
        return f"your damnation gets {bad:.2f}, less than 0.20 is needed: harsher words."
    return None
