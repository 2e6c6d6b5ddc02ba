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
from .elementwise import unary

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
    """1 / x."""
    return 1 / x


# ---------------- steps and tests: no gradient passes
floor = unary(np.floor, "floor", "The largest whole number ≤ x, as a float.")
ceil = unary(np.ceil, "ceil", "The smallest whole number ≥ x, as a float.")
trunc = unary(np.trunc, "trunc", "x without what stands behind the point, as a float.")
rint = unary(np.rint, "round", "The nearest whole number as a float; halves go to the even one.")


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
        dtypes = [np.asarray(getattr(x, "_data", x)).dtype for x in inputs]
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
