"""The exercises of chapter 10, The clinic, and its patients, whose diseases the chapter must not
give away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from ..graph.node import GraphNode
from ..nn import Linear, Module, ReLU, Sequential, Sigmoid, Tanh, init
from ..viz import diagnose
from .checking import exercise


def layers(activation: Callable[[], Module], depth: int, width: int = 16) -> Sequential:
    """Points (N, 2) to one number: `depth` equal hidden layers, always the same initial weights."""
    init.manual_seed(0)
    widths = [2] + [width] * depth
    hidden = [part for k in range(depth) for part in (Linear(widths[k], width), activation())]
    return Sequential(*hidden, Linear(width, 1))


class Curved(Module):
    """Two linear layers and any function between them."""

    def __init__(self, function: Callable[[GraphNode], GraphNode]) -> None:
        init.manual_seed(0)
        self.function = function
        self.first, self.second = Linear(2, 16), Linear(16, 1)

    def forward(self, x: Any) -> GraphNode:
        logit: GraphNode = self.second(self.function(self.first(x)))
        return logit


def patients() -> dict[str, tuple[Module, float]]:
    """Five networks that are ill, and the factor by which each one's input points are scaled."""
    wild, mute = layers(ReLU, 5), layers(ReLU, 3)
    for parameter in wild.parameters():
        parameter.value *= 6
    dict(mute.named_parameters())["2.bias"].value[:] = -10
    return {
        "A": (layers(Tanh, 3), 255.0),
        "B": (wild, 1.0),
        "C": (Curved(ops.log), 1.0),
        "D": (layers(Sigmoid, 5), 1.0),
        "E": (mute, 1.0),
    }


_NAMES = {
    "A": ("saturation", "what are the values after the first tanh, and what is its slope there?"),
    "B": (
        "exploding gradient",
        "compare the sizes of the gradients with those of the healthy network.",
    ),
    "C": ("nan or inf", "look for the double ring."),
    "D": ("vanishing gradient", "does the gradient get lost at a single place, or step by step?"),
    "E": ("dead relu", "what does each ReLU put out, and what arrives before it? Exactly nothing."),
}


@exercise("10/names")
def _names(given: Any) -> str | None:
    if not isinstance(given, dict) or set(given) != set(_NAMES):
        return "a dictionary with a name for each of A, B, C, D and E is expected."
    known = {name for name, _ in _NAMES.values()}
    for letter, (right, hint) in _NAMES.items():
        disease = str(given[letter]).strip().lower()
        if disease not in known:
            return (
                f"patient {letter}: {given[letter]!r} is none of the five diseases. A hint: {hint}"
            )
        if disease != right:
            return f"patient {letter} has no {given[letter]}: {hint}"
    return None


@exercise("10/cure")
def _cure(given: Any) -> str | None:
    if not isinstance(given, Module):
        return f"a network is expected, not {given!r}."
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(64, 2)).astype(np.float32)
    y = rng.integers(0, 2, (64, 1)).astype(np.float32)
    out = given(x)
    if not isinstance(out, GraphNode) or out.shape != (64, 1):
        return "forward should return a node of shape (N, 1), what the last layer gives."
    found = diagnose(given, x, y)
    return None if found.healthy else f"it is still ill: {found[0]}"
