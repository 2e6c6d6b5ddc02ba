"""Normalisation of a batch or of each sample, and dropout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import kernels
from ..calculus.derivatives import WorkArray
from ..errors import DTypeError
from ..graph.conversion import Array
from ..graph.node import Buffer, GraphNode
from ..graph.registry import public
from ..graph.rule import Grads, Operand, Operator, Rule, register
from ..graph.settings import advancing
from .kernel import batch_parts, launch, sum_over_parts
from .kinds import SameShape, check_number
from .random import Drawing, kept_stream


class Normalise(SameShape):
    """Batch and layer normalisation: their kernels see x as `plan`, (n, groups, length).

    Inputs are x, a weight and a bias. After a pass `node.work` has `mean` and `var` (groups,),
    unless they are given.
    """

    def own(self, node: Operator) -> bool:
        """Are mean and variance those of x, not given ones?"""
        return bool(node.attributes.get("training", True))

    def count(self, node: Operator) -> int:
        """How many numbers a mean is taken over, 0 if it is given."""
        parts = batch_parts(node) if self.samples_meet(node) else 1
        return int(self.own(node) * node.plan[0] * node.plan[2] * parts)

    def samples_meet(self, node: Operator) -> bool:
        """Is a mean taken over several samples?"""
        return False

    def moments(self, node: Operator) -> tuple[Array, Array]:
        """Mean and variance of each group: its own, or the running ones."""
        held, groups, dtype = node.attributes, node.plan[1:2], node.inputs[0].dtype
        if self.own(node):
            return node.buffer("mean", groups, dtype), node.buffer("var", groups, dtype)
        return held["running_mean"]._data, held["running_var"]._data

    def sums(self, node: Operator) -> Array:
        return node.buffer("sums", (2, node.plan[1]), np.float64)

    def scratch(self, node: Operator) -> Array:
        return node.buffer("scratch", (3, node.plan[1]), node.inputs[0].dtype)

    def normalise(self, node: Operator, x: Array, out: Array, w: Array, b: Array) -> None:
        """out = (x - mean) / sqrt(var + eps) · w + b, each as its kernel takes it."""
        x, out, count = x.reshape(node.plan), out.reshape(node.plan), self.count(node)
        mean, var = self.moments(node)
        if count:
            sums = self.sums(node)
            launch(node, kernels.norm.totals, x, sums)
            self.complete(node, sums[0])
            launch(node, kernels.norm.squares, x, count, sums)
            self.complete(node, sums[1])
            launch(node, kernels.norm.moments, count, sums, mean, var)
        settings = node.attributes["eps"], mean, var
        launch(node, kernels.norm.forward, x, w, b, *settings, out, self.scratch(node))

    def gradients(self, node: Operator, g: Array, x: Array, w: Array, *grads: Array | None) -> None:
        """Write the gradients of x, w and b; None is not asked for."""
        g, x = g.reshape(node.plan), x.reshape(node.plan)
        count, eps = self.count(node), node.attributes["eps"]
        (mean, var), sums, (gx, *affine) = self.moments(node), self.sums(node), grads
        launch(node, kernels.norm.products, g, x, mean, sums)
        if any(grad is not None for grad in affine):
            launch(node, kernels.norm.affine, sums, var, eps, *affine)
        if gx is None:
            return
        if count:
            self.complete(node, sums)
        results = gx.reshape(node.plan), sums, self.scratch(node)
        launch(node, kernels.norm.backward, g, x, w, eps, count, mean, var, *results)

    def complete(self, node: Operator, sums: Array) -> None:
        """Add up sums over the samples of all parts of the batch."""
        if self.samples_meet(node):
            sum_over_parts(node, sums)

    def normal(self, node: Operator, x: GraphNode, axes: tuple[int, ...]) -> Any:
        """(x - mean) / sqrt(var + eps) in other operators, both taken over the axes."""
        z = x - x.mean(axes, keepdims=True)
        return z / np.sqrt((z * z).mean(axes, keepdims=True) + node.attributes["eps"])


def _inputs(rule: Rule, x: Any, weight: Any, bias: Any) -> tuple[GraphNode, ...]:
    """The inputs as nodes, without None; a bias without a weight gets a weight of ones."""
    if weight is None and bias is not None:
        weight = np.ones(np.shape(bias))
    return rule.operands(tuple(a for a in (x, weight, bias) if a is not None))


class BatchNorm(Normalise):
    name, symbol = "batch_norm", "batch norm"
    formula = (
        "scaled((x - (mean(x, 'all but 1') if training else say('running mean')))"
        " / root((var(x, 'all but 1') if training else say('running var')) + eps), weight) + bias"
    )
    vjp_formulas = (
        "given(scaled((g - mean(g, 'all but 1') - z * mean(g * z, 'all but 1'))"
        " / root(var(x, 'all but 1') + eps), weight),"
        " z, (x - mean(x, 'all but 1')) / root(var(x, 'all but 1') + eps))"
        " if training else scaled(g / root(say('running var') + eps), weight)",
        "sum(g * (x - (mean(x, 'all but 1') if training else say('running mean')))"
        " / root((var(x, 'all but 1') if training else say('running var')) + eps))",
        "sum(g)",
    )

    def plan(
        self, x: Operand, weight: Operand | None = None, bias: Operand | None = None, **options: Any
    ) -> tuple[int, int, int]:
        x, *affine = inputs = self.floats(x, weight, bias)
        if x.ndim < 2 or any(n.shape != x.shape[1:2] for n in affine):
            raise self.error(inputs, "x (N, C, …), weight (C,) and bias (C,) were expected")
        training, counter = options["training"], options["num_batches_tracked"]
        tracked = {name: options[name] for name in ("running_mean", "running_var")}
        for name, buffer in tracked.items():
            if buffer is None and (not training or any(x is not None for x in tracked.values())):
                expected = "both running statistics were expected, or in training neither"
                raise self.error(inputs, f"{name}=None; {expected}", ValueError)
            if buffer is not None and buffer.shape != x.shape[1:2]:
                raise self.error(
                    inputs, f"{name} has shape {buffer.shape}, {x.shape[1:2]} was expected"
                )
            if buffer is not None and buffer.dtype != x.dtype:
                wrong = f"{name} is {buffer.dtype}, {x.dtype} was expected"
                raise self.error(inputs, wrong, DTypeError)
        if counter is not None and (counter.size != 1 or counter.dtype != np.int64):
            raise self.error(
                inputs, "num_batches_tracked: a Buffer of one int64 was expected", ValueError
            )
        n, channels, length = x.shape[0], x.shape[1], math.prod(x.shape[2:])
        if training and n * length < 2 and channels:
            raise self.error(inputs, "more than one value per channel was expected in training")
        return n, channels, length

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        held, none = node.attributes, np.empty(0, out.dtype)
        x, w, b = (*xs, none, none)[:3]
        self.normalise(node, x, out, w, b)
        if not (held["training"] and advancing()):
            return
        mean, var, counter = (
            held[name] for name in ("running_mean", "running_var", "num_batches_tracked")
        )
        if mean is not None:
            given = mean._data, var._data, *self.moments(node), held["momentum"]
            launch(node, kernels.norm.follow, *given, self.count(node))
        if counter is not None:
            launch(node, kernels.norm.advance, counter._data.reshape(1))

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        x, w = (*xs, np.empty(0, g.dtype))[:2]
        self.gradients(node, g, x, w, *(*grads, None, None)[:3])

    def decompose(self, node: Operator, *xs: GraphNode) -> Any:
        held, wide = node.attributes, (1, -1, *(1,) * (node.ndim - 2))
        if held["training"]:
            z = self.normal(node, xs[0], (0, *range(2, node.ndim)))
        else:
            mean, var = (held[name].reshape(wide) for name in ("running_mean", "running_var"))
            z = (xs[0] - mean) / np.sqrt(var + held["eps"])
        return _scaled(z, *(p.reshape(wide) for p in xs[1:]))

    batch_axes = 1

    def samples_meet(self, node: Operator) -> bool:
        return self.own(node)

    def flops(self, node: Operator) -> int:
        return (7 if node.attributes["training"] else 3) * node.size  # mean 1, variance 3, result 3


class LayerNorm(Normalise):
    """`node.work["normal"]` holds (x - mean) / sqrt(var + eps), in the shape of x."""

    name, symbol = "layer_norm", "layer norm"
    formula = "scaled((x - mean(x, axes)) / root(var(x, axes) + eps), w) + b"
    vjp_formulas = (
        "given(given((d - mean(d, axes) - z * mean(d * z, axes)) / root(var(x, axes) + eps),"
        " d, scaled(g, w)),"
        " z, (x - mean(x, axes)) / root(var(x, axes) + eps))",
        "sum(g * (x - mean(x, axes)) / root(var(x, axes) + eps))",
        "sum(g)",
    )

    def plan(
        self, x: Operand, w: Operand | None = None, b: Operand | None = None, **options: Any
    ) -> tuple[int, int, int]:
        x, *_ = self.floats(x, w, b)
        first = x.ndim - len(options["axes"])
        return 1, math.prod(x.shape[:first]), math.prod(x.shape[first:])

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        x, *affine = xs
        none = np.empty(0, out.dtype)
        normal = node.buffer("normal", x.shape, out.dtype) if affine else out
        self.normalise(node, x, normal, none, none)
        for operation, a in zip((np.multiply, np.add), affine, strict=False):
            normal = operation(normal, a, out=out)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        gx, gw, gb = (*grads, None, None)[:3]
        x, *affine = xs
        axes = tuple(range(g.ndim - xs[-1].ndim))
        if gw is not None:
            np.sum(g * node.work["normal"], axis=axes, out=gw)
        if gb is not None:
            np.sum(g, axis=axes, out=gb)
        if gx is None:
            return
        if affine:
            g = np.multiply(g, affine[0], out=node.buffer("inner", g.shape, g.dtype))
        self.gradients(node, g, x, np.empty(0, x.dtype), gx)

    def decompose(self, node: Operator, *xs: GraphNode) -> Any:
        return _scaled(self.normal(node, xs[0], node.attributes["axes"]), *xs[1:])

    def batch_axes(self, node: Operator) -> int:
        return node.ndim - len(node.attributes["axes"])

    def flops(self, node: Operator) -> int:
        # mean 1, variance 3, result 2, weight and bias 1 each
        return (5 + len(node.inputs)) * node.size


def _scaled(z: Any, weight: Any = 1, bias: Any = 0) -> Any:
    return z * weight + bias


class Dropout(Drawing, SameShape):
    """`node.work["mask"]` has the shape of x: 0 where an entry is dropped, else 1 / (1 - p)."""

    name, symbol = "dropout", "dropout"
    formula = "x * mask(p) / (1 - p)"
    vjp_formulas = ("g * mask(p) / (1 - p)",)
    batch_axes = 1  # the masks of the parts, one after the other, are the whole batch's

    def plan(self, x: Operand, p: float, stream: Buffer) -> None:
        self.check_stream(self.floats(x), stream)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        mask = node.buffer("mask", xs[0].shape, xs[0].dtype)
        self.draw(node, kernels.random.mask, mask, node.attributes["p"])
        np.multiply(xs[0], mask, out=out)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        np.multiply(g, node.work["mask"], out=grads[0])

    def decompose(self, node: Operator, *xs: GraphNode) -> Any:
        return xs[0] * WorkArray("mask", _mask)(node)

    def kernel_info(self, node: Operator) -> dict[str, Any]:
        """`kept`: the share of entries that the last mask let through (NaN of no entries)."""
        mask = node.work["mask"]
        return {"kept": int(np.count_nonzero(mask)) / (mask.size or math.nan)}


def _mask(node: Operator) -> Array:
    return node.work["mask"]


register(_batch_norm := BatchNorm())
register(_layer_norm := LayerNorm())
register(_dropout := Dropout())


@public()
def batch_norm(
    x: Operand,
    running_mean: Buffer | ArrayLike | None = None,
    running_var: Buffer | ArrayLike | None = None,
    weight: Operand | None = None,
    bias: Operand | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    num_batches_tracked: Buffer | None = None,
) -> GraphNode:
    """(x - mean) / sqrt(var + eps) · weight + bias for each channel of x (N, C, …).

    In training mean and variance are the batch's own (the biased one), and gradients flow through
    them; `running_mean` and `running_var`, buffers (C,) or None, move towards them by the share
    `momentum` (the variance without its bias) once for each forward pass, and
    `num_batches_tracked`, a buffer of one integer, counts the passes. Otherwise the running
    statistics are used; arrays will do. weight and bias are (C,), None for 1 and 0. Raises
    `ShapeError` also for one value per channel in training, whose variance says nothing;
    `ValueError` for missing statistics or numbers out of range; `TypeError` for statistics in
    training that are no `nn.Buffer`. (Ioffe & Szegedy 2015)

    >>> mg.batch_norm([[1.0], [3.0]], training=True).value.round(2)
    array([[-1.],
           [ 1.]], dtype=float32)
    """
    inputs = _inputs(_batch_norm, x, weight, bias)
    statistics: dict[str, Any] = {"running_mean": running_mean, "running_var": running_var}
    for name, given in statistics.items():
        if given is None or isinstance(given, Buffer):
            continue
        if training or isinstance(given, GraphNode):
            changes = ", which training changes," if training else " or an array"
            got = f"{name} is a {type(given).__name__}"
            raise _batch_norm.error(inputs, f"{got}; a Buffer{changes} was expected", TypeError)
        statistics[name] = Buffer(given, dtype=inputs[0].dtype)
    attributes = {
        **statistics,
        "training": training,
        "momentum": check_number(_batch_norm, inputs, "momentum", momentum, 1),
        "eps": check_number(_batch_norm, inputs, "eps", eps),
        "num_batches_tracked": num_batches_tracked,
    }
    return _batch_norm.apply(inputs, attributes)


@public()
def layer_norm(
    x: Operand,
    normalized_shape: int | Sequence[int],
    weight: Operand | None = None,
    bias: Operand | None = None,
    eps: float = 1e-5,
) -> GraphNode:
    """(x - mean) / sqrt(var + eps) · weight + bias over the last axes of x, for each sample.

    `normalized_shape` is the size of the last axis or the sizes of the last axes; mean and (biased)
    variance are taken over them. weight and bias have that shape, None for 1 and 0. Raises
    `ShapeError` where shapes do not fit. (Ba, Kiros & Hinton 2016)

    >>> mg.layer_norm([[1.0, 3.0]], 2).value.round(2)
    array([[-1.,  1.]], dtype=float32)
    """
    inputs = _inputs(_layer_norm, x, weight, bias)
    several = isinstance(normalized_shape, tuple | list)
    sizes = tuple(normalized_shape) if several else (normalized_shape,)  # type: ignore[arg-type]
    fits = sizes and inputs[0].shape[-len(sizes) :] == sizes
    if not fits or any(n.shape != sizes for n in inputs[1:]):
        expected = f"x (…, {', '.join(map(str, sizes))}), weight and bias {sizes} were expected"
        raise _layer_norm.error(inputs, f"normalized_shape={normalized_shape!r}; {expected}")
    axes, eps = tuple(range(-len(sizes), 0)), check_number(_layer_norm, inputs, "eps", eps)
    return _layer_norm.apply(inputs, {"axes": axes, "eps": eps})


@public()
def dropout(x: Operand, p: float = 0.5, training: bool = True, *, seed: Any = None) -> GraphNode:
    """Set each entry of x to 0 with probability p and divide the others by 1 - p.

    The expected value stays that of x. `seed` as in `mg.random`, or the `stream` of a
    `nn.Dropout`. A graph that runs again draws another mask for each forward pass, and so does a
    module that is called again; backward uses that of its forward. With `training=False` the result
    is x itself. Raises `ValueError` for p outside of [0, 1]. (Srivastava et al. 2014)

    >>> y = mg.dropout(np.ones(1000), p=0.5, seed=0).value
    >>> sorted(set(y.tolist())), bool(400 < (y == 0).sum() < 600)
    ([0.0, 2.0], True)
    """
    (node,) = _dropout.floats(*_dropout.operands((x,)))
    p = check_number(_dropout, (node,), "p", p, 1)
    if not training:
        return node
    return _dropout(node, p, kept_stream(seed))
