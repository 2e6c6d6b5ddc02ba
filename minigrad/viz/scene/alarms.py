"""The first value or gradient of a graph that is not finite."""

from __future__ import annotations

from collections.abc import Sequence

from ...graph.node import Constant, GraphNode
from .measure import Stats
from .text import alarm

BAD = ("nan", "inf")


def is_bad(stats: Stats | None) -> bool:
    """Are there NaN or inf in it?"""
    return stats is not None and stats.state in BAD


def first_bad(
    order: Sequence[GraphNode], values: Sequence[Stats | None], grads: Sequence[Stats | None]
) -> tuple[int | None, str]:
    """The number of the first node, in execution order, that holds NaN or inf, and what it holds.

    Values are computed from the front to the back, gradients from the back to the front; where both
    went wrong, the values did so first. Infinite data (a mask) is meant to be so, and what reaches
    neither the head nor a gradient does no harm: then it is None.
    """
    given = [i for i in reversed(range(len(order))) if is_bad(grads[i])]
    made = [
        i
        for i, (node, stats) in enumerate(zip(order, values, strict=True))
        if stats is not None and (stats.nans or (stats.infs and not isinstance(node, Constant)))
    ]
    if made and (given or is_bad(values[-1])):
        return made[0], f"value {alarm(values[made[0]])}"  # type: ignore[arg-type]
    return (given[0], f"gradient {alarm(grads[given[0]])}") if given else (None, "")  # type: ignore[arg-type]
