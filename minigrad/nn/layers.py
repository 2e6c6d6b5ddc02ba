"""Layers with PyTorch's names, arguments, parameter names and weight layouts.

Weights start with Glorot's uniform initialisation (see `init`), biases at zero; `dtype` is float32
or float64, `seed` an integer for the layer's own first values.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..errors import DTypeError, ShapeError
from ..graph.node import Constant, GraphNode, Variable
from ..graph.rule import stacked
from . import init
from .module import Module


def weight(shape: tuple[int, ...], dtype: Any, seed: Any) -> Variable:
    """A weight of this shape with Glorot's uniform first values."""
    return init.xavier_uniform_(Variable(np.zeros(shape), dtype=dtype), seed=seed)


def zeros(size: int, dtype: Any) -> Variable:
    """A bias: zeros."""
    return Variable(np.zeros(size), dtype=dtype)


def positive(layer: str, **sizes: Any) -> None:
    """Raise `ValueError` unless each size is an integer of at least 1."""
    for name, value in sizes.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{layer}: {name}={value!r}; an integer ≥ 1 was expected")


def as_node(layer: str, x: Any, dtype: Any) -> GraphNode:
    """x itself, a list of nodes stacked, or a constant of this dtype; an error names the layer."""
    x = stacked(x)
    if isinstance(x, GraphNode):
        return x
    try:
        return Constant(x, dtype=dtype)
    except (DTypeError, ShapeError) as error:
        raise type(error)(f"{layer}: {error}") from None


class Linear(Module):
    """y = x Wᵀ + b for x (…, in_features): (…, out_features). `weight` (out, in), `bias` (out,) or
    None.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = None,
        seed: Any = None,
    ) -> None:
        positive("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = weight((out_features, in_features), dtype, seed)
        self.bias = zeros(out_features, dtype) if bias else None

    def forward(self, x: Any) -> GraphNode:  # type: ignore[override]
        return ops.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}" + (
            "" if self.bias is not None else ", bias=False"
        )


class _Conv(Module):
    axes: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        dtype: Any = None,
        seed: Any = None,
    ) -> None:
        name = type(self).__name__
        positive(name, in_channels=in_channels, out_channels=out_channels, groups=groups)
        size = (
            tuple(kernel_size)
            if isinstance(kernel_size, tuple | list)
            else (kernel_size,) * self.axes
        )
        if len(size) != self.axes:
            raise ValueError(
                f"{name}: kernel_size={kernel_size!r}; an integer or {self.axes} of them were "
                f"expected"
            )
        for k in size:
            positive(name, kernel_size=k)
        if in_channels % groups or out_channels % groups:
            channels = f"in_channels={in_channels} and out_channels={out_channels}"
            raise ValueError(f"{name}: groups={groups} must divide {channels}")
        self.weight = weight((out_channels, in_channels // groups, *size), dtype, seed)
        self.bias = zeros(out_channels, dtype) if bias else None
        self.options = {
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "groups": groups,
        }
        self._text = f"{in_channels}, {out_channels}, kernel_size={kernel_size}"

    def extra_repr(self) -> str:
        usual = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
        return ", ".join(
            [self._text, *(f"{k}={v}" for k, v in self.options.items() if v != usual[k])]
        )


class Conv1d(_Conv):
    """Convolution of (N, in_channels, L): (N, out_channels, OL); see `mg.conv1d`. `weight` (out, in
    / groups, K).
    """

    axes = 1

    def forward(self, x: Any) -> GraphNode:  # type: ignore[override]
        return ops.conv1d(x, self.weight, self.bias, **self.options)


class Conv2d(_Conv):
    """Convolution of (N, in_channels, H, W): (N, out_channels, OH, OW); see `mg.conv2d`.

    `weight` (out, in / groups, KH, KW).
    """

    axes = 2

    def forward(self, x: Any) -> GraphNode:  # type: ignore[override]
        return ops.conv2d(x, self.weight, self.bias, **self.options)


class _Pool(Module):
    operator: Any

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, *, ceil_mode: bool = False
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.options = {"ceil_mode": ceil_mode}

    def forward(self, x: Any) -> GraphNode:  # type: ignore[override]
        node: GraphNode = type(self).operator(
            x, self.kernel_size, self.stride, self.padding, **self.options
        )
        return node

    def extra_repr(self) -> str:
        return f"{self.kernel_size}" + (
            f", stride={self.stride}" if self.stride is not None else ""
        )


class _AvgPool(_Pool):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode=ceil_mode)
        self.options["count_include_pad"] = count_include_pad


class MaxPool1d(_Pool):
    """Largest entry of each window of (N, C, L)."""

    operator = staticmethod(ops.max_pool1d)


class MaxPool2d(_Pool):
    """Largest entry of each window of (N, C, H, W)."""

    operator = staticmethod(ops.max_pool2d)


class AvgPool1d(_AvgPool):
    """Mean of each window of (N, C, L)."""

    operator = staticmethod(ops.avg_pool1d)


class AvgPool2d(_AvgPool):
    """Mean of each window of (N, C, H, W)."""

    operator = staticmethod(ops.avg_pool2d)


class Flatten(Module):
    """(N, …) becomes (N, everything else)."""

    def forward(self, x: Any) -> GraphNode:  # type: ignore[override]
        return ops.flatten(x, start_axis=1)


class Embedding(Module):
    """Rows of a table by their ids: (…) integers give (…, embedding_dim). `weight` (num_embeddings,
    embedding_dim).

    The row `padding_idx` starts as zeros and gets no gradient.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: Any = None,
        seed: Any = None,
    ) -> None:
        positive("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.weight = weight((num_embeddings, embedding_dim), dtype, seed)
        self.padding_idx = padding_idx
        if padding_idx is not None:
            if (
                not isinstance(padding_idx, int | np.integer)
                or not -num_embeddings <= padding_idx < num_embeddings
            ):
                rows = f"a row of {num_embeddings}"
                raise ValueError(f"Embedding: padding_idx={padding_idx!r}; {rows} was expected")
            self.weight.value[padding_idx] = 0

    def forward(self, ids: Any) -> GraphNode:  # type: ignore[override]
        return ops.embedding(ids, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}{padding}"


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Any) -> GraphNode:  # type: ignore[override]
        return ops.relu(x)


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, x: Any) -> GraphNode:  # type: ignore[override]
        return ops.tanh(x)


class Sigmoid(Module):
    """Logistic function."""

    def forward(self, x: Any) -> GraphNode:  # type: ignore[override]
        return ops.sigmoid(x)
