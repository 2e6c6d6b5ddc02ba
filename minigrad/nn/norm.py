"""Normalisation and dropout: layers that behave differently in training and evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from .. import ops
from ..checks import positive
from ..errors import ShapeError
from ..graph.node import Buffer, GraphNode, Variable
from ..ops.random import stream_of
from ..seeds import Seed
from .layers import Dtype, as_node, zeros
from .module import Module


class _BatchNorm(Module):
    axes: ClassVar[Mapping[int, str]]  # the axes that x may have, by their number

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: Dtype = None,
        seed: Seed = None,
    ) -> None:
        positive(type(self).__name__, num_features=num_features)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight, self.bias = _affine(num_features, affine, dtype)
        self.running_mean = self.running_var = self.num_batches_tracked = None
        if track_running_stats:
            self.running_mean = Buffer(np.zeros(num_features), "running_mean", dtype)
            self.running_var = Buffer(np.ones(num_features), "running_var", dtype)
            self.num_batches_tracked = Buffer(0, "num_batches_tracked", np.int64)

    def forward(self, x: ArrayLike) -> GraphNode:
        leaf = self.running_mean if self.weight is None else self.weight
        node = as_node(type(self).__name__, x, None if leaf is None else leaf.dtype)
        if node.ndim not in self.axes or node.shape[1] != self.num_features:
            expected = " or ".join(self.axes.values()).replace("C", str(self.num_features))
            raise ShapeError(
                f"{type(self).__name__}: x has shape {node.shape}; {expected} was expected"
            )
        return ops.batch_norm(
            node,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training or self.running_mean is None,
            momentum=self.momentum,
            eps=self.eps,
            num_batches_tracked=self.num_batches_tracked,
        )

    def extra_repr(self) -> str:
        affine = "" if self.weight is not None else ", affine=False"
        tracks = "" if self.running_mean is not None else ", track_running_stats=False"
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}{affine}{tracks}"


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L); see `mg.batch_norm`.

    Each channel gets mean 0 and variance 1, times `weight` (C,) plus `bias` (C,). Training uses the
    statistics of the batch, and moves `running_mean` and `running_var` towards them; evaluation
    uses these. Starts with weight 1 and bias 0; nothing is random, `seed` has no effect.

    >>> layer = mg.nn.BatchNorm1d(1)
    >>> layer([[1.0], [3.0]]).value.round(2)
    array([[-1.],
           [ 1.]], dtype=float32)
    >>> layer.running_mean.value
    array([0.2], dtype=float32)
    """

    axes = MappingProxyType({2: "(N, C)", 3: "(N, C, L)"})


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of the channels of (N, C, H, W); see `BatchNorm1d`.

    >>> layer = mg.nn.BatchNorm2d(3)
    >>> layer(np.ones((2, 3, 8, 8))).shape
    (2, 3, 8, 8)
    """

    axes = MappingProxyType({4: "(N, C, H, W)"})


class LayerNorm(Module):
    """Layer normalisation of (…, *normalized_shape); see `mg.layer_norm`.

    Each sample gets mean 0 and variance 1 over the last axes. `weight` (ones) and `bias` (zeros)
    have the normalised shape. Nothing is random, `seed` has no effect.

    >>> mg.nn.LayerNorm(2)([[1.0, 3.0]]).value.round(2)
    array([[-1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        *,
        dtype: Dtype = None,
        seed: Seed = None,
    ) -> None:
        if not isinstance(normalized_shape, Sequence):
            normalized_shape = (normalized_shape,)
        shape = tuple(normalized_shape)
        for size in shape:
            positive("LayerNorm", normalized_shape=size)
        self.normalized_shape, self.eps = shape, eps
        self.weight, self.bias = _affine(shape, elementwise_affine, dtype)

    def forward(self, x: ArrayLike) -> GraphNode:
        return ops.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = "" if self.weight is not None else ", elementwise_affine=False"
        return f"{self.normalized_shape}{affine}"


class GroupNorm(Module):
    """Normalisation of (N, C, …) in groups of channels (Wu & He 2018).

    Each group of a sample gets mean 0 and variance 1, times `weight` (C,), ones, plus `bias` (C,),
    zeros. Nothing is random, `seed` has no effect.

    >>> mg.nn.GroupNorm(2, 4)(np.ones((3, 4, 5, 5))).shape
    (3, 4, 5, 5)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: Dtype = None,
        seed: Seed = None,
    ) -> None:
        positive("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_groups={num_groups} must divide num_channels={num_channels}"
            )
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight, self.bias = _affine(num_channels, affine, dtype)

    def forward(self, x: ArrayLike) -> GraphNode:
        node = as_node("GroupNorm", x, None if self.weight is None else self.weight.dtype)
        if node.ndim < 2 or node.shape[1] != self.num_channels:
            expected = f"(N, {self.num_channels}, …) was expected"
            raise ShapeError(f"GroupNorm: x has shape {node.shape}; {expected}")
        entries = math.prod(node.shape[1:]) // self.num_groups
        groups = node.reshape(node.shape[0], self.num_groups, entries)
        normal = ops.layer_norm(groups, entries, eps=self.eps).reshape(node.shape)
        if self.weight is None or self.bias is None:
            return normal
        wide = (-1, *(1,) * (node.ndim - 2))
        return normal * self.weight.reshape(wide) + self.bias.reshape(wide)

    def extra_repr(self) -> str:
        affine = "" if self.weight is not None else ", affine=False"
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}{affine}"


def _affine(
    shape: int | tuple[int, ...], affine: bool, dtype: Dtype
) -> tuple[Variable | None, Variable | None]:
    """Weight (ones) and bias (zeros) of a normalisation, or None for both."""
    if not affine:
        return None, None
    return Variable(np.ones(shape), dtype=dtype), zeros(shape, dtype)


class Dropout(Module):
    """Sets entries to 0 with probability p and divides the others by 1 - p, in training only.

    Every forward pass draws a new mask. `seed` (an integer, a generator to draw one on, or None for
    the library's own generator) and the number of masks drawn before decide it: `stream` holds the
    two, is saved with a `Trainer`, and is not in `state_dict()`.

    >>> layer = mg.nn.Dropout(0.5, seed=0)
    >>> y = layer(np.ones(1000)).value
    >>> sorted(set(y.tolist())), layer.eval()([1.0, 1.0]).value
    ([0.0, 2.0], array([1., 1.], dtype=float32))
    """

    def __init__(self, p: float = 0.5, *, seed: Seed = None) -> None:
        if not isinstance(p, int | float | np.floating) or isinstance(p, bool) or not 0 <= p <= 1:
            raise ValueError(f"Dropout: p={p!r}; a number from 0 to 1 was expected")
        self.p, self.stream = p, stream_of(seed)

    def forward(self, x: ArrayLike) -> GraphNode:
        return ops.dropout(x, self.p, self.training, seed=self.stream)

    def extra_repr(self) -> str:
        return f"p={self.p}"
