"""Layers that keep numbers in order: batch and layer normalisation, and dropout."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from .. import ops
from ..errors import ShapeError
from ..graph.node import Buffer, GraphNode, Variable
from ..ops.norm import stream_of
from .layers import as_node, positive, zeros
from .module import Module


class _BatchNorm(Module):
    axes: Mapping[int, str]  # how many there may be -> their names

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: Any = None,
        seed: Any = None,
    ) -> None:
        positive(type(self).__name__, num_features=num_features)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight = Variable(np.ones(num_features), dtype=dtype) if affine else None
        self.bias = zeros(num_features, dtype) if affine else None
        kept = track_running_stats
        self.running_mean = Buffer(np.zeros(num_features), "running_mean", dtype) if kept else None
        self.running_var = Buffer(np.ones(num_features), "running_var", dtype) if kept else None
        self.num_batches_tracked = Buffer(0, "num_batches_tracked", np.int64) if kept else None

    def forward(self, x: Any) -> GraphNode:  # type: ignore[override]
        leaf = next((leaf for leaf in (self.weight, self.running_mean) if leaf is not None), None)
        x = as_node(type(self).__name__, x, None if leaf is None else leaf.dtype)
        if x.ndim not in self.axes or x.shape[1] != self.num_features:
            expected = " or ".join(
                name.replace("C", str(self.num_features)) for name in self.axes.values()
            )
            raise ShapeError(
                f"{type(self).__name__}: x has shape {x.shape}; {expected} was expected"
            )
        return ops.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            self.momentum,
            self.eps,
            num_batches_tracked=self.num_batches_tracked,
        )

    def extra_repr(self) -> str:
        switches = {
            "affine": self.weight is not None,
            "track_running_stats": self.running_mean is not None,
        }
        off = "".join(f", {name}=False" for name, on in switches.items() if not on)
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}{off}"


class BatchNorm1d(_BatchNorm):
    """Each channel of (N, C) or (N, C, L) with mean 0 and variance 1, times `weight` (C,) plus
    `bias` (C,).

    In training with the statistics of the batch, which `running_mean` and `running_var` follow; in
    evaluation with those. See `mg.batch_norm`. Starts with weight 1 and bias 0; nothing is random,
    `seed` changes nothing.
    """

    axes = MappingProxyType({2: "(N, C)", 3: "(N, C, L)"})


class BatchNorm2d(_BatchNorm):
    """Each channel of (N, C, H, W) with mean 0 and variance 1, times `weight` (C,) plus `bias`
    (C,); see `BatchNorm1d`.
    """

    axes = MappingProxyType({4: "(N, C, H, W)"})


class LayerNorm(Module):
    """Each sample of (…, *normalized_shape) with mean 0 and variance 1 over the last axes; see
    `mg.layer_norm`.

    `weight` (ones) and `bias` (zeros) have the normalised shape. Nothing is random, `seed` changes
    nothing.
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        *,
        dtype: Any = None,
        seed: Any = None,
    ) -> None:
        shape = (
            tuple(normalized_shape)
            if isinstance(normalized_shape, tuple | list)
            else (normalized_shape,)
        )
        for size in shape:
            positive("LayerNorm", normalized_shape=size)
        self.normalized_shape, self.eps = shape, eps
        self.weight = Variable(np.ones(shape), dtype=dtype) if elementwise_affine else None
        self.bias = Variable(np.zeros(shape), dtype=dtype) if elementwise_affine else None

    def forward(self, x: Any) -> GraphNode:  # type: ignore[override]
        return ops.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}" + (
            "" if self.weight is not None else ", elementwise_affine=False"
        )


class Dropout(Module):
    """In training each entry is 0 with probability p and otherwise divided by 1 - p; in evaluation
    x stays x.

    Every forward pass draws a new mask. The masks are decided by `seed` (an integer, a generator to
    draw one on, or None for the library's own generator) and by how many were drawn before:
    `stream` holds the two, is saved with a `Trainer`, and is no part of `state_dict()`.
    """

    def __init__(self, p: float = 0.5, *, seed: Any = None) -> None:
        if not isinstance(p, int | float | np.floating) or isinstance(p, bool) or not 0 <= p <= 1:
            raise ValueError(f"Dropout: p={p!r}; a number from 0 to 1 was expected")
        self.p, self.stream = p, stream_of(seed)

    def forward(self, x: Any) -> GraphNode:  # type: ignore[override]
        return ops.dropout(x, self.p, self.training, seed=self.stream)

    def extra_repr(self) -> str:
        return f"p={self.p}"
