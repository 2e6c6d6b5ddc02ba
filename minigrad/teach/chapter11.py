"""The exercises of chapter 11, Past one machine."""

from __future__ import annotations

from typing import Any

import numpy as np

from .checking import answer, exercise, expect

P = np.arange(1, 65)
SECONDS = 0.1 / P + 2 * (P - 1) * (50e-6 + 47_080 / P / 125e6)

answer(
    "11/rounds",
    3,
    "In each round every worker does one fold; the last round need not be full.",
    {
        2: "Eight folds do not fit on three workers in two rounds.",
        8 / 3: "A worker cannot do two thirds of a fold.",
        8: "That is with one worker.",
    },
    rtol=0,
)
answer(
    "11/best",
    int(P[SECONDS.argmin()]),
    "try every number of workers from 1 to 64 and take the fastest.",
    rtol=0,
)
answer(
    "11/wait",
    3.2414,
    "draw 1,000 numbers many times over; each time take the largest.",
    {
        0: "That is the mean of all of them. Which one is waited for?",
        1: "That is one worker's. The last of a thousand is later.",
        13.24: "So late is the slowest; how much of it is waiting?",
        3: "Nearly: draw the thousand more often.",
    },
    rtol=0.02,
)


@exercise("11/step")
def _step(given: Any) -> str | None:
    told = expect(
        given(1, 0.01, 1e6), 0.01, "one worker has nobody to talk to: only the computing is left."
    )
    if told is not None:
        return f"step_seconds(1, 0.01, 1e6): {told}"
    for workers, compute, size in ((2, 0.01, 0.0), (4, 0.01, 1e6), (8, 0.1, 4e7)):
        talk = 2 * (workers - 1) * (50e-6 + size / workers / 125e6)
        hint = (
            "without anything to send there are still 2 · (p - 1) messages of 50 µs each."
            if size == 0
            else "computing is shared by p; then come 2 · (p - 1) messages, each of the p-th part "
            "of the gradient's bytes."
        )
        told = expect(given(workers, compute, size), compute / workers + talk, hint)
        if told is not None:
            return (
                f"step_seconds({workers}, {compute}, {size:g}) should be "
                f"{compute / workers + talk:.4g}: {told}"
            )
    return None
