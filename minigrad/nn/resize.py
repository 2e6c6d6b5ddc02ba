"""Layers that change the size of pictures and sequences: by weights along each axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from .. import ops
from ..checks import one_of
from ..errors import ShapeError
from ..graph.conversion import Array
from ..graph.node import GraphNode
from .layers import Size, as_node, per_axis
from .module import Module


def _along(x: GraphNode, matrices: Sequence[Array]) -> GraphNode:
    """x (N, C, …), its last axes times a matrix (new size, old size) each, one or two of them."""
    *rows, columns = matrices
    x = ops.matmul(x, columns.T)
    return ops.matmul(rows[0], x) if rows else x


def _weights(n: int, out: int, scale: float, mode: str, corners: bool) -> Array:
    """What each of n entries counts in each of the new ones: a matrix (out, n)."""
    new = np.arange(out)
    if mode == "nearest":
        places = np.floor(new * scale)
    elif corners:
        places = new * ((n - 1) / max(out - 1, 1))
    else:  # entries are as wide as the distance between them
        places = np.maximum((new + 0.5) * scale - 0.5, 0)
    distances = np.abs(np.minimum(places, n - 1)[:, None] - np.arange(n))
    return np.asarray(np.maximum(1 - distances, 0))


class Upsample(Module):
    """(N, C, L) or (N, C, H, W) in another size: `size`, or `scale_factor` times as large.

    Both are one number or one per axis. `mode` is "nearest", "linear" for (N, C, L) or "bilinear"
    for (N, C, H, W), where `align_corners` puts the first and the last entry on each other; all as
    in PyTorch. Raises `ShapeError` for x that does not fit.

    >>> mg.nn.Upsample(scale_factor=2)(np.ones((2, 3, 4, 4))).shape
    (2, 3, 8, 8)
    """

    def __init__(
        self,
        size: Size | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        one_of("Upsample", "mode", mode, ("nearest", "linear", "bilinear"))
        if (size is None) == (scale_factor is None):
            given = f"size={size!r}, scale_factor={scale_factor!r}"
            raise ValueError(f"Upsample: {given}; one of them was expected")
        self.size, self.scale_factor = size, scale_factor
        self.mode, self.align_corners = mode, bool(align_corners)

    def forward(self, x: ArrayLike) -> GraphNode:
        node, factor = as_node("Upsample", x, None), self.scale_factor
        old = node.shape[2:]
        if factor is None:
            new = per_axis("Upsample", len(old), size=self.size)
            scales = [n / m for n, m in zip(old, new, strict=True)]
        else:
            factors = factor if isinstance(factor, Sequence) else [factor] * len(old)
            new = tuple(int(n * f) for n, f in zip(old, factors, strict=False))
            scales = [1 / f for f in factors]
        axes = {"linear": [1], "bilinear": [2]}.get(self.mode, [1, 2])
        if len(old) not in axes or len(scales) != len(old) or min(*old, *new) < 1:
            raise ShapeError(
                f"Upsample: shape {node.shape}, {self.extra_repr()}; (N, C, L) for 'linear', (N, "
                f"C, H, W) for 'bilinear', and at least one entry in the result were expected"
            )
        sizes = zip(old, new, scales, strict=True)
        options = self.mode, self.align_corners
        return _along(node, [_weights(*given, *options) for given in sizes])

    def extra_repr(self) -> str:
        size = "scale_factor" if self.size is None else "size"
        return f"{size}={getattr(self, size)}, mode={self.mode!r}"


def _means(n: int, out: int) -> Array:
    """Means of entries from ⌊i n / out⌋ to ⌈(i + 1) n / out⌉, for each i: a matrix (out, n)."""
    i, entry = np.arange(out)[:, None], np.arange(n)
    inside = (entry >= i * n // out) & (entry < -(-(i + 1) * n // out))
    return np.asarray(inside / inside.sum(axis=1, keepdims=True))


class _AdaptiveAvgPool(Module):
    axes: ClassVar[int]
    operator: ClassVar[Callable[..., GraphNode]]

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        self.output_size: Sequence[int | None] = (
            output_size if isinstance(output_size, Sequence) else (output_size,) * self.axes
        )
        given = [1 if n is None else n for n in self.output_size]
        per_axis(type(self).__name__, self.axes, output_size=given)

    def forward(self, x: ArrayLike) -> GraphNode:
        name = type(self).__name__
        node = as_node(name, x, None)
        if node.ndim != self.axes + 2:
            layout = ("(N, C, L)", "(N, C, H, W)")[self.axes - 1]
            raise ShapeError(f"{name}: shape {node.shape}; {layout} was expected")
        wanted = zip(node.shape[2:], self.output_size, strict=True)
        pairs = [(n, n if m is None else m) for n, m in wanted]
        if any(n % m for n, m in pairs):
            return _along(node, [_means(*pair) for pair in pairs])
        return type(self).operator(node, tuple(n // m for n, m in pairs))

    def extra_repr(self) -> str:
        return str(self.output_size)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means of windows of (N, C, L), as many as `output_size` (None: L), as in PyTorch.

    >>> mg.nn.AdaptiveAvgPool1d(2)(np.ones((2, 3, 7))).shape
    (2, 3, 2)
    """

    axes, operator = 1, ops.avg_pool1d


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means of windows of (N, C, H, W), `output_size` of them, as in PyTorch.

    That is one number or one for each axis, None for as many as there are entries.

    >>> mg.nn.AdaptiveAvgPool2d(1)(np.ones((2, 3, 7, 7))).shape
    (2, 3, 1, 1)
    """

    axes, operator = 2, ops.avg_pool2d
