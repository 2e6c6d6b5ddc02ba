"""Pooling: the largest or the mean entry of each window."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import kernels
from ..calculus.derivatives import WorkArray
from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..graph.registry import by_name
from ..graph.rule import Grads, Operand, Operator, register
from .conv import Size, Windows, window_count
from .kernel import constant, launch


class Pool(Windows):
    """What the four poolings share."""

    batch_axes = 2

    def dims(self, x: Operand, *options: Any) -> Any:
        """The sizes, after checking that the options fit."""
        (x,), (kernel_size, stride, padding, ceil_mode) = self.floats(x), options
        if x.ndim != self.axes + 2:
            raise self.error((x,), f"x {self.layout} was expected")
        k = self.option((x,), 1, kernel_size=kernel_size)
        s = k if stride is None else self.option((x,), 1, stride=stride)
        p = self.option((x,), 0, padding=padding)
        if any(2 * b > a for a, b in zip(k, p, strict=True)):
            expected = f"at most half of kernel_size={kernel_size!r} was expected"
            raise self.error((x,), f"padding={padding!r}; {expected}", ValueError)
        size = self.plane(x.shape[2:])
        out = tuple(map(window_count, size, k, s, p))
        if min(out) < 1:
            raise self.error((x,), f"the window {kernel_size} is larger than the padded input")
        if ceil_mode:  # where some entries are left over: one that begins before the padding
            out = tuple(
                o + bool((n + 2 * b - a) % c and o * c < n + b)
                for n, a, o, c, b in zip(size, k, out, s, p, strict=True)
            )
        return kernels.pool.PoolDims(x.shape[0] * x.shape[1], *size, *k, *out, *s, *p)

    def shape(self, node: Operator) -> tuple[int, ...]:
        d = node.plan
        return node.inputs[0].shape[:2] + (d.oh, d.ow)[2 - self.axes :]

    def flops(self, node: Operator) -> int:
        d = node.plan
        return int(d.planes * d.oh * d.ow * d.kh * d.kw)


class MaxPool2d(Pool):
    """Largest entry of each window of x (N, C, H, W); the stride is the kernel size by default.

    With `ceil_mode` a last window may reach over the edge, if it begins before it (and its
    padding). The gradient goes to the first of equal entries; padding (at most half a window) never
    wins; NaN does. Raises `ShapeError` or `ValueError` as `conv2d` does.

    `node.work["winners"]` (planes, oh, ow) has the place row · W + column of each winner.
    """

    name, symbol = "max_pool2d", "max pool"
    formula = "maxpool(x)"
    vjp_formulas = ("unpool(g)",)

    def plan(
        self,
        x: Operand,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        *,
        ceil_mode: bool = False,
    ) -> Any:
        return self.dims(x, kernel_size, stride, padding, ceil_mode)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        d = node.plan
        windows = d.planes, d.oh, d.ow
        winners = node.buffer("winners", windows, kernels.pool.winners_dtype(d))
        x, y = xs[0].reshape(d.planes, d.h, d.w), out.reshape(windows)
        launch(node, kernels.pool.max_forward, x, y, winners, d)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        d, winners, (grad,) = node.plan, node.work["winners"], grads
        assert grad is not None
        gx = grad.reshape(d.planes, d.h * d.w)
        launch(node, kernels.pool.max_backward, g.reshape(winners.shape), winners, gx, d)

    def decompose(self, node: Operator, *xs: GraphNode) -> GraphNode:
        """The winners, looked up."""
        places = WorkArray("winners", _places)(node)
        chosen: GraphNode = by_name("embedding")(places, xs[0].reshape(-1, 1))
        return chosen.reshape(node.shape)

    def kernel_info(self, node: Operator) -> dict[str, Any]:
        """`winners` (N, C, OH, OW, 2): (row, column) in x of the entry that each window chose.

        Of `max_pool1d` (N, C, OL, 1): its place.
        """
        places = np.divmod(node.work["winners"].reshape(node.shape), node.plan.w)
        return {"winners": np.stack(places[2 - self.axes :], axis=-1)}


def _places(node: Operator) -> Array:
    """The places of the winners in the flat x."""
    d = node.plan
    starts = np.arange(d.planes, dtype=np.int64) * (d.h * d.w)
    first = constant(node, "first", starts.reshape(-1, 1, 1))
    found: Array = (node.work["winners"] + first).reshape(-1)
    return found


class MaxPool1d(MaxPool2d):
    """Largest entry of each window of x (N, C, L); see `max_pool2d`."""

    name, axes, layout = "max_pool1d", 1, "(N, C, L)"


class AvgPool2d(Pool):
    """Mean of each window of x (N, C, H, W), as in PyTorch.

    Zeros of the padding count unless `count_include_pad` is False; with `ceil_mode` (see
    `max_pool2d`) what lies beyond the padding never does.
    """

    name, symbol, multilinear = "avg_pool2d", "mean pool", 1
    formula = "meanpool(x)"
    vjp_formulas = ("spread(g)",)

    def plan(
        self,
        x: Operand,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Any:
        return self.dims(x, kernel_size, stride, padding, ceil_mode)

    def scale(self, node: Operator) -> Array | None:
        """The kernel's divisor, all entries of a window, over the right one; None where equal."""
        d, padded = node.plan, node.attributes["count_include_pad"]
        if padded and not node.attributes["ceil_mode"]:
            return None
        scale = np.ones(())
        for n, k, o, s, p in (d[1::2], d[2::2]):
            begin = np.arange(o) * s - p
            first, last = (-p, n + p) if padded else (0, n)
            scale = scale[..., None] * k / (np.minimum(begin + k, last) - np.maximum(begin, first))
        return constant(node, "scale", scale.astype(node.inputs[0].dtype))

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        d, scale = node.plan, self.scale(node)
        x, y = xs[0].reshape(d.planes, d.h, d.w), out.reshape(d.planes, d.oh, d.ow)
        launch(node, kernels.pool.avg_forward, x, y, d)
        if scale is not None:
            y *= scale

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        d, scale, (grad,) = node.plan, self.scale(node), grads
        assert grad is not None
        gy, gx = g.reshape(d.planes, d.oh, d.ow), grad.reshape(d.planes, d.h, d.w)
        if scale is not None:
            gy = np.multiply(gy, scale, out=node.buffer("scaled", gy.shape, gy.dtype))
        launch(node, kernels.pool.avg_backward, gy, gx, d)


class AvgPool1d(AvgPool2d):
    """Mean of each window of x (N, C, L); see `avg_pool2d`."""

    name, axes, layout = "avg_pool1d", 1, "(N, C, L)"


max_pool2d = register(MaxPool2d())
max_pool1d = register(MaxPool1d())
avg_pool2d = register(AvgPool2d())
avg_pool1d = register(AvgPool1d())
