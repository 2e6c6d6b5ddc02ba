"""Losses: one number for a batch, the mean over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..graph.node import Array, GraphNode, Operator
from ..graph.rule import MEAN, Limit, NotSeparable, Rule, by_name
from .elementwise import _logistic, multiply, subtract
from .embedding import check_dtypes, keep_integers
from .reduce import log_softmax, mean

Grads = list[Array | None]


class Paired(Rule):
    """A mean over pairs of equal shape, prediction x and target t: `terms` forward, `slope` back.

    `operations` is how many it takes to compute one term and add it up.
    """

    operations: int

    def plan(self, x: GraphNode, t: GraphNode) -> None:  # type: ignore[override]
        self.need_floats(x, t)
        if x.shape != t.shape:
            raise self.error(
                (x, t),
                "equal shapes were expected (a loss does not broadcast; reshape the target if it "
                "is a column)",
            )

    def shape(self, node: Operator) -> tuple[int, ...]:
        return ()

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        return _mean_of_samples(axes)

    def terms(self, x: Array, t: Array) -> Any:
        raise NotImplementedError

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        out[...] = self.terms(*xs).sum() / (xs[0].size or np.nan)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        scale = g / (xs[0].size or np.nan)
        for i, grad in enumerate(grads):
            if grad is not None:
                np.multiply(self.slope(i, *xs), scale, out=grad)

    def vjp_nodes(
        self, node: Operator, g: GraphNode, wanted: Sequence[bool]
    ) -> Sequence[GraphNode | None]:
        scale = g / (node.inputs[0].size or np.nan)
        return [
            self.slope(i, *node.inputs) * scale if want else None for i, want in enumerate(wanted)
        ]

    def slope(self, index: int, x: Any, t: Any) -> Any:
        """The derivative of `terms` in x (index 0) or t (index 1), of arrays or nodes."""
        raise NotImplementedError

    def flops(self, node: Operator) -> int:
        return self.operations * node.inputs[0].size


def _mean_of_samples(axes: Sequence[int | None]) -> int | None:
    """Predictions and targets lie along one axis."""
    x, t = axes
    if MEAN in axes or (x is not None and t is not None and x != t):
        raise NotSeparable
    return None if x is None and t is None else MEAN


class MSE(Paired):
    name, symbol, operations = "mse_loss", "MSE", 3
    formula = "mean((x - t) ** 2)"
    vjp_formulas = ("2 * g * (x - t) / size", "2 * g * (t - x) / size")

    def terms(self, x: Array, t: Array) -> Any:
        return np.square(x - t)

    def slope(self, index: int, x: Any, t: Any) -> Any:
        return 2 * (x - t) if index == 0 else 2 * (t - x)


def _limited_log(p: Any) -> Any:
    with np.errstate(divide="ignore"):  # log 0 is -inf, which is then limited
        return np.maximum(np.log(p), -100)


class BCE(Paired):
    """Logarithms are limited to -100, so that a wrong certainty costs 100 and not infinity (PyTorch
    does so too).
    """

    name, symbol, operations = "binary_cross_entropy", "BCE", 9
    formula = "-mean(t * log(x) + (1 - t) * log(1 - x))"
    vjp_formulas = ("g * (x - t) / (x * (1 - x)) / size", "g * (log(1 - x) - log(x)) / size")

    def terms(self, x: Array, t: Array) -> Any:
        return -(t * _limited_log(x) + (1 - t) * _limited_log(1 - x))

    def slope(self, index: int, x: Any, t: Any) -> Any:
        if index == 1:
            return _limited_log(1 - x) - _limited_log(x)
        return (x - t) / np.maximum(x * (1 - x), 1e-12)


class BCEWithLogits(Paired):
    name, symbol, operations = "binary_cross_entropy_with_logits", "BCE σ", 9
    formula = "mean(log(1 + exp(x)) - x * t)"
    vjp_formulas = ("g * (σ(x) - t) / size", "-g * x / size")

    def terms(self, x: Array, t: Array) -> Any:
        return np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.absolute(x)))

    def slope(self, index: int, x: Any, t: Any) -> Any:
        return _logistic(x) - t if index == 0 else -x

    def kernel_info(self, node: Operator) -> dict[str, Any]:
        """`probabilities`: σ(x), in the shape of x."""
        return {**super().kernel_info(node), "probabilities": _logistic(node.inputs[0]._data)}


class CrossEntropy(Rule):
    """`node.work["softmax"]` (N, classes) holds the probabilities."""

    name, symbol = "cross_entropy", "CE"
    formula = "-sum(onehot(ids) * log(softmax(x))) / rows"
    vjp_formulas = ("g * (softmax(x) - onehot(ids)) / rows", None)

    def plan(self, x: GraphNode, ids: GraphNode) -> None:  # type: ignore[override]
        if x.ndim != 2 or ids.shape != x.shape[:1] or x.shape[1] < 1:
            raise self.error((x, ids), "logits (N, classes) and class ids (N,) were expected")
        check_dtypes(self, (x, ids), "class ids", ids, x)

    def shape(self, node: Operator) -> tuple[int, ...]:
        return ()

    def limits(self, node: Operator) -> Sequence[Limit]:
        return [Limit(1, 0, node.inputs[0].shape[1], "class id")]

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        x, ids = xs
        p, losses = (
            node.buffer("softmax", x.shape, x.dtype),
            node.buffer("losses", ids.shape, x.dtype),
        )
        node.call(kernels.softmax.cross_entropy, x, ids, losses, p, self.shards(node, len(ids)))
        out[...] = losses.sum() / (len(ids) or np.nan)

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode:
        x, ids = xs
        chosen = np.equal(ids.reshape(-1, 1), keep_integers(np.arange(x.shape[1])))
        mean: GraphNode = -by_name("sum")(np.where(chosen, by_name("log_softmax")(x), 0)) / (
            len(ids) or np.nan
        )
        return mean

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        return _mean_of_samples(axes)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        node.call(
            kernels.softmax.cross_entropy_back, node.work["softmax"], xs[1], g.reshape(1), grads[0]
        )

    def flops(self, node: Operator) -> int:
        return 5 * node.inputs[0].size

    def kernel_info(self, node: Operator) -> dict[str, Any]:
        """`probabilities` (N, classes): the softmax of the logits."""
        return {**super().kernel_info(node), "probabilities": node.work["softmax"]}


def mse_loss(prediction: Any, target: Any) -> GraphNode:
    """Mean of (prediction - target)² over all entries; equal shapes, else `ShapeError`."""
    return by_name("mse_loss")(prediction, target)


def cross_entropy(logits: Any, class_ids: Any, label_smoothing: float = 0.0) -> GraphNode:
    """Mean of -log softmax(logits)[class id] for logits (N, classes) and integer class ids (N,).

    With `label_smoothing` that share of a sample's certainty is spread over all classes (Szegedy et
    al. 2016), as in PyTorch. Raises `DTypeError` for ids that are not integers, `IndexError` for
    ids outside of [0, classes).
    """
    if not isinstance(label_smoothing, int | float) or not 0 <= label_smoothing <= 1:
        raise ValueError(
            f"cross_entropy: label_smoothing={label_smoothing!r}; a number from 0 to 1 was expected"
        )
    loss = by_name("cross_entropy")(logits, keep_integers(class_ids))
    if not label_smoothing:
        return loss
    spread = mean(log_softmax(logits, axis=1))
    return subtract(multiply(1 - label_smoothing, loss), multiply(label_smoothing, spread))


def binary_cross_entropy(probability: Any, target: Any) -> GraphNode:
    """Mean of -(t log p + (1 - t) log(1 - p)), p in [0, 1]; the logarithms are limited to -100 as
    in PyTorch.
    """
    return by_name("binary_cross_entropy")(probability, target)


def binary_cross_entropy_with_logits(logits: Any, target: Any) -> GraphNode:
    """The same for p = sigmoid(logits), computed from the logits without overflow or loss of
    digits.
    """
    return by_name("binary_cross_entropy_with_logits")(logits, target)
