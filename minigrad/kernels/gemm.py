"""Small matrix products for use inside other kernels; one thread each.

`add_…` adds to `out`, the others overwrite it. Letters say how the operands lie: n as in the
product, t transposed. All arrays are C-contiguous.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import overload

from .jit import jit
from .simd import ACROSS, ADD, FRESH, Begin, Entries, Rows, Sizes, block, flat, sums

#: the table of a product whose rows lie at equal distances
NONE = np.zeros(1, np.int64)


# ---------------- of flat arrays, with their sizes
@jit
def _product(out, a, at, b, sizes, start, kind):
    """out (m, n) = A @ b (k, n), where `at` says how A (m, k) lies in `a`."""
    rows = Rows(0, sizes.columns, 0)
    block(out, rows, a, at, b, rows, NONE, 0, sizes, start, Begin(kind, 0), -np.inf)


@jit
def product_nn(out, a, b, m, k, n):
    """out (m, n) = a (m, k) @ b (k, n)."""
    _product(out, a, Entries(0, k, 1), b, Sizes(m, k, n, 1), out, FRESH)


@jit
def product_bias(out, a, b, m, k, n, bias):
    """out (m, n) = a (m, k) @ b (k, n) + bias (n,)."""
    _product(out, a, Entries(0, k, 1), b, Sizes(m, k, n, 1), bias, ACROSS)


@jit
def product_tn(out, a, b, m, k, n):
    """out (m, n) = aᵀ @ b for a (k, m) and b (k, n)."""
    _product(out, a, Entries(0, 1, m), b, Sizes(m, k, n, 1), out, FRESH)


@jit
def product_nt(out, a, b, m, k, n):
    """out (m, n) = a @ bᵀ for a (m, k) and b (n, k)."""
    rows = Rows(0, k, 0)
    sums(out, Rows(0, n, 0), a, rows, b, rows, NONE, Sizes(m, k, n, 1), True)


@jit
def sum_rows(out, b, k, n):
    """out (n,) = the sum of the rows of b (k, n): a row of ones times b."""
    _product(out, _one(out), Entries(0, 0, 0), b, Sizes(1, k, n, 1), out, FRESH)


def _one(like: Any) -> Any:
    """An array of one 1 in the dtype of another; in compiled code a constant."""
    return np.ones(1, like.dtype)


@overload(_one)
def _constant_one(like):
    one = np.ones(1, str(like.dtype))
    return lambda like: one


# ---------------- of matrices
@jit
def nn(out, a, b):
    """out = a @ b."""
    product_nn(flat(out), flat(a), flat(b), out.shape[0], a.shape[1], out.shape[1])


@jit
def add_nn(out, a, b):
    """out += a @ b."""
    (m, n), k = out.shape, a.shape[1]
    at, sizes = Entries(0, k, 1), Sizes(m, k, n, 1)
    _product(flat(out), flat(a), at, flat(b), sizes, flat(out), ADD)


@jit
def tn(out, a, b):
    """out = a.T @ b."""
    product_tn(flat(out), flat(a), flat(b), out.shape[0], a.shape[0], out.shape[1])


@jit
def add_tn(out, a, b):
    """out += a.T @ b."""
    (m, n), k = out.shape, a.shape[0]
    at, sizes = Entries(0, 1, m), Sizes(m, k, n, 1)
    _product(flat(out), flat(a), at, flat(b), sizes, flat(out), ADD)
