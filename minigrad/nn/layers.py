"""Layers with PyTorch's names, arguments, parameter names and weight layouts.

Weights start with Glorot's uniform initialisation (see `init`), biases at zero; `dtype` is float32
or float64, `seed` an integer or a generator for the layer's own initial weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .. import ops
from ..checks import positive
from ..errors import DTypeError, ShapeError
from ..graph.node import Constant, GraphNode, Variable
from ..graph.rule import stacked
from ..seeds import Seed
from . import init
from .module import Module

Size = int | Sequence[int]  # one number for all axes, or one for each
Dtype = DTypeLike | None


def weight(shape: tuple[int, ...], dtype: Dtype, seed: Seed) -> Variable:
    """A weight of this shape with Glorot's uniform initial values."""
    return init.xavier_uniform_(Variable(np.zeros(shape), dtype=dtype), seed=seed)


def zeros(shape: int | tuple[int, ...], dtype: Dtype) -> Variable:
    """A parameter of zeros, such as a bias."""
    return Variable(np.zeros(shape), dtype=dtype)


def as_node(layer: str, x: Any, dtype: Dtype) -> GraphNode:
    """x itself, a list of nodes stacked, or a constant of this dtype; an error names the layer."""
    x = stacked(x)
    if isinstance(x, GraphNode):
        return x
    try:
        return Constant(x, dtype=dtype)
    except (DTypeError, ShapeError) as error:
        raise type(error)(f"{layer}: {error}") from None


class Linear(Module):
    """y = x Wᵀ + b for x (…, in_features): (…, out_features).

    Parameters: `weight` (out, in), `bias` (out,) or None.

    >>> layer = mg.nn.Linear(4, 3)
    >>> layer(np.ones((5, 4))).shape, layer.weight.shape
    ((5, 3), (3, 4))
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Dtype = None,
        seed: Seed = None,
    ) -> None:
        positive("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = weight((out_features, in_features), dtype, seed)
        self.bias = zeros(out_features, dtype) if bias else None

    def forward(self, x: ArrayLike) -> GraphNode:
        return ops.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        bias = "" if self.bias is not None else ", bias=False"
        return f"{self.in_features}, {self.out_features}{bias}"


class _Conv(Module):
    """Base of the convolutions: a weight (out, in / groups, *kernel_size) and an operator."""

    axes: ClassVar[int]
    operator: ClassVar[Callable[..., GraphNode]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        dtype: Dtype = None,
        seed: Seed = None,
    ) -> None:
        name = type(self).__name__
        positive(name, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if isinstance(kernel_size, Sequence):
            size = tuple(kernel_size)
        else:
            size = (kernel_size,) * self.axes
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
        self._sizes = f"{in_channels}, {out_channels}, kernel_size={kernel_size}"

    def forward(self, x: ArrayLike) -> GraphNode:
        return type(self).operator(x, self.weight, self.bias, **self.options)

    def extra_repr(self) -> str:
        usual = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
        options = [f"{name}={x}" for name, x in self.options.items() if x != usual[name]]
        return ", ".join([self._sizes, *options])


class Conv1d(_Conv):
    """Convolution of (N, in_channels, L): (N, out_channels, OL); see `mg.conv1d`.

    Parameters: `weight` (out, in / groups, K), `bias` (out,) or None.

    >>> mg.nn.Conv1d(3, 8, kernel_size=5, padding=2)(np.ones((2, 3, 20))).shape
    (2, 8, 20)
    """

    axes, operator = 1, ops.conv1d


class Conv2d(_Conv):
    """Convolution of (N, in_channels, H, W): (N, out_channels, OH, OW); see `mg.conv2d`.

    Parameters: `weight` (out, in / groups, KH, KW), `bias` (out,) or None.

    >>> mg.nn.Conv2d(3, 8, kernel_size=5, padding=2)(np.ones((2, 3, 28, 28))).shape
    (2, 8, 28, 28)
    """

    axes, operator = 2, ops.conv2d


class _Pool(Module):
    """Base of the pooling layers: the arguments of an operator."""

    operator: ClassVar[Callable[..., GraphNode]]

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        *,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.options = {"ceil_mode": ceil_mode}

    def forward(self, x: ArrayLike) -> GraphNode:
        return type(self).operator(x, self.kernel_size, self.stride, self.padding, **self.options)

    def extra_repr(self) -> str:
        stride = "" if self.stride is None else f", stride={self.stride}"
        return f"{self.kernel_size}{stride}"


class _AvgPool(_Pool):
    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode=ceil_mode)
        self.options["count_include_pad"] = count_include_pad


class MaxPool1d(_Pool):
    """Largest entry of each window of (N, C, L); see `mg.max_pool1d`.

    >>> mg.nn.MaxPool1d(2)(np.ones((2, 3, 20))).shape
    (2, 3, 10)
    """

    operator = ops.max_pool1d


class MaxPool2d(_Pool):
    """Largest entry of each window of (N, C, H, W); see `mg.max_pool2d`.

    >>> mg.nn.MaxPool2d(2)(np.ones((2, 3, 28, 28))).shape
    (2, 3, 14, 14)
    """

    operator = ops.max_pool2d


class AvgPool1d(_AvgPool):
    """Mean of each window of (N, C, L); see `mg.avg_pool1d`.

    >>> mg.nn.AvgPool1d(2)(np.ones((2, 3, 20))).shape
    (2, 3, 10)
    """

    operator = ops.avg_pool1d


class AvgPool2d(_AvgPool):
    """Mean of each window of (N, C, H, W); see `mg.avg_pool2d`.

    >>> mg.nn.AvgPool2d(2)(np.ones((2, 3, 28, 28))).shape
    (2, 3, 14, 14)
    """

    operator = ops.avg_pool2d


class Embedding(Module):
    """Rows of a table by their ids: (…) integers give (…, embedding_dim).

    Parameters: `weight` (num_embeddings, embedding_dim). The row `padding_idx` starts as zeros and
    gets no gradient.

    >>> mg.nn.Embedding(1000, 16, padding_idx=0)([[0, 3, 5], [0, 0, 7]]).shape
    (2, 3, 16)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: Dtype = None,
        seed: Seed = None,
    ) -> None:
        positive("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.weight = weight((num_embeddings, embedding_dim), dtype, seed)
        self.padding_idx = padding_idx
        if padding_idx is not None:
            whole = isinstance(padding_idx, int | np.integer)
            if not whole or not -num_embeddings <= padding_idx < num_embeddings:
                rows = f"a row of {num_embeddings}"
                raise ValueError(f"Embedding: padding_idx={padding_idx!r}; {rows} was expected")
            self.weight.value[padding_idx] = 0

    def forward(self, ids: ArrayLike) -> GraphNode:
        return ops.embedding(ids, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}{padding}"


class Flatten(Module):
    """(N, …) becomes (N, everything else).

    >>> mg.nn.Flatten()(np.ones((2, 3, 28, 28))).shape
    (2, 2352)
    """

    def forward(self, x: ArrayLike) -> GraphNode:
        return ops.flatten(x, start_axis=1)


class ReLU(Module):
    """max(x, 0).

    >>> mg.nn.ReLU()([-1.0, 2.0]).value
    array([0., 2.], dtype=float32)
    """

    def forward(self, x: ArrayLike) -> GraphNode:
        return ops.relu(x)


class Tanh(Module):
    """Hyperbolic tangent.

    >>> mg.nn.Tanh()([0.0, 100.0]).value
    array([0., 1.], dtype=float32)
    """

    def forward(self, x: ArrayLike) -> GraphNode:
        return ops.tanh(x)


class Sigmoid(Module):
    """Logistic function.

    >>> mg.nn.Sigmoid()([0.0, 100.0]).value
    array([0.5, 1. ], dtype=float32)
    """

    def forward(self, x: ArrayLike) -> GraphNode:
        return ops.sigmoid(x)
