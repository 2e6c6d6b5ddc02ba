"""The exercises of chapter 4, When gradients die."""

from __future__ import annotations

import math
from typing import Any

from .checking import exercise, expect

_SLOPE = math.log10(math.sqrt(2))


@exercise(
    "4/slope of ReLU with Glorot",
    hints={
        -_SLOPE: "The size is right. In Figure 3 a gradient that is smaller towards the input has "
        "a positive slope.",
        math.log10(
            2
        ): "Half of the entries survive, but the length of the vector shrinks by the root of that.",
        math.sqrt(0.5): "That is the factor per layer. How many decades is it?",
        0.6: "That is the sigmoid's.",
        0: "That is He's: Glorot's weights do not make up for the half that is off.",
    },
)
def _slope(answer: Any) -> str | None:
    return expect(
        answer, _SLOPE, "The factor per layer is √½ · 1; take log10 of its inverse.", rtol=0.02
    )


@exercise(
    "4/gain for ReLU",
    hints={
        2: "Twice the variance is right. The gain multiplies the weights themselves.",
        0.5: "Larger weights are needed, not smaller ones.",
        math.sqrt(0.5): "That is what gets lost. Which factor makes up for it?",
    },
)
def _gain(answer: Any) -> str | None:
    return expect(answer, math.sqrt(2), "√½ · gain must be 1.", rtol=0.02)


@exercise(
    "4/disease",
    hints={
        "dead relu": "Large weights turn as many units on as off.",
        "saturation": "A ReLU does not saturate: its slope is 1 or 0.",
        "vanishing gradient": "Six times larger weights make the gradient larger in each layer.",
    },
)
def _disease(answer: Any) -> str | None:
    right = str(answer).strip().lower() in (
        "exploding gradient",
        "exploding",
        "exploding gradients",
    )
    return (
        None
        if right
        else "One of: vanishing gradient, exploding gradient, dead ReLU, saturation. √½ · 6 is "
        "more than 1."
    )
