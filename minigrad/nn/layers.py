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


def per_axis(layer: str, axes: int, least: int = 1, /, **named: Any) -> tuple[int, ...]:
    """An option, one integer ≥ `least` or one per axis, as a tuple; else `ValueError`."""
    ((name, value),) = named.items()
    sizes = tuple(value) if isinstance(value, Sequence) else (value,) * axes
    if isinstance(value, str) or len(sizes) != axes:
        raise ValueError(f"{layer}: {name}={value!r}; an integer or {axes} of them were expected")
    for size in sizes:
        positive(layer, least, **{name: size})
    return sizes


class _Conv(Module):
    """Base of the convolutions: a weight and an operator.

    The weight is (out, in / groups, *kernel_size), for transposed ones (in, out / groups, …).
    """

    axes: ClassVar[int]
    operator: ClassVar[Callable[..., GraphNode]]
    transposed: ClassVar[bool] = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        dtype: Dtype = None,
        seed: Seed = None,
    ) -> None:
        name = type(self).__name__
        positive(name, in_channels=in_channels, out_channels=out_channels, groups=groups)
        size = per_axis(name, self.axes, kernel_size=kernel_size)
        if in_channels % groups or out_channels % groups:
            channels = f"in_channels={in_channels} and out_channels={out_channels}"
            raise ValueError(f"{name}: groups={groups} must divide {channels}")
        first, second = (in_channels, out_channels)[:: 1 if self.transposed else -1]
        self.weight = weight((first, second // groups, *size), dtype, seed)
        self.bias = zeros(out_channels, dtype) if bias else None
        self.options = {
            "stride": stride,
            "padding": 0 if padding == "valid" else padding,
            "dilation": dilation,
            "groups": groups,
        }
        self._sizes = f"{in_channels}, {out_channels}, kernel_size={kernel_size}"
        self._same, self._more = dict[str, Any](), list[tuple[int, int]]()
        if padding == "same":
            if per_axis(name, self.axes, stride=stride) != (1,) * self.axes:
                raise ValueError(f"{name}: padding='same' with stride={stride!r}; 1 was expected")
            every = zip(size, per_axis(name, self.axes, dilation=dilation), strict=True)
            around = [(k - 1) * d for k, d in every]
            self._same["padding"] = tuple(n // 2 for n in around)
            if any(n % 2 for n in around):  # what both sides cannot share goes to the end
                self._more = [(0, 0), (0, 0), *((0, n % 2) for n in around)]

    def forward(self, x: ArrayLike) -> GraphNode:
        node = as_node(type(self).__name__, x, self.weight.dtype)
        if self._more:
            node = ops.pad(node, self._more)
        return type(self).operator(node, self.weight, self.bias, **{**self.options, **self._same})

    def extra_repr(self) -> str:
        usual = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "output_padding": 0}
        options = [f"{name}={x!r}" for name, x in self.options.items() if x != usual[name]]
        return ", ".join([self._sizes, *options])


class Conv1d(_Conv):
    """Convolution of (N, in_channels, L): (N, out_channels, OL); see `mg.conv1d`.

    With padding="same" and a stride of 1 OL is L. Parameters: `weight` (out, in / groups, K),
    `bias` (out,) or None.

    >>> mg.nn.Conv1d(3, 8, kernel_size=5, padding=2)(np.ones((2, 3, 20))).shape
    (2, 8, 20)
    """

    axes, operator = 1, ops.conv1d


class Conv2d(_Conv):
    """Convolution of (N, in_channels, H, W): (N, out_channels, OH, OW); see `mg.conv2d`.

    With padding="same" and a stride of 1 the size stays. Parameters: `weight` (out, in / groups,
    KH, KW), `bias` (out,) or None.

    >>> mg.nn.Conv2d(3, 8, kernel_size=5, padding="same")(np.ones((2, 3, 28, 28))).shape
    (2, 8, 28, 28)
    """

    axes, operator = 2, ops.conv2d


class _ConvTranspose(_Conv):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        *,
        dtype: Dtype = None,
        seed: Seed = None,
    ) -> None:
        channels, window = (in_channels, out_channels), (kernel_size, stride, padding, dilation)
        super().__init__(*channels, *window, groups, bias, dtype=dtype, seed=seed)
        self.options["output_padding"] = output_padding


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution of (N, in_channels, L): (N, out_channels, OL).

    See `mg.conv_transpose1d`. Parameters: `weight` (in, out / groups, K), `bias` (out,) or None.

    >>> mg.nn.ConvTranspose1d(3, 8, kernel_size=4, stride=2, padding=1)(np.ones((2, 3, 10))).shape
    (2, 8, 20)
    """

    axes, operator = 1, ops.conv_transpose1d


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution of (N, in_channels, H, W): (N, out_channels, OH, OW).

    See `mg.conv_transpose2d`. Parameters: `weight` (in, out / groups, KH, KW), `bias` (out,) or
    None.

    >>> mg.nn.ConvTranspose2d(3, 8, 4, stride=2, padding=1)(np.ones((2, 3, 7, 7))).shape
    (2, 8, 14, 14)
    """

    axes, operator = 2, ops.conv_transpose2d


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
        self.options: dict[str, Any] = {"ceil_mode": ceil_mode}

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


class _MaxPool(_Pool):
    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        *,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode=ceil_mode)
        self.options["dilation"] = dilation


class MaxPool1d(_MaxPool):
    """Largest entry of each window of (N, C, L); see `mg.max_pool1d`.

    >>> mg.nn.MaxPool1d(2)(np.ones((2, 3, 20))).shape
    (2, 3, 10)
    """

    operator = ops.max_pool1d


class MaxPool2d(_MaxPool):
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
