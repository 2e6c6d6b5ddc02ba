"""The exercises of chapter 9, An RNN on MNIST rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from .checking import exercise, expect


@exercise("9/bound")
def _bound(given: Any) -> str | None:
    if expect(given(0.5, 11), 0.5**11, "") is None:
        return "from step T back to step 1 there are T - 1 matrices, not T."
    if expect(given(0.5, 11), 0.5 * 10, "") is None:
        return "each step multiplies the length by s; s · (T - 1) would add."
    for s, T in ((0.5, 11), (1.0, 28), (2.0, 4)):
        told = expect(
            given(s, T),
            s ** (T - 1),
            "V stretches by s, for each step from T to 1; tanh' ≤ 1 adds nothing.",
        )
        if told is not None:
            return f"at_most({s}, {T}): {told}"
    return None


@exercise("9/slope")
def _slope(given: Any) -> str | None:
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    lean = np.array([[0.5, 3.0], [0.0, 0.25]])  # largest singular value 3.05, spectral radius 0.5
    if expect(given(lean), np.log10(np.linalg.norm(lean, 2)), "") is None:
        return (
            "that is the largest singular value: how far V stretches in one step. In the long "
            "run the eigenvalues decide."
        )
    if expect(given(10 * np.eye(2)), np.log(10.0), "") is None:
        return "decades are powers of ten: log10, not log."
    cases = {
        "a matrix that stretches all by 10": (10 * np.eye(2), 1.0),
        "a turn by 90°, whose eigenvalues are complex": (turn, 0.0),
        "a matrix that halves in the long run": (lean, np.log10(0.5)),
        "a matrix with a negative eigenvalue": (np.diag([-2.0, 1.0]), np.log10(2.0)),
    }
    for what, (V, expected) in cases.items():
        told = expect(
            given(V),
            expected,
            "take the largest of |λ| over all eigenvalues λ of V, then its log10.",
            atol=1e-4,
        )
        if told is not None:
            return f"slope of {what}: {told}"
    return None
