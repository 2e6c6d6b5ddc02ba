"""Losses: one number for a batch, the mean over it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..graph.registry import public
from ..graph.rule import Grads, Operand, Operator, Rule, register
from .elementwise import logistic, multiply, subtract
from .indexing import Indexed, Limit, getitem
from .kernel import launch, shards
from .kinds import MEAN, Axes, ClosedForm, NotSeparable, check_number
from .reduce import log_softmax, mean


class Loss(Rule):
    """A mean over the samples of a batch, of a prediction and a target along one axis."""

    def shape(self, node: Operator) -> tuple[int, ...]:
        return ()

    def batch_axis(self, node: Operator, axes: Axes) -> int:
        if MEAN in axes or len({*axes} - {None}) > 1:
            raise NotSeparable
        return MEAN


class Paired(ClosedForm, Loss):
    """A mean over pairs of entries, prediction x and target t.

    `terms(x, t)` are averaged; `slopes` has their derivatives in x and in t, of arrays or nodes.
    `flops` counts the operations that compute one term and add it up.
    """

    terms: Callable[..., Any]
    slopes: tuple[Callable[..., Any], ...]

    def plan(self, x: Operand, t: Operand) -> None:
        x, t = inputs = self.floats(x, t)
        if x.shape != t.shape:
            raise self.error(
                inputs,
                "equal shapes were expected (a loss does not broadcast; reshape the target if it "
                "is a column)",
            )

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        out[...] = self.terms(*xs).sum() / (xs[0].size or np.nan)

    def cotangent(self, i: int, node: Operator, g: Any, y: Any, *xs: Any) -> Any:
        return self.slopes[i](*xs) * (g / (xs[0].size or np.nan))


class MSE(Paired):
    """Mean of (prediction - target)² over all entries; equal shapes, else `ShapeError`.

    >>> mg.mse_loss(mg.Variable([1.0, 2.0]), [0.0, 4.0]).item()
    2.5
    """

    name, symbol, flops = "mse_loss", "MSE", 3
    formula = "mean((x - t) ** 2)"
    vjp_formulas = ("2 * g * (x - t) / size", "2 * g * (t - x) / size")

    terms = staticmethod(lambda x, t: np.square(x - t))
    slopes = (lambda x, t: 2 * (x - t), lambda x, t: 2 * (t - x))


def _limited_log(p: Any) -> Any:
    with np.errstate(divide="ignore"):  # log 0 is -inf, which is then limited
        return np.maximum(np.log(p), -100)


class BCE(Paired):
    """Mean of -(t log p + (1 - t) log(1 - p)) for probabilities p in [0, 1] and targets t.

    As in PyTorch, logarithms are limited to -100, so that a wrong certainty costs 100 and not
    infinity.

    >>> loss = mg.binary_cross_entropy(mg.Variable([0.5, 0.5]), [0.0, 1.0])
    >>> f"{loss:.4f}"
    '0.6931'
    """

    name, symbol, flops = "binary_cross_entropy", "BCE", 9
    formula = "-mean(t * log(x) + (1 - t) * log(1 - x))"
    vjp_formulas = ("g * (x - t) / (x * (1 - x)) / size", "g * (log(1 - x) - log(x)) / size")

    terms = staticmethod(lambda x, t: -(t * _limited_log(x) + (1 - t) * _limited_log(1 - x)))
    slopes = (
        lambda x, t: (x - t) / np.maximum(x * (1 - x), 1e-12),
        lambda x, t: _limited_log(1 - x) - _limited_log(x),
    )


class BCEWithLogits(Paired):
    """`binary_cross_entropy` of p = sigmoid(logits), without overflow or loss of digits.

    >>> loss = mg.binary_cross_entropy_with_logits(mg.Variable([0.0, 1000.0]), [0.0, 1.0])
    >>> f"{loss:.4f}"
    '0.3466'
    """

    name, symbol, flops = "binary_cross_entropy_with_logits", "BCE σ", 9
    formula = "mean(log(1 + exp(x)) - x * t)"
    vjp_formulas = ("g * (σ(x) - t) / size", "-g * x / size")

    terms = staticmethod(lambda x, t: np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.absolute(x))))
    slopes = (lambda x, t: logistic(x) - t, lambda x, t: -x)


class CrossEntropy(Indexed, Loss):
    """`node.work["softmax"]` (N, classes) holds the probabilities."""

    name, symbol, flops, index_input = "cross_entropy", "CE", 5, 1
    formula = "-sum(onehot(ids) * log(softmax(x))) / rows"
    vjp_formulas = ("g * (softmax(x) - onehot(ids)) / rows", None)

    def plan(self, x: Operand, ids: Operand) -> None:
        x, ids = inputs = self.given(x, ids)
        if x.ndim != 2 or ids.shape != x.shape[:1] or x.shape[1] < 1:
            raise self.error(inputs, "logits (N, classes) and class ids (N,) were expected")
        self.check_dtypes("class ids", ids, x)

    def limits(self, node: Operator) -> Sequence[Limit]:
        return [Limit(1, 0, node.inputs[0].shape[1], "class id")]

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        x, ids = xs
        p = node.buffer("softmax", x.shape, x.dtype)
        losses = node.buffer("losses", ids.shape, x.dtype)
        count = shards(node, len(ids))
        launch(node, kernels.softmax.cross_entropy, x, ids, losses, p, count)
        out[...] = losses.sum() / (len(ids) or np.nan)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        p, ids = node.work["softmax"], xs[1]
        launch(node, kernels.softmax.cross_entropy_back, p, ids, g.reshape(1), grads[0])

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode:
        x, ids = xs
        return -mean(getitem(log_softmax(x), (np.arange(len(ids)), ids)))


mse_loss = register(MSE())
binary_cross_entropy = register(BCE())
binary_cross_entropy_with_logits = register(BCEWithLogits())
register(_cross_entropy := CrossEntropy())


@public()
def cross_entropy(logits: Operand, class_ids: Operand, label_smoothing: float = 0.0) -> GraphNode:
    """Mean of -log softmax(logits)[class id] for logits (N, classes) and integer class ids (N,).

    With `label_smoothing` that share of a sample's certainty is spread over all classes (Szegedy et
    al. 2016), as in PyTorch. Raises `DTypeError` for ids that are not integers, `IndexError` for
    ids outside of [0, classes).

    >>> logits = mg.Variable([[0.0, 0.0], [0.0, 100.0]])
    >>> loss = mg.cross_entropy(logits, [0, 1])
    >>> f"{loss:.4f}"
    '0.3466'
    """
    given = logits, class_ids
    check_number(_cross_entropy, given, "label_smoothing", label_smoothing, 1)
    loss = _cross_entropy(*given)
    if not label_smoothing:
        return loss
    spread = mean(log_softmax(logits, axis=1))
    return subtract(multiply(1 - label_smoothing, loss), multiply(label_smoothing, spread))
