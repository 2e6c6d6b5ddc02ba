"""The exercises of chapter 6, Making loops fast."""

from __future__ import annotations

from typing import Any

import numpy as np

from .checking import answer, exercise, expect, word


@exercise("6/unroll")
def _unroll(given: Any) -> str | None:
    if not callable(given):
        return "a function of x and k was expected."
    for h, w, k in ((4, 5, 2), (6, 6, 3)):
        x = np.arange(h * w, dtype=np.float32).reshape(h, w)
        patches = np.lib.stride_tricks.sliding_window_view(x, (k, k)).reshape(-1, k * k)
        found = np.asarray(given(x.copy(), k))
        if found.shape == patches.shape and np.array_equal(found, patches):
            return "patches lie in the rows; they were asked for in the columns: one .T is missing."
        told = expect(
            found,
            patches.T,
            f"for x = np.arange({h * w}).reshape({h}, {w}) and k = {k}, "
            f"column 1 should be {patches[1].astype(int).tolist()}.",
        )
        if told:
            return told
    return None


answer(
    "6/multiplications",
    100 * 8 * 24 * 24 * 25,
    "Pictures · filters · places · numbers of a filter.",
    {
        100 * 8 * 28 * 28 * 25: "Without padding the filter fits at 24 × 24 places only.",
        2 * 100 * 8 * 24 * 24 * 25: "Those are the flops: an addition follows each multiplication.",
        100 * 8 * 24 * 24: "That is the number of results. How many products does each need?",
        100 * 24 * 24 * 25: "That is one filter's.",
        8 * 24 * 24 * 25: "That is one picture's.",
    },
    rtol=0,
)
word(
    "6/gains most",
    ("conv2d", "conv", "convolution"),
    "One of the operators of the table: which has the most flops per byte?",
    {
        "linear": "It has many flops per byte, too, but there is one operator with more.",
        "relu": "It fetches a number, looks at it once, and writes one: it waits for the memory.",
        "max_pool2d": "It looks at each number once: it waits for the memory.",
    },
)
