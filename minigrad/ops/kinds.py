"""Kinds of rules that operators in several modules share, and what they say of a batch.

A rule may declare how the samples of a batch keep apart (`run/batch.py` reads it):

* `batch_axes`: samples that lie along one of the first so many axes of the first input lie along
  the same axis of the result (a number as in `axes[:n]`, or a method of the node);
* or `batch_axis(node, axes)`: along which axis of the result the samples lie, from where they lie
  in each input (None: nowhere, which is not so for all of them; `MEAN`: it is a mean over samples).
  It raises `NotSeparable` where the result for a sample depends on other samples of the batch.
* or `draws`: it draws numbers, for each sample its own if the first axis is as long as the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..errors import ShapeError
from ..graph.conversion import Array, sum_to
from ..graph.node import GraphNode
from ..graph.rule import Grads, Operator, Rule

Axes = Sequence[int | None]
MEAN = -1


class NotSeparable(Exception):
    """The result for a sample depends on other samples of the batch."""


def normalise_axes(name: str, x: GraphNode, axis: Any) -> tuple[int, ...]:
    """`axis` as a tuple of different numbers in [0, ndim), for the operator of that name."""
    n = x.ndim
    if axis is None:
        return tuple(range(n))
    try:
        return normalize_axis_tuple(axis, n)
    except (ValueError, TypeError):  # NumPy's AxisError is a ValueError
        expected = f"different integers from {-n} to {n - 1} were expected"
        raise ShapeError(
            f"{name}: shapes {x.shape}; axis {axis} does not fit; {expected}"
        ) from None


def check_number(
    rule: Rule, inputs: Sequence[Any], what: str, value: Any, most: float = math.inf
) -> float:
    """The value as a float, if it is a number from 0 to `most`; else `ValueError`."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not 0 <= value <= most or value == math.inf:
        expected = "a number ≥ 0" if most == math.inf else f"a number from 0 to {most:g}"
        raise rule.error(inputs, f"{what}={value!r}; {expected} was expected", ValueError)
    return float(value)


class SameShape(Rule):
    """The result has the shape of the first input."""

    def shape(self, node: Operator) -> tuple[int, ...]:
        return node.inputs[0].shape


class ClosedForm(Rule):
    """Cotangents are expressions, which are computed with arrays and, for graphs, with nodes."""

    def cotangent(self, i: int, node: Operator, g: Any, y: Any, *xs: Any) -> Any:
        """∂L/∂xs[i] from g = ∂L/∂y, or what broadcasts to it."""
        raise NotImplementedError

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        for i, grad in enumerate(grads):
            if grad is not None:
                np.copyto(grad, self.cotangent(i, node, g, y, *xs))

    def vjp_nodes(
        self, node: Operator, g: GraphNode, wanted: Sequence[bool]
    ) -> Sequence[GraphNode | None]:
        return [
            sum_to(self.cotangent(i, node, g, node, *node.inputs), x.shape) if wanted[i] else None
            for i, x in enumerate(node.inputs)
        ]


class Move(Rule):
    """The result has a place for every number of the inputs, and changes none."""

    multilinear, flops = 1, 0

    def places(self, node: Operator, whole: Array) -> list[Array]:
        """For each input the view of `whole`, which has the result's shape, where it goes."""
        raise NotImplementedError

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        for place, x in zip(self.places(node, out), xs, strict=True):
            np.copyto(place, x)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        for place, grad in zip(self.places(node, g), grads, strict=True):
            if grad is not None:
                np.copyto(grad, place)
