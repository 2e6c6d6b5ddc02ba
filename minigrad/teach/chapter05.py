"""The exercises of chapter 5, Optimisers."""

from __future__ import annotations

from .checking import answer, word

word(
    "5/from the strip",
    ("b",),
    "One of a, b, c and d: which of them runs through the grey band?",
    {
        "a": "a lies about a hundred times below the band: it would take a hundred times as "
        "many steps.",
        "c": "c lies above the band. It does learn here, but was the question which one fits "
        "the rule?",
        "d": "d begins with steps that are larger than the weights, and then nothing moves "
        "any more.",
    },
)
answer(
    "5/largest rate",
    2 / 40,
    "|1 − lr · c| must not be above 1, for the largest curvature c.",
    {
        2: "That is for the flat direction, of curvature 1. The steep one decides.",
        1 / 40: "There it is at the bottom at once, and not yet flying.",
        0.045: "It still comes down with that one. How much larger may it be?",
        0.051: "With 0.051 it flies already.",
    },
    rtol=0.005,
)
answer(
    "5/first step of Adam",
    0.15,
    "After one step m / c1 is g, and the root of v / c2 is |g|.",
    {
        0.015: "m is 0.1 · g after one step, but it is divided by c1 = 1 − 0.9.",
        0: "m and v start at 0, but c1 and c2 make up for that.",
    },
    rtol=0.01,
)
