"""What is wrong in a graph after its passes, as drawings mark it, and what only looks wrong.

Gradients vanish or explode relative to those nearest the loss, over three layers or more; a layer
is a matrix of parameters that meets data. The limits are those of `diagnose`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...graph.node import GraphNode, Variable
from ...ops.recurrent import Step
from ..inspection import rule_of
from ..scene.alarms import first_bad
from ..scene.measure import VANISHED, Stats
from ..scene.text import count, number
from .diagnose import (
    LEAST_PLACES,
    LEAST_SLOPE,
    MOST_RATIO,
    MOST_SATURATED,
    activations,
    meeting,
    silent,
    slopes,
)
from .naming import norm, slope

#: at a loss from 0 to this one there is nothing left to learn, if its gradients are that small
_FLOOR = 1e-3


class Alarms:
    """`texts` are the alarms in words, `remarks` what is known to be harmless.

    `bad` is the number of the first node that holds NaN or inf, or None; `states` has by node what
    its gradient is: `none`, `normal`, `zero`, `vanished`, `exploded`, `nan` or `inf`.
    """

    def __init__(
        self,
        order: Sequence[GraphNode],
        values: Sequence[Stats | None],
        grads: Sequence[Stats | None],
        name: Callable[[int], str],
    ) -> None:
        self.order, self.grads, self.name = order, grads, name
        self.states = ["none" if stats is None else stats.state for stats in grads]
        self.texts: list[str] = []
        self.remarks: list[str] = []
        self.bad, what = first_bad(order, values, grads)
        if self.bad is not None:
            self.texts.append(f"First bad node: {name(self.bad)}, {what}.")
            return
        met = meeting(order)
        places = {met[id(x)] for x in order if x.ndim > 1 and id(x) in met}
        layers = sorted(i for i in places if grads[i] is not None)
        loss, end = values[-1], grads[layers[-1]] if layers else None
        calm = end is not None and norm(end) < _FLOOR
        if calm and loss is not None and loss.size == 1 and 0 <= loss.mean < _FLOOR:
            self.remarks.append(f"Converged: the loss is {number(loss.mean)}.")
            return
        dead = self._units(layers[-1] if layers else 0, values)
        self._zeros(dead)
        self._trend(layers)

    def _units(self, last: int, values: Sequence[Stats | None]) -> bool:
        """Dead ReLUs, and what is saturated between layers; are there dead ones?"""
        dead = False
        for i, y, kind in activations(self.order):
            share = float(np.mean(y == 0 if kind == "relu" else slopes(y, kind) < LEAST_SLOPE))
            told = f"{self.name(i)}, {number(100 * share)} %."
            gate = kind != "relu" and any(isinstance(part, Step) for part in self.order[i].scope)
            if values[i] is None or gate:  # gates are meant to be open or shut
                continue
            if kind == "relu" and (share == 1 or silent(self.order[i], y)):
                dead = True
                self.texts.append(f"Dead ReLU: {told}")
            elif kind != "relu" and share > MOST_SATURATED and i < last and y.size >= LEAST_PLACES:
                self.texts.append(f"Saturated: {told}")
        return dead

    def _zeros(self, dead: bool) -> None:
        """Gradients that are exactly zero, but for those that a batch norm cancels."""
        users: dict[int, list[GraphNode]] = {}
        for node in self.order:
            for x in node.inputs:
                users.setdefault(id(x), []).append(node)
        zeros, cancelled = 0, []
        for i, (node, stats) in enumerate(zip(self.order, self.grads, strict=True)):
            if stats is None or stats.rms >= VANISHED:
                continue
            after = [
                rule_of(far) for near in users.get(id(node), ()) for far in users.get(id(near), ())
            ]
            if isinstance(node, Variable) and node.ndim < 2 and after == ["batch_norm"]:
                cancelled.append(self.name(i))
            else:
                zeros += stats.state == "zero"
        if cancelled:
            names = ", ".join(cancelled[:3]) + ", …" * (len(cancelled) > 3)
            self.remarks.append(f"Cancelled by the batch norm behind it: the gradient of {names}.")
        if zeros:
            cause = ", behind dead ReLUs" * dead
            self.texts.append(f"{count(zeros, 'gradient')} exactly zero{cause}.")

    def _trend(self, layers: Sequence[int]) -> None:
        """Gradients that shrink or grow from the last layer to the first."""
        sizes = {i: norm(self.grads[i]) for i in layers if self.states[i] == "normal"}  # type: ignore[arg-type]
        if len(sizes) < 3:
            return
        last = list(sizes)[-1]
        rising = slope(range(len(sizes)), sizes.values()) > 0
        far = (min if rising else max)(sizes, key=sizes.__getitem__)
        ratio = sizes[far] / sizes[last]
        if (1 / ratio if rising else ratio) > MOST_RATIO:
            state = "vanished" if rising else "exploded"
            self.texts.append(
                f"Gradients have {state}: norm {number(sizes[last])} at {self.name(last)}, "
                f"{number(sizes[far])} at {self.name(far)}."
            )
            beyond = {id(self.order[far])}
            for i in range(far, -1, -1):
                if id(self.order[i]) in beyond:
                    beyond.update(map(id, self.order[i].inputs))
                    if self.states[i] == "normal":
                        self.states[i] = state

    @property
    def note(self) -> str:
        """Alarms and remarks as sentences."""
        return " ".join([*self.texts, *self.remarks])
