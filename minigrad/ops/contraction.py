"""Sums of products in Einstein's notation, two arrays at a time, as matrix products if possible.

The same code works on arrays and on those of a traced graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from ..graph.conversion import Array

Term = tuple[str, Array]  # an array with a letter for each axis
Product = Callable[[Array, Array], Array]


def contracted(text: str, *xs: Array, product: Product) -> Array:
    """`np.einsum(text, *xs)` without ellipses, in the order that NumPy finds.

    `product` multiplies two stacks of matrices of equal leading axes. One array without a sum gives
    a view.
    """
    inputs, result = text.split("->")
    sizes: dict[str, int] = {}
    named = list(zip(inputs.split(","), xs, strict=True))
    for letters, x in named:
        for letter, n in zip(letters, x.shape, strict=True):
            sizes[letter] = n if sizes.get(letter, 1) == 1 else sizes[letter]
    terms = [_diagonal(letters, x, sizes) for letters, x in named]
    sums = ",".join(letters for letters, _ in terms) + "->" + result
    for chosen in _path(sums, *(x.shape for _, x in terms)):
        some = [terms[i] for i in chosen]
        terms = [term for i, term in enumerate(terms) if i not in chosen]
        needed = result + "".join(letters for letters, _ in terms)
        while len(some) > 1:
            later = needed + "".join(letters for letters, _ in some[:-2])
            some[-2:] = [_multiplied(some[-2], some[-1], later, product)]
        terms.append(_summed(some[0], needed))
    ((letters, y),) = terms
    return y.transpose([letters.index(letter) for letter in result])


@lru_cache(maxsize=256)
def _path(text: str, *shapes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Which terms are multiplied together, one step after the other."""
    shadows = [np.broadcast_to(0.0, shape) for shape in shapes]
    return list(np.einsum_path(text, *shadows, optimize="greedy")[0][1:])


def _diagonal(letters: str, x: Array, sizes: dict[str, int]) -> Term:
    """Of repeated letters the diagonal; without axes of length 1 that stand for longer ones."""
    once = "".join(dict.fromkeys(letters))
    if once != letters:
        x = np.einsum(f"{letters}->{once}", x)
    lost = tuple(i for i, c in enumerate(once) if x.shape[i] != sizes[c])
    kept = "".join(c for i, c in enumerate(once) if i not in lost)
    return kept, np.squeeze(x, lost) if lost else x


def _summed(term: Term, needed: str) -> Term:
    """The sum over the letters that are no longer needed."""
    letters, x = term
    gone = tuple(i for i, letter in enumerate(letters) if letter not in needed)
    return ("".join(c for c in letters if c in needed), x.sum(gone)) if gone else term


def _multiplied(one: Term, other: Term, needed: str, product: Product) -> Term:
    """Two arrays as one: a matrix product if possible, else a sum of elementwise products."""
    left, a = _summed(one, needed + other[0])
    right, b = _summed(other, needed + left)
    sizes = dict(zip(left + right, a.shape + b.shape, strict=True))
    shared = [c for c in left if c in right]
    stack, inner = ([c for c in shared if (c in needed) == kept] for kept in (True, False))
    rows, columns = [c for c in left if c not in shared], [c for c in right if c not in shared]
    result = "".join(stack + rows + columns)
    m, k, n = (math.prod(sizes[c] for c in some) for some in (rows, inner, columns))

    def laid(letters: str, x: Array, order: list[str]) -> Array:
        return x.transpose([letters.index(c) for c in order if c in letters])

    if min(m, k, n) > 1:
        batch = [sizes[c] for c in stack]
        a = laid(left, a, stack + rows + inner).reshape(*batch, m, k)
        b = laid(right, b, stack + inner + columns).reshape(*batch, k, n)
        return result, product(a, b).reshape([sizes[c] for c in result])
    order = stack + rows + inner + columns
    a, b = (
        laid(letters, x, order).reshape([sizes[c] if c in letters else 1 for c in order])
        for letters, x in ((left, a), (right, b))
    )
    both, gone = a * b, tuple(order.index(c) for c in inner)
    return result, both.sum(gone) if gone else both
