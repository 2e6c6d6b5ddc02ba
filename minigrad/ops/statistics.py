"""Lengths, products, spreads, running totals, and where the extremes are; `axis` and `keepdims` as
in `reduce.py`.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

import numpy as np

from .. import kernels
from ..errors import GraphError
from ..graph.node import Array, GraphNode, Operator
from ..graph.rule import Rule, by_name, implements
from .axes import split
from .elementwise import add, divide, multiply, subtract
from .reduce import AlongAxis, Reduced, Reduction, like_numpy, mean, sum
from .shape import concatenate, transpose

Grads = list[Array | None]


class Norm(Reduction):
    name, symbol = "norm", "‖ ‖"
    formula = "root(sum(x ** 2, axis))"
    vjp_formulas = ("g * x / y",)
    reduce = staticmethod(
        lambda x, axes, out: np.sqrt(np.sum(x * x, axis=axes, keepdims=True), out=out)
    )
    # at 0, where it has no slope, 0 is among those that fit
    spread = staticmethod(
        lambda g, y, x, axes, count: g * np.where(y == 0, 0, x / np.where(y == 0, 1, y))
    )

    def flops(self, node: Operator) -> int:
        return 2 * node.inputs[0].size


def _others(x: Array, axes: tuple[int, ...], count: int) -> Array:
    """For each entry the product of all others: from both sides, because dividing the whole product
    fails at 0.
    """
    ends = range(-len(axes), 0)
    rows = np.moveaxis(x, axes, ends)
    flat = rows.reshape(*rows.shape[: x.ndim - len(axes)], count)
    others = np.ones_like(flat)
    np.cumprod(flat[..., :-1], axis=-1, out=others[..., 1:])
    others[..., :-1] *= np.cumprod(flat[..., :0:-1], axis=-1)[..., ::-1]
    return np.moveaxis(others.reshape(rows.shape), ends, axes)


class Prod(Reduction):
    name, symbol = "prod", "Π"
    formula = "apply('Π', x)"
    vjp_formulas = ("g * apply('others', x)",)
    reduce = staticmethod(lambda x, axes, out: np.prod(x, axis=axes, keepdims=True, out=out))
    spread = staticmethod(lambda g, y, x, axes, count: g * _others(x, axes, count))
    vjp_nodes = Rule.vjp_nodes

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode:
        """One half of the factors times the other, until one is left."""
        (x,), axes, n = xs, node.plan.axes, node.plan.entries
        kept = [i for i in range(x.ndim) if i not in axes]
        rest = transpose(x, [*kept, *axes]).reshape(*(x.shape[i] for i in kept), n)
        if not n:
            return add(sum(rest, axis=-1).reshape(node.shape), 1)
        while n > 1:
            half, odd = divmod(n, 2)
            pairs = rest[..., :half] * rest[..., half : 2 * half]
            rest, n = (
                concatenate([pairs, rest[..., 2 * half :]], axis=-1) if odd else pairs,
                half + odd,
            )
        return rest.reshape(node.shape)


class ArgMax(Reduction):
    """The place of the first of the largest entries; no gradient passes."""

    name, symbol, needs_entries, differentiable = "argmax", "arg max", True, False
    formula = "apply('argmax', x)"

    def plan(self, x: GraphNode, axis: Any = None, keepdims: bool = False) -> Reduced:  # type: ignore[override]
        if isinstance(axis, tuple | list):
            raise self.error((x,), f"axis {axis}; one axis or None was expected")
        return super().plan(x, axis, keepdims)

    def dtype(self, node: Operator) -> np.dtype[Any]:
        return np.dtype(np.int64)

    def forward(self, node: Operator, out: Array, x: Array) -> None:  # type: ignore[override]
        axes = node.plan.axes
        out.reshape(node.plan.kept)[...] = getattr(np, self.name)(
            x, axis=axes[0] if len(axes) < x.ndim or x.ndim == 1 else None, keepdims=True
        )


class ArgMin(ArgMax):
    name, symbol = "argmin", "arg min"
    formula = "apply('argmin', x)"


class CumSum(AlongAxis):
    name, symbol, multilinear = "cumsum", "Σ so far", 1
    formula = "apply('cumsum', x)"
    vjp_formulas = ("apply('cumsum from the end', g)",)

    def forward(self, node: Operator, out: Array, x: Array) -> None:  # type: ignore[override]
        np.cumsum(x, axis=node.plan, out=out)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, x: Array) -> None:  # type: ignore[override]
        np.copyto(grads[0], np.flip(np.cumsum(np.flip(g, node.plan), axis=node.plan), node.plan))  # type: ignore[arg-type]


class CumProd(AlongAxis):
    name, symbol = "cumprod", "Π so far"
    formula = "apply('cumprod', x)"
    vjp_formulas = ("apply('scan', g, x)",)

    def forward(self, node: Operator, out: Array, x: Array) -> None:  # type: ignore[override]
        np.cumprod(x, axis=node.plan, out=out)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, x: Array) -> None:  # type: ignore[override]
        sizes = (
            math.prod(x.shape[: node.plan]),
            x.shape[node.plan],
            math.prod(x.shape[node.plan + 1 :]),
        )
        node.call(kernels.scan.cumprod_back, *(a.reshape(sizes) for a in (g, x, y, grads[0])))  # type: ignore[union-attr]

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode:
        x, axis = xs[0], node.plan
        if not x.shape[axis]:
            return x
        first, *others = split(x, x.shape[axis], axis)
        return concatenate(list(accumulate(others, multiply, initial=first)), axis=axis)


@like_numpy(np.prod)
def prod(x: Any, axis: Any = None, keepdims: bool = False) -> GraphNode:
    """Product over `axis` (of no entries 1); the gradient is exact where entries are 0."""
    return by_name("prod")(x, axis=axis, keepdims=keepdims)


def norm(x: Any, axis: Any = None, keepdims: bool = False) -> GraphNode:
    """Euclidean length √Σx² over `axis`; its slope at 0 is 0, as in PyTorch."""
    return by_name("norm")(x, axis=axis, keepdims=keepdims)


@implements(np.linalg.norm)
def _np_norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> GraphNode:
    vectors = isinstance(axis, int) or (axis is None and x.ndim == 1)
    if not (ord is None or (ord == 2 and vectors) or (ord == "fro" and not vectors)):
        raise GraphError(
            f"np.linalg.norm: ord={ord!r} has no minigrad operator; the Euclidean length was "
            f"expected"
        )
    return norm(x, axis, keepdims)


def _deviations(x: Any, axis: Any, ddof: float) -> tuple[GraphNode, float]:
    """x - mean(x), and by what to divide a sum of their squares; not a number where there are too
    few entries.
    """
    (node,) = by_name("mean").operands((x,))
    middle = mean(node, axis, keepdims=True)
    freedom = node.size // middle.size - ddof if middle.size else 0
    return subtract(node, middle), freedom if freedom > 0 else np.nan


def var(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> GraphNode:
    """Variance Σ(x - mean)² / (n - ddof) over `axis`, as in NumPy; NaN where n ≤ ddof. PyTorch's
    default is ddof=1.
    """
    apart, freedom = _deviations(x, axis, ddof)
    return divide(sum(multiply(apart, apart), axis, keepdims), freedom)


def std(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> GraphNode:
    """Standard deviation, the root of `var`; its slope at constant data is 0, as in PyTorch."""
    apart, freedom = _deviations(x, axis, ddof)
    return divide(norm(apart, axis, keepdims), freedom**0.5)


@implements(np.var)
def _np_var(x: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False) -> GraphNode:
    return var(x, axis, ddof, keepdims)


@implements(np.std)
def _np_std(x: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False) -> GraphNode:
    return std(x, axis, ddof, keepdims)


@like_numpy(np.argmax)
def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> GraphNode:
    """The place of the largest entry along `axis` (of all, in C order, by default), an integer; of
    equals the first.
    """
    return by_name("argmax")(x, axis=axis, keepdims=keepdims)


@like_numpy(np.argmin)
def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> GraphNode:
    """The place of the smallest entry along `axis`; see `argmax`."""
    return by_name("argmin")(x, axis=axis, keepdims=keepdims)


@implements(np.cumsum)
def cumsum(x: Any, axis: int | None = None) -> GraphNode:
    """Sums of the entries up to each along `axis`; without one, of all entries in C order."""
    return _running("cumsum", x, axis)


@implements(np.cumprod)
def cumprod(x: Any, axis: int | None = None) -> GraphNode:
    """Products of the entries up to each along `axis`; without one, of all entries in C order.
    Exact at zeros.
    """
    return _running("cumprod", x, axis)


def _running(name: str, x: Any, axis: int | None) -> GraphNode:
    rule = by_name(name)
    (node,) = rule.operands((x,))
    return rule(node.flatten(), axis=0) if axis is None else rule(node, axis=axis)
