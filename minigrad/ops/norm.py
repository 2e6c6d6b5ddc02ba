"""Normalisation of a batch or of each sample, and dropout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..calculus.derivatives import WorkArray
from ..errors import DTypeError
from ..graph.conversion import Array
from ..graph.node import Buffer, Constant, GraphNode
from ..graph.registry import public
from ..graph.rule import Grads, Operand, Operator, Rule, register
from ..graph.settings import advancing
from ..seeds import generator
from .kernel import constant, launch
from .separable import NotSeparable


def check_number(
    rule: Rule, inputs: Sequence[GraphNode], what: str, value: Any, most: float = math.inf
) -> float:
    """The value as a float, if it is a number from 0 to `most`; else `ValueError`."""
    kinds = int | float | np.integer | np.floating
    number = isinstance(value, kinds) and not isinstance(value, bool)
    if not number or not 0 <= value <= most or value == math.inf:
        expected = "a number ≥ 0" if most == math.inf else f"a number from 0 to {most:g}"
        raise rule.error(inputs, f"{what}={value!r}; {expected} was expected", ValueError)
    return float(value)


class Normalise(Rule):
    """What batch and layer normalisation share: the kernels, which see x as (n, groups, length).

    Inputs are x, a weight and a bias. After a pass `node.work` has `mean` and `var` (groups,),
    unless they are given.
    """

    def operands(self, inputs: tuple[Any, ...]) -> tuple[GraphNode, ...]:
        """A bias without a weight gets a weight of ones."""
        nodes = super().operands(tuple(x for x in inputs if x is not None))
        if len(inputs) == 3 and inputs[1] is None and len(nodes) == 2:
            ones = Constant(np.ones(nodes[1].shape), dtype=nodes[1].dtype)
            return nodes[0], ones, nodes[1]
        return nodes

    def shape(self, node: Operator) -> tuple[int, ...]:
        return node.inputs[0].shape

    def _moments(self, node: Operator) -> tuple[Array, Array]:
        groups, dtype = node.plan[1], node.inputs[0].dtype
        return node.buffer("mean", (groups,), dtype), node.buffer("var", (groups,), dtype)

    def _scratch(self, node: Operator) -> tuple[Array, Array]:
        groups, dtype = node.plan[1], node.inputs[0].dtype
        sums = node.buffer("sums", (2, groups), np.float64)
        return sums, node.buffer("scratch", (3, groups), dtype)

    def _normal(self, node: Operator, x: GraphNode, axes: tuple[int, ...]) -> GraphNode:
        """(x - mean) / sqrt(var + eps) in other operators, both taken over the axes."""
        z = x - x.mean(axes, keepdims=True)
        result: GraphNode = z / np.sqrt((z * z).mean(axes, keepdims=True) + node.attributes["eps"])
        return result


class BatchNorm(Normalise):
    """(x - mean) / sqrt(var + eps) · weight + bias for each channel of x (N, C, …).

    In training mean and variance are the batch's own (the biased one), and gradients flow through
    them; `running_mean` and `running_var`, buffers (C,) or None, move towards them by the share
    `momentum` (the variance without its bias) once for each forward pass, and
    `num_batches_tracked`, a buffer of one integer, counts the passes. Otherwise the running
    statistics are used; arrays will do. weight and bias are (C,), None for 1 and 0. Raises
    `ShapeError` also for one value per channel in training, whose variance says nothing;
    `ValueError` for missing statistics or numbers out of range; `TypeError` for statistics in
    training that are no `nn.Buffer`. (Ioffe & Szegedy 2015)
    """

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
        self,
        x: Operand,
        running_mean: Any = None,
        running_var: Any = None,
        weight: Operand | None = None,
        bias: Operand | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
        *,
        num_batches_tracked: Buffer | None = None,
    ) -> tuple[int, int, int]:
        x, *rest = inputs = self.floats(x, weight, bias)
        if x.ndim < 2 or any(n.shape != x.shape[1:2] for n in rest):
            raise self.error(inputs, "x (N, C, …), weight (C,) and bias (C,) were expected")
        check_number(self, inputs, "momentum", momentum, 1)
        check_number(self, inputs, "eps", eps)
        if (running_mean is None) != (running_var is None) or (
            not training and running_mean is None
        ):
            name = "running_mean" if running_mean is None else "running_var"
            expected = "both running statistics were expected, or in training neither"
            raise self.error(inputs, f"{name}=None; {expected}", ValueError)
        for name, buffer in (("running_mean", running_mean), ("running_var", running_var)):
            if buffer is not None and buffer.shape != x.shape[1:2]:
                expected = f"{x.shape[1:2]} was expected"
                raise self.error(inputs, f"{name} has shape {buffer.shape}, {expected}")
            if buffer is not None and buffer.dtype != x.dtype:
                expected = f"{x.dtype} was expected"
                raise self.error(inputs, f"{name} is {buffer.dtype}, {expected}", DTypeError)
        counter = num_batches_tracked
        if counter is not None and (counter.size != 1 or counter.dtype != np.int64):
            expected = "a Buffer of one int64 was expected"
            raise self.error(inputs, f"num_batches_tracked: {expected}", ValueError)
        n, channels, length = x.shape[0], x.shape[1], math.prod(x.shape[2:])
        if training and n * length < 2 and channels:
            raise self.error(inputs, "more than one value per channel was expected in training")
        return n, channels, length  # as the kernels see x

    def _plan(self, nodes: tuple[GraphNode, ...], attributes: dict[str, Any]) -> Any:
        inputs: dict[str, Any] = dict(zip(("x", "weight", "bias"), nodes, strict=False))
        return self.plan(**inputs, **attributes)

    def apply(self, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> GraphNode:
        """Running statistics become buffers; those that are only read may also be arrays."""
        nodes = self.operands(inputs)
        for name in ("running_mean", "running_var"):
            given = attributes[name]
            if given is None or isinstance(given, Buffer):
                continue
            if attributes["training"] or isinstance(given, GraphNode):
                changes = ", which training changes," if attributes["training"] else " or an array"
                expected = f"a Buffer{changes} was expected"
                got = f"{name} is a {type(given).__name__}"
                raise self.error(nodes, f"{got}; {expected}", TypeError)
            attributes[name] = Buffer(given, dtype=nodes[0].dtype)
        return super().apply(nodes, attributes)

    def _given(self, node: Operator) -> tuple[Array, Array, Array, tuple[Array, Array]]:
        """x as the kernels see it, weight, bias, and the moments: own or running ones."""
        held, xs = node.attributes, [x._data for x in node.inputs]
        x = xs[0].reshape(node.plan)
        w, b = (xs[i] if len(xs) > i else np.empty(0, x.dtype) for i in (1, 2))
        if held["training"]:
            return x, w, b, self._moments(node)
        return x, w, b, (held["running_mean"]._data, held["running_var"]._data)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        x, w, b, moments = self._given(node)
        held, y = node.attributes, out.reshape(x.shape)
        settings = held["eps"], held["training"]
        launch(node, kernels.norm.forward, x, w, b, *settings, *moments, y, *self._scratch(node))
        if not (held["training"] and advancing()):
            return
        mean, var, counter = (
            None if held[name] is None else held[name]._data
            for name in ("running_mean", "running_var", "num_batches_tracked")
        )
        if mean is not None:
            count = node.plan[0] * node.plan[2]
            launch(node, kernels.norm.follow, mean, var, *moments, held["momentum"], count)
        if counter is not None:
            launch(node, kernels.norm.advance, counter.reshape(1))

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        x, w, _, moments = self._given(node)
        gx, gw, gb = (*grads, None, None)[:3]
        gx = None if gx is None else gx.reshape(x.shape)
        settings = node.attributes["eps"], node.attributes["training"]
        arrays = g.reshape(x.shape), x, w, *settings, *moments, gx, gw, gb
        launch(node, kernels.norm.backward, *arrays, *self._scratch(node))

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode:
        held, wide = node.attributes, (1, -1, *(1,) * (node.ndim - 2))
        if held["training"]:
            z = self._normal(node, xs[0], (0, *range(2, node.ndim)))
        else:
            mean, var = (held[name].reshape(wide) for name in ("running_mean", "running_var"))
            z = (xs[0] - mean) / np.sqrt(var + held["eps"])
        return _scaled(z, *(p.reshape(wide) for p in xs[1:]))

    def batch_axes(self, node: Operator) -> int:
        # in training samples meet in mean and variance, and running statistics move once
        return 0 if node.attributes["training"] else 1

    def flops(self, node: Operator) -> int:
        return (7 if node.attributes["training"] else 3) * node.size  # mean 1, variance 3, result 3

    def kernel_info(self, node: Operator) -> dict[str, Any]:
        """`mean`, `var` (C,): what was subtracted, and what it was divided by the root of."""
        mean, var = self._given(node)[3]
        return {"mean": mean, "var": var}


class LayerNorm(Normalise):
    """`node.work["normal"]` (n, groups, length) holds (x - mean) / sqrt(var + eps)."""

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
        self,
        x: Operand,
        w: Operand | None = None,
        b: Operand | None = None,
        *,
        axes: tuple[int, ...],
        eps: float,
    ) -> tuple[int, int, int]:
        x, *_ = inputs = self.floats(x, w, b)
        check_number(self, inputs, "eps", eps)
        first = x.ndim - len(axes)
        return 1, math.prod(x.shape[:first]), math.prod(x.shape[first:])  # as the kernels see x

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        x, none = xs[0].reshape(node.plan), np.empty(0, out.dtype)
        normal = node.buffer("normal", xs[0].shape, out.dtype) if len(xs) > 1 else out
        arrays = x, none, none, node.attributes["eps"], True, *self._moments(node)
        launch(node, kernels.norm.forward, *arrays, normal.reshape(x.shape), *self._scratch(node))
        if len(xs) > 1:
            np.multiply(normal, xs[1], out=out)
        if len(xs) > 2:
            np.add(out, xs[2], out=out)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        axes = tuple(range(g.ndim - xs[1].ndim)) if len(xs) > 1 else ()
        if len(xs) > 1 and grads[1] is not None:
            np.sum(g * node.work["normal"], axis=axes, out=grads[1])
        if len(xs) > 2 and grads[2] is not None:
            np.sum(g, axis=axes, out=grads[2])
        if grads[0] is None:
            return
        inner = g
        if len(xs) > 1:
            inner = node.buffer("inner", g.shape, g.dtype)
            np.multiply(g, xs[1], out=inner)
        d, x, gx = (array.reshape(node.plan) for array in (inner, xs[0], grads[0]))
        settings = np.empty(0, g.dtype), node.attributes["eps"], True, *self._moments(node)
        arrays = d, x, *settings, gx, None, None
        launch(node, kernels.norm.backward, *arrays, *self._scratch(node))

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode:
        return _scaled(self._normal(node, xs[0], node.attributes["axes"]), *xs[1:])

    def batch_axes(self, node: Operator) -> int:
        return node.ndim - len(node.attributes["axes"])

    def flops(self, node: Operator) -> int:
        # mean 1, variance 3, result 2, weight and bias 1 each
        return (5 + len(node.inputs)) * node.size

    def kernel_info(self, node: Operator) -> dict[str, Any]:
        """`mean`, `var`: of each sample, in the shape of the leading axes of x."""
        leading = node.shape[: node.ndim - len(node.attributes["axes"])]
        return {name: node.work[name].reshape(leading) for name in ("mean", "var")}


def _scaled(z: GraphNode, weight: Any = 1, bias: Any = 0) -> GraphNode:
    result: GraphNode = z * weight + bias
    return result


class Dropout(Rule):
    """`node.work["mask"]` has the shape of x: 0 where an entry is dropped, else 1 / (1 - p)."""

    name, symbol = "dropout", "dropout"
    formula = "x * mask(p) / (1 - p)"
    vjp_formulas = ("g * mask(p) / (1 - p)",)

    def plan(self, x: Operand, p: float, stream: Buffer) -> None:
        inputs = self.floats(x)
        if stream.shape != (2,) or stream.dtype != np.int64:
            expected = "a Buffer of two int64 was expected"
            raise self.error(inputs, f"seed={stream!r}; {expected}", ValueError)

    def shape(self, node: Operator) -> tuple[int, ...]:
        return node.inputs[0].shape

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        mask = node.buffer("mask", xs[0].shape, xs[0].dtype)
        stream, p = node.attributes["stream"]._data, node.attributes["p"]
        if advancing():
            launch(node, kernels.norm.advance, stream[1:])
        first = constant(node, "first", np.zeros(1, np.int64), each=mask.size)
        launch(node, kernels.norm.draw_mask, stream, p, mask.reshape(-1), first)
        np.multiply(xs[0], mask, out=out)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        np.multiply(g, node.work["mask"], out=grads[0])

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode:
        result: GraphNode = xs[0] * WorkArray("mask", _mask)(node)
        return result

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        if axes[0] != 0:  # the masks of the parts, one after the other, are the whole batch's
            raise NotSeparable
        return 0

    def kernel_info(self, node: Operator) -> dict[str, Any]:
        """`kept`: the share of entries that the last mask let through (NaN of no entries)."""
        mask = node.work["mask"]
        return {"kept": int(np.count_nonzero(mask)) / mask.size if mask.size else math.nan}


def _mask(node: Operator) -> Array:
    return node.work["mask"]


batch_norm = register(BatchNorm())
_layer_norm = LayerNorm()
_dropout = Dropout()
register(_layer_norm)
register(_dropout)


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
    """
    inputs = _layer_norm.operands((x, weight, bias))
    several = isinstance(normalized_shape, tuple | list)
    sizes = tuple(normalized_shape) if several else (normalized_shape,)  # type: ignore[arg-type]
    fits = sizes and inputs[0].shape[-len(sizes) :] == sizes
    if not fits or any(n.shape != sizes for n in inputs[1:]):
        expected = f"x (…, {', '.join(map(str, sizes))}), weight and bias {sizes} were expected"
        raise _layer_norm.error(inputs, f"normalized_shape={normalized_shape!r}; {expected}")
    return _layer_norm(*inputs, axes=tuple(range(-len(sizes), 0)), eps=eps)


@public()
def dropout(x: Operand, p: float = 0.5, training: bool = True, *, seed: Any = None) -> GraphNode:
    """Set each entry of x to 0 with probability p and divide the others by 1 - p.

    The expected value stays that of x. `seed` is an integer, the same for the same mask, a
    `numpy.random.Generator` to draw one on, None for the library's own generator; or the buffer
    (2,) of a `nn.Dropout`, seed and number of the last draw. A graph that runs again draws another
    mask for each forward pass; backward uses that of its forward. With `training=False` the result
    is x itself. Raises `ValueError` for p outside of [0, 1]. (Srivastava et al. 2014)
    """
    (node,) = _dropout.floats(*_dropout.operands((x,)))
    p = check_number(_dropout, (node,), "p", p, 1)
    if not training:
        return node
    return _dropout(node, p, seed if isinstance(seed, Buffer) else stream_of(seed))


def stream_of(seed: Any = None) -> Buffer:
    """A stream of masks, as a buffer (2,) of integers: the seed, and how many masks were drawn."""
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    first = int(seed) % 2**63 if whole else int(generator(seed).integers(2**63))
    return Buffer(np.array([first, 0]), "stream", np.int64, persistent=False)
