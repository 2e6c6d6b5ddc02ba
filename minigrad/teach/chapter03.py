"""The exercises of chapter 3, A circle and an MLP."""

from __future__ import annotations

from .checking import answer

answer(
    "3/parameters",
    3 * 25 + 2 * 26 * 25 + 26,
    "A layer from m to n numbers has n · m weights and n biases.",
    {
        1325: "Each layer has a bias for each of its outputs, too.",
        1351: "There are three hidden layers: 2 → 25 → 25 → 25 → 1.",
        701: "There are three hidden layers: 2 → 25 → 25 → 25 → 1.",
        1300: "Do not forget the first and the last layer.",
    },
    rtol=0,
)
answer(
    "3/steepest",
    0.25,
    "σ' = σ · (1 - σ); where is it largest?",
    {
        1: "That is the slope of tanh.",
        0.5: "That is the value of the sigmoid at 0, not its slope.",
    },
)
answer(
    "3/part",
    1 / 64,
    "Multiply the largest slope with itself, once for each sigmoid.",
    {
        0.25: "That is the share that one sigmoid lets through; there are three.",
        0.75: "The slopes are multiplied, not added.",
        1 / 256: "There are three sigmoids, not four.",
        1 / 16: "There are three sigmoids, not two.",
    },
)
