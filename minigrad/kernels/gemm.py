"""Small matrix products that add to their result, for use inside other kernels.

The innermost loop runs along a row that lies contiguous in memory and takes four products at once: per vector of
results that is five loads and one store for four multiply-adds, close to what a core can do from its cache.
Rows are sliced first and then indexed from 0, because an offset index keeps a test for negative
values in the loop, and the loop then does not vectorise.
"""
from __future__ import annotations

from typing import Any

from .jit import jit


@jit
def add_nn(out: Any, a: Any, b: Any) -> None:
    """out += a @ b for out (m, n), a (m, k), b (k, n), all C-contiguous."""
    depth = a.shape[1]
    for i in range(a.shape[0]):
        row, factors = out[i], a[i]
        k = 0
        while k + 4 <= depth:
            f0, f1, f2, f3 = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
            b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
            for j in range(row.size):
                row[j] += f0 * b0[j] + f1 * b1[j] + f2 * b2[j] + f3 * b3[j]
            k += 4
        while k < depth:
            f0, b0 = factors[k], b[k]
            for j in range(row.size):
                row[j] += f0 * b0[j]
            k += 1


@jit
def add_tn(out: Any, a: Any, b: Any) -> None:
    """out += a.T @ b for out (m, n), a (k, m), b (k, n), all C-contiguous."""
    depth = a.shape[0]
    for i in range(a.shape[1]):
        row = out[i]
        k = 0
        while k + 4 <= depth:
            f0, f1, f2, f3 = a[k, i], a[k + 1, i], a[k + 2, i], a[k + 3, i]
            b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
            for j in range(row.size):
                row[j] += f0 * b0[j] + f1 * b1[j] + f2 * b2[j] + f3 * b3[j]
            k += 4
        while k < depth:
            f0, b0 = a[k, i], b[k]
            for j in range(row.size):
                row[j] += f0 * b0[j]
            k += 1


@jit
def add_nt(out: Any, a: Any, b: Any) -> None:
    """out += a @ b.T for out (m, n), a (m, k), b (n, k), all C-contiguous."""
    columns = b.shape[0]
    zero = out.dtype.type(0)
    for i in range(a.shape[0]):
        row, x = out[i], a[i]
        j = 0
        while j + 4 <= columns:
            s0 = s1 = s2 = s3 = zero
            b0, b1, b2, b3 = b[j], b[j + 1], b[j + 2], b[j + 3]
            for k in range(x.size):
                s0 += x[k] * b0[k]
                s1 += x[k] * b1[k]
                s2 += x[k] * b2[k]
                s3 += x[k] * b3[k]
            row[j] += s0
            row[j + 1] += s1
            row[j + 2] += s2
            row[j + 3] += s3
            j += 4
        while j < columns:
            s0, b0 = zero, b[j]
            for k in range(x.size):
                s0 += x[k] * b0[k]
            row[j] += s0
            j += 1


@jit
def nn(out: Any, a: Any, b: Any) -> None:
    """out = a @ b."""
    out[:] = 0
    add_nn(out, a, b)


@jit
def tn(out: Any, a: Any, b: Any) -> None:
    """out = a.T @ b."""
    out[:] = 0
    add_tn(out, a, b)


@jit
def nt(out: Any, a: Any, b: Any) -> None:
    """out = a @ b.T."""
    out[:] = 0
    add_nt(out, a, b)
