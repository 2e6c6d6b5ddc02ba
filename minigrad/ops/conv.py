"""Convolution (as in all of deep learning: a cross-correlation, the kernel is not flipped)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .. import kernels
from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..graph.rule import Grads, Operand, Operator, Rule, register
from .kernel import constant, launch, shards

#: An option of a sliding window: one integer, or one per axis.
Size = int | tuple[int, ...]


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
    """Convolve x (N, C, H, W) with w (O, C / groups, KH, KW), add b (O,): (N, O, OH, OW).

    OH = (H + 2·padding - dilation·(KH - 1) - 1) // stride + 1, and OW likewise; options are an
    integer or one per axis. Raises `ShapeError` when shapes do not fit together, `ValueError` for
    impossible options.
    """

    name, symbol, multilinear = "conv2d", "∗", 2
    formula = "conv(x, w) + b"
    vjp_formulas = ("convt(g, w)", "corr(x, g)", "sum(g)")
    axes = 2
    batch_axes = 1

    def plan(
        self,
        x: Operand,
        w: Operand,
        b: Operand | None = None,
        *,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
    ) -> Any:
        x, w, *bias = inputs = self.floats(x, w, b)
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
                "multiple",
            )
        if any(b.shape != w.shape[:1] for b in bias):
            raise self.error(inputs, f"a bias of shape {w.shape[:1]} was expected")
        s = per_axis(self, inputs, "stride", stride, self.axes, 1)
        p = per_axis(self, inputs, "padding", padding, self.axes, 0)
        d = per_axis(self, inputs, "dilation", dilation, self.axes, 1)
        # a one-dimensional convolution is one over pictures of height 1
        flat, ones = (0,) * (2 - self.axes), (1,) * (2 - self.axes)
        size, kernel = ones + x.shape[2:], ones + w.shape[2:]
        s, p, d = ones + s, flat + p, ones + d
        out = tuple(map(window_count, size, kernel, s, p, d))
        if min(out) < 1 or min(kernel) < 1:
            raise self.error(
                inputs,
                "the kernel is larger than the padded input; use more padding or a smaller one",
            )
        sizes = *x.shape[:2], *size, w.shape[0], *kernel, *out, *s, *p, *d
        return kernels.conv.ConvDims(*sizes, groups)

    def shape(self, node: Operator) -> tuple[int, ...]:
        d = node.plan
        return (d.n, d.o, d.oh, d.ow) if self.axes == 2 else (d.n, d.o, d.ow)

    def _scratch(self, node: Operator, dtype: Any) -> tuple[Array, Array]:
        d = node.plan
        scratch = node.buffer("scratch", (shards(node, d.n), _room(d)), dtype)
        return scratch, constant(node, "offsets", _offsets(d))

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        d = node.plan
        x, w = xs[0].reshape(d.n, d.c, d.h, d.w), xs[1].reshape(d.o, d.taps)
        b = xs[2] if len(xs) == 3 else np.empty(0, out.dtype)
        y = out.reshape(d.n, d.o, d.positions)
        launch(node, kernels.conv.forward, x, w, b, y, *self._scratch(node, out.dtype), d, -np.inf)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        d = node.plan
        x, w = xs[0].reshape(d.n, d.c, d.h, d.w), xs[1].reshape(d.o, d.taps)
        g = g.reshape(d.n, d.o, d.positions)
        scratch = self._scratch(node, g.dtype)
        gx, gw, gb = (*grads, None)[:3]
        gw = self._parts(node, "weight", gw, (d.o, d.taps), len(scratch[0]))
        gb = self._parts(node, "bias", gb, (d.o,), len(scratch[0]))
        turned = None
        if gx is not None:
            gx, turned = gx.reshape(x.shape), node.buffer("turned weight", (w.size,), w.dtype)
        launch(node, kernels.conv.backward, g, x, w, turned, gx, gw, gb, *scratch, d)
        for parts, grad in zip((gw, gb), grads[1:], strict=False):
            if parts is not None and grad is not None and len(parts) > 1:
                np.sum(parts, axis=0, out=grad.reshape(parts.shape[1:]))

    def _parts(
        self, node: Operator, name: str, grad: Array | None, shape: tuple[int, ...], count: int
    ) -> Array | None:
        """Memory for a gradient in parts, one per shard; a single part is the gradient itself."""
        if grad is None or count == 1:
            return None if grad is None else grad.reshape(1, *shape)
        return node.buffer(f"{name} parts", (count, *shape), grad.dtype)

    def flops(self, node: Operator) -> int:
        d = node.plan
        return int(2 * d.n * d.o * d.positions * d.taps)

    def kernel_info(self, node: Operator) -> dict[str, Any]:
        """`feature_maps`: the result (N, O, OH, OW) or (N, O, OL); `patch`: the shape of the part
        of x that each of its numbers is computed from, (C / groups, KH, KW) or (C / groups, K).
        """
        return {"feature_maps": node._data, "patch": node.inputs[1].shape[1:]}


class Conv1d(Conv2d):
    """Convolve x (N, C, L) with w (O, C / groups, K), add b (O,): (N, O, OL); see `conv2d`."""

    name, symbol = "conv1d", "∗"
    axes = 1


conv2d = register(Conv2d())
conv1d = register(Conv1d())
