"""Windows that slide over x: convolution and pooling.

Convolution is a cross-correlation, as in all of deep learning: the kernel is not flipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .. import kernels
from ..calculus.derivatives import WorkArray
from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..graph.rule import Grads, Operand, Operator, Rule, register
from .indexing import embedding
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
_room = lru_cache(maxsize=256)(lambda d: kernels.conv.room(d))
_offsets = lru_cache(maxsize=256)(lambda d: kernels.conv.offsets(d))


def window_count(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """How many windows fit along an axis; what a stride leaves over at the end is not visited."""
    return (size + 2 * padding - window_span(kernel, dilation)) // stride + 1


def window_span(kernel: int, dilation: int) -> int:
    """From the first to the last entry of a window, both counted."""
    return dilation * (kernel - 1) + 1


class Conv2d(Windows):
    """Convolve x (N, C, H, W) with w (O, C / groups, KH, KW), add b (O,): (N, O, OH, OW).

    OH = (H + 2·padding - dilation·(KH - 1) - 1) // stride + 1, and OW likewise; options are an
    integer or one per axis. Raises `ShapeError` when shapes do not fit together, `ValueError` for
    impossible options.

    >>> x, w = np.ones((1, 3, 28, 28)), mg.Variable(np.ones((8, 3, 5, 5)))
    >>> mg.conv2d(x, w, stride=2, padding=2).shape
    (1, 8, 14, 14)
    """

    name, symbol, multilinear = "conv2d", "∗", 2
    formula = "conv(x, w) + b"
    vjp_formulas = ("convt(g, w)", "corr(x, g)", "sum(g)")
    batch_axes = 1

    weights = "(out, C / groups, kernel size)"
    transposed = False

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
        inputs = self.floats(x, w, b)
        groups, (n, c, o), options = self.given_sizes(inputs, groups, stride, padding, dilation)
        size, kernel, *around = options
        out = tuple(map(window_count, size, kernel, *around))
        if min(out) < 1 or min(kernel) < 1:
            raise self.error(
                inputs,
                "the kernel is larger than the padded input; use more padding or a smaller one",
            )
        sizes = n, c, *size, o, *kernel, *out, *sum(around, ())
        return kernels.conv.ConvDims(*sizes, groups)

    def given_sizes(
        self, inputs: Sequence[GraphNode], groups: int, stride: Size, padding: Size, dilation: Size
    ) -> tuple[int, tuple[int, int, int], list[tuple[int, ...]]]:
        """Groups; samples and channels of x and of the result; the sizes of picture and kernel,
        stride, padding and dilation, each as numbers for two axes.
        """
        x, w, *bias = inputs
        if x.ndim != self.axes + 2 or w.ndim != self.axes + 2:
            raise self.error(inputs, f"x {self.layout} and weight {self.weights} were expected")
        groups = self.option(inputs, 1, 1, groups=groups)[-1]
        c, o = (w.shape[0], w.shape[1] * groups)[:: 1 if self.transposed else -1]
        if x.shape[1] != c:
            expected = f"x has {x.shape[1]} channels, the layer takes {c}"
            raise self.error(inputs, expected)
        if w.shape[0] % groups:
            expected = f"the first axis of the weight must be a multiple of groups={groups}"
            raise self.error(inputs, expected)
        if any(b.shape != (o,) for b in bias):
            raise self.error(inputs, f"a bias of shape {(o,)} was expected")
        options = [
            self.plane(x.shape[2:]),
            self.plane(w.shape[2:]),
            self.option(inputs, 1, stride=stride),
            self.option(inputs, 0, padding=padding),
            self.option(inputs, 1, dilation=dilation),
        ]
        return groups, (x.shape[0], c, o), options

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
        count = len(scratch[0])
        parts = [in_parts(node, f"parts {i}", grad, count) for i, grad in enumerate(own)]
        gw, gb = (*parts, None)[:2]
        gw = None if gw is None else gw.reshape(count, d.o, d.taps)
        gx = None if gx is None else gx.reshape(x.shape)
        launch(node, kernels.conv.backward, g, x, w, gx, gw, gb, *scratch, d)
        add_parts(parts, own)

    def flops(self, node: Operator) -> int:
        d = node.plan
        return int(2 * d.n * d.o * d.positions * d.taps)


class Conv1d(Conv2d):
    """Convolve x (N, C, L) with w (O, C / groups, K), add b (O,): (N, O, OL); see `conv2d`.

    >>> mg.conv1d(np.ones((1, 1, 5)), np.ones((1, 1, 3)), padding=1).value
    array([[[2., 3., 3., 3., 2.]]], dtype=float32)
    """

    name, axes, layout = "conv1d", 1, "(N, C, L)"


class ConvTranspose2d(Conv2d):
    """What takes gradients of `conv2d` back to its input, as a layer that enlarges (N, C, H, W).

    With w (C, O / groups, KH, KW) and b (O,): (N, O, OH, OW), where OH = (H - 1)·stride - 2·padding
    + dilation·(KH - 1) + output_padding + 1, and OW likewise. As several sizes give H when they are
    convolved, `output_padding`, less than the stride, says which one is meant. Raises `ShapeError`
    and `ValueError` as `conv2d` does.

    >>> mg.conv_transpose2d(np.ones((2, 3, 7, 7)), np.ones((3, 8, 4, 4)), stride=2, padding=1).shape
    (2, 8, 14, 14)
    """

    # the plan is that of the convolution from the result to x
    name, symbol = "conv_transpose2d", "∗ᵀ"
    formula = "convt(x, w) + b"
    vjp_formulas = ("conv(g, w)", "corr(g, x)", "sum(g)")

    weights = "(C, out / groups, kernel size)"
    transposed = True

    def plan(
        self,
        x: Operand,
        w: Operand,
        b: Operand | None = None,
        *,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        dilation: Size = 1,
    ) -> Any:
        inputs = self.floats(x, w, b)
        groups, (n, c, o), options = self.given_sizes(inputs, groups, stride, padding, dilation)
        size, kernel, *around = options
        more = self.option(inputs, 0, output_padding=output_padding)
        if any(m >= s for m, s in zip(more, around[0], strict=True)):
            expected = f"less than stride={stride!r} was expected"
            raise self.error(inputs, f"output_padding={output_padding!r}; {expected}", ValueError)
        every = zip(size, kernel, *around, more, strict=True)
        out = [(i - 1) * s - 2 * p + window_span(k, d) + m for i, k, s, p, d, m in every]
        if min(*out, *kernel, *size) < 1:
            raise self.error(inputs, "nothing is left of the result; use less padding")
        sizes = n, o, *out, c, *kernel, *size, *sum(around, ())
        return kernels.conv.ConvDims(*sizes, groups)

    def shape(self, node: Operator) -> tuple[int, ...]:
        d = node.plan
        return d.n, d.c, *(d.h, d.w)[2 - self.axes :]

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        x, w, *bias = xs
        super().backward(node, [out, None], x, x, out, w)
        for b in bias:
            out += b.reshape(-1, *(1,) * self.axes)

    def backward(self, node: Operator, grads: Grads, g: Array, y: Array, *xs: Array) -> None:
        (x, w), (gx, gw, gb) = xs[:2], (*grads, None)[:3]
        if gx is not None:
            super().forward(node, gx, g, w)
        if gw is not None:
            super().backward(node, [None, gw], x, x, g, w)
        if gb is not None:
            np.sum(g, axis=(0, *range(2, g.ndim)), out=gb)


class ConvTranspose1d(ConvTranspose2d):
    """`conv_transpose2d` for x (N, C, L) and w (C, O / groups, K): (N, O, OL).

    >>> mg.conv_transpose1d(np.ones((2, 3, 7)), np.ones((3, 8, 4)), stride=2, padding=1).shape
    (2, 8, 14)
    """

    name, axes, layout = "conv_transpose1d", 1, "(N, C, L)"


conv2d = register(Conv2d())
conv1d = register(Conv1d())
conv_transpose2d = register(ConvTranspose2d())
conv_transpose1d = register(ConvTranspose1d())


# ---------------- pooling
class Pool(Windows):
    """What the four poolings share."""

    batch_axes = 2

    def dims(self, x: Operand, *options: Any) -> Any:
        """The sizes, after checking that the options fit."""
        (x,), (kernel_size, stride, padding, ceil_mode, dilation) = self.floats(x), options
        if x.ndim != self.axes + 2:
            raise self.error((x,), f"x {self.layout} was expected")
        k = self.option((x,), 1, kernel_size=kernel_size)
        s = k if stride is None else self.option((x,), 1, stride=stride)
        p = self.option((x,), 0, padding=padding)
        gaps = self.option((x,), 1, dilation=dilation)
        if any(2 * b > a for a, b in zip(k, p, strict=True)):
            expected = f"at most half of kernel_size={kernel_size!r} was expected"
            raise self.error((x,), f"padding={padding!r}; {expected}", ValueError)
        size = self.plane(x.shape[2:])
        out, spans = tuple(map(window_count, size, k, s, p, gaps)), map(window_span, k, gaps)
        if min(out) < 1:
            raise self.error((x,), f"the window {kernel_size} is larger than the padded input")
        if ceil_mode:  # where some entries are left over: one that begins before the padding
            out = tuple(
                o + bool((n + 2 * b - a) % c and o * c < n + b)
                for n, a, o, c, b in zip(size, spans, out, s, p, strict=True)
            )
        return kernels.pool.PoolDims(x.shape[0] * x.shape[1], *size, *k, *out, *s, *p, *gaps)

    def shape(self, node: Operator) -> tuple[int, ...]:
        d = node.plan
        return node.inputs[0].shape[:2] + (d.oh, d.ow)[2 - self.axes :]

    def flops(self, node: Operator) -> int:
        d = node.plan
        return int(d.planes * d.oh * d.ow * d.kh * d.kw)


class MaxPool2d(Pool):
    """Largest entry of each window of x (N, C, H, W); the stride is the kernel size by default.

    With `ceil_mode` a last window may reach over the edge, if it begins before it (and its
    padding); with `dilation` there are gaps between its entries. The gradient goes to the first of
    equal entries; padding (at most half a window) never wins; NaN does. Raises `ShapeError` or
    `ValueError` as `conv2d` does.

    `node.work["winners"]` (planes, oh, ow) has the place row · W + column of each winner.

    >>> x = mg.Variable(np.arange(16.0).reshape(1, 1, 4, 4))
    >>> mg.max_pool2d(x, 2).value
    array([[[[ 5.,  7.],
             [13., 15.]]]], dtype=float32)
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
        dilation: Size = 1,
        ceil_mode: bool = False,
    ) -> Any:
        return self.dims(x, kernel_size, stride, padding, ceil_mode, dilation)

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
        return embedding(places, xs[0].reshape(-1, 1)).reshape(node.shape)

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
    """Largest entry of each window of x (N, C, L); see `max_pool2d`.

    >>> mg.max_pool1d([[[1.0, 4.0, 2.0, 3.0]]], 2).value
    array([[[4., 3.]]], dtype=float32)
    """

    name, axes, layout = "max_pool1d", 1, "(N, C, L)"


class AvgPool2d(Pool):
    """Mean of each window of x (N, C, H, W), as in PyTorch.

    Zeros of the padding count unless `count_include_pad` is False; with `ceil_mode` (see
    `max_pool2d`) what lies beyond the padding never does.

    >>> mg.avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2).value
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]], dtype=float32)
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
        return self.dims(x, kernel_size, stride, padding, ceil_mode, 1)

    def scale(self, node: Operator) -> Array | None:
        """The kernel's divisor, all entries of a window, over the right one; None where equal."""
        d, padded = node.plan, node.attributes["count_include_pad"]
        if padded and not node.attributes["ceil_mode"]:
            return None
        scale = np.ones(())
        for n, k, o, s, p, _ in (d[1::2], d[2::2]):
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
    """Mean of each window of x (N, C, L); see `avg_pool2d`.

    >>> mg.avg_pool1d([[[1.0, 4.0, 2.0, 3.0]]], 2).value
    array([[[2.5, 2.5]]], dtype=float32)
    """

    name, axes, layout = "avg_pool1d", 1, "(N, C, L)"


max_pool2d = register(MaxPool2d())
max_pool1d = register(MaxPool1d())
avg_pool2d = register(AvgPool2d())
avg_pool1d = register(AvgPool1d())
