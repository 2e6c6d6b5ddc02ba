"""Operators that reduce axes, and the softmax family.

`axis` is an integer, a tuple of integers or None for all axes; negative ones count from the end;
`keepdims` keeps reduced axes with length 1, all as in NumPy. A wrong axis raises `ShapeError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from .. import kernels
from ..errors import GraphError
from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..graph.registry import by_name, implements, public
from ..graph.rule import Grads, Operand, Operator, register
from .elementwise import add, divide, multiply, subtract
from .kernel import launch
from .kinds import MEAN, Axes, ClosedForm, NotSeparable, SameShape, normalise_axes
from .shape import concatenate, moveaxis, split

Axis = int | Sequence[int] | None


class Reduced(NamedTuple):
    """The reduced axes, how many entries each result is made from, and the result's shape with and
    without these axes.
    """

    axes: tuple[int, ...]
    entries: int
    kept: tuple[int, ...]
    shape: tuple[int, ...]


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
            gone = () if node.attributes["keepdims"] else plan.axes
            return axis - len([a for a in gone if a < axis])
        if self.name != "mean":
            raise NotSeparable
        return MEAN


class Sum(Reduction):
    """Sum over `axis`.

    >>> mg.sum([[1.0, 2.0], [3.0, 4.0]], axis=0).value
    array([4., 6.], dtype=float32)
    """

    name, symbol = "sum", "Σ"
    formula = "sum(x, axis)"
    vjp_formulas = ("broadcast(g)",)
    spread = staticmethod(lambda g, y, x, plan: g)


class Mean(Reduction):
    """Mean over `axis`; of no entries it is NaN.

    >>> mg.mean([[1.0, 2.0], [3.0, 4.0]], axis=1, keepdims=True).value
    array([[1.5],
           [3.5]], dtype=float32)
    """

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
    """Largest entry along `axis`; ties share the gradient equally.

    >>> x = mg.Variable([1.0, 3.0, 3.0])
    >>> x.max().backward()
    >>> x.grad
    array([0. , 0.5, 0.5], dtype=float32)
    """

    name, symbol, needs_entries = "max", "max", True
    formula = "max(x, axis)"
    vjp_formulas = ("g * (x == y) / sum(x == y, axis)",)
    spread = staticmethod(_tied)


class Min(Max):
    """Smallest entry along `axis`; ties share the gradient equally.

    >>> mg.min([[1.0, 2.0], [3.0, 0.0]], axis=1).value
    array([1., 0.], dtype=float32)
    """

    name, symbol = "min", "min"
    formula = "min(x, axis)"


class LogSumExp(Reduction):
    """log Σ exp(x) over `axis`, without overflow: a smooth maximum.

    >>> mg.logsumexp([1000.0, 1000.0]).value
    array(1000.6932, dtype=float32)
    """

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
    """exp(x) / Σ exp(x) along `axis`: positive numbers that add up to 1, of the shape of x.

    >>> mg.softmax([[0.0, 0.0], [0.0, 2.0]]).value.round(4)
    array([[0.5   , 0.5   ],
           [0.1192, 0.8808]], dtype=float32)
    """

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
    """Logarithm of the softmax along `axis`, exact where the softmax itself underflows.

    >>> mg.log_softmax([0.0, 1000.0]).value
    array([-1000.,     0.], dtype=float32)
    """

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


# ---------------- lengths, products, running totals, places
class Norm(Reduction):
    """Euclidean length √Σx² over `axis`; its slope at 0 is 0, as in PyTorch.

    >>> mg.norm([[3.0, 4.0], [6.0, 8.0]], axis=1).value
    array([ 5., 10.], dtype=float32)
    """

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
    """Product over `axis` (of no entries 1); the gradient is exact where entries are 0.

    >>> mg.prod([1.0, 2.0, 4.0]).value
    array(8., dtype=float32)
    """

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

    >>> mg.argmax([[1.0, 5.0, 2.0]], axis=1).value
    array([1])
    """

    name, symbol, needs_entries, differentiable = "argmax", "arg max", True, False
    formula = "apply('argmax', x)"

    def plan(self, x: Operand, axis: Axis = None, keepdims: bool = False) -> Reduced:
        if isinstance(axis, tuple | list):
            raise self.error(self.given(x), f"axis {axis}; one axis or None was expected")
        return super().plan(x, axis, keepdims)

    def dtype(self, node: Operator) -> np.dtype[Any]:
        return np.dtype(np.int64)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        find, axis = getattr(np, self.name), node.attributes["axis"]
        out.reshape(node.plan.kept)[...] = find(xs[0], axis=axis, keepdims=True)


class ArgMin(ArgMax):
    """The place of the smallest entry along `axis`; see `argmax`.

    >>> mg.argmin([[1.0, 5.0, 0.0]], axis=1).value
    array([2])
    """

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
    """Sums of the entries up to each along `axis`; without one, of all entries in C order.

    >>> mg.cumsum([1.0, 2.0, 3.0]).value
    array([1., 3., 6.], dtype=float32)
    """

    name, symbol, multilinear = "cumsum", "Σ so far", 1
    formula = "apply('cumsum', x)"
    vjp_formulas = ("apply('cumsum from the end', g)",)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        total = np.cumsum(np.flip(g, node.plan), axis=node.plan)
        np.copyto(grads[0], np.flip(total, node.plan))  # type: ignore[arg-type]


class CumProd(Running):
    """Products of the entries up to each along `axis`; without one, of all entries in C order.

    The gradient is exact at zeros.

    >>> mg.cumprod([1.0, 2.0, 3.0]).value
    array([1., 2., 6.], dtype=float32)
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

    >>> mg.var([1.0, 2.0, 3.0, 4.0]).value
    array(1.25, dtype=float32)
    """
    deviations, freedom = _deviations(x, axis, ddof)
    return divide(sum(multiply(deviations, deviations), axis, keepdims), freedom)


@public()
def std(x: Operand, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> GraphNode:
    """Standard deviation, the root of `var`; its slope at constant data is 0, as in PyTorch.

    >>> mg.std([2.0, 4.0], axis=0).value
    array(1., dtype=float32)
    """
    deviations, freedom = _deviations(x, axis, ddof)
    return divide(norm(deviations, axis, keepdims), freedom**0.5)


implements(np.var)(lambda x, axis=None, *, ddof=0, keepdims=False: var(x, axis, ddof, keepdims))
implements(np.std)(lambda x, axis=None, *, ddof=0, keepdims=False: std(x, axis, ddof, keepdims))
