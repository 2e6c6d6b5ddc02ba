"""Operators that act on each entry, with NumPy broadcasting: each one is its mathematics, forward
and backward.

In every derivative `g` is ∂L/∂y, `y` the result and the other arguments are the inputs; there is
one derivative per input, computed only if somebody needs it. Inputs are arrays or nodes of one
float dtype (or numbers, which take the dtype of the others); shapes broadcast, else `ShapeError`;
the result has the broadcast shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from .. import kernels
from ..checks import one_of
from ..graph.node import GraphNode
from ..graph.registry import by_name, implements, public
from ..graph.rule import Derivative, elementwise

Function = Callable[[Any], Any]

implements(np.positive)(lambda x: x)


def unary(
    function: np.ufunc, symbol: str, doc: str, *backward: Derivative, at: float = 0.5
) -> Callable[[Any], GraphNode]:
    """The operator of a NumPy function of one number, from its derivative `(g, y, x)`, if any.

    The example in its docstring shows its value at the number `at`.
    """

    def operator(x: Any) -> Any:
        return function(x)

    name = operator.__name__ = function.__name__
    example = f">>> f\"{{mg.{name}({at}):.4f}}\"\n    '{function(at):.4f}'"
    operator.__doc__ = f"{doc}\n\n    {example}\n"
    return elementwise(symbol, function, backward=backward)(operator)


# ---------------- arithmetic
@elementwise("+", np.add, backward=(lambda g, y, a, b: g, lambda g, y, a, b: g))
def add(a: Any, b: Any) -> Any:
    """Sum a + b.

    >>> (mg.Variable([1.0, 2.0]) + 3).value
    array([4., 5.], dtype=float32)
    """
    return a + b


@elementwise("−", np.subtract, backward=(lambda g, y, a, b: g, lambda g, y, a, b: -g))
def subtract(a: Any, b: Any) -> Any:
    """Difference a - b.

    >>> (mg.Variable([1.0, 2.0]) - 3).value
    array([-2., -1.], dtype=float32)
    """
    return a - b


@elementwise("×", np.multiply, backward=(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a))
def multiply(a: Any, b: Any) -> Any:
    """Product a · b.

    >>> a, b = mg.Variable(2.0), mg.Variable(5.0)
    >>> (a * b).backward()
    >>> a.grad, b.grad
    (array(5., dtype=float32), array(2., dtype=float32))
    """
    return a * b


@elementwise("÷", np.divide, backward=(lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b))
def divide(a: Any, b: Any) -> Any:
    """Quotient a / b.

    >>> (mg.Variable([1.0, 2.0]) / 4).value
    array([0.25, 0.5 ], dtype=float32)
    """
    return a / b


@elementwise("mod", np.remainder, backward=(lambda g, y, a, b: g, lambda g, y, a, b: -g * (a // b)))
def remainder(a: Any, b: Any) -> Any:
    """What division leaves, a % b = a - b · (a // b), with the sign of b.

    >>> (mg.Variable([5.0, -5.0]) % 3).value
    array([2., 1.], dtype=float32)
    """
    return np.remainder(a, b)


negative = unary(np.negative, "neg", "-x.", lambda g, y, x: -g)


def _power_base(g: Any, y: Any, a: Any, b: Any) -> Any:
    # at b = 0 the slope is 0, also for a = 0, where the formula alone would say 0 · inf
    return np.where(b == 0, 0, g * b * np.power(a, np.where(b == 0, 1, b - 1)))


def _power_exponent(g: Any, y: Any, a: Any, b: Any) -> Any:
    # 0^b stays 0 around every b >= 0
    slope = g * y * np.log(np.where(a == 0, np.where(b >= 0, 1, a), a))
    return np.where(a == 0, np.where(b >= 0, 0, slope), slope)


@elementwise("^", np.power, np.float_power, backward=(_power_base, _power_exponent))
def power(a: Any, b: Any) -> Any:
    """a to the power b. The slope in a at 0^0 is 0; negative a with a fractional b gives NaN, as in
    NumPy.

    >>> (mg.Variable([3.0, 4.0]) ** 2).value
    array([ 9., 16.], dtype=float32)
    """
    return np.power(a, b)


# ---------------- functions of one number
exp = unary(np.exp, "exp", "e to the power x.", lambda g, y, x: g * y)
log = unary(np.log, "log", "Natural logarithm.", lambda g, y, x: g / x)
sqrt = unary(np.sqrt, "√", "Square root; its slope at 0 is infinite.", lambda g, y, x: g / (2 * y))
sin = unary(np.sin, "sin", "Sine of x in radians.", lambda g, y, x: g * np.cos(x))
cos = unary(np.cos, "cos", "Cosine of x in radians.", lambda g, y, x: -g * np.sin(x))


@elementwise("tanh", np.tanh, backward=(lambda g, y, x: g * (1 - y * y),))
def tanh(x: Any) -> Any:
    """Hyperbolic tangent.

    >>> mg.tanh([-100.0, 0.0, 0.5]).value.round(4)
    array([-1.    ,  0.    ,  0.4621], dtype=float32)
    """
    return np.tanh(x)


@elementwise("abs", np.absolute, np.fabs, backward=(lambda g, y, x: g * np.sign(x),))
def abs(x: Any) -> Any:
    """Absolute value; its slope at 0 is 0.

    >>> abs(mg.Variable([-2.0, 3.0])).value
    array([2., 3.], dtype=float32)
    """
    return np.absolute(x)


# ---------------- activations
def _written_as(name: str, operator: str = "") -> Callable[[Function], Function]:
    """Decorator: in formulas (`viz/walk/symbols.py`) the function stands by its name, not by its
    code; on nodes it is an operator, if there is one for it.
    """

    def mark(function: Function) -> Function:
        @wraps(function)
        def call(x: Any) -> Any:
            if operator and isinstance(x, GraphNode):
                return by_name(operator)(x)
            write = getattr(x, "written_as", None)
            return function(x) if write is None else write(name)

        return call

    return mark


@_written_as("σ", "sigmoid")
def logistic(x: Any) -> Any:
    small = np.exp(-np.absolute(x))  # in (0, 1] for every x, so that nothing overflows
    # 1 where x >= 0: a np.where by the sign would guess each time
    return np.maximum(small, x >= 0) / (1 + small)


@elementwise("σ", backward=(lambda g, y, x: g * y * (1 - y),))
def sigmoid(x: Any) -> Any:
    """Logistic function 1 / (1 + exp(-x)), without overflow.

    >>> mg.sigmoid([-1000.0, 0.0, 1.0]).value.round(4)
    array([0.    , 0.5   , 0.7311], dtype=float32)
    """
    return logistic(x)


@elementwise("relu", backward=(lambda g, y, x: g * (y > 0),))
def relu(x: Any) -> Any:
    """max(x, 0); its slope at 0 is 0.

    >>> x = mg.Variable([-1.0, 2.0])
    >>> mg.sum(mg.relu(x)).backward()
    >>> mg.relu(x).value, x.grad
    (array([0., 2.], dtype=float32), array([0., 1.], dtype=float32))
    """
    return np.maximum(x, 0)


@elementwise(
    "leaky relu",
    backward=(lambda g, y, x, negative_slope: np.where(x > 0, g, g * negative_slope),),
)
def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """x where it is positive, negative_slope · x elsewhere (Maas et al. 2013).

    >>> mg.leaky_relu([-1.0, 2.0], negative_slope=0.25).value
    array([-0.25,  2.  ], dtype=float32)
    """
    return np.where(x > 0, x, x * negative_slope)


@elementwise("elu", backward=(lambda g, y, x, alpha: np.where(x > 0, g, g * (y + alpha)),))
def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where it is positive, alpha · (exp(x) - 1) elsewhere (Clevert et al. 2016).

    >>> mg.elu([-1.0, 2.0]).value.round(4)
    array([-0.6321,  2.    ], dtype=float32)
    """
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


@elementwise("silu", backward=(lambda g, y, x: g * (y + logistic(x) * (1 - y)),))
def silu(x: Any) -> Any:
    """x · σ(x), also known as swish (Ramachandran et al. 2017).

    >>> mg.silu([-1.0, 0.0, 1.0]).value.round(4)
    array([-0.2689,  0.    ,  0.7311], dtype=float32)
    """
    return x * logistic(x)


@elementwise("softplus", backward=(lambda g, y, x: g * logistic(x),))
def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow.

    >>> mg.softplus([0.0, 100.0]).value.round(4)
    array([  0.6931, 100.    ], dtype=float32)
    """
    return np.maximum(x, 0) + np.log1p(np.exp(-np.absolute(x)))


@_written_as("erf", "erf")
def _error_function(x: Any) -> Any:
    # SciPy computes float32 in float64, number by number
    if isinstance(x, np.ndarray) and x.dtype == np.float32:
        y = np.empty_like(x, order="C")
        kernels.mathfn.erf_of(x.reshape(-1), y.reshape(-1))
        return y
    from scipy.special import erf  # NumPy has none; imported late, because SciPy takes its time

    return erf(x)


@elementwise("erf", backward=(lambda g, y, x: g * 1.1283791670955126 * np.exp(-x * x),))
def erf(x: Any) -> Any:
    """Error function 2/√π ∫ exp(-t²) dt from 0 to x.

    >>> mg.erf([0.0, 1.0]).value.round(4)
    array([0.    , 0.8427], dtype=float32)
    """
    return _error_function(x)


@_written_as("Φ")
def _normal_cdf(x: Any) -> Any:
    return 0.5 * (1 + _error_function(x * 0.7071067811865476))


@elementwise(
    "gelu",
    backward=(
        lambda g, y, x: g * (_normal_cdf(x) + x * np.exp(-0.5 * x * x) * 0.3989422804014327),
    ),
)
def gelu(x: Any) -> Any:
    """x · Φ(x), exactly."""
    return x * _normal_cdf(x)


_exact_gelu: Any = gelu


@public()  # type: ignore[no-redef]  # the operator of that name, with one more argument
def gelu(x: Any, approximate: str = "none") -> GraphNode:
    """x · Φ(x), Φ being the distribution function of the normal distribution (Hendrycks & Gimpel
    2016); `approximate="tanh"` writes Φ with tanh, as some published networks do.

    >>> mg.gelu([-1.0, 0.0, 1.0]).value.round(4)
    array([-0.1587,  0.    ,  0.8413], dtype=float32)
    """
    one_of("gelu", "approximate", approximate, ("none", "tanh"))
    if approximate == "none":
        return _exact_gelu(x)  # type: ignore[no-any-return]
    (node,) = _exact_gelu.operands((x,))
    inner = 0.7978845608028654 * (node + 0.044715 * node**3)
    return 0.5 * node * (1 + tanh(inner))  # type: ignore[no-any-return]


# ---------------- choices
def _to_larger(g: Any, y: Any, a: Any, b: Any) -> Any:
    """The part of g that goes to a where the larger of a and b was chosen: all, nothing, or half at
    a tie.
    """
    return np.where(a > b, g, np.where(a == b, 0.5 * g, 0 * g))


def _to_smaller(g: Any, y: Any, a: Any, b: Any) -> Any:
    return _to_larger(g, y, b, a)


@elementwise("max", np.maximum, backward=(_to_larger, _to_smaller))
def maximum(a: Any, b: Any) -> Any:
    """The larger of a and b; at a tie each gets half of the gradient.

    >>> mg.maximum([1.0, 5.0], 3.0).value
    array([3., 5.], dtype=float32)
    """
    return np.maximum(a, b)


@elementwise("min", np.minimum, backward=(_to_smaller, _to_larger))
def minimum(a: Any, b: Any) -> Any:
    """The smaller of a and b; at a tie each gets half of the gradient.

    >>> mg.minimum([1.0, 5.0], 3.0).value
    array([1., 3.], dtype=float32)
    """
    return np.minimum(a, b)


@elementwise(
    "where",
    np.where,
    backward=(
        None,
        lambda g, y, c, a, b: np.where(c, g, 0),
        lambda g, y, c, a, b: np.where(c, 0, g),
    ),
)
def where(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds (is not 0), b elsewhere. The condition gets no gradient.

    >>> x = mg.Variable([-1.0, 2.0])
    >>> mg.where(x > 0, x, 0.0).value
    array([0., 2.], dtype=float32)
    """
    return np.where(condition, a, b)


def _inside(g: Any, x: Any, low: Any, high: Any) -> Any:
    """g where x lies within the limits, 0 elsewhere and where x is NaN."""
    if low is None and high is None:
        return g * (x == x)
    if low is not None:
        g = g * (x >= low)
    return g if high is None else g * (x <= high)


@elementwise("clip", backward=(lambda g, y, x, low, high: _inside(g, x, low, high),))
def clip(x: Any, low: float | None = None, high: float | None = None) -> Any:
    """x limited to [low, high], numbers or None for no limit. The slope is 1 up to and on the
    limits, 0 beyond.

    >>> mg.clip([-3.0, 0.5, 3.0], -1.0, 1.0).value
    array([-1. ,  0.5,  1. ], dtype=float32)
    """
    if low is not None:
        x = np.maximum(x, low)
    return x + 0 if high is None else np.minimum(x, high)


@implements(np.clip)
def _np_clip(
    x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None
) -> Any:
    return clip(x, a_min if min is None else min, a_max if max is None else max)


# ---------------- comparisons and steps: no gradient passes
@elementwise("detach")
def detach(x: Any) -> Any:
    """x itself, for the way back a constant: no gradient passes.

    >>> mg.detach(mg.Variable(2.0) * 3).requires_grad
    False
    """
    return x


@elementwise("//", np.floor_divide)
def floor_divide(a: Any, b: Any) -> Any:
    """The largest whole number ≤ a / b; constant almost everywhere, so no gradient passes.

    >>> (mg.Variable([5.0, -5.0]) // 3).value
    array([ 1., -2.], dtype=float32)
    """
    return a // b


def _comparison(function: np.ufunc, symbol: str) -> Callable[[Any, Any], GraphNode]:
    def operator(a: Any, b: Any) -> Any:
        return function(a, b)

    name = operator.__name__ = function.__name__
    example = f">>> mg.{name}([1.0, 2.0, 3.0], 2.0).value\n    {function([1, 2, 3], 2)!r}"
    operator.__doc__ = f"Whether a {symbol} b, as booleans.\n\n    {example}\n"
    return elementwise(symbol, function)(operator)


equal = _comparison(np.equal, "=")
not_equal = _comparison(np.not_equal, "≠")
less = _comparison(np.less, "<")
less_equal = _comparison(np.less_equal, "≤")
greater = _comparison(np.greater, ">")
greater_equal = _comparison(np.greater_equal, "≥")
sign = unary(
    np.sign, "sign", "-1, 0 or 1; constant almost everywhere, so no gradient passes.", at=-3.0
)


# Where a slope has a pole (arcsin at 1, log1p at -1), it is infinite.
# ---------------- angles
tan = unary(np.tan, "tan", "Tangent of x in radians.", lambda g, y, x: g * (1 + y * y))
arcsin = unary(
    np.arcsin,
    "asin",
    "The angle in [-π/2, π/2] whose sine is x; its slope at -1 and 1 is infinite.",
    lambda g, y, x: g / np.sqrt(1 - x * x),
)
arccos = unary(
    np.arccos,
    "acos",
    "The angle in [0, π] whose cosine is x; its slope at -1 and 1 is infinite.",
    lambda g, y, x: -g / np.sqrt(1 - x * x),
)
arctan = unary(
    np.arctan,
    "atan",
    "The angle in (-π/2, π/2) whose tangent is x.",
    lambda g, y, x: g / (1 + x * x),
)


# ---------------- hyperbolas
sinh = unary(np.sinh, "sinh", "Hyperbolic sine.", lambda g, y, x: g * np.cosh(x))
cosh = unary(np.cosh, "cosh", "Hyperbolic cosine.", lambda g, y, x: g * np.sinh(x))
arcsinh = unary(
    np.arcsinh,
    "asinh",
    "The number whose hyperbolic sine is x.",
    lambda g, y, x: g / np.sqrt(x * x + 1),
)
arccosh = unary(
    np.arccosh,
    "acosh",
    "The number ≥ 0 whose hyperbolic cosine is x; its slope at 1 is infinite.",
    lambda g, y, x: g / np.sqrt(x * x - 1),
    at=2.0,
)
arctanh = unary(
    np.arctanh,
    "atanh",
    "The number whose hyperbolic tangent is x; value and slope at -1 and 1 are infinite.",
    lambda g, y, x: g / (1 - x * x),
)


# ---------------- exponentials, logarithms, powers
expm1 = unary(np.expm1, "exp − 1", "exp(x) - 1, exact near 0 too.", lambda g, y, x: g * (y + 1))
log1p = unary(np.log1p, "log 1 +", "log(1 + x), exact near 0 too.", lambda g, y, x: g / (1 + x))
log2 = unary(np.log2, "log2", "Logarithm to the base 2.", lambda g, y, x: g / (math.log(2) * x))
log10 = unary(
    np.log10, "log10", "Logarithm to the base 10.", lambda g, y, x: g / (math.log(10) * x)
)
square = unary(np.square, "x²", "x · x.", lambda g, y, x: 2 * g * x)


@elementwise("1/x", np.reciprocal, backward=(lambda g, y, x: -g * y * y,))
def reciprocal(x: Any) -> Any:
    """1 / x.

    >>> mg.reciprocal([2.0, 4.0]).value
    array([0.5 , 0.25], dtype=float32)
    """
    return 1 / x


# ---------------- steps: no gradient passes
floor = unary(np.floor, "floor", "The largest whole number ≤ x, as a float.", at=-1.5)
ceil = unary(np.ceil, "ceil", "The smallest whole number ≥ x, as a float.", at=-1.5)
trunc = unary(np.trunc, "trunc", "x without what stands behind the point, as a float.", at=-1.5)
rint = unary(
    np.rint, "round", "The nearest whole number as a float; halves go to the even one.", at=1.5
)
