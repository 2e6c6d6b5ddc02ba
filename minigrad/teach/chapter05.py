"""The exercises of chapter 5, Optimisers."""

from __future__ import annotations

from typing import Any

from .checking import exercise, expect


@exercise(
    "5/from the strip",
    hints={
        "a": "a lies about a hundred times below the band: it would take a hundred times as "
        "many steps.",
        "c": "c lies above the band. It does learn here, but was the question which one fits "
        "the rule?",
        "d": "d begins with steps that are larger than the weights, and then nothing moves "
        "any more.",
    },
)
def _strip(answer: Any) -> str | None:
    return (
        None
        if str(answer).strip().lower() == "b"
        else "One of a, b, c and d: which of them runs through the grey band?"
    )


@exercise(
    "5/largest rate",
    hints={
        2: "That is for the flat direction, of curvature 1. The steep one decides.",
        1 / 40: "There it is at the bottom at once, and not yet flying.",
        0.045: "It still comes down with that one. How much larger may it be?",
        0.051: "With 0.051 it flies already.",
    },
)
def _rate(answer: Any) -> str | None:
    return expect(
        answer, 2 / 40, "|1 − lr · c| must not be above 1, for the largest curvature c.", rtol=0.005
    )


@exercise(
    "5/first step of Adam",
    hints={
        0.015: "m is 0.1 · g after one step, but it is divided by c1 = 1 − 0.9.",
        0: "m and v start at 0, but c1 and c2 make up for that.",
    },
)
def _first(answer: Any) -> str | None:
    return expect(
        answer, 0.15, "After one step m / c1 is g, and the root of v / c2 is |g|.", rtol=0.01
    )
