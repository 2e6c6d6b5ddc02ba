"""The exercises of chapter 2, Write your own operator."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..calculus.check import GradientError, gradcheck
from ..graph.node import GraphNode, Variable
from .checking import exercise, word


@exercise("2/logsumexp")
def _logsumexp(given: Any) -> str | None:
    if not callable(given):
        return "an operator was expected: mg.operator(forward, backward)."
    for x in (np.array([0.5, -1.0, 2.0]), np.array([[1.0, 2.0], [-3.0, 0.0]])):
        right, found = float(ops.logsumexp(Variable(x)).value), given(Variable(x))
        if not isinstance(found, GraphNode) or found.shape != ():
            return (
                f"one number was expected, over all entries of x; x of shape {x.shape} gave "
                f"{found!r}."
            )
        if not np.isclose(found.value, right, rtol=1e-4):
            return (
                f"the value is not right: for x = {x.tolist()} it should be {right:.4f}, not "
                f"{float(found.value):.4f}."
            )
        try:
            gradcheck(given, [x])
        except GradientError as error:
            return (
                f"the value is right, the gradient is not. {error}. Is g in it? Is it exp(x - y)?"
            )
    with np.errstate(all="ignore"):
        large = float(given(Variable([1000.0, 999.0])).value)
    if not np.isclose(large, 1000.3133, rtol=1e-5):
        return (
            f"it is right for small numbers; [1000, 999] gave {large}. Subtract the largest entry "
            f"first."
        )
    return None


word(
    "2/wrong cube",
    ("b", "cube_b"),
    "Two of the variables get 54. What gets the third?",
    {
        "a": "a passes on 54, which is 2 · 27: it is right.",
        "c": "c passes on 54, which is 2 · 27, though it divides y by x.",
        "v": "v is the variable. Which of a, b and c works on it?",
    },
)
