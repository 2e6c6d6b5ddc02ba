"""Random numbers that are functions of a seed, the number of the draw and their place in it.

So threads may compute them in any order, and a part of a draw is what the whole has there
(counter-based random numbers, Salmon et al. 2011). A stream (2,) holds the seed and the number of
the draw. Arrays are flat; their entries are those from number `first` (1,) of the draw on.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

import math

import numpy as np

from .jit import jit

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd
_MIX1, _MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_UNIT, _SINGLE = 2.0**53, 2.0**24  # the whole numbers that float64 and float32 hold
_TURN = 2 * math.pi


def _mixed(z):
    """64 bits, thoroughly mixed: the output function of SplitMix64 (Steele, Lea & Flood 2014)."""
    z = (z ^ (z >> _S30)) * _MIX1
    z = (z ^ (z >> _S27)) * _MIX2
    return z ^ (z >> _S31)


_mix = jit(_mixed)


def uniform_reference(size, seed, draw):
    """Numbers in [0, 1) of the draw with this number."""
    key = _mixed(_mixed(np.array([seed]).astype(np.uint64)) + np.array([draw]).astype(np.uint64))
    bits = _mixed(key + np.arange(1, size + 1, dtype=np.uint64) * _GOLDEN)
    return (bits >> _S11) / _UNIT


def normal_reference(size, seed, draw):
    """Numbers of the standard normal distribution, each from two of `uniform_reference` (Box &
    Muller 1958).
    """
    a, b = uniform_reference(2 * size, seed, draw).reshape(size, 2).T
    return np.sqrt(-2 * np.log1p(-a)) * np.cos(_TURN * b)


def mask_reference(size, seed, draw, p):
    """The mask of the draw with this number: 0 with probability p, else 1 / (1 - p)."""
    kept = uniform_reference(size, seed, draw) >= p
    return np.where(kept, 1 / (1 - p) if p < 1 else 0.0, 0.0)


@jit
def _key(stream, first):
    """What the bits of all entries start from, number `first` being the first one.

    It is SplitMix64 started from a mixture of seed and number of the draw.
    """
    return _mix(_mix(np.uint64(stream[0])) + np.uint64(stream[1])) + np.uint64(first) * _GOLDEN


@jit
def _whole(key, i):
    """53 random bits, as a whole number."""
    return _mix(key + np.uint64(i + 1) * _GOLDEN) >> _S11


@jit
def uniform(stream, out, first):
    """Fill `out` with numbers in [0, 1), in float32 those of float64 rounded down."""
    key, single = _key(stream, first[0]), out.itemsize == 4
    for i in range(out.size):
        u = _whole(key, i) / _UNIT
        out[i] = np.floor(u * _SINGLE) / _SINGLE if single else u


@jit
def normal(stream, out, first):
    """Fill `out` with numbers of the standard normal distribution."""
    key = _key(stream, 2 * first[0])
    for i in range(out.size):
        a, b = _whole(key, 2 * i) / _UNIT, _whole(key, 2 * i + 1) / _UNIT
        out[i] = np.sqrt(-2 * np.log1p(-a)) * np.cos(_TURN * b)


@jit
def mask(stream, p, out, first):
    """Fill `out` with 0, with probability p, and 1 / (1 - p)."""
    key, limit = _key(stream, first[0]), np.uint64(np.ceil(p * _UNIT))  # of 53 bits
    dropped = out.dtype.type(0)
    kept = out.dtype.type(1 / (1 - p)) if p < 1 else dropped
    for i in range(out.size):
        out[i] = kept if _whole(key, i) >= limit else dropped
