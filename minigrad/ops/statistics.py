"""Lengths, products, spreads, running totals, and where the extremes are.

`axis` and `keepdims` as in `reduce.py`.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

import numpy as np

from .. import kernels
from ..errors import GraphError
from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..graph.registry import by_name, implements, public
from ..graph.rule import Grads, Operand, Operator, register
from .axes import moveaxis, split
from .elementwise import add, divide, multiply, subtract
from .kernel import launch
from .reduce import AlongAxis, Axis, Reduced, Reduction, like_numpy, mean, sum
from .shape import concatenate


class Norm(Reduction):
    """Euclidean length √Σx² over `axis`; its slope at 0 is 0, as in PyTorch."""

    name, symbol, flops = "norm", "‖ ‖", 2
    formula = "root(sum(x ** 2, axis))"
    vjp_formulas = ("g * x / y",)
    spread = staticmethod(lambda g, y, x, plan: g * np.where(y == 0, 0, x / np.where(y == 0, 1, y)))

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        axes, _, kept, _ = node.plan
        np.sqrt(np.sum(xs[0] * xs[0], axis=axes, keepdims=True), out=out.reshape(kept))


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
    """Product over `axis` (of no entries 1); the gradient is exact where entries are 0."""

    name, symbol = "prod", "Π"
    formula = "apply('Π', x)"
    vjp_formulas = ("g * apply('others', x)",)
    spread = staticmethod(lambda g, y, x, plan: g * _others(x, plan.axes, plan.entries))
    vjp_nodes: Any = None  # by decomposition

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode:
        """One half of the entries times the other, until one is left."""
        (x,), axes, n = xs, node.plan.axes, node.plan.entries
        rest = moveaxis(x, axes, range(-len(axes), 0)).reshape(node.size, n)
        if not n:
            return add(sum(rest, axis=-1).reshape(node.shape), 1)
        while n > 1:
            half, odd = divmod(n, 2)
            pairs = rest[:, :half] * rest[:, half : 2 * half]
            rest = concatenate([pairs, rest[:, 2 * half :]], axis=-1) if odd else pairs
            n = half + odd
        return rest.reshape(node.shape)


class ArgMax(Reduction):
    """The place of the largest entry along `axis`, an integer; of equal ones the first.

    Without an axis it counts in C order. No gradient passes.
    """

    name, symbol, needs_entries, differentiable = "argmax", "arg max", True, False
    formula = "apply('argmax', x)"

    def plan(self, x: Operand, axis: Axis = None, keepdims: bool = False) -> Reduced:
        if isinstance(axis, tuple | list):
            expected = f"axis {axis}; one axis or None was expected"
            raise self.error(self.given(x), expected)
        return super().plan(x, axis, keepdims)

    def dtype(self, node: Operator) -> np.dtype[Any]:
        return np.dtype(np.int64)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        find, axis = getattr(np, self.name), node.attributes["axis"]
        out.reshape(node.plan.kept)[...] = find(xs[0], axis=axis, keepdims=True)


class ArgMin(ArgMax):
    """The place of the smallest entry along `axis`; see `argmax`."""

    name, symbol = "argmin", "arg min"
    formula = "apply('argmin', x)"


class Running(AlongAxis):
    """Each entry combined with all before it along `axis`; of all axes in C order by default."""

    def plan(self, x: Operand, axis: int | None = None) -> int:
        return super().plan(x, axis)  # type: ignore[arg-type]  # `apply` gives one

    def apply(self, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> GraphNode:
        if attributes["axis"] is None:
            inputs, attributes = (self.operands(inputs)[0].flatten(),), {"axis": 0}
        return super().apply(inputs, attributes)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        getattr(np, self.name)(xs[0], axis=node.plan, out=out)


class CumSum(Running):
    """Sums of the entries up to each along `axis`; without one, of all entries in C order."""

    name, symbol, multilinear = "cumsum", "Σ so far", 1
    formula = "apply('cumsum', x)"
    vjp_formulas = ("apply('cumsum from the end', g)",)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        total = np.cumsum(np.flip(g, node.plan), axis=node.plan)
        np.copyto(grads[0], np.flip(total, node.plan))  # type: ignore[arg-type]


class CumProd(Running):
    """Products of the entries up to each along `axis`; without one, of all entries in C order.

    The gradient is exact at zeros.
    """

    name, symbol = "cumprod", "Π so far"
    formula = "apply('cumprod', x)"
    vjp_formulas = ("apply('scan', g, x)",)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        (x,), (gx,), axis = xs, grads, node.plan
        assert gx is not None
        sizes = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])
        launch(node, kernels.scan.cumprod_back, *(a.reshape(sizes) for a in (g, x, y, gx)))

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode:
        x, axis = xs[0], node.plan
        if not x.shape[axis]:
            return x
        first, *others = split(x, x.shape[axis], axis)
        return concatenate(list(accumulate(others, multiply, initial=first)), axis=axis)


norm = register(Norm())
prod = register(Prod())
argmax = register(ArgMax())
argmin = register(ArgMin())
cumsum = register(CumSum(), np.cumsum)
cumprod = register(CumProd(), np.cumprod)
like_numpy(prod, np.prod)
like_numpy(argmax, np.argmax)
like_numpy(argmin, np.argmin)


@implements(np.linalg.norm)
def _np_norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> GraphNode:
    vectors = isinstance(axis, int) or (axis is None and x.ndim == 1)
    if ord not in (None, 2 if vectors else "fro"):
        raise GraphError(
            f"np.linalg.norm: ord={ord!r} has no minigrad operator; the Euclidean length was "
            "expected"
        )
    return norm(x, axis, keepdims)


def _deviations(x: Any, axis: Axis, ddof: float) -> tuple[GraphNode, float]:
    """x - mean(x), and the divisor of a sum of their squares; NaN where there are too few."""
    (node,) = by_name("mean").operands((x,))
    middle = mean(node, axis, keepdims=True)
    freedom = node.size // middle.size - ddof if middle.size else 0
    return subtract(node, middle), freedom if freedom > 0 else np.nan


@public()
def var(x: Operand, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> GraphNode:
    """Variance Σ(x - mean)² / (n - ddof) over `axis`, as in NumPy; NaN where n ≤ ddof.

    PyTorch's default is ddof=1.
    """
    deviations, freedom = _deviations(x, axis, ddof)
    return divide(sum(multiply(deviations, deviations), axis, keepdims), freedom)


@public()
def std(x: Operand, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> GraphNode:
    """Standard deviation, the root of `var`; its slope at constant data is 0, as in PyTorch."""
    deviations, freedom = _deviations(x, axis, ddof)
    return divide(norm(deviations, axis, keepdims), freedom**0.5)


implements(np.var)(lambda x, axis=None, *, ddof=0, keepdims=False: var(x, axis, ddof, keepdims))
implements(np.std)(lambda x, axis=None, *, ddof=0, keepdims=False: std(x, axis, ddof, keepdims))
