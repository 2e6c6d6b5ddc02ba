"""Losses: one number for a batch, by default the mean over it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..checks import number, one_of
from ..errors import ShapeError
from ..graph.conversion import Array
from ..graph.node import Constant, GraphNode
from ..graph.registry import public
from ..graph.rule import Grads, Operand, Operator, Rule, register
from .elementwise import abs as absolute
from .elementwise import (
    exp,
    log,
    logistic,
    minimum,
    multiply,
    not_equal,
    relu,
    subtract,
    where,
)
from .indexing import Indexed, Limit, getitem
from .kernel import batch_parts, constant, launch, shards, sum_over_parts
from .kinds import MEAN, Axes, ClosedForm, NotSeparable, SameShape, check_number
from .reduce import log_softmax, mean
from .shape import moveaxis


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
    """Mean of (prediction - target)² over all entries; equal shapes, else `ShapeError`."""

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
    """`binary_cross_entropy` of p = sigmoid(logits), without overflow or loss of digits."""

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


register(_mse := MSE())
register(_bce := BCE())
register(_bce_logits := BCEWithLogits())
register(_cross_entropy := CrossEntropy())


# ---------------- what all losses share
def _reduced(name: str, losses: GraphNode, reduction: str, *more: str) -> GraphNode:
    """The mean or the sum of losses, or all of them."""
    one_of(name, "reduction", reduction, ("mean", "sum", "none", *more))
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.mean()


def _mean_of(rule: Paired, x: Operand, target: Operand, reduction: str) -> GraphNode:
    if reduction == "mean":
        return rule(x, target)
    return _reduced(rule.name, rule.terms(*_pair(rule.name, x, target)), reduction)


def _pair(name: str, *given: Operand) -> tuple[GraphNode, ...]:
    """Prediction and target as nodes of equal shapes."""
    rule = Paired()
    rule.name = name
    pair = rule.operands(given)
    rule.plan(*pair)
    return pair


# ---------------- losses of pairs
@public()
def mse_loss(x: Operand, target: Operand, *, reduction: str = "mean") -> GraphNode:
    """(x - target)², its mean over all entries by default; equal shapes, else `ShapeError`.

    `reduction` is "mean", "sum" or "none", for this and all other losses, else `ValueError`.

    >>> mg.mse_loss(mg.Variable([1.0, 2.0]), [0.0, 4.0]).item()
    2.5
    """
    return _mean_of(_mse, x, target, reduction)


@public()
def binary_cross_entropy(x: Operand, target: Operand, *, reduction: str = "mean") -> GraphNode:
    """-(t log x + (1 - t) log(1 - x)) for probabilities x in [0, 1] and targets t.

    As in PyTorch, logarithms are limited to -100, so that a wrong certainty costs 100 and not
    infinity. `reduction` and errors as of `mse_loss`.

    >>> f"{mg.binary_cross_entropy(mg.Variable([0.5, 0.5]), [0.0, 1.0]):.4f}"
    '0.6931'
    """
    return _mean_of(_bce, x, target, reduction)


@public()
def binary_cross_entropy_with_logits(
    x: Operand, target: Operand, *, reduction: str = "mean"
) -> GraphNode:
    """`binary_cross_entropy` of sigmoid(x), without overflow or loss of digits.

    >>> f"{mg.binary_cross_entropy_with_logits(mg.Variable([0.0, 1000.0]), [0.0, 1.0]):.4f}"
    '0.3466'
    """
    return _mean_of(_bce_logits, x, target, reduction)


@public()
def smooth_l1_loss(
    x: Operand, target: Operand, *, beta: float = 1.0, reduction: str = "mean"
) -> GraphNode:
    """d² / (2 beta) where d = |x - target| is below beta, d - beta / 2 elsewhere (Girshick 2015).

    `reduction` and errors as of `mse_loss`; `ValueError` for a negative beta.

    >>> mg.smooth_l1_loss([0.5, 3.0], [0.0, 0.0], reduction="none").value
    array([0.125, 2.5  ], dtype=float32)
    """
    number("smooth_l1_loss", "≥ 0", lambda beta: beta >= 0, beta=beta)
    a, b = _pair("smooth_l1_loss", x, target)
    far = absolute(a - b)
    near = minimum(far, beta)
    losses = near * (far - 0.5 * near) / beta if beta else far
    return _reduced("smooth_l1_loss", losses, reduction)


@public()
def hinge_loss(x: Operand, target: Operand, *, reduction: str = "mean") -> GraphNode:
    """max(0, 1 - target · x) for targets -1 and 1; `reduction` and errors as of `mse_loss`.

    >>> mg.hinge_loss([0.5, 3.0], [1.0, -1.0], reduction="none").value
    array([0.5, 4. ], dtype=float32)
    """
    a, b = _pair("hinge_loss", x, target)
    return _reduced("hinge_loss", relu(1 - a * b), reduction)


@public()
def kl_div(
    x: Operand, target: Operand, *, log_target: bool = False, reduction: str = "mean"
) -> GraphNode:
    """target · (log target - x) of logarithms x of probabilities: the Kullback-Leibler divergence.

    With `log_target` the target is a logarithm, too. "batchmean" as a `reduction` is the sum over
    the number of samples, the divergence itself. Otherwise as `mse_loss`, and as in PyTorch.

    >>> p, q = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])
    >>> f"{mg.kl_div(np.log(q), p, reduction='batchmean'):.4f}"
    '0.1438'
    """
    log_p, t = _pair("kl_div", x, target)
    # of nothing nothing, where the logarithm is -inf
    p, log_t = (exp(t), t) if log_target else (t, log(where(t > 0, t, 1.0)))
    losses = p * (log_t - log_p)
    if reduction == "batchmean":
        return multiply(losses.mean(), math.prod(losses.shape[1:]))
    return _reduced("kl_div", losses, reduction, "batchmean")


# ---------------- losses of classes
class OneHot(Indexed):
    """Whether the class of an id is this one: ids (…), booleans (…, classes).

    No class has the id `ignored`. Raises `IndexError` for other ids of no class.
    """

    name, symbol, differentiable, flops = "loss.one_hot", "one-hot", False, 0
    formula = "apply('onehot', ids)"
    vjp_formulas = (None,)
    batch_axes = None  # any axis
    index_input = 0

    def plan(self, ids: Operand, classes: int, ignored: int) -> tuple[int, ...]:
        (x,) = self.given(ids)
        return *x.shape, classes

    def dtype(self, node: Operator) -> np.dtype[Any]:
        return np.dtype(bool)

    def limits(self, node: Operator) -> Sequence[Limit]:
        held = node.attributes
        return [Limit(0, 0, held["classes"], "class id", held["ignored"])]

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        classes, ignored = node.attributes["classes"], node.attributes["ignored"]
        ids = xs[0].reshape((*xs[0].shape, 1))
        each = constant(node, "classes", np.arange(classes))
        out[...] = (ids == each) & (ids != ignored)


class MeanInverse(SameShape):
    """1 / (mean of x) in the shape of x, the mean being that of the whole batch."""

    name, symbol, differentiable = "loss.mean_inverse", "1 / mean", False
    formula = "broadcast(1 / mean(x))"
    vjp_formulas = (None,)
    batch_axes = 1

    def plan(self, x: Operand) -> None:
        self.floats(x)

    def samples_meet(self, node: Operator) -> bool:
        return True

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        total = node.buffer("total", (1,), np.float64)
        total[...] = xs[0].sum()
        sum_over_parts(node, total)
        whole = np.where(total == 0, np.nan, total)  # of no weight at all there is no mean
        out[...] = xs[0].size * batch_parts(node) / whole


_nll = CrossEntropy()
_nll.name = "nll_loss"  # in errors
register(_one_hot := OneHot())
register(_mean_inverse := MeanInverse())


def _of_classes(
    name: str,
    log_p: GraphNode,
    target: GraphNode,
    weight: Operand | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float = 0.0,
) -> GraphNode:
    """-Σ target · log p over classes, which lie along the first axis but for samples."""
    axis, shape, ids = int(log_p.ndim > 1), log_p.shape, target.dtype.kind in "iu"
    classes = (*shape, 0)[axis]
    if target.shape != (shape[:axis] + shape[axis + 1 :] if ids else shape) or not classes:
        expected = "logits (N, classes, …), and class ids (N, …) or probabilities for all classes"
        raise ShapeError(f"{name}: shapes {shape} and {target.shape}; {expected} were expected")
    log_p = moveaxis(log_p, axis, -1)
    if ids:
        t = multiply(_one_hot(target, classes, ignore_index), Constant(1.0, dtype=log_p.dtype))
    else:
        t = moveaxis(target, axis, -1)
    share = t
    if label_smoothing:
        spread = t.sum(-1, keepdims=True) if ids else 1.0
        share = (1 - label_smoothing) * t + label_smoothing / classes * spread
    if weight is not None:
        _, w = Rule.operands(_cross_entropy, (log_p, weight))
        if w.shape != (classes,):
            expected = f"a weight for each of {classes} classes was expected"
            raise ShapeError(f"{name}: shapes {shape} and {w.shape}; {expected}")
        share, t = share * w, t * w
    if ids:  # where the logarithm of a class that does not count is -inf
        log_p = where(not_equal(share, 0), log_p, 0.0)
    losses = -(share * log_p).sum(-1)
    if reduction == "mean" and ids:
        return mean(losses * _mean_inverse(t.sum(-1)))
    return _reduced(name, losses, reduction)


@public()
def cross_entropy(
    logits: Operand,
    target: Operand,
    *,
    weight: Operand | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> GraphNode:
    """-log softmax(logits)[target], as in PyTorch; by default the mean over the samples.

    Logits are (N, classes, …). Targets are integer class ids (N, …), or probabilities in the shape
    of the logits. `weight` (classes,) weighs samples by their class; the mean is a weighted one.
    Samples with the id `ignore_index` do not count. With `label_smoothing` that share of a sample's
    certainty is spread over all classes (Szegedy et al. 2016). `reduction` is "mean", "sum" or
    "none". Raises `ShapeError` for shapes that do not fit, `DTypeError` for ids that are not
    numbers, `IndexError` for ids outside of [0, classes), `ValueError` for other options.

    >>> logits = mg.Variable([[0.0, 0.0], [0.0, 100.0]])
    >>> loss = mg.cross_entropy(logits, [0, 1])
    >>> f"{loss:.4f}"
    '0.3466'
    """
    x, t = given = _cross_entropy.operands((logits, target))
    check_number(_cross_entropy, given, "label_smoothing", label_smoothing, 1)
    plain = weight is None and reduction == "mean"
    ignoring = ignore_index != -100 or (t._data == ignore_index).any()
    if plain and not ignoring and x.ndim < 3 and (t.dtype.kind != "f" or t.shape != x.shape):
        loss = _cross_entropy(x, t)
        if not label_smoothing:
            return loss
        spread = mean(log_softmax(x, axis=1))
        return subtract(multiply(1 - label_smoothing, loss), multiply(label_smoothing, spread))
    log_p = log_softmax(x, axis=min(1, x.ndim - 1))
    options = weight, ignore_index, reduction, label_smoothing
    return _of_classes("cross_entropy", log_p, t, *options)


@public()
def nll_loss(
    log_probabilities: Operand,
    target: Operand,
    *,
    weight: Operand | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> GraphNode:
    """-log_probabilities[target] for integer class ids; otherwise as `cross_entropy`.

    >>> f"{mg.nll_loss(mg.log_softmax([[0.0, 0.0]], axis=1), [1]):.4f}"
    '0.6931'
    """
    x, t = _nll.operands((log_probabilities, target))
    _nll.floats(x)
    return _of_classes("nll_loss", x, t, weight, ignore_index, reduction)
