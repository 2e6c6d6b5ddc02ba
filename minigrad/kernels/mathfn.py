"""Functions of single numbers for compiled loops; of those that libm has, versions that vectorise in float32."""
from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable

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


# exp(x) = 2^n · exp(r) with n = round(x / ln 2), so that |r| <= ln 2 / 2; ln 2 in two parts keeps r exact, and a polynomial
# of degree 6 (Cephes) gives exp(r) to one unit in the last place of float32.
_LOG2E, _LN2_HIGH, _LN2_LOW = _f(1.44269504088896341), _f(0.693359375), _f(-2.12194440e-4)
_HIGHEST, _LOWEST = _f(88.722839), _f(-87.336544)
E0, E1, E2, E3, E4, E5 = map(
    _f, (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)  # fmt: skip


def exp(x):  # type: ignore[no-untyped-def]
    """e to the power of a number: NumPy's in Python, in compiled float32 code one that vectorises.

    NaN stays NaN, what is above the range of float32 becomes inf, what is below its normal numbers 0.
    """
    return np.exp(x)


@intrinsic
def _from_bits(context, bits):  # type: ignore[no-untyped-def]
    """The float32 with these bits (an int32)."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate


def _exp32(x):  # type: ignore[no-untyped-def]
    inside = _HIGHEST if x > _HIGHEST else x
    inside = _LOWEST if not inside > _LOWEST else inside  # NaN too: what is not a number cannot become a whole one
    n = np.floor(inside * _LOG2E + _f(0.5))
    r = inside - n * _LN2_HIGH - n * _LN2_LOW
    p = ((((E0 * r + E1) * r + E2) * r + E3) * r + E4) * r + E5
    y = (p * r * r + r + _f(1)) * _from_bits(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))
    y = _f(np.inf) if x > _HIGHEST else y
    y = _f(0) if x < _LOWEST else y
    return y if x == x else x


@overload(exp, jit_options={"fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"})
def _overload_exp(x):  # type: ignore[no-untyped-def]
    if x == types.float32:
        return _exp32
    return lambda x: math.exp(x)


@register_jitable
def sigmoid(x):  # type: ignore[no-untyped-def]
    """Logistic function 1 / (1 + exp(-x)), without overflow; 0 and 1 at -inf and inf, NaN of NaN."""
    small = exp(-abs(x))
    return (type(x)(1) if x >= 0 else small) / (type(x)(1) + small)


@register_jitable
def maximum(a, b):  # type: ignore[no-untyped-def]
    """The larger of two numbers; NaN if one of them is NaN."""
    return a if a > b or a != a else b


@register_jitable
def minimum(a, b):  # type: ignore[no-untyped-def]
    """The smaller of two numbers; NaN if one of them is NaN."""
    return a if a < b or a != a else b


@register_jitable
def square(a):  # type: ignore[no-untyped-def]
    """a · a."""
    return a * a


@register_jitable
def power(a, b):  # type: ignore[no-untyped-def]
    """a to the power b; the square, by far the most frequent, as a product."""
    return a * a if b == 2 else a**b


@register_jitable
def sign(a):  # type: ignore[no-untyped-def]
    """-1, 0 or 1; NaN of NaN."""
    return type(a)(1) * (a > 0) - type(a)(1) * (a < 0) if a == a else a


@register_jitable
def erf(a):  # type: ignore[no-untyped-def]
    """The error function."""
    return math.erf(a)
