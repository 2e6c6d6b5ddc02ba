"""Convolution (as in all of deep learning: a cross-correlation, the kernel is not flipped)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .. import kernels
from ..graph.node import Array, GraphNode, Operator
from ..graph.rule import Rule, by_name
from .linalg import rows_apart

Grads = list[Array | None]


def per_axis(
    rule: Rule, inputs: tuple[GraphNode, ...], what: str, value: Any, axes: int, least: int
) -> tuple[int, ...]:
    """An option of a sliding window as one integer per axis, each at least `least`."""
    if type(value) is int and value >= least:
        return (value,) * axes
    values = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    whole = all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in values)
    if len(values) != axes or not whole or any(v < least for v in values):
        some = "an integer" if axes == 1 else f"an integer or {axes} of them,"
        raise rule.error(inputs, f"{what}={value!r}; {some} ≥ {least} was expected", ValueError)
    return tuple(int(v) for v in values)


@lru_cache(maxsize=256)  # the same in every step of a training
def _room(d: Any) -> int:
    return sum(kernels.conv.room(d))


@lru_cache(maxsize=256)
def _offsets(d: Any) -> Any:
    return kernels.conv.offsets(d)


def window_count(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """How many windows fit along an axis; what a stride leaves over at the end is not visited."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


class Conv2d(Rule):
    """Convolution over two axes; the one-dimensional one is the same over pictures of height 1."""

    name, symbol, multilinear = "conv2d", "∗", 2
    formula = "conv(x, w) + b"
    vjp_formulas = ("convt(g, w)", "corr(x, g)", "sum(g)")
    axes = 2

    def plan(  # type: ignore[override]
        self,
        x: GraphNode,
        w: GraphNode,
        b: GraphNode | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        inputs = tuple(n for n in (x, w, b) if n is not None)
        self.need_floats(*inputs)
        names = "(N, C, H, W)" if self.axes == 2 else "(N, C, L)"
        if x.ndim != self.axes + 2 or w.ndim != self.axes + 2:
            raise self.error(
                inputs, f"x {names} and weight (out, C / groups, kernel size) were expected"
            )
        (groups,) = per_axis(self, inputs, "groups", groups, 1, 1)
        if x.shape[1] % groups or w.shape[0] % groups or w.shape[1] * groups != x.shape[1]:
            raise self.error(
                inputs,
                f"with groups={groups} the weight must have C / groups channels and out must be a "
                f"multiple",
            )
        if b is not None and b.shape != w.shape[:1]:
            raise self.error(inputs, f"a bias of shape {w.shape[:1]} was expected")
        s, p, d = (
            per_axis(self, inputs, what, value, self.axes, least)
            for what, value, least in (
                ("stride", stride, 1),
                ("padding", padding, 0),
                ("dilation", dilation, 1),
            )
        )
        flat = (0,) * (2 - self.axes)  # the height that a one-dimensional convolution lacks
        ones = (1,) * (2 - self.axes)
        size, kernel = ones + x.shape[2:], ones + w.shape[2:]
        s, p, d = ones + s, flat + p, ones + d
        out = tuple(map(window_count, size, kernel, s, p, d))
        if min(out) < 1 or min(kernel) < 1:
            raise self.error(
                inputs,
                "the kernel is larger than the padded input; use more padding or a smaller one",
            )
        return kernels.conv.ConvDims(
            *x.shape[:2], *size, w.shape[0], *kernel, *out, *s, *p, *d, groups
        )

    def shape(self, node: Operator) -> tuple[int, ...]:
        d = node.plan
        return (d.n, d.o, d.oh, d.ow) if self.axes == 2 else (d.n, d.o, d.ow)

    def _scratch(self, node: Operator, dtype: Any) -> tuple[Array, Array]:
        d = node.plan
        scratch = node.buffer("scratch", (self.shards(node, d.n), _room(d)), dtype)
        return scratch, node.constant("offsets", _offsets(d))

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        d = node.plan
        x, w = xs[0].reshape(d.n, d.c, d.h, d.w), xs[1].reshape(d.o, d.taps)
        b = xs[2] if len(xs) == 3 else np.empty(0, out.dtype)
        y = out.reshape(d.n, d.o, d.positions)
        node.call(kernels.conv.forward, x, w, b, y, *self._scratch(node, out.dtype), d, -np.inf)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        d = node.plan
        x, w = xs[0].reshape(d.n, d.c, d.h, d.w), xs[1].reshape(d.o, d.taps)
        scratch, offsets = self._scratch(node, g.dtype)
        shards = len(scratch)
        gw, gb = (
            None
            if grad is None
            else grad.reshape(1, *shape)
            if shards == 1  # one part is the whole
            else node.buffer(f"{name} parts", (shards, *shape), g.dtype)
            for grad, name, shape in (
                (grads[1], "weight", (d.o, d.taps)),
                (grads[2] if len(xs) == 3 else None, "bias", (d.o,)),
            )
        )
        gx, turned = None, None
        if grads[0] is not None:
            gx, turned = grads[0].reshape(x.shape), node.buffer("turned weight", (w.size,), w.dtype)
        node.call(
            kernels.conv.backward,
            g.reshape(d.n, d.o, d.positions),
            x,
            w,
            turned,
            gx,
            gw,
            gb,
            scratch,
            offsets,
            d,
        )
        for parts, grad in zip((gw, gb), grads[1:], strict=False):
            if shards > 1 and parts is not None and grad is not None:
                np.sum(parts, axis=0, out=grad.reshape(parts.shape[1:]))

    def batch_axis(self, node: Operator, axes: Sequence[int | None]) -> int | None:
        return rows_apart(self, node, axes, lambda axis: axis == 0)

    def flops(self, node: Operator) -> int:
        d = node.plan
        return int(2 * d.n * d.o * d.positions * d.taps)

    def kernel_info(self, node: Operator) -> dict[str, Any]:
        """`feature_maps`: the result, (N, O, OH, OW); `patch`: the part of x that each of its
        numbers was computed from, (C / groups, KH, KW). Of `conv1d` (N, O, OL) and (C / groups, K).
        """
        return {
            **super().kernel_info(node),
            "feature_maps": node._data,
            "patch": node.inputs[1].shape[1:],
        }


class Conv1d(Conv2d):
    name, symbol = "conv1d", "∗"
    axes = 1


def _convolve(name: str, x: Any, w: Any, b: Any, **options: Any) -> GraphNode:
    return by_name(name)(x, w, **options) if b is None else by_name(name)(x, w, b, **options)


def conv2d(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> GraphNode:
    """Convolve x (N, C, H, W) with w (O, C / groups, KH, KW), add b (O,): (N, O, OH, OW).

    OH = (H + 2·padding - dilation·(KH - 1) - 1) // stride + 1, and OW likewise; options are an
    integer or one per axis. Raises `ShapeError` when shapes do not fit together, `ValueError` for
    impossible options.
    """
    return _convolve(
        "conv2d", x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups
    )


def conv1d(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> GraphNode:
    """Convolve x (N, C, L) with w (O, C / groups, K), add b (O,): (N, O, OL); see `conv2d`."""
    return _convolve(
        "conv1d", x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
