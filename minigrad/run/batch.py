"""Can a batch be worked on in parts? Only where the loss is a mean over samples that do not meet
before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..graph.node import GraphNode, Operator
from ..graph.rule import MEAN, NotSeparable

#: floating-point operations of a step from which threads are worth their start
WORTH_THREADS = 1_000_000


def separable(order: Sequence[GraphNode], inputs: Collection[GraphNode]) -> bool:
    """Is the last node a mean over the samples that lie along the first axis of the inputs?"""
    axes: dict[int, int | None] = {id(node): 0 for node in inputs}
    try:
        for node in order:
            if isinstance(node, Operator):
                axes[id(node)] = node.rule.batch_axis(node, [axes.get(id(x)) for x in node.inputs])
    except NotSeparable:
        return False
    return axes.get(id(order[-1])) == MEAN


def flops(order: Sequence[GraphNode]) -> int:
    """Operations of a forward and a backward pass; the way back costs about twice the way there."""
    return 3 * sum(node.rule.flops(node) for node in order if isinstance(node, Operator))


def parts_of(
    batch: int, order: Sequence[GraphNode], inputs: Collection[GraphNode], threads: int
) -> int:
    """Into how many equal parts to cut a batch: one per thread, if it can be cut and is worth
    it.
    """
    if flops(order) < WORTH_THREADS or not separable(order, inputs):
        return 1
    return max(n for n in range(1, threads + 1) if batch % n == 0)
