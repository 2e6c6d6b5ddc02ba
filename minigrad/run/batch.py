"""Can a batch be split? Only where the loss is a mean over samples that do not meet before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..graph.node import GraphNode
from ..graph.rule import Elementwise, Operator
from ..ops.kernel import flops
from ..ops.kinds import MEAN, NotSeparable

#: floating-point operations of a step from which threads are worth their start
WORTH_THREADS = 1_000_000


def batch_axis(node: Operator, axes: Sequence[int | None]) -> int | None:
    """Along which axis of the result the samples lie, from where they lie in each input.

    None: nowhere; `MEAN`: it is a mean over them. Raises `NotSeparable` where samples meet in
    another way, or where the rule declares nothing (see `ops/kinds.py`).
    """
    if all(axis is None for axis in axes):
        return None
    if declared := getattr(node.rule, "batch_axis", None):
        return declared(node, axes)  # type: ignore[no-any-return]
    if isinstance(node.rule, Elementwise):
        return _of_mean(node, axes) if MEAN in axes else _broadcast(node, axes)
    count = getattr(node.rule, "batch_axes", 0)
    first, *others = axes
    leading = range(node.inputs[0].ndim)[: count(node) if callable(count) else count]
    if first not in leading or any(axis is not None for axis in others):
        raise NotSeparable
    return first


def _of_mean(node: Operator, axes: Sequence[int | None]) -> int:
    """Elementwise mathematics of a mean: only what is linear in it keeps it one."""
    others = [axis for axis in axes if axis != MEAN]
    summed = node.rule.name in ("add", "subtract", "negative")
    scaled = node.rule.name == "multiply" and len(others) == 1
    divided = node.rule.name == "divide" and axes[0] == MEAN != axes[1]
    if any(axis is not None for axis in others) or not (summed or scaled or divided):
        raise NotSeparable
    return MEAN


def _broadcast(node: Operator, axes: Sequence[int | None]) -> int:
    """Elementwise mathematics: all inputs with samples have them along one axis of the result."""
    pairs = list(zip(node.inputs, axes, strict=True))
    places = {x.ndim - axis for x, axis in pairs if axis is not None}  # counted from the last axis
    place = places.pop()
    for x, axis in pairs:
        if places or (axis is None and x.ndim >= place and x.shape[-place] != 1):
            raise NotSeparable
    return node.ndim - place


def sample_axes(
    order: Sequence[GraphNode], leaves: Mapping[GraphNode, int]
) -> dict[GraphNode, int | None]:
    """Along which axis of each node the samples lie, from the axes of leaves; see `batch_axis`."""
    axes: dict[GraphNode, int | None] = {**leaves}
    for node in order:
        if isinstance(node, Operator):
            axes[node] = batch_axis(node, [axes.get(x) for x in node.inputs])
    return axes


def separable(order: Sequence[GraphNode], inputs: Collection[GraphNode]) -> bool:
    """Is the last node a mean over the samples that lie along the first axis of the inputs?"""
    try:
        return sample_axes(order, dict.fromkeys(inputs, 0)).get(order[-1]) == MEAN
    except NotSeparable:
        return False


def step_flops(order: Sequence[GraphNode]) -> int:
    """Operations of a forward and a backward pass, which costs about twice as much."""
    return 3 * sum(flops(node) for node in order if isinstance(node, Operator))


def parts_of(
    batch: int, order: Sequence[GraphNode], inputs: Collection[GraphNode], threads: int
) -> int:
    """Into how many equal parts to split a batch: one per thread, if that is possible and pays."""
    if step_flops(order) < WORTH_THREADS or not separable(order, inputs):
        return 1
    return max(n for n in range(1, threads + 1) if batch % n == 0)
