"""The exercises of chapter 4, When gradients die."""

from __future__ import annotations

import math

from .checking import answer, word

SLOPE = math.log10(math.sqrt(2))

answer(
    "4/slope of ReLU with Glorot",
    SLOPE,
    "The factor per layer is √½ · 1; take log10 of its inverse.",
    {
        -SLOPE: "The size is right. In Figure 3 a gradient that is smaller towards the input has "
        "a positive slope.",
        2 * SLOPE: "Half of the entries survive, but the length of the vector shrinks by the root "
        "of that.",
        math.sqrt(0.5): "That is the factor per layer. How many decades is it?",
        0.6: "That is the sigmoid's.",
        0: "That is He's: Glorot's weights do not make up for the half that is off.",
    },
    rtol=0.02,
)
answer(
    "4/gain for ReLU",
    math.sqrt(2),
    "√½ · gain must be 1.",
    {
        2: "Twice the variance is right. The gain multiplies the weights themselves.",
        0.5: "Larger weights are needed, not smaller ones.",
        math.sqrt(0.5): "That is what gets lost. Which factor makes up for it?",
    },
    rtol=0.02,
)
word(
    "4/disease",
    ("exploding gradient", "exploding", "exploding gradients"),
    "One of: vanishing gradient, exploding gradient, dead ReLU, saturation. √½ · 6 is more than 1.",
    {
        "dead relu": "Large weights turn as many units on as off.",
        "saturation": "A ReLU does not saturate: its slope is 1 or 0.",
        "vanishing gradient": "Six times larger weights make the gradient larger in each layer.",
    },
)
