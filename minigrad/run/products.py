"""Matrix products and sums of products (`np.einsum`) of symbolic arrays."""

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
    m, n = out.shape
    if _is_formula(a, b, out):
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


def einsum(text: str, *xs: SymbolicArray, out: View | None = None, optimize: Any = False) -> View:
    """np.einsum without ellipses: two at a time, in the order that NumPy finds.

    One array without a sum gives a view.
    """
    inputs, result = text.split("->")
    sizes: dict[str, int] = {}
    named = list(zip(inputs.split(","), xs, strict=True))
    for letters, x in named:
        for letter, n in zip(letters, x.shape, strict=True):
            sizes[letter] = n if sizes.get(letter, 1) == 1 else sizes[letter]
    terms = [_diagonal(letters, x.evaluate(), sizes) for letters, x in named]
    shadows = [np.broadcast_to(0.0, x.shape) for _, x in terms]
    sums = ",".join(letters for letters, _ in terms) + "->" + result
    path = np.einsum_path(sums, *shadows, optimize="greedy")[0][1:]
    for chosen in path:
        some = [terms[i] for i in chosen]
        terms = [term for i, term in enumerate(terms) if i not in chosen]
        needed = result + "".join(letters for letters, _ in terms)
        while len(some) > 1:
            later = needed + "".join(letters for letters, _ in some[:-2])
            some[-2:] = [_contracted(some[-2], some[-1], later)]
        terms.append(_summed(some[0], needed))
    ((letters, y),) = terms
    y = y.transpose([letters.index(letter) for letter in result])
    if out is None:
        return y
    out[...] = y
    return out


Term = tuple[str, View]


def _diagonal(letters: str, x: View, sizes: dict[str, int]) -> Term:
    """Of repeated letters the diagonal; without axes of length 1 that stand for longer ones."""
    once = "".join(dict.fromkeys(letters))
    if once != letters:
        x = x.look(lambda layout: np.einsum(f"{letters}->{once}", layout))
    lost = tuple(i for i, c in enumerate(once) if x.shape[i] != sizes[c])
    return "".join(c for i, c in enumerate(once) if i not in lost), x.look(np.squeeze, lost)


def _summed(term: Term, needed: str) -> Term:
    """The sum over the letters that are no longer needed."""
    letters, x = term
    gone = tuple(i for i, letter in enumerate(letters) if letter not in needed)
    return ("".join(c for c in letters if c in needed), x.sum(gone)) if gone else term


def _contracted(one: Term, other: Term, needed: str) -> Term:
    """Two arrays as one: a matrix product if possible, else a sum of elementwise products."""
    left, a = _summed(one, needed + other[0])
    right, b = _summed(other, needed + left)
    sizes = dict(zip(left + right, a.shape + b.shape, strict=True))
    shared = [c for c in left if c in right]
    stack, inner = ([c for c in shared if (c in needed) == kept] for kept in (True, False))
    rows, columns = [c for c in left if c not in shared], [c for c in right if c not in shared]
    result = "".join(stack + rows + columns)
    m, k, n = (math.prod(sizes[c] for c in some) for some in (rows, inner, columns))

    def laid(letters: str, x: View, order: list[str]) -> View:
        return x.transpose([letters.index(c) for c in order if c in letters])

    if min(m, k, n) > 1:
        batch = [sizes[c] for c in stack]
        a = laid(left, a, stack + rows + inner).reshape(*batch, m, k)
        b = laid(right, b, stack + inner + columns).reshape(*batch, k, n)
        return result, matmul(a, b).reshape([sizes[c] for c in result])
    order = stack + rows + inner + columns
    a, b = (
        laid(letters, x, order).reshape([sizes[c] if c in letters else 1 for c in order])
        for letters, x in ((left, a), (right, b))
    )
    return result, (a * b).sum(tuple(order.index(c) for c in inner))


FUNCTIONS.update({"matmul": matmul, "dot": matmul, "einsum": einsum})
