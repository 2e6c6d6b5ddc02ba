"""Attention: weighted means of values, weighted by how well keys fit queries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import ops
from ..checks import positive
from ..errors import ShapeError
from ..graph.node import Constant, GraphNode
from ..ops.random import stream_of
from ..seeds import Seed
from . import init
from .layers import Dtype, Linear, as_node, weight, zeros
from .module import Module


class MultiheadAttention(Module):
    """softmax(Q Kᵀ / √d) V in several heads, each on d of the features (Vaswani et al. 2017).

    Takes query (L, N, embed_dim), key and value (S, N, embed_dim), with `batch_first` (N, L,
    embed_dim) and so on; returns the output in the shape of query and the weights (N, L, S), their
    mean over the heads, or None with `need_weights=False`. `attn_mask` (L, S), or (N · num_heads,
    L, S), and `key_padding_mask` (N, S) are booleans, True where a key is left out, or floats,
    which are added to Q Kᵀ / √d; a causal one is `np.triu(np.ones((L, L), bool), 1)`. A query
    without a key gives NaN; all as in PyTorch. `dropout` acts on the weights, in training.

    Parameters: `in_proj_weight` (3 embed_dim, embed_dim) for Q, K and V, `in_proj_bias` (3
    embed_dim,) or None, and those of `out_proj`, a `Linear`.

    >>> attention, x = mg.nn.MultiheadAttention(8, 2, batch_first=True), np.ones((3, 5, 8))
    >>> later = np.triu(np.ones((5, 5), bool), 1)
    >>> output, weights = attention(x, x, x, attn_mask=later)
    >>> output.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        batch_first: bool = False,
        dtype: Dtype = None,
        seed: Seed = None,
    ) -> None:
        positive("MultiheadAttention", embed_dim=embed_dim, num_heads=num_heads)
        if embed_dim % num_heads:
            expected = f"num_heads={num_heads} must divide embed_dim={embed_dim}"
            raise ValueError(f"MultiheadAttention: {expected}")
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.batch_first, rng = batch_first, init.generator(seed)
        self.in_proj_weight = weight((3 * embed_dim, embed_dim), dtype, rng)
        self.in_proj_bias = zeros(3 * embed_dim, dtype) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype, seed=rng)
        self.stream = stream_of(rng) if dropout else None

    def forward(
        self,
        query: ArrayLike,
        key: ArrayLike,
        value: ArrayLike,
        key_padding_mask: ArrayLike | None = None,
        need_weights: bool = True,
        attn_mask: ArrayLike | None = None,
    ) -> tuple[GraphNode, GraphNode | None]:
        q, k, v = (self._head(i, x) for i, x in enumerate((query, key, value)))
        (n, heads, length, _), steps = q.shape, k.shape[2]
        if k.shape != v.shape or len(k) != n:
            shapes = " and ".join(str(x.shape) for x in (q, k, v))
            raise ShapeError(
                f"MultiheadAttention: heads of shapes {shapes}; as many samples in query, key and "
                f"value, and as many steps in key and value were expected"
            )
        scores = q @ ops.swapaxes(k, -1, -2) / math.sqrt(q.shape[-1])
        wide = {(length, steps): (length, steps), (n * heads, length, steps): scores.shape}
        scores = _masked(scores, "attn_mask", attn_mask, wide)
        wide = {(n, steps): (n, 1, 1, steps)}
        scores = _masked(scores, "key_padding_mask", key_padding_mask, wide)
        weights = ops.softmax(scores)
        if self.dropout:
            weights = ops.dropout(weights, self.dropout, self.training, seed=self.stream)
        output = ops.swapaxes(weights @ v, 1, 2).reshape(n, length, self.embed_dim)
        if not self.batch_first:
            output = ops.swapaxes(output, 0, 1)
        return self.out_proj(output), ops.mean(weights, axis=1) if need_weights else None

    def _head(self, i: int, x: Any) -> GraphNode:
        """Q, K or V (N, heads, length, size of a head) from what the layer takes."""
        node, size = as_node("MultiheadAttention", x, self.in_proj_weight.dtype), self.embed_dim
        if node.ndim != 3 or node.shape[2] != size:
            layout = f"({'N, L' if self.batch_first else 'L, N'}, {size})"
            raise ShapeError(f"MultiheadAttention: shape {node.shape}; {layout} was expected")
        node = node if self.batch_first else ops.swapaxes(node, 0, 1)
        rows = slice(i * size, (i + 1) * size)
        bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
        found = ops.linear(node, self.in_proj_weight[rows], bias)
        return ops.swapaxes(found.reshape(*node.shape[:2], self.num_heads, -1), 1, 2)

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, {self.num_heads}"


def _masked(scores: GraphNode, name: str, mask: Any, wide: dict[Any, Any]) -> GraphNode:
    """Scores (N, heads, L, S) with a mask; `wide` has for each shape of it one that broadcasts."""
    if mask is None:
        return scores
    found = mask if isinstance(mask, GraphNode) else np.asarray(mask)
    if found.dtype.kind not in "bf" or found.shape not in wide:
        expected = f"booleans or floats of shape {' or '.join(map(str, wide))} were expected"
        got = f"{name} of shape {found.shape}, {found.dtype}"
        raise ShapeError(f"MultiheadAttention: {got}; {expected}")
    left_out, shape = found.dtype.kind == "b", wide[found.shape]
    if not isinstance(mask, GraphNode):
        mask = Constant(mask, dtype=bool if left_out else scores.dtype)
    mask = mask.reshape(shape)
    return ops.where(mask, -math.inf, scores) if left_out else scores + mask
