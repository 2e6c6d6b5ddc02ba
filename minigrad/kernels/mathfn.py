"""Functions of single numbers for compiled loops; those of libm in versions that vectorise in
float32.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

import math

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from .jit import jit
from .options import FORMULAS, SUMS
from .simd import plain

#: NaN if one of two numbers is NaN
maximum, minimum = plain.larger, plain.smaller

_f = np.float32
# Rational minimax approximation of tanh on [-7.9, 7.9], odd over even; the coefficients are those
# that Eigen and XLA use. Largest relative error 2.3e-7, four units in the last place below 1.
_LIMIT = _f(7.90531110763549805)
# At _LIMIT four units in the last place are missing to 1. A tanh that stayed there would have a
# slope of 4.8e-7 everywhere beyond, which Adam scales up to full steps. So it goes on to rise, in a
# straight line: it is 1 from 9.01 on, as rounding has it.
_RISE = _f(3.5 * 2.0**-24 / (9.01 - 7.90531110763549805))
A0, A1, A2, A3, A4, A5, A6 = map(
    _f,
    (
        -2.76076847742355e-16,
        2.00018790482477e-13,
        -8.60467152213735e-11,
        5.12229709037114e-08,
        1.48572235717979e-05,
        6.37261928875436e-04,
        4.89352455891786e-03,
    ),
)
B0, B1, B2, B3 = map(
    _f, (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
)


def tanh(x):
    """Hyperbolic tangent of a number: NumPy's in Python, in compiled float32 code one that
    vectorises.
    """
    return np.tanh(x)


def _tanh32(x):
    # written as selections, so that NaN, which compares false, stays NaN
    near = _LIMIT if x > _LIMIT else x
    near = -_LIMIT if near < -_LIMIT else near
    s = near * near
    odd = near * ((((((A0 * s + A1) * s + A2) * s + A3) * s + A4) * s + A5) * s + A6)
    even = ((B0 * s + B1) * s + B2) * s + B3
    y = odd / even + (x - near) * _RISE
    y = _f(1) if y > _f(1) else y
    return _f(-1) if y < _f(-1) else y


@overload(tanh, jit_options=SUMS)
def _overload_tanh(x):
    if x == types.float32:
        return _tanh32
    return lambda x: math.tanh(x)


# exp(x) = 2^n · exp(r) with n = round(x / ln 2), so that |r| <= ln 2 / 2; ln 2 in two parts keeps r
# exact, and a polynomial of degree 6 (Cephes) gives exp(r) to one unit in the last place of
# float32.
_LOG2E, _LN2_HIGH, _LN2_LOW = _f(1.44269504088896341), _f(0.693359375), _f(-2.12194440e-4)
_HIGHEST, _LOWEST = _f(88.722839), _f(-87.336544)
E0, E1, E2, E3, E4, E5 = map(
    _f,
    (
        1.9875691500e-4,
        1.3981999507e-3,
        8.3334519073e-3,
        4.1665795894e-2,
        1.6666665459e-1,
        5.0000001201e-1,
    ),
)


def exp(x):
    """e to the power of a number: NumPy's in Python, in compiled float32 code one that vectorises.

    NaN stays NaN, results above the range of float32 become inf. Results below its normal numbers
    (1.2e-38, x < -87.3) become 0, where NumPy goes on to subnormal numbers.
    """
    return np.exp(x)


@register_jitable
def _scaled(x, n):
    """x · 2^n for a float32 x and an int32 n: n is added to the exponent.

    Both x and the result must be normal numbers.
    """
    return np.int32(np.float32(x).view(np.int32) + (n << 23)).view(np.float32)


def _exp32(x):
    inside = _HIGHEST if x > _HIGHEST else x
    inside = _LOWEST if not inside > _LOWEST else inside  # NaN too: it has no whole number
    n = np.floor(inside * _LOG2E + _f(0.5))
    r = inside - n * _LN2_HIGH - n * _LN2_LOW
    p = ((((E0 * r + E1) * r + E2) * r + E3) * r + E4) * r + E5
    y = _scaled(p * r * r + r + _f(1), np.int32(n))
    y = _f(np.inf) if x >= _HIGHEST else y
    y = _f(0) if x < _LOWEST else y
    return y if x == x else x


@overload(exp, jit_options=FORMULAS)
def _overload_exp(x):
    if x == types.float32:
        return _exp32
    return lambda x: math.exp(x)


@register_jitable
def sigmoid(x):
    """Logistic function 1 / (1 + exp(-x)), without overflow; 0 and 1 at -inf and inf, NaN of
    NaN.
    """
    small = exp(-abs(x))
    return (type(x)(1) if x >= 0 else small) / (type(x)(1) + small)


def plus(total, x):
    """total + x, a step of a sum in any order: a loop of them adds several numbers at once."""
    return total + x


def times(total, x):
    """total · x, a step of a product in any order; see `plus`."""
    return total * x


@overload(plus, jit_options=SUMS)
def _overload_plus(total, x):
    return lambda total, x: total + x


@overload(times, jit_options=SUMS)
def _overload_times(total, x):
    return lambda total, x: total * x


@register_jitable
def square(a):
    """a · a."""
    return a * a


@register_jitable
def power(a, b):
    """a to the power b; the square, by far the most frequent, as a product."""
    return a * a if b == 2 else a**b


@register_jitable
def sign(a):
    """-1, 0 or 1; NaN of NaN."""
    return type(a)(1) * (a > 0) - type(a)(1) * (a < 0) if a == a else a


# Rational minimax approximation of erf on [-3.84, 3.84], odd over even; the coefficients are those
# that XLA uses. Largest relative error 3.4e-7; beyond, erf is 1 to the last place of float32.
_ERF_LIMIT = _f(3.832506856900711)
P0, P1, P2, P3, P4 = map(
    _f,
    (
        0.00022905065861350646,
        0.0034082910107109506,
        0.050955695062380861,
        0.18520832239976145,
        1.128379143519084,
    ),
)
Q0, Q1, Q2, Q3, Q4, Q5 = map(
    _f,
    (
        -1.1791602954361697e-7,
        0.000023547966471313185,
        0.0010179625278914885,
        0.014070470171167667,
        0.11098505178285362,
        0.49746925110067538,
    ),
)


def erf(x):
    """The error function of a number, in compiled float32 code one that vectorises."""
    return math.erf(x)


def _erf32(x):
    near = _ERF_LIMIT if x > _ERF_LIMIT else x
    near = -_ERF_LIMIT if near < -_ERF_LIMIT else near
    s = near * near
    odd = near * ((((P0 * s + P1) * s + P2) * s + P3) * s + P4)
    even = (((((Q0 * s + Q1) * s + Q2) * s + Q3) * s + Q4) * s + Q5) * s + _f(1)
    y = odd / even
    y = _f(1) if y > _f(1) else y
    return _f(-1) if y < _f(-1) else y


@overload(erf, jit_options=SUMS)
def _overload_erf(x):
    if x == types.float32:
        return _erf32
    return lambda x: math.erf(x)


@jit
def erf_of(x, y):
    """y[i] = erf(x[i]) of flat arrays: NumPy has none."""
    for i in range(x.size):
        y[i] = erf(x[i])
