"""Operators that reduce axes, and the softmax family.

`axis` is an integer, a tuple of integers or None for all axes; negative ones count from the end;
`keepdims` keeps reduced axes with length 1, all as in NumPy. A wrong axis raises `ShapeError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..graph.registry import by_name, implements
from ..graph.rule import Grads, Operand, Operator, Rule, register
from .separable import MEAN, NotSeparable

Axis = int | Sequence[int] | None


class Reduced(NamedTuple):
    """The reduced axes, how many entries each result is made from, and the result's shape with and
    without these axes.
    """

    axes: tuple[int, ...]
    entries: int
    kept: tuple[int, ...]
    shape: tuple[int, ...]


def normalise_axes(rule: Rule, x: GraphNode, axis: Any) -> tuple[int, ...]:
    """`axis` as a tuple of different numbers in [0, ndim)."""
    if axis is None:
        return tuple(range(x.ndim))
    n, found = x.ndim, []
    for a in axis if isinstance(axis, tuple | list) else (axis,):
        if not isinstance(a, int | np.integer) or not -n <= a < n:
            expected = f"integers from {-n} to {n - 1} were expected"
            raise rule.error((x,), f"axis {axis} does not fit; {expected}")
        found.append(int(a) % n)
    if len(set(found)) != len(found):
        raise rule.error((x,), f"axis {axis} names an axis twice")
    return tuple(found)


class Reduction(Rule):
    """`reduce(x, axes)` forward; backward `spread(g, y, x, axes, count)`, g and y with their axes
    kept, on arrays or nodes.
    """

    needs_entries = False
    flops: int = 1
    reduce: Callable[..., Any]
    spread: Callable[..., Any]

    def plan(self, x: Operand, axis: Axis = None, keepdims: bool = False) -> Reduced:
        (x,) = self.floats(x)
        axes = normalise_axes(self, x, axis)
        kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
        count = math.prod([x.shape[i] for i in axes])
        if self.needs_entries and count == 0:
            expected = f"there is no entry to take the {self.name} of along axis {axis}"
            raise self.error((x,), expected)
        shape = kept if keepdims else tuple(n for i, n in enumerate(x.shape) if i not in axes)
        return Reduced(axes, count, kept, shape)

    def shape(self, node: Operator) -> tuple[int, ...]:
        shape: tuple[int, ...] = node.plan.shape
        return shape

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        self.reduce(xs[0], node.plan.axes, out=out.reshape(node.plan.kept))

    def _spread(self, node: Operator, g: Any, y: Any, x: Any) -> Any:
        axes, entries, kept, _ = node.plan
        return self.spread(g.reshape(kept), y.reshape(kept), x, axes, entries)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        np.copyto(grads[0], self._spread(node, g, y, xs[0]))  # type: ignore[arg-type]

    def vjp_nodes(
        self, node: Operator, g: GraphNode, wanted: Sequence[bool]
    ) -> Sequence[GraphNode | None]:
        (x,) = node.inputs
        return [by_name("broadcast_to")(self._spread(node, g, node, x), x.shape)]

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        (axis,), plan = axes, node.plan
        if axis is None or axis not in plan.axes:
            kept = len(plan.kept) == len(plan.shape)
            return axis if axis is None or kept else axis - len([a for a in plan.axes if a < axis])
        if self.name != "mean" or axis == MEAN:
            raise NotSeparable
        return MEAN


def _tied(g: Array, y: Array, x: Array, axes: tuple[int, ...], count: int) -> Any:
    winners = x == y
    # NaN is the largest entry and equals none: its slope is NaN
    with np.errstate(divide="ignore", invalid="ignore"):
        return winners * (g / (winners * x.dtype.type(1)).sum(axes, keepdims=True))


def _average(x: Array, axes: tuple[int, ...], out: Array) -> None:
    np.sum(x, axis=axes, keepdims=True, out=out)
    if out.size:
        out /= x.size // out.size or np.nan  # the mean of nothing is not a number


class Sum(Reduction):
    """Sum over `axis`."""

    name, symbol = "sum", "Σ"
    formula = "sum(x, axis)"
    vjp_formulas = ("broadcast(g)",)
    reduce = staticmethod(lambda x, axes, out: np.sum(x, axis=axes, keepdims=True, out=out))
    spread = staticmethod(lambda g, y, x, axes, count: g)


class Mean(Reduction):
    """Mean over `axis`; of no entries it is NaN."""

    name, symbol = "mean", "mean"
    formula = "mean(x, axis)"
    vjp_formulas = ("broadcast(g) / count",)
    reduce = staticmethod(lambda x, axes, out: _average(x, axes, out))
    spread = staticmethod(lambda g, y, x, axes, count: g / (count or np.nan))


class Max(Reduction):
    """Largest entry along `axis`; ties share the gradient equally."""

    name, symbol, needs_entries = "max", "max", True
    formula = "max(x, axis)"
    vjp_formulas = ("g * (x == y) / sum(x == y, axis)",)
    reduce = staticmethod(lambda x, axes, out: np.max(x, axis=axes, keepdims=True, out=out))
    spread = staticmethod(_tied)


class Min(Max):
    """Smallest entry along `axis`; ties share the gradient equally."""

    name, symbol = "min", "min"
    formula = "min(x, axis)"
    reduce = staticmethod(lambda x, axes, out: np.min(x, axis=axes, keepdims=True, out=out))


def _logsumexp(x: Array, axes: tuple[int, ...], out: Array) -> None:
    top = x.max(axis=axes, keepdims=True)
    # all -inf, or an inf: nothing to scale, and inf - inf is no number
    top = np.where(np.isfinite(top), top, 0)
    # all -inf: the logarithm of 0; an inf: nothing to scale by
    with np.errstate(divide="ignore", over="ignore"):
        np.add(np.log(np.exp(x - top).sum(axis=axes, keepdims=True)), top, out=out)


def _logsumexp_spread(g: Array, y: Array, x: Array, axes: tuple[int, ...], count: int) -> Any:
    with np.errstate(invalid="ignore"):  # all entries -inf: NaN, as in PyTorch and JAX
        return g * np.exp(x - y)


class LogSumExp(Reduction):
    """log Σ exp(x) over `axis`, without overflow: a smooth maximum."""

    name, symbol, needs_entries, flops = "logsumexp", "log Σ exp", True, 4
    formula = "log(sum(exp(x), axis))"
    vjp_formulas = ("g * exp(x - y)",)
    reduce = staticmethod(_logsumexp)
    spread = staticmethod(_logsumexp_spread)


class AlongAxis(Rule):
    """Operators on the vectors along one axis that keep the shape: softmax and its logarithm."""

    flops = 5

    def plan(self, x: Operand, axis: int = -1) -> int:
        (x,) = self.floats(x)
        if not isinstance(axis, int | np.integer) or not x.ndim:
            raise self.error((x,), f"an array and one axis were expected, not axis {axis}")
        return normalise_axes(self, x, axis)[0]

    def shape(self, node: Operator) -> tuple[int, ...]:
        return node.inputs[0].shape

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        if axes[0] == MEAN or axes[0] == node.plan:
            raise NotSeparable
        return axes[0]


def _shift(x: Array, axis: int, out: Array) -> None:
    with np.errstate(invalid="ignore"):  # an infinite maximum: NaN, as in PyTorch and JAX
        np.subtract(x, x.max(axis=axis, keepdims=True, initial=-np.inf), out=out)


class Softmax(AlongAxis):
    """exp(x) / Σ exp(x) along `axis`: positive numbers that add up to 1, of the shape of x."""

    name, symbol = "softmax", "softmax"
    formula = "exp(x) / sum(exp(x), axis)"
    vjp_formulas = ("y * (g - sum(g * y, axis))",)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        _shift(xs[0], node.plan, out)
        np.exp(out, out=out)
        out /= out.sum(node.plan, keepdims=True)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        np.multiply(y, self._centred(g, y, node.plan), out=grads[0])

    def vjp_nodes(
        self, node: Operator, g: GraphNode, wanted: Sequence[bool]
    ) -> Sequence[GraphNode | None]:
        return [node * self._centred(g, node, node.plan)]

    @staticmethod
    def _centred(g: Any, y: Any, axis: int) -> Any:
        return g - (g * y).sum(axis, keepdims=True)


class LogSoftmax(AlongAxis):
    """Logarithm of the softmax along `axis`, exact where the softmax itself underflows."""

    name, symbol = "log_softmax", "log softmax"
    formula = "x - log(sum(exp(x), axis))"
    vjp_formulas = ("g - exp(y) * sum(g, axis)",)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        _shift(xs[0], node.plan, out)
        out -= np.log(np.exp(out).sum(node.plan, keepdims=True))

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        np.subtract(g, self._shared(g, y, node.plan), out=grads[0])

    def vjp_nodes(
        self, node: Operator, g: GraphNode, wanted: Sequence[bool]
    ) -> Sequence[GraphNode | None]:
        return [g - self._shared(g, node, node.plan)]

    @staticmethod
    def _shared(g: Any, y: Any, axis: int) -> Any:
        return np.exp(y) * g.sum(axis, keepdims=True)


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
