"""Matrix products."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import GraphError
from ..graph.arrays import sum_to
from ..graph.node import Array, GraphNode, Operator
from ..graph.rule import MEAN, NotSeparable, Rule, by_name, implements

Grads = list[Array | None]


def rows_apart(
    rule: Rule, node: Operator, axes: Sequence[int | None], fits: Callable[[int], bool]
) -> int | None:
    """`batch_axis` of an operator that takes samples in its first input only and leaves them along
    the same axis.
    """
    first, *others = axes
    if (
        first == MEAN
        or any(axis is not None for axis in others)
        or (first is not None and not fits(first))
    ):
        raise NotSeparable
    return first


def product(a: Array, b: Array, out: Array) -> None:
    """out = a @ b. For matrices `dot` goes to BLAS by a shorter way than `np.matmul`, which has its
    own slow loop where the inner size is 1.
    """
    if a.ndim == b.ndim == 2:
        a.dot(b, out)
    else:
        np.matmul(a, b, out=out)


class MatMul(Rule):
    """a @ b with NumPy's rules: a vector is a row on the left and a column on the right; leading
    axes broadcast.
    """

    name, symbol, multilinear = "matmul", "@", 2
    formula = "a @ b"
    vjp_formulas = ("g @ b.T", "a.T @ g")

    def plan(self, a: GraphNode, b: GraphNode) -> tuple[int, ...]:  # type: ignore[override]
        if not a.ndim or not b.ndim:
            raise self.error((a, b), "two arrays were expected; use * to multiply by a number")
        if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
            raise self.error(
                (a, b), "the first's last axis must be as long as the second's last but one"
            )
        self.need_floats(a, b)
        try:
            batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            raise self.error((a, b), "leading axes that broadcast were expected") from None
        return (*batch, *a.shape[-2:-1], *(b.shape[-1:] if b.ndim > 1 else ()))

    def shape(self, node: Operator) -> tuple[int, ...]:
        shape: tuple[int, ...] = node.plan
        return shape

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        a, b = xs
        product(a, b, out)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        a, b = xs
        if a.ndim == b.ndim == 2:
            if grads[0] is not None:
                product(g, b.T, grads[0])
            if grads[1] is not None:
                product(a.T, g, grads[1])
            return
        rows = a[None, :] if a.ndim == 1 else a
        columns = b[:, None] if b.ndim == 1 else b
        g = g[..., None] if b.ndim == 1 else g
        g = g[..., None, :] if a.ndim == 1 else g
        if grads[0] is not None:
            np.copyto(grads[0], sum_to(g @ columns.swapaxes(-1, -2), rows.shape).reshape(a.shape))
        if grads[1] is not None:
            np.copyto(grads[1], sum_to(rows.swapaxes(-1, -2) @ g, columns.shape).reshape(b.shape))

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        a, b = axes
        if b is not None or MEAN in axes or (a is not None and a >= node.inputs[0].ndim - 1):
            return super().batch_axis(node, axes)
        return (
            None if a is None else a + node.ndim - node.inputs[0].ndim + (node.inputs[1].ndim == 1)
        )

    def flops(self, node: Operator) -> int:
        return 2 * node.size * node.inputs[0].shape[-1]


def _rows(x: Array) -> Array:
    """(…, n) as a matrix (rows, n)."""
    # the number of rows is said outright: reshape cannot guess it for no columns
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


class Linear(Rule):
    """y = x Wᵀ + b, one node instead of three, with W (out, in) as PyTorch stores it."""

    name, symbol, multilinear = "linear", "x Wᵀ + b", 2
    formula = "x @ w.T + b"
    vjp_formulas = ("g @ w", "g.T @ x", "sum(g)")

    def plan(self, x: GraphNode, w: GraphNode, b: GraphNode | None = None) -> None:  # type: ignore[override]
        inputs = (x, w) if b is None else (x, w, b)
        columns, weight = x._data.shape[-1:], w._data.shape
        if (
            len(weight) != 2
            or columns != weight[1:]
            or (b is not None and b._data.shape != weight[:1])
        ):
            raise self.error(inputs, "x (…, in), weight (out, in) and bias (out,) were expected")
        self.need_floats(*inputs)

    def shape(self, node: Operator) -> tuple[int, ...]:
        return (*node.inputs[0]._data.shape[:-1], len(node.inputs[1]._data))

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        x, w, y = _rows(xs[0]), xs[1], _rows(out)
        x.dot(w.T, y)
        if len(xs) == 3:
            y += xs[2][None]  # as a row: NumPy has a short way for one row plus another

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

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        return rows_apart(self, node, axes, lambda axis: axis < node.ndim - 1)

    def flops(self, node: Operator) -> int:
        return 2 * node.size * node.inputs[1].shape[1]


@implements(np.matmul)
def matmul(a: Any, b: Any) -> GraphNode:
    """Matrix product a @ b of (…, m, k) and (…, k, n); one-dimensional operands as in NumPy."""
    return by_name("matmul")(a, b)


@implements(np.dot)
def _dot(a: Any, b: Any) -> GraphNode:
    a, b = by_name("matmul").operands((a, b))
    if max(a.ndim, b.ndim) > 2:
        raise GraphError(
            f"np.dot: shapes {a.shape} and {b.shape}; with more than two axes use a @ b, "
            f"another product"
        )
    return matmul(a, b) if a.ndim and b.ndim else a * b


def linear(x: Any, weight: Any, bias: Any = None) -> GraphNode:
    """x Wᵀ + b for x (…, in), weight (out, in), bias (out,) or None; the result is (…, out)."""
    return by_name("linear")(x, weight) if bias is None else by_name("linear")(x, weight, bias)
