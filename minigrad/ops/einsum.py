"""Einstein's sums: products of arrays whose axes are named, summed over the names that the result
does not have.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from string import ascii_letters
from typing import Any, NamedTuple

import numpy as np

from ..errors import GraphError
from ..graph.arrays import sum_to
from ..graph.node import Array, GraphNode, Operator
from ..graph.rule import ALL, MEAN, NotSeparable, Rule, by_name, implements

Grads = list[Array | None]


class Subscripts(NamedTuple):
    """A letter for each axis of each input and of the result, without ellipses, and how long the
    result's are.
    """

    inputs: tuple[str, ...]
    result: str
    shape: tuple[int, ...]

    def text(self) -> str:
        return f"{','.join(self.inputs)}->{self.result}"


class Einsum(Rule):
    name, symbol, multilinear = "einsum", "einsum", ALL
    formula = "apply('Σ', *xs)"
    vjp_formulas = ("apply('Σ', g, *xs)",)

    def plan(self, *xs: GraphNode, subscripts: str = "") -> Subscripts:  # type: ignore[override]
        if not isinstance(subscripts, str) or not xs:
            raise TypeError(
                f"{self.name}: subscripts as a text and at least one array were expected"
            )
        self.need_floats(*xs)
        try:
            terms, result = _letters(subscripts, [x.ndim for x in xs])
            sizes: dict[str, int] = {}
            for term, x in zip(terms, xs, strict=True):
                for letter, n in zip(term, x.shape, strict=True):
                    if sizes.setdefault(letter, n) not in (n, 1) and n != 1:
                        raise ValueError(f"axis {letter!r} is {sizes[letter]} long, and {n}")
                    sizes[letter] = n if sizes[letter] == 1 else sizes[letter]
            return Subscripts(terms, result, tuple(sizes[letter] for letter in result))
        except ValueError as error:
            raise self.error(xs, f"{subscripts!r}: {error}") from None

    def shape(self, node: Operator) -> tuple[int, ...]:
        shape: tuple[int, ...] = node.plan.shape
        return shape

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        np.einsum(node.plan.text(), *xs, out=out, optimize=len(xs) > 1)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        terms, result, _ = node.plan
        for i, grad in enumerate(grads):
            if grad is None:
                continue
            others = [
                (term, x) for j, (term, x) in enumerate(zip(terms, xs, strict=True)) if j != i
            ]
            own = "".join(dict.fromkeys(terms[i]))
            known = "".join(
                letter
                for letter in own
                if letter in result or any(letter in term for term, _ in others)
            )
            text = f"{','.join([result, *(term for term, _ in others)])}->{known}"
            found = np.einsum(text, g, *(x for _, x in others), optimize=bool(others))
            wide = found.reshape(
                [found.shape[known.index(letter)] if letter in known else 1 for letter in own]
            )
            grad[...] = 0
            # a view: of a repeated letter the diagonal
            places = np.einsum(f"{terms[i]}->{own}", grad) if own else grad
            places[...] = sum_to(wide, places.shape)

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        """The samples keep apart where their letter is the result's and in no input that is the
        same for all.
        """
        terms, result, _ = node.plan
        if all(axis is None for axis in axes):
            return None
        letters = {
            None if axis == MEAN else term[axis]
            for term, axis in zip(terms, axes, strict=True)
            if axis is not None
        }
        (letter,) = letters if len(letters) == 1 else (None,)
        if letter is None or letter not in result:
            raise NotSeparable
        for term, axis in zip(terms, axes, strict=True):
            if term.count(letter) != (axis is not None):
                raise NotSeparable
        return int(result.index(letter))

    def flops(self, node: Operator) -> int:
        sizes: dict[str, int] = {}
        for term, x in zip(node.plan.inputs, node.inputs, strict=True):
            for letter, n in zip(term, x.shape, strict=True):
                sizes[letter] = n if sizes.get(letter, 1) == 1 else sizes[letter]
        return len(node.inputs) * math.prod(sizes.values())


def _letters(subscripts: str, ndims: Sequence[int]) -> tuple[tuple[str, ...], str]:
    """The letters of the inputs and of the result: an ellipsis becomes letters that are not used,
    counted from the right.
    """
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ValueError(f"{len(terms)} terms for {len(ndims)} arrays")
    spare = [letter for letter in ascii_letters if letter not in subscripts]
    more = [n - len(term.replace("...", "")) for term, n in zip(terms, ndims, strict=True)]
    dots = "".join(spare[: max(0, *more)]) if max(more) > 0 else ""
    for term, n, ndim in zip(terms, more, ndims, strict=True):
        if n < 0 or (n and "..." not in term):
            raise ValueError(f"term {term!r} for {ndim} axes")
    full = tuple(
        term.replace("...", dots[len(dots) - n :]) for term, n in zip(terms, more, strict=True)
    )
    counts = Counter("".join(terms).replace("...", ""))
    right = (
        right
        if arrow
        else "..." + "".join(sorted(letter for letter, n in counts.items() if n == 1))
    )
    result = right.replace("...", dots)
    if not set("".join(full) + result) <= set(ascii_letters):
        raise ValueError("letters, commas, '...' and '->' were expected")
    if len(set(result)) < len(result) or not set(result) <= set("".join(full)):
        raise ValueError(f"the result {right!r} repeats a letter, or has one that no term has")
    return full, result


@implements(np.einsum)
def einsum(subscripts: str, *xs: Any) -> GraphNode:
    """Sum of products in Einstein's notation, as `np.einsum`: `einsum("ij,jk->ik", a, b)` is a @ b,
    "ii" a trace, "...ij->...ji" a transpose; without "->" the letters that occur once are the
    result's, in alphabetical order.

    Axes of one letter are equally long (or 1), else `ShapeError`.
    """
    if not isinstance(subscripts, str):
        raise GraphError("np.einsum: subscripts as a text were expected, the arrays after it")
    return by_name("einsum")(*xs, subscripts=subscripts)
