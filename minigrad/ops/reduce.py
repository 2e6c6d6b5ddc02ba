"""Operators that reduce axes, and the softmax family.

`axis` is an integer, a tuple of integers or None for all axes; negative ones count from the end;
`keepdims` keeps reduced axes with length 1, all as in NumPy. A wrong axis raises `ShapeError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..graph.node import Array, GraphNode, Operator
from ..graph.rule import MEAN, NotSeparable, Rule, by_name, implements

F = TypeVar("F", bound=Callable[..., GraphNode])


class Reduced(NamedTuple):
    """Which axes go, how many entries each result is made from, and the shapes with and without the
    axes.
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
            raise rule.error(
                (x,), f"axis {axis} does not fit; integers from {-n} to {n - 1} were expected"
            )
        found.append(int(a) % n)
    if len(set(found)) != len(found):
        raise rule.error((x,), f"axis {axis} names an axis twice")
    return tuple(found)


class Reduction(Rule):
    """`reduce(x, axes)` forward; backward `spread(g, y, x, axes, count)`, g and y with their axes
    kept.
    """

    needs_entries = False
    reduce: Callable[..., Any]
    spread: Callable[..., Any]

    def plan(self, x: GraphNode, axis: Any = None, keepdims: bool = False) -> Reduced:  # type: ignore[override]
        self.need_floats(x)
        axes = normalise_axes(self, x, axis)
        kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
        count = math.prod([x.shape[i] for i in axes])
        if self.needs_entries and count == 0:
            raise self.error(
                (x,), f"there is no entry to take the {self.name} of along axis {axis}"
            )
        shape = kept if keepdims else tuple(n for i, n in enumerate(x.shape) if i not in axes)
        return Reduced(axes, count, kept, shape)

    def shape(self, node: Operator) -> tuple[int, ...]:
        shape: tuple[int, ...] = node.plan.shape
        return shape

    def forward(self, node: Operator, out: Array, x: Array) -> None:  # type: ignore[override]
        self.reduce(x, node.plan.axes, out=out.reshape(node.plan.kept))

    def backward(
        self, node: Operator, grads: list[Array | None], g: Array, y: Array, x: Array
    ) -> None:  # type: ignore[override]
        kept = node.plan.kept
        np.copyto(
            grads[0],
            self.spread(g.reshape(kept), y.reshape(kept), x, node.plan.axes, node.plan.entries),
        )  # type: ignore[arg-type]

    def vjp_nodes(
        self, node: Operator, g: GraphNode, wanted: Sequence[bool]
    ) -> Sequence[GraphNode | None]:
        (x,), plan = node.inputs, node.plan
        back = self.spread(
            g.reshape(plan.kept), node.reshape(plan.kept), x, plan.axes, plan.entries
        )
        return [by_name("broadcast_to")(back, shape=x.shape)]

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        (axis,) = axes
        if axis is None or axis not in node.plan.axes:
            kept = len(node.plan.kept) == len(node.plan.shape)
            return (
                axis
                if axis is None or kept
                else axis - len([a for a in node.plan.axes if a < axis])
            )
        if self.name != "mean" or axis == MEAN:
            raise NotSeparable
        return MEAN

    def flops(self, node: Operator) -> int:
        return node.inputs[0].size


def _tied(g: Array, y: Array, x: Array, axes: tuple[int, ...], count: int) -> Any:
    winners = x == y
    with np.errstate(
        divide="ignore", invalid="ignore"
    ):  # NaN is the largest entry and equals none: its slope is NaN
        return winners * (g / (winners * x.dtype.type(1)).sum(axes, keepdims=True))


def _average(x: Array, axes: tuple[int, ...], out: Array) -> None:
    np.sum(x, axis=axes, keepdims=True, out=out)
    if out.size:
        out /= x.size // out.size or np.nan  # the mean of nothing is not a number


class Sum(Reduction):
    name, symbol = "sum", "Σ"
    formula = "sum(x, axis)"
    vjp_formulas = ("broadcast(g)",)
    reduce = staticmethod(lambda x, axes, out: np.sum(x, axis=axes, keepdims=True, out=out))
    spread = staticmethod(lambda g, y, x, axes, count: g)


class Mean(Reduction):
    name, symbol = "mean", "mean"
    formula = "mean(x, axis)"
    vjp_formulas = ("broadcast(g) / count",)
    reduce = staticmethod(lambda x, axes, out: _average(x, axes, out))
    spread = staticmethod(lambda g, y, x, axes, count: g / (count or np.nan))


class Max(Reduction):
    name, symbol, needs_entries = "max", "max", True
    formula = "max(x, axis)"
    vjp_formulas = ("g * (x == y) / sum(x == y, axis)",)
    reduce = staticmethod(lambda x, axes, out: np.max(x, axis=axes, keepdims=True, out=out))
    spread = staticmethod(_tied)


class Min(Reduction):
    name, symbol, needs_entries = "min", "min", True
    formula = "min(x, axis)"
    vjp_formulas = ("g * (x == y) / sum(x == y, axis)",)
    reduce = staticmethod(lambda x, axes, out: np.min(x, axis=axes, keepdims=True, out=out))
    spread = staticmethod(_tied)


def _logsumexp(x: Array, axes: tuple[int, ...], out: Array) -> None:
    top = x.max(axis=axes, keepdims=True)
    top = np.where(
        np.isfinite(top), top, 0
    )  # all -inf, or an inf: nothing to scale, and inf - inf is no number
    with np.errstate(
        divide="ignore", over="ignore"
    ):  # all -inf: the logarithm of 0; an inf: nothing to scale by
        np.add(np.log(np.exp(x - top).sum(axis=axes, keepdims=True)), top, out=out)


def _logsumexp_spread(g: Array, y: Array, x: Array, axes: tuple[int, ...], count: int) -> Any:
    with np.errstate(invalid="ignore"):  # all entries -inf: NaN, as in PyTorch and JAX
        return g * np.exp(x - y)


class LogSumExp(Reduction):
    name, symbol, needs_entries = "logsumexp", "log Σ exp", True
    formula = "log(sum(exp(x), axis))"
    vjp_formulas = ("g * exp(x - y)",)
    reduce = staticmethod(_logsumexp)
    spread = staticmethod(_logsumexp_spread)

    def flops(self, node: Operator) -> int:
        return 4 * node.inputs[0].size


class AlongAxis(Rule):
    """Operators on the vectors along one axis that keep the shape: softmax and its logarithm."""

    def plan(self, x: GraphNode, axis: int = -1) -> int:  # type: ignore[override]
        self.need_floats(x)
        if not isinstance(axis, int | np.integer) or not x.ndim:
            raise self.error((x,), f"an array and one axis were expected, not axis {axis}")
        return normalise_axes(self, x, axis)[0]

    def shape(self, node: Operator) -> tuple[int, ...]:
        return node.inputs[0].shape

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        if axes[0] == MEAN or axes[0] == node.plan:
            raise NotSeparable
        return axes[0]

    def flops(self, node: Operator) -> int:
        return 5 * node.size


def _shift(x: Array, axis: int, out: Array) -> None:
    np.subtract(x, x.max(axis=axis, keepdims=True, initial=-np.inf), out=out)


class Softmax(AlongAxis):
    name, symbol = "softmax", "softmax"
    formula = "exp(x) / sum(exp(x), axis)"
    vjp_formulas = ("y * (g - sum(g * y, axis))",)

    def forward(self, node: Operator, out: Array, x: Array) -> None:  # type: ignore[override]
        with np.errstate(
            invalid="ignore"
        ):  # a row with an infinite maximum: NaN, as in PyTorch and JAX
            _shift(x, node.plan, out)
        np.exp(out, out=out)
        out /= out.sum(node.plan, keepdims=True)

    def backward(
        self, node: Operator, grads: list[Array | None], g: Array, y: Array, x: Array
    ) -> None:  # type: ignore[override]
        np.multiply(y, self._centred(g, y, node.plan), out=grads[0])

    def vjp_nodes(
        self, node: Operator, g: GraphNode, wanted: Sequence[bool]
    ) -> Sequence[GraphNode | None]:
        return [node * self._centred(g, node, node.plan)]

    @staticmethod
    def _centred(g: Any, y: Any, axis: int) -> Any:
        return g - (g * y).sum(axis, keepdims=True)


class LogSoftmax(AlongAxis):
    name, symbol = "log_softmax", "log softmax"
    formula = "x - log(sum(exp(x), axis))"
    vjp_formulas = ("g - exp(y) * sum(g, axis)",)

    def forward(self, node: Operator, out: Array, x: Array) -> None:  # type: ignore[override]
        with np.errstate(invalid="ignore"):
            _shift(x, node.plan, out)
        out -= np.log(np.exp(out).sum(node.plan, keepdims=True))

    def backward(
        self, node: Operator, grads: list[Array | None], g: Array, y: Array, x: Array
    ) -> None:  # type: ignore[override]
        np.subtract(g, self._shared(g, y, node.plan), out=grads[0])

    def vjp_nodes(
        self, node: Operator, g: GraphNode, wanted: Sequence[bool]
    ) -> Sequence[GraphNode | None]:
        return [g - self._shared(g, node, node.plan)]

    @staticmethod
    def _shared(g: Any, y: Any, axis: int) -> Any:
        return np.exp(y) * g.sum(axis, keepdims=True)


def like_numpy(*functions: Any) -> Callable[[F], F]:
    """Decorator: the operator stands for these functions, whose third positional argument is
    another one than ours.
    """

    def register(operator: F) -> F:
        implements(*functions)(lambda x, axis=None, *, keepdims=False: operator(x, axis, keepdims))
        return operator

    return register


@like_numpy(np.sum)
def sum(x: Any, axis: Any = None, keepdims: bool = False) -> GraphNode:
    """Sum over `axis`."""
    return by_name("sum")(x, axis=axis, keepdims=keepdims)


@like_numpy(np.mean)
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> GraphNode:
    """Mean over `axis`; of no entries it is NaN."""
    return by_name("mean")(x, axis=axis, keepdims=keepdims)


@like_numpy(np.max, np.amax)
def max(x: Any, axis: Any = None, keepdims: bool = False) -> GraphNode:
    """Largest entry along `axis`; ties share the gradient equally."""
    return by_name("max")(x, axis=axis, keepdims=keepdims)


@like_numpy(np.min, np.amin)
def min(x: Any, axis: Any = None, keepdims: bool = False) -> GraphNode:
    """Smallest entry along `axis`; ties share the gradient equally."""
    return by_name("min")(x, axis=axis, keepdims=keepdims)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> GraphNode:
    """log Σ exp(x) over `axis`, without overflow: a smooth maximum."""
    return by_name("logsumexp")(x, axis=axis, keepdims=keepdims)


def softmax(x: Any, axis: int = -1) -> GraphNode:
    """exp(x) / Σ exp(x) along `axis`: positive numbers that add up to 1, of the shape of x."""
    return by_name("softmax")(x, axis=axis)


def log_softmax(x: Any, axis: int = -1) -> GraphNode:
    """Logarithm of the softmax along `axis`, exact where the softmax itself underflows."""
    return by_name("log_softmax")(x, axis=axis)
