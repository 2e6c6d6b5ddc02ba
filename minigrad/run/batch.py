"""Splitting a batch: possible if the loss is a mean over samples that are independent before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from .. import kernels
from ..errors import ShapeError
from ..graph.node import GraphNode
from ..graph.rule import Elementwise, Operator
from ..ops.kernel import flops
from ..ops.kinds import MEAN, NotSeparable

#: floating-point operations of a step from which on threads are worth starting
WORTH_THREADS = 1_000_000


def batch_axis(node: Operator, axes: Sequence[int | None]) -> int | None:
    """The axis of the result along which the samples lie, given their axis in each input.

    None: there are no samples; `MEAN`: the result is a mean over them. Raises `NotSeparable` where
    the result for a sample depends on others, or where the rule declares nothing (see
    `ops/kinds.py`).
    """
    if all(axis is None for axis in axes):
        return None
    if declared := getattr(node.rule, "batch_axis", None):
        return declared(node, axes)  # type: ignore[no-any-return]  # an optional declaration
    if isinstance(node.rule, Elementwise):
        return _of_mean(node, axes) if MEAN in axes else _broadcast(node, axes)
    count = getattr(node.rule, "batch_axes", 0)
    first, *others = axes
    leading = range(node.inputs[0].ndim)[: count(node) if callable(count) else count]
    if first not in leading or any(axis is not None for axis in others):
        raise NotSeparable
    return first


def _of_mean(node: Operator, axes: Sequence[int | None]) -> int:
    """Elementwise mathematics of a mean: a mean again only if it is linear in it."""
    others = [axis for axis in axes if axis != MEAN]
    summed = node.rule.name in ("add", "subtract", "negative")
    scaled = node.rule.name == "multiply" and len(others) == 1
    divided = node.rule.name == "divide" and axes[0] == MEAN != axes[1]
    if any(axis is not None for axis in others) or not (summed or scaled or divided):
        raise NotSeparable
    return MEAN


def _broadcast(node: Operator, axes: Sequence[int | None]) -> int:
    """Elementwise mathematics: the samples of all inputs lie along one axis of the result."""
    pairs = list(zip(node.inputs, axes, strict=True))
    places = {x.ndim - axis for x, axis in pairs if axis is not None}  # counted from the last axis
    place = places.pop()
    for x, axis in pairs:
        if places or (axis is None and x.ndim >= place and x.shape[-place] != 1):
            raise NotSeparable
    return node.ndim - place


def sample_axes(
    order: Sequence[GraphNode], leaves: Mapping[GraphNode, int], meeting: bool = False
) -> dict[GraphNode, int | None]:
    """The axis of each node along which samples lie, given those of leaves (see `batch_axis`).

    Raises `NotSeparable` also where samples meet in sums, unless `meeting`.
    """
    axes: dict[GraphNode, int | None] = {**leaves}
    sizes = {x.shape[axis] for x, axis in leaves.items()}
    for node in order:
        if isinstance(node, Operator):
            if not meeting and samples_meet(node):
                raise NotSeparable
            drawn = getattr(node.rule, "draws", False) and not sizes.isdisjoint(node.shape[:1])
            axes[node] = 0 if drawn else batch_axis(node, [axes.get(x) for x in node.inputs])
    return axes


def axes_of(order: Sequence[GraphNode], inputs: Collection[GraphNode]) -> list[int | None]:
    """`sample_axes` where samples lie along the first axis of the inputs and may meet in sums.

    Empty where the graph is not separable. Otherwise that of the last node comes last.
    """
    try:
        return [*sample_axes(order, dict.fromkeys(inputs, 0), meeting=True).values()]
    except NotSeparable:
        return []


def samples_meet(node: GraphNode) -> bool:
    """Do the samples of a batch meet in sums (`ops.kernel.sum_over_parts`)?"""
    declared = getattr(node.rule, "samples_meet", None) if isinstance(node, Operator) else None
    return declared is not None and bool(declared(node))


def separable(order: Sequence[GraphNode], inputs: Collection[GraphNode]) -> bool:
    """Is the last node a mean over the samples, which lie along the first axis of the inputs?

    They may meet in sums on the way.
    """
    return axes_of(order, inputs)[-1:] == [MEAN]


def divided(whole: Any, batch: int, build: Callable[[int], Any]) -> tuple[Any, int]:
    """The graph of a part of the batch, `build(samples)`, and the number of equal parts.

    A graph has its `order` and the nodes that are `fed`. It is that of the whole batch, and 1,
    where parts are not worth it, or where samples lie elsewhere in the graph of a part: numbers may
    be drawn, say, in a shape that does not come from the batch.
    """
    parts = parts_of(batch, whole.order, whole.fed, kernels.jit.threads(batch))
    if parts > 1:
        with suppress(ShapeError, IndexError):  # of a shape that the model holds fast
            part = build(batch // parts)
            if axes_of(part.order, part.fed) == axes_of(whole.order, whole.fed):
                return part, parts
    return whole, 1


def parts_of(
    batch: int, order: Sequence[GraphNode], inputs: Collection[GraphNode], threads: int
) -> int:
    """The number of equal parts of a batch: one per thread, if that is possible and worth it."""
    # a backward pass costs about twice as much as the forward pass
    cost = 3 * sum(flops(node) for node in order if isinstance(node, Operator))
    if cost < WORTH_THREADS or not separable(order, inputs):
        return 1
    if any(map(samples_meet, order)):
        # a step that stops where all parts meet needs `simd`, and statistics two samples
        threads = min(threads, max(1, batch // 2)) if kernels.simd.ON else 1
    return max(n for n in range(1, threads + 1) if batch % n == 0)
