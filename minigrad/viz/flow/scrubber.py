"""The scrubber: one drawing, inked with the gradients of every recorded step of a training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..draw import Drawing
from ..explorer.interactive import Interactive
from ..page.palette import line_width
from ..scene.measure import STEPS
from ..scene.text import count, gradient_line
from .record import Record

#: inks that do not stand for a size
_STATES = ("none", "zero", "vanished", "exploded", "nan", "inf")


class Scrubber(Interactive):
    """What `GradientFlow.play` returns: a drawing with a slider over the recorded steps, and the
    loss beside it. `steps` are their numbers.
    """

    def __init__(self, drawing: Drawing, records: Sequence[Record], names: Sequence[str]) -> None:
        self.steps = [record.step for record in records]
        picture = replace(drawing.picture, title="Gradients, step by step")
        drawing = Drawing(drawing.scene, picture, drawing.theme)
        nodes: dict[str, list[Any]] = {}
        for n, name in enumerate(names):
            measured = [record.nodes.get(name) for record in records]
            if any(stats is not None for stats in measured):
                nodes[f"n{n}"] = [
                    ("", "none", -1) if s is None else (gradient_line(s), s.state, s.step)
                    for s in measured
                ]
        widths = {str(step): line_width("normal", step) for step in range(STEPS)}
        widths |= {state: line_width(state, -1) for state in _STATES}
        losses = [record.loss if math.isfinite(record.loss) else None for record in records]
        frames = {"steps": self.steps, "losses": losses, "nodes": nodes, "widths": widths}
        super().__init__(drawing, {"frames": frames})

    def __repr__(self) -> str:
        nodes = count(self.drawing.picture.nodes, "node")
        return f"<Scrubber of {nodes}, {count(len(self.steps), 'step')}>"
