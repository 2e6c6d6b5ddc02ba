"""What is wrong in a graph: the first value or gradient that is not finite, and what has vanished
on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...graph.node import GraphNode
from .measure import Stats
from .text import alarm, count

_BAD = ("nan", "inf")


class Alarms:
    """`bad` is the number of the first node, in execution order, that holds NaN or inf; None if
    there is none.

    Values are computed from the front to the back, gradients from the back to the front; where both
    went wrong, the values did so first.
    """

    def __init__(
        self,
        order: Sequence[GraphNode],
        values: Sequence[Stats | None],
        grads: Sequence[Stats | None],
    ) -> None:
        n = len(order)
        self._grads = grads
        in_value = next((i for i in range(n) if _state(values[i]) in _BAD), None)
        in_grad = next((i for i in reversed(range(n)) if _state(grads[i]) in _BAD), None)
        self.bad = in_value if in_value is not None else in_grad
        self._what = ""
        if in_value is not None:
            self._what = f"value {alarm(values[in_value])}"  # type: ignore[arg-type]
        elif in_grad is not None:
            self._what = f"gradient {alarm(grads[in_grad])}"  # type: ignore[arg-type]
        self._dead = sum(
            bool(node.inputs) and node.rule.name == "relu" and stats.zeros == 1  # type: ignore[attr-defined]
            for node, stats in zip(order, values, strict=True)
            if stats is not None
        )

    def note(self, name: Callable[[int], str]) -> str:
        """The alarms in a sentence or two; empty if all is well."""
        parts = [f"First bad node: {name(self.bad)}, {self._what}."] if self.bad is not None else []
        states = [_state(gradient) for gradient in self._grads]
        counted = [
            f"{count(states.count(state), 'gradient')} {words}"
            for state, words in (
                ("zero", "exactly zero"),
                ("vanished", "vanished"),
                ("exploded", "exploded"),
            )
            if state in states
        ]
        if self._dead:
            counted.append(f"{count(self._dead, 'ReLU')} put out nothing but zeros")
        return " ".join([*parts, *([f"{'; '.join(counted)}."] if counted else [])])


def _state(stats: Stats | None) -> str:
    return stats.state if stats is not None else "none"
