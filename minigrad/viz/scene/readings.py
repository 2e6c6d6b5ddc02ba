"""Readings: what a drawing writes below the lines and inks them by, where that is not the gradient
of now.

A profile reads seconds or bytes, a comparison the change, a recording the gradient of an earlier
step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...graph.node import GraphNode


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
#: of a node, or of all nodes in a group: the length of a bar in its box, what stands there beside
#: it, and the same in words; None where there is none
Bars = Callable[[Sequence[GraphNode]], tuple[float, str, str] | None]
