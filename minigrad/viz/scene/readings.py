"""Readings: what a drawing writes below the lines and inks them by, where that is not the gradient
of now.

A profile reads seconds or bytes, a comparison the change, a recording the gradient of an earlier
step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """One node's: the text `below` its line, `state` and `step` of the ink as in `Flow`, and the
    same in `words`.
    """

    below: str
    state: str
    step: int
    words: str


#: by `id(node)`; a node without one has no ink
Readings = Mapping[int, Reading]
