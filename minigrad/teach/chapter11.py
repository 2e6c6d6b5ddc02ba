"""The exercises of chapter 11, Past one machine."""

from __future__ import annotations

from typing import Any

import numpy as np

from .checking import exercise, expect


@exercise(
    "11/rounds",
    hints={
        2: "Eight folds do not fit on three workers in two rounds.",
        8 / 3: "A worker cannot do two thirds of a fold.",
        8: "That is with one worker.",
    },
)
def _rounds(answer: Any) -> str | None:
    return expect(
        answer,
        3,
        "In each round every worker does one fold; the last round need not be full.",
        rtol=0,
    )


@exercise("11/step")
def _step(answer: Any) -> str | None:
    told = expect(
        answer(1, 0.01, 1e6), 0.01, "one worker has nobody to talk to: only the computing is left."
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
        told = expect(answer(workers, compute, size), compute / workers + talk, hint)
        if told is not None:
            return (
                f"step_seconds({workers}, {compute}, {size:g}) should be "
                f"{compute / workers + talk:.4g}: {told}"
            )
    return None


@exercise("11/best")
def _best(answer: Any) -> str | None:
    p = np.arange(1, 65)
    seconds = 0.1 / p + 2 * (p - 1) * (50e-6 + 47_080 / p / 125e6)
    return expect(
        answer,
        int(p[seconds.argmin()]),
        "try every number of workers from 1 to 64 and take the fastest.",
        rtol=0,
    )


@exercise(
    "11/wait",
    hints={
        0: "That is the mean of all of them. Who is waited for?",
        1: "That is one worker's. The last of a thousand is later.",
        13.24: "So late is the slowest; how much of it is waiting?",
        3: "Nearly: draw the thousand more often.",
    },
)
def _wait(answer: Any) -> str | None:
    return expect(
        answer, 3.2414, "draw 1,000 numbers many times over; each time take the largest.", rtol=0.02
    )
