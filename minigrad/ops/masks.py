"""Tests of numbers, and masks of booleans: no gradient passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import DTypeError
from ..graph.registry import implements
from ..graph.rule import elementwise


@elementwise("NaN?", np.isnan)
def isnan(x: Any) -> Any:
    """Whether x is not a number, as booleans.

    >>> mg.isnan([0.0, np.nan]).value
    array([False,  True])
    """
    return x != x


@elementwise("∞?", np.isinf)
def isinf(x: Any) -> Any:
    """Whether x is ∞ or -∞, as booleans.

    >>> mg.isinf([0.0, -np.inf]).value
    array([False,  True])
    """
    return np.absolute(x) == np.inf


@elementwise("finite?", np.isfinite)
def isfinite(x: Any) -> Any:
    """Whether x is neither infinite nor NaN, as booleans.

    >>> mg.isfinite([0.0, np.nan, np.inf]).value
    array([ True, False, False])
    """
    return np.absolute(x) < np.inf


# ---------------- masks
@elementwise("∧", np.logical_and)
def logical_and(a: Any, b: Any) -> Any:
    """Whether a and b hold (are not 0), as booleans; of booleans also a & b.

    >>> x = mg.Variable([-1.0, 0.5, 2.0])
    >>> mg.logical_and(x > 0, x < 1).value
    array([False,  True, False])
    """
    return (a != 0) & (b != 0)


@elementwise("∨", np.logical_or)
def logical_or(a: Any, b: Any) -> Any:
    """Whether a or b holds (is not 0), as booleans; of booleans also a | b.

    >>> x = mg.Variable([-1.0, 0.5, 2.0])
    >>> ((x < 0) | (x > 1)).value
    array([ True, False,  True])
    """
    return (a != 0) | (b != 0)


@elementwise("¬", np.logical_not)
def logical_not(x: Any) -> Any:
    """Whether x does not hold (is 0), as booleans; of booleans also ~x.

    >>> (~(mg.Variable([-1.0, 2.0]) > 0)).value
    array([ True, False])
    """
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
