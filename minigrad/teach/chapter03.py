"""The exercises of chapter 3, A circle and an MLP."""

from __future__ import annotations

from typing import Any

from .checking import exercise, expect


@exercise(
    "3/parameters",
    hints={
        1325: "Each layer has a bias for each of its outputs, too.",
        1351: "There are three hidden layers: 2 → 25 → 25 → 25 → 1.",
        701: "There are three hidden layers: 2 → 25 → 25 → 25 → 1.",
        1300: "Do not forget the first and the last layer.",
    },
)
def _parameters(answer: Any) -> str | None:
    return expect(
        answer,
        3 * 25 + 2 * 26 * 25 + 26,
        "A layer from m to n numbers has n · m weights and n biases.",
        rtol=0,
    )


@exercise(
    "3/steepest",
    hints={
        1: "That is the slope of tanh.",
        0.5: "That is the value of the sigmoid at 0, not its slope.",
    },
)
def _steepest(answer: Any) -> str | None:
    return expect(answer, 0.25, "σ' = σ · (1 - σ); where is it largest?")


@exercise(
    "3/part",
    hints={
        0.25: "That is what one sigmoid lets through; there are three.",
        0.75: "The slopes are multiplied, not added.",
        1 / 256: "There are three sigmoids, not four.",
        1 / 16: "There are three sigmoids, not two.",
    },
)
def _part(answer: Any) -> str | None:
    return expect(answer, 1 / 64, "Multiply the largest slope with itself, once for each sigmoid.")
