"""The exercises of chapter 2, Write your own operator."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..graph.check import GradientError, gradcheck
from ..graph.node import GraphNode, Variable
from .checking import exercise


@exercise("2/logsumexp")
def _logsumexp(answer: Any) -> str | None:
    if not callable(answer):
        return "an operator was expected: mg.operator(forward, backward)."
    for x in (np.array([0.5, -1.0, 2.0]), np.array([[1.0, 2.0], [-3.0, 0.0]])):
        right, found = float(ops.logsumexp(Variable(x)).value), answer(Variable(x))
        if not isinstance(found, GraphNode) or found.shape != ():
            return (
                f"one number was expected, over all entries of x; for x of shape {x.shape} "
                f"there came {found!r}."
            )
        if not np.isclose(found.value, right, rtol=1e-4):
            return (
                f"the value is not right: for x = {x.tolist()} it should be {right:.4f}, not "
                f"{float(found.value):.4f}."
            )
        try:
            gradcheck(answer, [x])
        except GradientError as error:
            return (
                f"the value is right, the gradient is not. {error}. Is g in it? Is it exp(x - y)?"
            )
    with np.errstate(all="ignore"):
        large = float(answer(Variable([1000.0, 999.0])).value)
    if not np.isclose(large, 1000.3133, rtol=1e-5):
        return (
            f"it is right for small numbers; for [1000, 999] there came {large}. Subtract the "
            f"largest entry first."
        )
    return None


@exercise(
    "2/wrong cube",
    hints={
        "a": "a hands on 54, which is 2 · 27: it is right.",
        "c": "c hands on 54, which is 2 · 27, though it divides y by x.",
        "v": "v is the variable. Which of a, b and c works on it?",
    },
)
def _wrong(answer: Any) -> str | None:
    return (
        None
        if str(answer).strip().lower() in ("b", "cube_b")
        else "Two of the variables get 54. What gets the third?"
    )
