"""Operators that reduce axes, and the softmax family.

`axis` is an integer, a tuple of integers or None for all axes; negative ones count from the end;
`keepdims` keeps reduced axes with length 1, all as in NumPy. A wrong axis raises `ShapeError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..errors import ShapeError
from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..graph.registry import implements
from ..graph.rule import Operand, Operator, register
from .kinds import ClosedForm, SameShape
from .separable import MEAN, Axes, NotSeparable

Axis = int | Sequence[int] | None


class Reduced(NamedTuple):
    """The reduced axes, how many entries each result is made from, and the result's shape with and
    without these axes.
    """

    axes: tuple[int, ...]
    entries: int
    kept: tuple[int, ...]
    shape: tuple[int, ...]


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


class Reduction(ClosedForm):
    """Forward is NumPy's function of the same name; backward `spread(g, y, x, plan)`, g and y with
    their axes kept, on arrays or nodes.
    """

    needs_entries = False
    flops: int = 1
    spread: Callable[..., Any]

    def plan(self, x: Operand, axis: Axis = None, keepdims: bool = False) -> Reduced:
        (x,) = self.floats(x)
        axes = normalise_axes(self.name, x, axis)
        kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
        count = math.prod([x.shape[i] for i in axes])
        if self.needs_entries and count == 0:
            expected = f"there is no entry to take the {self.name} of along axis {axis}"
            raise self.error((x,), expected)
        shape = kept if keepdims else tuple(n for i, n in enumerate(x.shape) if i not in axes)
        return Reduced(axes, count, kept, shape)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        axes, _, kept, _ = node.plan
        getattr(np, self.name)(xs[0], axis=axes, keepdims=True, out=out.reshape(kept))

    def cotangent(self, i: int, node: Operator, g: Any, y: Any, *xs: Any) -> Any:
        kept = node.plan.kept
        return self.spread(g.reshape(kept), y.reshape(kept), *xs, node.plan)

    def batch_axis(self, node: Operator, axes: Axes) -> int:
        (axis,), plan = axes, node.plan
        assert axis is not None
        if axis not in plan.axes:
            kept = len(plan.kept) == len(plan.shape)
            return axis if kept else axis - len([a for a in plan.axes if a < axis])
        if self.name != "mean":
            raise NotSeparable
        return MEAN


class Sum(Reduction):
    """Sum over `axis`."""

    name, symbol = "sum", "Σ"
    formula = "sum(x, axis)"
    vjp_formulas = ("broadcast(g)",)
    spread = staticmethod(lambda g, y, x, plan: g)


class Mean(Reduction):
    """Mean over `axis`; of no entries it is NaN."""

    name, symbol = "mean", "mean"
    formula = "mean(x, axis)"
    vjp_formulas = ("broadcast(g) / count",)
    spread = staticmethod(lambda g, y, x, plan: g / (plan.entries or np.nan))

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        axes, entries, kept, _ = node.plan
        total = np.sum(xs[0], axis=axes, keepdims=True, out=out.reshape(kept))
        total /= entries or np.nan


def _tied(g: Any, y: Any, x: Any, plan: Reduced) -> Any:
    winners = x == y
    # NaN is the largest entry and equals none: its slope is NaN
    with np.errstate(divide="ignore", invalid="ignore"):
        return winners * (g / (winners * x.dtype.type(1)).sum(plan.axes, keepdims=True))


class Max(Reduction):
    """Largest entry along `axis`; ties share the gradient equally."""

    name, symbol, needs_entries = "max", "max", True
    formula = "max(x, axis)"
    vjp_formulas = ("g * (x == y) / sum(x == y, axis)",)
    spread = staticmethod(_tied)


class Min(Max):
    """Smallest entry along `axis`; ties share the gradient equally."""

    name, symbol = "min", "min"
    formula = "min(x, axis)"


class LogSumExp(Reduction):
    """log Σ exp(x) over `axis`, without overflow: a smooth maximum."""

    name, symbol, needs_entries, flops = "logsumexp", "log Σ exp", True, 4
    formula = "log(sum(exp(x), axis))"
    vjp_formulas = ("g * exp(x - y)",)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        (x,), (axes, _, kept, _) = xs, node.plan
        top = x.max(axis=axes, keepdims=True)
        # all -inf, or an inf: nothing to scale, and inf - inf is no number
        top = np.where(np.isfinite(top), top, 0)
        # all -inf: the logarithm of 0; an inf: nothing to scale by
        with np.errstate(divide="ignore", over="ignore"):
            scaled = np.log(np.exp(x - top).sum(axis=axes, keepdims=True))
            np.add(scaled, top, out=out.reshape(kept))

    @staticmethod
    def spread(g: Any, y: Any, x: Any, plan: Reduced) -> Any:
        with np.errstate(invalid="ignore"):  # all entries -inf: NaN, as in PyTorch and JAX
            return g * np.exp(x - y)


class AlongAxis(SameShape):
    """Operators on the vectors along one axis that keep the shape: softmax and its logarithm."""

    flops = 5

    def plan(self, x: Operand, axis: int = -1) -> int:
        (x,) = self.floats(x)
        if not isinstance(axis, int | np.integer) or not x.ndim:
            raise self.error((x,), f"an array and one axis were expected, not axis {axis}")
        return normalise_axes(self.name, x, axis)[0]

    def batch_axis(self, node: Operator, axes: Axes) -> int:
        if axes[0] in (None, MEAN, node.plan):
            raise NotSeparable
        return axes[0]


def _shift(x: Array, axis: int, out: Array) -> None:
    with np.errstate(invalid="ignore"):  # an infinite maximum: NaN, as in PyTorch and JAX
        np.subtract(x, x.max(axis=axis, keepdims=True, initial=-np.inf), out=out)


class Softmax(ClosedForm, AlongAxis):
    """exp(x) / Σ exp(x) along `axis`: positive numbers that add up to 1, of the shape of x."""

    name, symbol = "softmax", "softmax"
    formula = "exp(x) / sum(exp(x), axis)"
    vjp_formulas = ("y * (g - sum(g * y, axis))",)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        _shift(xs[0], node.plan, out)
        np.exp(out, out=out)
        out /= out.sum(node.plan, keepdims=True)

    def cotangent(self, i: int, node: Operator, g: Any, y: Any, *xs: Any) -> Any:
        return y * (g - (g * y).sum(node.plan, keepdims=True))


class LogSoftmax(ClosedForm, AlongAxis):
    """Logarithm of the softmax along `axis`, exact where the softmax itself underflows."""

    name, symbol = "log_softmax", "log softmax"
    formula = "x - log(sum(exp(x), axis))"
    vjp_formulas = ("g - exp(y) * sum(g, axis)",)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        _shift(xs[0], node.plan, out)
        out -= np.log(np.exp(out).sum(node.plan, keepdims=True))

    def cotangent(self, i: int, node: Operator, g: Any, y: Any, *xs: Any) -> Any:
        return g - np.exp(y) * g.sum(node.plan, keepdims=True)


def like_numpy(operator: Callable[..., GraphNode], *functions: Any) -> None:
    """Let an operator implement NumPy functions, whose third positional argument is `out`."""
    implements(*functions)(lambda x, axis=None, *, keepdims=False: operator(x, axis, keepdims))


sum = register(Sum())
mean = register(Mean())
max = register(Max())
min = register(Min())
logsumexp = register(LogSumExp())
softmax = register(Softmax())
log_softmax = register(LogSoftmax())
like_numpy(sum, np.sum)
like_numpy(mean, np.mean)
like_numpy(max, np.max, np.amax)
like_numpy(min, np.min, np.amin)
