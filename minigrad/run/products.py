"""Matrix products of symbolic arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import kernels
from .symbolic import FUNCTIONS, Expr, SymbolicArray, View

#: rows of fewer numbers fill too little of a vector
_NARROW = 8
#: rows of so many numbers are summed one by one
_LONG = 256
#: turning two arrays of so many numbers less is faster than turning one
_TURNING = 2


def matmul(a: SymbolicArray, b: SymbolicArray, out: View | None = None) -> View:
    """a @ b of vectors, matrices and stacks of matrices.

    A stack times one matrix is one product: of all rows of the stack.
    """
    a, b = a.evaluate(), b.evaluate()
    rows, columns = a if a.ndim > 1 else a[None], b if b.ndim > 1 else b[:, None]
    stack = np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2])
    if out is None:
        shape = (*stack, *a.shape[-2:-1], *(b.shape[-1:] if b.ndim > 1 else ()))
        out = a.program.allocate("product", shape, a.dtype)
    if not out.contiguous:
        out[...] = matmul(a, b)
    elif b.ndim > 2:
        _stacks(rows, columns, out.reshape((*stack, rows.shape[-2], columns.shape[-1])))
    else:
        # the number of rows, for reshape cannot infer it beside an axis of length 0
        m = math.prod(rows.shape[:-1])
        rows = rows.reshape(m, rows.shape[-1])
        _matmul(rows, columns, out.reshape(m, columns.shape[1]))
    return out


def _stacks(a: View, b: View, out: View) -> None:
    """The products of stacks of matrices: one statement, whatever their number."""
    (m, k), n, program = a.shape[-2:], b.shape[-1], a.program
    if _is_formula(a, b, out):
        return
    if 1 not in b.strides[-2:]:
        b = b.copy()
    wide = [x.look(np.broadcast_to, (*out.shape[:-2], *x.shape[-2:])) for x in (out, a, b)]
    table = kernels.matmul.places(out.shape[:-2], *((x.offset, x.strides[:-2]) for x in wide))
    places = program.allocate("places", table.shape, np.int64, "constant", initial=table)
    layout = kernels.matmul.Layout(m, k, n, out.strides[-2], *a.strides[-2:], *b.strides[-2:])
    work: Any = np.empty((1, 0), out.dtype)
    if b.strides[-1] != 1:
        work = program.allocate("work", (1, k * n), out.dtype)
    whole = [x.storage.whole() for x in (out, a, b)]
    program.call(kernels.matmul.products, *whole, places, layout, work)


def _matmul(a: View, b: View, out: View) -> None:
    """The product of two matrices, in the way that suits their sizes and layouts."""
    (m, k), n = a.shape, b.shape[1]
    if _is_formula(a, b, out):
        return
    turned = a.contiguous and b.T.contiguous and not b.contiguous
    if turned and m >= kernels.matmul.FEW_ROWS and _TURNING * m * (k + n) < k * n:
        out[...] = matmul(b.T, a.T).T  # copies a and the result turned, not the large b
        return
    if not (a.contiguous or a.T.contiguous):
        a = a.copy()
    if not b.contiguous and not (a.contiguous and b.T.contiguous and m < kernels.matmul.FEW_ROWS):
        b = b.copy()  # with contiguous rows, the fast block fits
    if n < _NARROW <= m and a.T.contiguous:  # the transposed product fills vectors
        out[...] = matmul(b.T, a.T).T
    else:
        a.program.assign(out, a, b, op="matmul")


def _is_formula(a: View, b: View, out: View) -> bool:
    """Record products whose inner or outer length is 1 as a formula or a sum; are they?"""
    (m, k), n = a.shape[-2:], b.shape[-1]
    if k == 1 and (out.storage.computed or m == 1):  # elementwise, so that it can be fused
        out[...] = Expr("multiply", (a, b))
        return True
    if n == 1 and (m == 1 or k >= _LONG):  # sums along rows, in a plain loop
        a.program.assign(out, Expr("multiply", (a, b.swapaxes(-1, -2))), op="add")
        return True
    return False


FUNCTIONS.update({"matmul": matmul, "dot": matmul})
