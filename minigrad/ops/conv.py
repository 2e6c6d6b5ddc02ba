"""Convolution (as in all of deep learning: a cross-correlation, the kernel is not flipped)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .. import kernels
from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..graph.rule import Grads, Operand, Operator, Rule, register
from .kernel import add_parts, constant, in_parts, launch, shards

#: An option of a sliding window: one integer, or one per axis.
Size = int | tuple[int, ...]


class Windows(Rule):
    """Windows over the last `axes` axes of x (N, C, …).

    What goes along one axis only is computed as if on pictures of height 1.
    """

    axes = 2
    layout = "(N, C, H, W)"

    def plane(self, sizes: Sequence[int], fill: int = 1) -> tuple[int, ...]:
        """Numbers for each axis as numbers for two."""
        return (fill,) * (2 - self.axes) + tuple(map(int, sizes))

    def option(
        self, inputs: Sequence[GraphNode], least: int, axes: int | None = None, **named: Any
    ) -> tuple[int, ...]:
        """An option, one integer or one per axis, each at least `least`, as numbers for two."""
        ((what, value),), axes = named.items(), self.axes if axes is None else axes
        values = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
        whole = all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in values)
        if len(values) != axes or not whole or any(v < least for v in values):
            some = "an integer" if axes == 1 else f"an integer or {axes} of them,"
            raise self.error(inputs, f"{what}={value!r}; {some} ≥ {least} was expected", ValueError)
        return self.plane(values, least)


# the same in every step of a training
_room = lru_cache(maxsize=256)(lambda d: sum(kernels.conv.room(d)))
_offsets = lru_cache(maxsize=256)(kernels.conv.offsets)


def window_count(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """How many windows fit along an axis; what a stride leaves over at the end is not visited."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


class Conv2d(Windows):
    """Convolve x (N, C, H, W) with w (O, C / groups, KH, KW), add b (O,): (N, O, OH, OW).

    OH = (H + 2·padding - dilation·(KH - 1) - 1) // stride + 1, and OW likewise; options are an
    integer or one per axis. Raises `ShapeError` when shapes do not fit together, `ValueError` for
    impossible options.
    """

    name, symbol, multilinear = "conv2d", "∗", 2
    formula = "conv(x, w) + b"
    vjp_formulas = ("convt(g, w)", "corr(x, g)", "sum(g)")
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
        if x.ndim != self.axes + 2 or w.ndim != self.axes + 2:
            expected = f"x {self.layout} and weight (out, C / groups, kernel size) were expected"
            raise self.error(inputs, expected)
        groups = self.option(inputs, 1, 1, groups=groups)[-1]
        if x.shape[1] % groups or w.shape[0] % groups or w.shape[1] * groups != x.shape[1]:
            raise self.error(
                inputs,
                f"with groups={groups} the weight must have C / groups channels and out must be a "
                "multiple",
            )
        if any(b.shape != w.shape[:1] for b in bias):
            raise self.error(inputs, f"a bias of shape {w.shape[:1]} was expected")
        s, p = self.option(inputs, 1, stride=stride), self.option(inputs, 0, padding=padding)
        d = self.option(inputs, 1, dilation=dilation)
        size, kernel = self.plane(x.shape[2:]), self.plane(w.shape[2:])
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
        return d.n, d.o, *(d.oh, d.ow)[2 - self.axes :]

    def _scratch(self, node: Operator, dtype: Any) -> tuple[Array, Array]:
        d = node.plan
        scratch = node.buffer("scratch", (shards(node, d.n), _room(d)), dtype)
        return scratch, constant(node, "offsets", _offsets(d))

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        d = node.plan
        x, w, b = (*xs, np.empty(0, out.dtype))[:3]
        x, w = x.reshape(d.n, d.c, d.h, d.w), w.reshape(d.o, d.taps)
        y = out.reshape(d.n, d.o, d.positions)
        launch(node, kernels.conv.forward, x, w, b, y, *self._scratch(node, out.dtype), d, -np.inf)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        d = node.plan
        x, w = xs[0].reshape(d.n, d.c, d.h, d.w), xs[1].reshape(d.o, d.taps)
        g = g.reshape(d.n, d.o, d.positions)
        scratch = self._scratch(node, g.dtype)
        gx, *own = grads
        parts = [in_parts(node, f"parts {i}", grad, len(scratch[0])) for i, grad in enumerate(own)]
        gw, gb = (*parts, None)[:2]
        gw = None if gw is None else gw.reshape(-1, d.o, d.taps)
        turned = None
        if gx is not None:
            gx, turned = gx.reshape(x.shape), node.buffer("turned weight", (w.size,), w.dtype)
        launch(node, kernels.conv.backward, g, x, w, turned, gx, gw, gb, *scratch, d)
        for sums, grad in zip(parts, own, strict=True):
            add_parts(sums, grad)

    def flops(self, node: Operator) -> int:
        d = node.plan
        return int(2 * d.n * d.o * d.positions * d.taps)


class Conv1d(Conv2d):
    """Convolve x (N, C, L) with w (O, C / groups, K), add b (O,): (N, O, OL); see `conv2d`."""

    name, axes, layout = "conv1d", 1, "(N, C, L)"


conv2d = register(Conv2d())
conv1d = register(Conv1d())
