"""Normalisation of a batch or of each sample, and dropout: what keeps the numbers inside a network
in order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..errors import DTypeError
from ..graph.buffer import Buffer
from ..graph.derive import Read
from ..graph.node import Array, Constant, GraphNode, Operator
from ..graph.rule import NotSeparable, Rule, by_name
from ..graph.settings import advancing
from ..seeds import generator
from .linalg import rows_apart

Grads = list[Array | None]


def need_number(
    rule: Rule, inputs: Sequence[GraphNode], what: str, value: Any, most: float = math.inf
) -> float:
    """The value as a float, if it is a number from 0 to `most`; else `ValueError`."""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(
        value, bool
    )
    if not number or not 0 <= value <= most or value == math.inf:
        expected = "a number ≥ 0" if most == math.inf else f"a number from 0 to {most:g}"
        raise rule.error(inputs, f"{what}={value!r}; {expected} was expected", ValueError)
    return float(value)


class Normalise(Rule):
    """What batch and layer normalisation share: the kernels, which see x as (n, groups, length).

    After a pass `node.work` has `mean` and `var` (groups,), unless they are given.
    """

    def shape(self, node: Operator) -> tuple[int, ...]:
        return node.inputs[0].shape

    def _moments(self, node: Operator, groups: int, dtype: Any) -> tuple[Array, Array]:
        return node.buffer("mean", (groups,), dtype), node.buffer("var", (groups,), dtype)

    def _scratch(self, node: Operator, x: Array) -> tuple[Array, Array]:
        groups = x.shape[1]
        return node.buffer("sums", (2, groups), np.float64), node.buffer(
            "scratch", (3, groups), x.dtype
        )

    def _forward(
        self,
        node: Operator,
        x: Array,
        y: Array,
        w: Array,
        b: Array,
        moments: tuple[Array, Array],
        own: bool,
    ) -> None:
        eps = node.attributes["eps"]
        node.call(
            kernels.norm.forward,
            x,
            w,
            b,
            eps,
            own,
            *moments,
            y.reshape(x.shape),
            *self._scratch(node, x),
        )

    def _backward(
        self,
        node: Operator,
        g: Array,
        x: Array,
        w: Array,
        moments: tuple[Array, Array],
        own: bool,
        *grads: Array | None,
    ) -> None:
        """`grads` are those of x, w and b; None where they are not asked for."""
        eps = node.attributes["eps"]
        node.call(
            kernels.norm.backward,
            g.reshape(x.shape),
            x,
            w,
            eps,
            own,
            *moments,
            *grads,
            *self._scratch(node, x),
        )

    def _normal(self, node: Operator, x: GraphNode, axes: tuple[int, ...]) -> GraphNode:
        """(x - mean) / sqrt(var + eps) in other operators, both taken over the axes."""
        z = x - x.mean(axes, keepdims=True)
        result: GraphNode = z / np.sqrt((z * z).mean(axes, keepdims=True) + node.attributes["eps"])
        return result


class BatchNorm(Normalise):
    name, symbol = "batch_norm", "batch norm"
    formula = (
        "scaled((x - (mean(x, 'all but 1') if training else say('running mean')))"
        " / root((var(x, 'all but 1') if training else say('running var')) + eps), w) + b"
    )
    vjp_formulas = (
        "given(scaled((g - mean(g, 'all but 1') - z * mean(g * z, 'all but 1')) / root(var(x, 'all "
        "but 1') + eps), w),"
        " z, (x - mean(x, 'all but 1')) / root(var(x, 'all but 1') + eps))"
        " if training else scaled(g / root(say('running var') + eps), w)",
        "sum(g * (x - (mean(x, 'all but 1') if training else say('running mean')))"
        " / root((var(x, 'all but 1') if training else say('running var')) + eps))",
        "sum(g)",
    )

    def plan(  # type: ignore[override]
        self,
        x: GraphNode,
        w: GraphNode | None = None,
        b: GraphNode | None = None,
        running_mean: Buffer | None = None,
        running_var: Buffer | None = None,
        num_batches_tracked: Buffer | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> tuple[int, int, int]:
        """The shape (n, channels, length) that the kernels see."""
        inputs = tuple(n for n in (x, w, b) if n is not None)
        self.need_floats(*inputs)
        if x.ndim < 2 or any(n.shape != x.shape[1:2] for n in inputs[1:]):
            raise self.error(inputs, "x (N, C, …), weight (C,) and bias (C,) were expected")
        for name, buffer in (("running_mean", running_mean), ("running_var", running_var)):
            if buffer is None and (not training or running_mean is not running_var):
                raise self.error(
                    inputs,
                    f"{name}=None; both running statistics were expected, or in training neither",
                    ValueError,
                )
            if buffer is not None and buffer.shape != x.shape[1:2]:
                raise self.error(
                    inputs, f"{name} has shape {buffer.shape}, {x.shape[1:2]} was expected"
                )
            if buffer is not None and buffer.dtype != x.dtype:
                raise self.error(
                    inputs, f"{name} is {buffer.dtype}, {x.dtype} was expected", DTypeError
                )
        if num_batches_tracked is not None and (
            num_batches_tracked.size != 1 or num_batches_tracked.dtype != np.int64
        ):
            raise self.error(
                inputs, "num_batches_tracked: a Buffer of one int64 was expected", ValueError
            )
        n, channels, length = x.shape[0], x.shape[1], math.prod(x.shape[2:])
        if training and n * length < 2 and channels:
            raise self.error(inputs, "more than one value per channel was expected in training")
        return n, channels, length

    def _given(
        self, node: Operator, xs: tuple[Array, ...]
    ) -> tuple[Array, Array, Array, tuple[Array, Array]]:
        """x as the kernels see it, weight, bias, and the moments: the batch's own in training, else
        the running ones.
        """
        held = node.attributes
        x = xs[0].reshape(node.plan)
        w, b = (xs[i] if len(xs) > i else np.empty(0, x.dtype) for i in (1, 2))
        if held["training"]:
            return x, w, b, self._moments(node, node.plan[1], x.dtype)
        return x, w, b, (held["running_mean"]._data, held["running_var"]._data)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        x, w, b, moments = self._given(node, xs)
        held = node.attributes
        self._forward(node, x, out, w, b, moments, held["training"])
        if not (held["training"] and advancing()):
            return
        if held["running_mean"] is not None:
            running = held["running_mean"]._data, held["running_var"]._data
            node.call(
                kernels.norm.follow,
                *running,
                *moments,
                held["momentum"],
                node.plan[0] * node.plan[2],
            )
        if held["num_batches_tracked"] is not None:
            node.call(kernels.norm.advance, held["num_batches_tracked"]._data.reshape(1))

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        x, w, _, moments = self._given(node, xs)
        gx = None if grads[0] is None else grads[0].reshape(x.shape)
        self._backward(
            node, g, x, w, moments, node.attributes["training"], gx, *(*grads[1:], None, None)[:2]
        )

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode:
        held, wide = node.attributes, (1, -1, *(1,) * (node.ndim - 2))
        if held["training"]:
            z = self._normal(node, xs[0], (0, *range(2, node.ndim)))
        else:
            mean, var = (held[name].reshape(wide) for name in ("running_mean", "running_var"))
            z = (xs[0] - mean) / np.sqrt(var + held["eps"])
        return _scaled(z, *(p.reshape(wide) for p in xs[1:]))

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        if node.attributes[
            "training"
        ]:  # samples meet in mean and variance, and the running statistics move once
            raise NotSeparable
        return rows_apart(self, node, axes, lambda axis: axis == 0)

    def flops(self, node: Operator) -> int:
        return (7 if node.attributes["training"] else 3) * node.size  # mean 1, variance 3, result 3

    def kernel_info(self, node: Operator) -> dict[str, Any]:
        """`mean`, `var` (C,): of each channel what was subtracted, and what it was divided by the
        root of.
        """
        mean, var = self._given(node, (node.inputs[0]._data,))[3]
        return {**super().kernel_info(node), "mean": mean, "var": var}


class LayerNorm(Normalise):
    """`node.work["normal"]` (n, groups, length) holds (x - mean) / sqrt(var + eps)."""

    name, symbol = "layer_norm", "layer norm"
    formula = "scaled((x - mean(x, axes)) / root(var(x, axes) + eps), w) + b"
    vjp_formulas = (
        "given(given((d - mean(d, axes) - z * mean(d * z, axes)) / root(var(x, axes) + eps), d, "
        "scaled(g, w)),"
        " z, (x - mean(x, axes)) / root(var(x, axes) + eps))",
        "sum(g * (x - mean(x, axes)) / root(var(x, axes) + eps))",
        "sum(g)",
    )

    def plan(  # type: ignore[override]
        self,
        x: GraphNode,
        w: GraphNode | None = None,
        b: GraphNode | None = None,
        axes: tuple[int, ...] = (),
        eps: float = 1e-5,
    ) -> tuple[int, int, int]:
        """The shape (1, samples, length) that the kernels see."""
        inputs = tuple(n for n in (x, w, b) if n is not None)
        self.need_floats(*inputs)
        rows = math.prod(x.shape[: x.ndim - len(axes)])
        return 1, rows, math.prod(x.shape[x.ndim - len(axes) :])

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        x, none = xs[0].reshape(node.plan), np.empty(0, out.dtype)
        normal = node.buffer("normal", xs[0].shape, out.dtype) if len(xs) > 1 else out
        self._forward(node, x, normal, none, none, self._moments(node, x.shape[1], x.dtype), True)
        if len(xs) > 1:
            np.multiply(normal, xs[1], out=out)
        if len(xs) > 2:
            np.add(out, xs[2], out=out)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        x, none = xs[0].reshape(node.plan), np.empty(0, g.dtype)
        axes = tuple(range(g.ndim - xs[1].ndim)) if len(xs) > 1 else ()
        if len(xs) > 1 and grads[1] is not None:
            np.sum(g * node.work["normal"], axis=axes, out=grads[1])
        if len(xs) > 2 and grads[2] is not None:
            np.sum(g, axis=axes, out=grads[2])
        if grads[0] is not None:
            inner = g
            if len(xs) > 1:
                inner = node.buffer("inner", g.shape, g.dtype)
                np.multiply(g, xs[1], out=inner)
            self._backward(
                node,
                inner,
                x,
                none,
                self._moments(node, x.shape[1], x.dtype),
                True,
                grads[0].reshape(x.shape),
                None,
                None,
            )

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode:
        return _scaled(self._normal(node, xs[0], node.attributes["axes"]), *xs[1:])

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        return rows_apart(
            self, node, axes, lambda axis: axis < node.ndim - len(node.attributes["axes"])
        )

    def flops(self, node: Operator) -> int:
        return (
            5 + len(node.inputs)
        ) * node.size  # mean 1, variance 3, result 2, weight and bias 1 each

    def kernel_info(self, node: Operator) -> dict[str, Any]:
        """`mean`, `var`: of each sample, in the shape of the leading axes of x."""
        leading = node.shape[: node.ndim - len(node.attributes["axes"])]
        return {
            **super().kernel_info(node),
            **{name: node.work[name].reshape(leading) for name in ("mean", "var")},
        }


def _scaled(z: GraphNode, weight: Any = 1, bias: Any = 0) -> GraphNode:
    result: GraphNode = z * weight + bias
    return result


class Dropout(Rule):
    """`node.work["mask"]` has the shape of x: 0 where an entry is dropped, 1 / (1 - p) where it is
    kept.
    """

    name, symbol = "dropout", "dropout"
    formula = "x * mask(p) / (1 - p)"
    vjp_formulas = ("g * mask(p) / (1 - p)",)

    def plan(self, x: GraphNode, p: float, stream: Buffer) -> None:  # type: ignore[override]
        if stream.shape != (2,) or stream.dtype != np.int64:
            raise self.error(
                (x,), f"seed={stream!r}; a Buffer of two int64 was expected", ValueError
            )

    def shape(self, node: Operator) -> tuple[int, ...]:
        return node.inputs[0].shape

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        mask, stream = (
            node.buffer("mask", xs[0].shape, xs[0].dtype),
            node.attributes["stream"]._data,
        )
        if advancing():
            node.call(kernels.norm.advance, stream[1:])
        first = node.constant("first", np.zeros(1, np.int64), each=mask.size)
        node.call(kernels.norm.draw_mask, stream, node.attributes["p"], mask.reshape(-1), first)
        np.multiply(xs[0], mask, out=out)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        np.multiply(g, node.work["mask"], out=grads[0])

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode:
        result: GraphNode = xs[0] * Read("mask", _mask)(node)
        return result

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        if axes[0] != 0:  # the masks of the parts, one after the other, are the whole batch's
            raise NotSeparable
        return 0

    def kernel_info(self, node: Operator) -> dict[str, Any]:
        """`kept`: the share of entries that the last mask let through (NaN of no entries)."""
        mask = node.work["mask"]
        return {
            **super().kernel_info(node),
            "kept": int(np.count_nonzero(mask)) / mask.size if mask.size else math.nan,
        }


def _mask(node: Operator) -> Array:
    return node.work["mask"]


def batch_norm(
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    num_batches_tracked: Buffer | None = None,
) -> GraphNode:
    """(x - mean) / sqrt(var + eps) · weight + bias for each channel of x (N, C, …) (Ioffe & Szegedy
    2015).

    In training mean and variance are the batch's own (the biased one), and gradients flow through
    them; `running_mean` and `running_var`, buffers (C,) or None, move towards them by the share
    `momentum` (the variance without its bias) once for each forward pass, and
    `num_batches_tracked`, a buffer of one integer, counts the passes. Otherwise the running
    statistics are used; arrays will do. weight and bias are (C,), None for 1 and 0. Raises
    `ShapeError` also for one value per channel in training, whose variance says nothing;
    `ValueError` for missing statistics or numbers out of range; `TypeError` for statistics in
    training that are no `nn.Buffer`.
    """
    rule = by_name("batch_norm")
    inputs = _affine(rule, x, weight, bias)
    return rule(
        *inputs,
        running_mean=_statistic(rule, inputs, "running_mean", running_mean, training),
        running_var=_statistic(rule, inputs, "running_var", running_var, training),
        num_batches_tracked=num_batches_tracked,
        training=bool(training),
        momentum=need_number(rule, inputs, "momentum", momentum, 1),
        eps=need_number(rule, inputs, "eps", eps),
    )


def _statistic(
    rule: Rule, inputs: tuple[GraphNode, ...], name: str, given: Any, training: bool
) -> Buffer | None:
    """A running statistic as a buffer; what is only read may also be an array."""
    if given is None or isinstance(given, Buffer):
        return given
    if training or isinstance(given, GraphNode):
        expected = "a Buffer, which training changes," if training else "a Buffer or an array"
        raise rule.error(
            inputs, f"{name} is a {type(given).__name__}; {expected} was expected", TypeError
        )
    return Buffer(given, dtype=inputs[0].dtype)


def _affine(rule: Rule, x: Any, weight: Any, bias: Any) -> tuple[GraphNode, ...]:
    """x, weight and bias as nodes, without those that are None; a bias alone gets a weight of
    ones.
    """
    nodes = rule.operands(tuple(given for given in (x, weight, bias) if given is not None))
    if weight is None and bias is not None:
        return nodes[0], Constant(np.ones(nodes[1].shape), dtype=nodes[1].dtype), nodes[1]
    return nodes


def layer_norm(
    x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> GraphNode:
    """(x - mean) / sqrt(var + eps) · weight + bias over the last axes of x, for each sample (Ba,
    Kiros & Hinton 2016).

    `normalized_shape` is the size of the last axis or the sizes of the last axes; mean and (biased)
    variance are taken over them. weight and bias have that shape, None for 1 and 0. Raises
    `ShapeError` where shapes do not fit.
    """
    rule = by_name("layer_norm")
    inputs = _affine(rule, x, weight, bias)
    sizes = normalized_shape if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
    first = inputs[0].shape
    if (
        not sizes
        or first[-len(sizes) :] != tuple(sizes)
        or any(n.shape != tuple(sizes) for n in inputs[1:])
    ):
        expected = (
            f"x (…, {', '.join(map(str, sizes))}), weight and bias {tuple(sizes)} were expected"
        )
        raise rule.error(inputs, f"normalized_shape={normalized_shape!r}; {expected}")
    return rule(
        *inputs, axes=tuple(range(-len(sizes), 0)), eps=need_number(rule, inputs, "eps", eps)
    )


def dropout(x: Any, p: float = 0.5, training: bool = True, *, seed: Any = None) -> GraphNode:
    """Set each entry of x to 0 with probability p and divide the others by 1 - p (Srivastava et al.
    2014).

    The expected value stays that of x. `seed` is an integer, the same for the same mask, a
    `numpy.random.Generator` to draw one on, None for the library's own generator; or the buffer
    (2,) of a `nn.Dropout`, seed and number of the last draw. A graph that runs again draws another
    mask for each forward pass; backward uses that of its forward. With `training=False` the result
    is x itself. Raises `ValueError` for p outside of [0, 1].
    """
    rule = by_name("dropout")
    (node,) = rule.operands((x,))
    rule.need_floats(node)
    p = need_number(rule, (node,), "p", p, 1)
    if not training:
        return node
    return rule(node, p=p, stream=seed if isinstance(seed, Buffer) else stream_of(seed))


def stream_of(seed: Any = None) -> Buffer:
    """A stream of masks, as a buffer (2,) of integers: the seed, and how many masks were drawn."""
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    first = int(seed) % 2**63 if whole else int(generator(seed).integers(2**63))
    return Buffer(np.array([first, 0]), "stream", np.int64, persistent=False)
