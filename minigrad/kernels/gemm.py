"""Small matrix products for use inside other kernels; one thread each.

Letters say how the operands lie: n as in the product, t transposed. All arrays are C-contiguous.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

import numpy as np
from numba.extending import overload

from .jit import jit
from .simd import ACROSS, ADD, FRESH, Begin, Entries, Rows, Sizes, block, sums

#: the table of a product whose rows lie at equal distances
NONE = np.zeros(1, np.int64)


@jit
def _product(out, a, at, b, sizes, kind, start):
    """out (m, n) = A @ b (k, n), where `at` says how A (m, k) lies in `a`."""
    rows = Rows(0, sizes.columns, 0)
    block(out, rows, a, at, b, rows, NONE, 0, sizes, start, Begin(kind, 0), -np.inf)


# ---------------- with their sizes, of arrays of any shape
@jit
def product_nn(out, a, b, m, k, n):
    """out (m, n) = a (m, k) @ b (k, n)."""
    _product(out, a, Entries(0, k, 1, 0), b, Sizes(m, k, n, 1), FRESH, out)


@jit
def product_bias(out, a, b, m, k, n, bias):
    """out (m, n) = a (m, k) @ b (k, n) + bias (n,)."""
    _product(out, a, Entries(0, k, 1, 0), b, Sizes(m, k, n, 1), ACROSS, bias)


@jit
def product_tn(out, a, b, m, k, n):
    """out (m, n) = aᵀ @ b for a (k, m) and b (k, n)."""
    _product(out, a, Entries(0, 1, m, 0), b, Sizes(m, k, n, 1), FRESH, out)


@jit
def product_nt(out, a, b, m, k, n):
    """out (m, n) = a @ bᵀ for a (m, k) and b (n, k)."""
    rows = Rows(0, k, 0)
    sums(out, Rows(0, n, 0), a, rows, b, rows, NONE, Sizes(m, k, n, 1), True)


@jit
def sum_rows(out, b, k, n):
    """out (n,) = the sum of the rows of b (k, n): a row of ones times b."""
    _product(out, one(out), Entries(0, 0, 0, 0), b, Sizes(1, k, n, 1), FRESH, out)


def one(like):
    """An array of one 1 in the dtype of another; in compiled code a constant."""
    return np.ones(1, like.dtype)


@overload(one)
def _constant_one(like):
    constant = np.ones(1, str(like.dtype))
    return lambda like: constant


# ---------------- of matrices; `kind` is FRESH, or ADD to add to `out`
@jit
def nn(out, a, b, kind=FRESH):
    """out = a @ b."""
    (m, n), k = out.shape, a.shape[1]
    _product(out, a, Entries(0, k, 1, 0), b, Sizes(m, k, n, 1), kind, out)


@jit
def tn(out, a, b, kind=FRESH):
    """out = a.T @ b."""
    (m, n), k = out.shape, a.shape[0]
    _product(out, a, Entries(0, 1, m, 0), b, Sizes(m, k, n, 1), kind, out)


@jit
def add_rows(out, b):
    """out += the sum of the rows of b."""
    k, n = b.shape
    _product(out, one(out), Entries(0, 0, 0, 0), b, Sizes(1, k, n, 1), ADD, out)
