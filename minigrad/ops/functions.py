"""Further functions of one number under NumPy's names, and those without a slope: rounding, tests,
masks.

As in `elementwise.py` each is its mathematics; where a slope has a pole (arcsin at 1, log1p at -1)
it is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import DTypeError
from ..graph.registry import implements
from ..graph.rule import elementwise


# ---------------- angles
@elementwise("tan", np.tan, backward=(lambda g, y, x: g * (1 + y * y),))
def tan(x: Any) -> Any:
    """Tangent of x in radians."""
    return np.tan(x)


@elementwise("asin", np.arcsin, backward=(lambda g, y, x: g / np.sqrt(1 - x * x),))
def arcsin(x: Any) -> Any:
    """The angle in [-π/2, π/2] whose sine is x; its slope at -1 and 1 is infinite."""
    return np.arcsin(x)


@elementwise("acos", np.arccos, backward=(lambda g, y, x: -g / np.sqrt(1 - x * x),))
def arccos(x: Any) -> Any:
    """The angle in [0, π] whose cosine is x; its slope at -1 and 1 is infinite."""
    return np.arccos(x)


@elementwise("atan", np.arctan, backward=(lambda g, y, x: g / (1 + x * x),))
def arctan(x: Any) -> Any:
    """The angle in (-π/2, π/2) whose tangent is x."""
    return np.arctan(x)


# ---------------- hyperbolas
@elementwise("sinh", np.sinh, backward=(lambda g, y, x: g * np.cosh(x),))
def sinh(x: Any) -> Any:
    """Hyperbolic sine."""
    return np.sinh(x)


@elementwise("cosh", np.cosh, backward=(lambda g, y, x: g * np.sinh(x),))
def cosh(x: Any) -> Any:
    """Hyperbolic cosine."""
    return np.cosh(x)


@elementwise("asinh", np.arcsinh, backward=(lambda g, y, x: g / np.sqrt(x * x + 1),))
def arcsinh(x: Any) -> Any:
    """The number whose hyperbolic sine is x."""
    return np.arcsinh(x)


@elementwise("acosh", np.arccosh, backward=(lambda g, y, x: g / np.sqrt(x * x - 1),))
def arccosh(x: Any) -> Any:
    """The number ≥ 0 whose hyperbolic cosine is x; its slope at 1 is infinite."""
    return np.arccosh(x)


@elementwise("atanh", np.arctanh, backward=(lambda g, y, x: g / (1 - x * x),))
def arctanh(x: Any) -> Any:
    """The number whose hyperbolic tangent is x; value and slope at -1 and 1 are infinite."""
    return np.arctanh(x)


# ---------------- exponentials, logarithms, powers
@elementwise("exp − 1", np.expm1, backward=(lambda g, y, x: g * (y + 1),))
def expm1(x: Any) -> Any:
    """exp(x) - 1, exact near 0 too."""
    return np.expm1(x)


@elementwise("log 1 +", np.log1p, backward=(lambda g, y, x: g / (1 + x),))
def log1p(x: Any) -> Any:
    """log(1 + x), exact near 0 too."""
    return np.log1p(x)


@elementwise("log2", np.log2, backward=(lambda g, y, x: g / (math.log(2) * x),))
def log2(x: Any) -> Any:
    """Logarithm to the base 2."""
    return np.log2(x)


@elementwise("log10", np.log10, backward=(lambda g, y, x: g / (math.log(10) * x),))
def log10(x: Any) -> Any:
    """Logarithm to the base 10."""
    return np.log10(x)


@elementwise("x²", np.square, backward=(lambda g, y, x: 2 * g * x,))
def square(x: Any) -> Any:
    """x · x."""
    return np.square(x)


@elementwise("1/x", np.reciprocal, backward=(lambda g, y, x: -g * y * y,))
def reciprocal(x: Any) -> Any:
    """1 / x."""
    return 1 / x


# ---------------- steps and tests: no gradient passes
@elementwise("floor", np.floor)
def floor(x: Any) -> Any:
    """The largest whole number ≤ x, as a float."""
    return np.floor(x)


@elementwise("ceil", np.ceil)
def ceil(x: Any) -> Any:
    """The smallest whole number ≥ x, as a float."""
    return np.ceil(x)


@elementwise("trunc", np.trunc)
def trunc(x: Any) -> Any:
    """x without what stands behind the point, as a float."""
    return np.trunc(x)


@elementwise("round", np.rint)
def rint(x: Any) -> Any:
    """The nearest whole number as a float; halves go to the even one."""
    return np.rint(x)


@elementwise("NaN?", np.isnan)
def isnan(x: Any) -> Any:
    """Whether x is not a number, as booleans."""
    return x != x


@elementwise("∞?", np.isinf)
def isinf(x: Any) -> Any:
    """Whether x is ∞ or -∞, as booleans."""
    return np.absolute(x) == np.inf


@elementwise("finite?", np.isfinite)
def isfinite(x: Any) -> Any:
    """Whether x is neither infinite nor NaN, as booleans."""
    return np.absolute(x) < np.inf


# ---------------- masks
@elementwise("∧", np.logical_and)
def logical_and(a: Any, b: Any) -> Any:
    """Whether a and b hold (are not 0), as booleans; of booleans also a & b."""
    return (a != 0) & (b != 0)


@elementwise("∨", np.logical_or)
def logical_or(a: Any, b: Any) -> Any:
    """Whether a or b holds (is not 0), as booleans; of booleans also a | b."""
    return (a != 0) | (b != 0)


@elementwise("¬", np.logical_not)
def logical_not(x: Any) -> Any:
    """Whether x does not hold (is 0), as booleans; of booleans also ~x."""
    return x == 0


def _of_masks(rule: Any) -> Callable[..., Any]:
    """What stands for `&`, `|` and `~`: of booleans the rule; NumPy's work on the bits of integers
    is no operator here.
    """

    def operator(*inputs: Any) -> Any:
        dtypes = [np.dtype(getattr(x, "dtype", None) or np.asarray(x).dtype) for x in inputs]
        if any(dtype.kind != "b" for dtype in dtypes):
            raise DTypeError(
                f"{rule.name}: dtypes {' and '.join(map(str, dtypes))}; masks of booleans were "
                f"expected"
            )
        return rule(*inputs)

    return operator


implements(np.bitwise_and)(_of_masks(logical_and))
implements(np.bitwise_or)(_of_masks(logical_or))
implements(np.invert)(_of_masks(logical_not))
