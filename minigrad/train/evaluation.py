"""Evaluating and predicting, a few samples at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from .. import ops
from ..graph.conversion import Array
from ..nn import Module
from .batch_graph import BatchGraph, Loss
from .batches import Data

EVALUATION_BATCH = 250


def batch_graphs(
    model: Module, loss: Loss, x: Data, y: Data | None, eager: bool
) -> Iterator[tuple[Array, BatchGraph]]:
    """The indices of a few samples at a time, with the graph that has computed them."""
    graph = None
    for start in range(0, len(x), EVALUATION_BATCH):
        chosen = np.arange(start, min(start + EVALUATION_BATCH, len(x)))
        batch = x[chosen], None if y is None else y[chosen]
        if graph is None or eager or len(chosen) < EVALUATION_BATCH:
            graph = BatchGraph(model, loss, *batch, None if eager else ())
        else:
            graph.feed(*batch)
        yield chosen, graph


@contextmanager
def in_mode(model: Module, training: bool) -> Iterator[None]:
    """Within the block the model is in training or evaluation mode; each module's mode returns."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.train(training)
        yield
    finally:
        for module, before in modes:
            module.training = before


def correct(output: Array, y: Array, loss: Loss) -> Array:
    """1.0 for each sample (N,) that is classified correctly, else 0.0; NaN without classes."""
    if output.ndim == 2 and output.shape[1] > 1 and y.ndim == 1:
        return np.asarray(output.argmax(1) == y, dtype=float)
    y = y.reshape(len(y), -1)
    if not np.isin(y, (0, 1)).all() or output.size != y.size:
        return np.full(len(y), np.nan)
    threshold = 0.0 if loss is ops.binary_cross_entropy_with_logits else 0.5
    right = (output.reshape(y.shape) > threshold) == (y > 0.5)
    return np.asarray(right.mean(1))
