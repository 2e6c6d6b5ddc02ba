"""Functions that mean NumPy's in Python and something that vectorises in compiled code."""
from __future__ import annotations

import math

import numpy as np
from numba import types
from numba.extending import overload

_f = np.float32
# Rational minimax approximation of tanh on [-7.9, 7.9], odd over even; the coefficients are those that Eigen and XLA
# use. Largest relative error 2.3e-7, two units in the last place of float32.
_LIMIT = _f(7.90531110763549805)
_ODD = tuple(
    map(_f, (-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
             1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03))
)  # fmt: skip
_EVEN = tuple(map(_f, (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)))
A0, A1, A2, A3, A4, A5, A6 = _ODD
B0, B1, B2, B3 = _EVEN


def tanh(x):  # type: ignore[no-untyped-def]
    """Hyperbolic tangent of a number: NumPy's in Python, in compiled float32 code one that vectorises."""
    return np.tanh(x)


def _tanh32(x):  # type: ignore[no-untyped-def]
    # written as two selections, so that NaN, which compares false, stays NaN
    x = _LIMIT if x > _LIMIT else x
    x = -_LIMIT if x < -_LIMIT else x
    s = x * x
    odd = x * ((((((A0 * s + A1) * s + A2) * s + A3) * s + A4) * s + A5) * s + A6)
    even = ((B0 * s + B1) * s + B2) * s + B3
    return odd / even


@overload(tanh, jit_options={"fastmath": {"contract", "nsz", "arcp", "reassoc"}, "error_model": "numpy"})
def _overload_tanh(x):  # type: ignore[no-untyped-def]  # Numba compares signatures, annotations and all
    if x == types.float32:
        return _tanh32
    return lambda x: math.tanh(x)
