"""Einstein summation: products of arrays with named axes, summed over names not in the result."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from string import ascii_letters
from typing import NamedTuple

import numpy as np

from ..errors import GraphError
from ..graph.conversion import Array, sum_to
from ..graph.node import GraphNode
from ..graph.registry import public
from ..graph.rule import Grads, Operand, Operator, Rule, register
from .kinds import MEAN, Axes, NotSeparable


class Subscripts(NamedTuple):
    """A letter for each axis of each input and of the result, and how long these axes are."""

    inputs: tuple[str, ...]
    result: str
    sizes: dict[str, int]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.sizes[letter] for letter in self.result)

    def text(self) -> str:
        return f"{','.join(self.inputs)}->{self.result}"


class Einsum(Rule):
    name, symbol, multilinear = "einsum", "einsum", sys.maxsize
    formula = "apply('Σ', *inputs)"
    vjp_formulas = ("apply('Σ', g, *inputs)",)

    def plan(self, *inputs: Operand, subscripts: str = "") -> Subscripts:
        xs = self.floats(*inputs)
        try:
            np.einsum_path(subscripts, *(x._data for x in xs))
        except ValueError as error:
            raise self.error(xs, f"{subscripts!r}: {error}") from None
        terms, result = _letters(subscripts, [x.ndim for x in xs])
        sizes: dict[str, int] = {}
        for term, x in zip(terms, xs, strict=True):
            for letter, n in zip(term, x.shape, strict=True):
                sizes[letter] = n if sizes.get(letter, 1) == 1 else sizes[letter]
        return Subscripts(terms, result, sizes)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        np.einsum(node.plan.text(), *xs, out=out, optimize=len(xs) > 1)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        terms, result, _ = node.plan
        for i, grad in enumerate(grads):
            if grad is None:
                continue
            others = [pair for j, pair in enumerate(zip(terms, xs, strict=True)) if j != i]
            given = [result, *(term for term, _ in others)]
            own = "".join(dict.fromkeys(terms[i]))
            known = "".join(letter for letter in own if letter in "".join(given))
            text = f"{','.join(given)}->{known}"
            found = np.einsum(text, g, *(x for _, x in others), optimize=bool(others))
            grad[...] = 0
            # a view: of a repeated letter the diagonal
            places = np.einsum(f"{terms[i]}->{own}", grad) if own else grad
            wide = found[tuple(slice(None) if letter in known else None for letter in own)]
            places[...] = sum_to(wide, places.shape)

    def batch_axis(self, node: Operator, axes: Axes) -> int:
        """Samples keep apart where their letter is in the result and in no input without them."""
        terms, result, _ = node.plan
        pairs = list(zip(terms, axes, strict=True))
        letters = {"" if axis == MEAN else term[axis] for term, axis in pairs if axis is not None}
        letter = letters.pop()
        if letters or not letter or letter not in result:
            raise NotSeparable
        if any(term.count(letter) != (axis is not None) for term, axis in pairs):
            raise NotSeparable
        return int(result.index(letter))

    def flops(self, node: Operator) -> int:
        return len(node.inputs) * int(math.prod(node.plan.sizes.values()))


def _letters(subscripts: str, ndims: Sequence[int]) -> tuple[tuple[str, ...], str]:
    """The letters of the inputs and of the result; an ellipsis becomes unused letters."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    spare = [letter for letter in ascii_letters if letter not in subscripts]
    more = [n - len(term.replace("...", "")) for term, n in zip(terms, ndims, strict=True)]
    dots = "".join(spare[: max(more)])
    if not arrow:
        once = [letter for letter in sorted(set(left) - {",", "."}) if left.count(letter) == 1]
        right = "".join(["...", *once])
    pairs = zip(terms, more, strict=True)
    full = tuple(term.replace("...", dots[len(dots) - n :]) for term, n in pairs)
    return full, right.replace("...", dots)


_einsum = register(Einsum())


@public(np.einsum)
def einsum(subscripts: str, *xs: Operand) -> GraphNode:
    """Sum of products in Einstein's notation, as `np.einsum`: `einsum("ij,jk->ik", a, b)` is a @ b.

    "ii" is a trace, "...ij->...ji" a transpose; without "->" the letters that occur once are the
    result's, in alphabetical order. Axes of one letter are equally long (or 1), else `ShapeError`.
    """
    if not isinstance(subscripts, str):
        raise GraphError("np.einsum: subscripts as a text were expected, the arrays after it")
    return _einsum(*xs, subscripts=subscripts)
