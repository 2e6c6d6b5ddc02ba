"""Pooling: the largest or the mean entry of each window."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import kernels
from ..calculus.derivatives import WorkArray
from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..graph.registry import by_name, public
from ..graph.rule import Grads, Operand, Operator, Rule, register
from .conv import Size, per_axis, window_count
from .elementwise import multiply
from .kernel import constant, launch
from .shape import pad


class Pool(Rule):
    """What the four poolings share: windows over the last `axes` axes of (N, C, …)."""

    axes = 2
    batch_axes = 2

    def plan(
        self, x: Operand, kernel_size: Size, stride: Size | None = None, padding: Size = 0
    ) -> Any:
        (x,) = self.floats(x)
        if x.ndim != self.axes + 2:
            names = "(N, C, H, W)" if self.axes == 2 else "(N, C, L)"
            raise self.error((x,), f"x {names} was expected")
        k = per_axis(self, (x,), "kernel_size", kernel_size, self.axes, 1)
        s = k if stride is None else per_axis(self, (x,), "stride", stride, self.axes, 1)
        p = per_axis(self, (x,), "padding", padding, self.axes, 0)
        if any(2 * b > a for a, b in zip(k, p, strict=True)):
            expected = f"at most half of kernel_size={kernel_size!r} was expected"
            raise self.error((x,), f"padding={padding!r}; {expected}", ValueError)
        ones, flat = (1,) * (2 - self.axes), (0,) * (2 - self.axes)
        size, k, s, p = ones + x.shape[2:], ones + k, ones + s, flat + p
        out = tuple(map(window_count, size, k, s, p))
        if min(out) < 1:
            raise self.error((x,), f"the window {kernel_size} is larger than the padded input")
        return kernels.pool.PoolDims(x.shape[0] * x.shape[1], *size, *k, *out, *s, *p)

    def shape(self, node: Operator) -> tuple[int, ...]:
        d = node.plan
        return node.inputs[0].shape[:2] + ((d.oh, d.ow) if self.axes == 2 else (d.ow,))

    def flops(self, node: Operator) -> int:
        d = node.plan
        return int(d.planes * d.oh * d.ow * d.kh * d.kw)


class MaxPool2d(Pool):
    """`node.work["winners"]` (planes, oh, ow) has the place row · W + column of each winner."""

    name, symbol = "max_pool2d", "max pool"
    formula = "maxpool(x)"
    vjp_formulas = ("unpool(g)",)

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
    name, symbol, axes = "max_pool1d", "max pool", 1


class AvgPool2d(Pool):
    name, symbol, multilinear = "avg_pool2d", "mean pool", 1
    formula = "meanpool(x)"
    vjp_formulas = ("spread(g)",)

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        d = node.plan
        x, y = xs[0].reshape(d.planes, d.h, d.w), out.reshape(d.planes, d.oh, d.ow)
        launch(node, kernels.pool.avg_forward, x, y, d)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        d, (grad,) = node.plan, grads
        assert grad is not None
        gy, gx = g.reshape(d.planes, d.oh, d.ow), grad.reshape(d.planes, d.h, d.w)
        launch(node, kernels.pool.avg_backward, gy, gx, d)


class AvgPool1d(AvgPool2d):
    name, symbol, axes = "avg_pool1d", "mean pool", 1


for rule in (MaxPool1d(), MaxPool2d(), AvgPool1d(), AvgPool2d()):
    register(rule)


def _sizes(
    name: str, x: Operand, kernel_size: Size, stride: Size | None, padding: Size
) -> tuple[GraphNode, list[tuple[int, int, int, int]]]:
    """x as a node, and for each of its last axes (entries, window, stride, padding)."""
    rule = by_name(name)
    (node,) = rule.operands((x,))
    d = rule.plan(node, kernel_size, stride, padding)  # raises what does not fit
    return node, [(d.h, d.kh, d.sh, d.ph), (d.w, d.kw, d.sw, d.pw)][2 - rule.axes :]


def _beyond(n: int, k: int, s: int, p: int) -> int:
    """How much longer an axis must be for a last window that is not full.

    It must begin before the padding behind the axis.
    """
    left = (n + 2 * p - k) % s
    return s - left if left and n + 2 * p - k - left + s < n + p else 0


def _pool(
    name: str,
    x: Operand,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    ceil_mode: bool,
    fill: float,
) -> GraphNode:
    if ceil_mode:
        x, sizes = _sizes(name, x, kernel_size, stride, padding)
        more = [_beyond(*size) for size in sizes]
        x = pad(x, [(0, 0), (0, 0), *((0, m) for m in more)], fill) if any(more) else x
    found: GraphNode = by_name(name)(x, kernel_size, stride, padding)
    return found


def _avg_pool(
    name: str,
    x: Operand,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    ceil_mode: bool,
    count_include_pad: bool,
) -> GraphNode:
    y = _pool(name, x, kernel_size, stride, padding, ceil_mode, 0.0)
    if not ceil_mode and count_include_pad:
        return y
    _, sizes = _sizes(name, x, kernel_size, stride, padding)
    scale = np.ones(())  # the kernel's divisor, all entries of a window, over the right one
    for (n, k, s, p), windows in zip(sizes, y.shape[2:], strict=True):
        begin = np.arange(windows) * s - p
        first, last = (-p, n + p) if count_include_pad else (0, n)
        scale = scale[..., None] * k / (np.minimum(begin + k, last) - np.maximum(begin, first))
    return multiply(y, scale)


@public()
def max_pool2d(
    x: Operand,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    *,
    ceil_mode: bool = False,
) -> GraphNode:
    """Largest entry of each window of x (N, C, H, W); the stride is the kernel size by default.

    With `ceil_mode` a last window may reach over the edge, if it begins before it (and its
    padding). The gradient goes to the first of equal entries; padding (at most half a window) never
    wins; NaN does. Raises `ShapeError` or `ValueError` as `conv2d` does.
    """
    return _pool("max_pool2d", x, kernel_size, stride, padding, ceil_mode, -np.inf)


@public()
def max_pool1d(
    x: Operand,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    *,
    ceil_mode: bool = False,
) -> GraphNode:
    """Largest entry of each window of x (N, C, L); see `max_pool2d`."""
    return _pool("max_pool1d", x, kernel_size, stride, padding, ceil_mode, -np.inf)


@public()
def avg_pool2d(
    x: Operand,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> GraphNode:
    """Mean of each window of x (N, C, H, W), as in PyTorch.

    Zeros of the padding count unless `count_include_pad` is False; with `ceil_mode` (see
    `max_pool2d`) what lies beyond the padding never does.
    """
    return _avg_pool("avg_pool2d", x, kernel_size, stride, padding, ceil_mode, count_include_pad)


@public()
def avg_pool1d(
    x: Operand,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> GraphNode:
    """Mean of each window of x (N, C, L); see `avg_pool2d`."""
    return _avg_pool("avg_pool1d", x, kernel_size, stride, padding, ceil_mode, count_include_pad)
