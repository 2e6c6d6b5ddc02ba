"""Products: of matrices, and Einstein sums of products of arrays with named axes."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from functools import partial
from string import ascii_letters
from typing import Any, NamedTuple

import numpy as np

from .. import kernels
from ..errors import GraphError
from ..graph.conversion import Array, sum_to
from ..graph.node import GraphNode
from ..graph.registry import by_name, implements, public
from ..graph.rule import Grads, Operand, Operator, Rule, register
from .contraction import contracted
from .kernel import launch, shards
from .kinds import MEAN, Axes, NotSeparable


def product(node: Operator, a: Array, b: Array, out: Array) -> None:
    """out = a @ b for matrices, or stacks of matrices whose leading axes broadcast."""
    if a.ndim == b.ndim == 2:
        a.dot(b, out)  # calls BLAS more directly than `np.matmul`
    elif isinstance(out, np.ndarray):
        matmul = kernels.matmul
        pieces = shards(node, math.prod(out.shape[:-2]))
        launch(node, matmul.products, *matmul.arguments(a, b, out, pieces))
    else:  # the arrays of a traced graph
        np.matmul(a, b, out=out)


def _matrices(a: Array, b: Array, y: Array) -> tuple[Array, Array, Array]:
    """The operands and the result of a @ b as stacks of matrices.

    A vector becomes a row or a column. Where `b` is one matrix, all rows of `a` are one, too.
    """
    a = a.reshape(1, -1) if a.ndim == 1 else _rows(a) if b.ndim <= 2 else a
    b = b.reshape(-1, 1) if b.ndim == 1 else b
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return a, b, y.reshape((*batch, a.shape[-2], b.shape[-1]))


class MatMul(Rule):
    """Matrix product a @ b of (…, m, k) and (…, k, n); leading axes broadcast.

    As in NumPy, a vector is a row on the left and a column on the right.

    >>> a, b = mg.Variable([[1.0, 2.0], [3.0, 4.0]]), mg.Constant([1.0, 1.0])
    >>> (a @ b).value
    array([3., 7.], dtype=float32)
    """

    name, symbol, multilinear = "matmul", "@", 2
    formula = "a @ b"
    vjp_formulas = ("g @ b.T", "a.T @ g")

    def plan(self, a: Operand, b: Operand) -> tuple[int, ...]:
        a, b = inputs = self.given(a, b)
        if not a.ndim or not b.ndim:
            raise self.error(inputs, "two arrays were expected; use * to multiply by a number")
        if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
            raise self.error(
                inputs, "the first's last axis must be as long as the second's last but one"
            )
        self.floats(a, b)
        try:
            batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            raise self.error(inputs, "leading axes that broadcast were expected") from None
        return (*batch, *a.shape[-2:-1], *(b.shape[-1:] if b.ndim > 1 else ()))

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        a, b = xs
        product(node, *_matrices(a, b, out))

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        a, b = xs
        a, b, g = _matrices(a, b, g)
        if grads[0] is not None:
            self._into(grads[0], node, g, b.swapaxes(-1, -2), a.shape)
        if grads[1] is not None:
            self._into(grads[1], node, a.swapaxes(-1, -2), g, b.shape)

    def _into(
        self, grad: Array, node: Operator, a: Array, b: Array, shape: tuple[int, ...]
    ) -> None:
        """grad = a @ b, summed over the leading axes in which a and b are longer than `shape`."""
        whole = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
        if whole == shape:
            product(node, a, b, grad.reshape(shape))
        else:
            every = node.buffer(f"products {shape}", whole, grad.dtype)
            product(node, a, b, every)
            grad[...] = sum_to(every, shape).reshape(grad.shape)

    def batch_axis(self, node: Operator, axes: Axes) -> int:
        # Counted from the last axis of a stack, samples keep apart along the leading axes, from 3
        # on, and along the rows of the first operand, 2.
        inputs = node.inputs
        pairs = list(zip(inputs, axes, strict=True))
        places = {x.ndim - axis for x, axis in pairs if axis is not None and axis != MEAN}
        place = min(places, default=1)
        if MEAN in axes or len(places) > 1 or place < (2 if axes[1] is None else 3):
            raise NotSeparable
        for x, axis in pairs:
            if axis is None and x.ndim >= place > 2 and x.shape[-place] != 1:
                raise NotSeparable
        return node.ndim - place + sum(x.ndim == 1 for x in inputs)

    def flops(self, node: Operator) -> int:
        entries: int = math.prod(node.plan)  # asked before there is a result, too
        return 2 * entries * node.inputs[0].shape[-1]


def _rows(x: Array) -> Array:
    """(…, n) as a matrix (rows, n)."""
    # reshape cannot guess the number of rows where there are no columns
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


class Linear(Rule):
    """x Wᵀ + b for x (…, in), weight (out, in) and bias (out,) or None; the result is (…, out).

    One node instead of three, with the weight as PyTorch stores it.

    >>> w, b = mg.Variable([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), mg.Variable(np.zeros(3))
    >>> mg.linear([[3.0, 4.0]], w, b).value
    array([[3., 8., 7.]], dtype=float32)
    """

    name, symbol, multilinear = "linear", "x Wᵀ + b", 2
    formula = "x @ w.T + b"
    vjp_formulas = ("g @ w", "g.T @ x", "sum(g)")
    batch_axes = -1

    def plan(self, x: Operand, w: Operand, b: Operand | None = None) -> tuple[int, ...]:
        x, w, *bias = inputs = self.given(x, w, b)
        rows, weight = x._data.shape, w._data.shape
        if len(weight) == 2 and rows and rows[-1] != weight[1]:
            expected = f"x has {rows[-1]} features, the layer takes {weight[1]}"
            raise self.error(inputs, expected)
        if len(weight) != 2 or rows[-1:] != weight[1:] or any(b.shape != weight[:1] for b in bias):
            raise self.error(inputs, "x (…, in), weight (out, in) and bias (out,) were expected")
        self.floats(*inputs)
        return (*rows[:-1], weight[0])

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        x, w, y = _rows(xs[0]), xs[1], _rows(out)
        x.dot(w.T, y)
        if len(xs) == 3:
            y += xs[2][None]  # NumPy adds a row to a single row faster than a vector

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        x, w, g = _rows(xs[0]), xs[1], _rows(g)
        if grads[0] is not None:
            g.dot(w, _rows(grads[0]))
        if grads[1] is not None:
            g.T.dot(x, grads[1])
        if len(xs) == 3 and grads[2] is not None:
            if len(g) == 1:  # nothing to add up
                grads[2][...] = g[0]
            else:
                g.sum(axis=0, out=grads[2])

    def flops(self, node: Operator) -> int:
        return 2 * node.size * node.inputs[1].shape[1]


matmul = register(MatMul(), np.matmul)
linear = register(Linear())


@implements(np.dot)
def _dot(a: Any, b: Any) -> GraphNode:
    a, b = by_name("matmul").operands((a, b))
    if max(a.ndim, b.ndim) > 2:
        raise GraphError(
            f"np.dot: shapes {a.shape} and {b.shape}; with more than two axes use a @ b, "
            "another product"
        )
    return matmul(a, b) if a.ndim and b.ndim else a * b


# ---------------- Einstein summation
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
        out[...] = contracted(node.plan.text(), *xs, product=partial(self._product, node))

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
            product = partial(self._product, node)
            found = contracted(text, g, *(x for _, x in others), product=product)
            grad[...] = 0
            # a view: of a repeated letter the diagonal
            places = np.einsum(f"{terms[i]}->{own}", grad) if own else grad
            wide = found[tuple(slice(None) if letter in known else None for letter in own)]
            places[...] = sum_to(wide, places.shape)

    def _product(self, node: Operator, a: Array, b: Array) -> Array:
        if not isinstance(a, np.ndarray):  # of a traced graph
            return a @ b
        out = np.empty((*a.shape[:-1], b.shape[-1]), a.dtype)
        product(node, a, b, out)
        return out

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

    >>> a, b = np.ones((2, 3)), np.ones((3, 4))
    >>> mg.einsum("ij,jk->ik", a, b).shape
    (2, 4)
    """
    if not isinstance(subscripts, str):
        raise GraphError("np.einsum: subscripts as a text were expected, the arrays after it")
    return _einsum(*xs, subscripts=subscripts)
