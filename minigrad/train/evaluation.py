"""Evaluating and predicting, a few samples at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import kernels
from ..errors import GraphError, ShapeError
from ..graph.autodiff import topological_sort
from ..graph.conversion import Array
from ..graph.node import Constant, GraphNode, Variable
from ..graph.rule import Operator
from ..graph.settings import state_kept
from ..nn import Module, Sequential
from ..ops.kernel import without_threads
from ..ops.kinds import NotSeparable
from ..run.batch import sample_axes
from ..run.forward import CompiledForward
from ..run.generated import need_compilable
from ..run.rebuild import first_difference, users_rules
from ..run.samples import Samples, count, take
from .batch_graph import BatchGraph, Loss

Metric = Callable[[Array, Array], float]
EVALUATION_BATCH = 250
#: numbers that operators compute for all samples, from which on machine code is worth compiling:
#: replay takes about 0.05 s for them
WORTH_COMPILING = 10_000_000
#: from which output on a prediction is class 1, by the loss
_THRESHOLDS = {
    "binary_cross_entropy_with_logits": 0.0,
    "binary_cross_entropy": 0.5,
    "mse_loss": 0.5,
}
FEW = 2  # samples of the graph that tells whether a model has changed since the last call
#: a slice has so many samples that operators compute more bytes for it than there are parameters,
#: and about these, which stay in the cache
SLICE, SMALLEST = 2**20, 16
TOGETHER = 16  # batches whose outputs are computed before their losses


def batch_graphs(
    model: Module, loss: Loss, x: Samples, y: Samples | None, eager: bool = False, first: int = 0
) -> Iterator[tuple[Array, BatchGraph]]:
    """The indices of a few samples at a time, from `first` on, with the graph that has computed
    them.
    """
    graph = None
    for start in range(first, count(x), EVALUATION_BATCH):
        chosen = np.arange(start, min(start + EVALUATION_BATCH, count(x)))
        batch = take(x, chosen), None if y is None else take(y, chosen)
        if graph is None or eager or len(chosen) < EVALUATION_BATCH:
            graph = BatchGraph(model, loss, *batch, None if eager else ())
        else:
            graph.feed(*batch)
        yield chosen, graph


class Evaluator:
    """Runs a model on many samples, compiled where that is possible and worth it.

    The compiled forward pass is kept until the model has changed: each call builds the graph of a
    few samples to see that, and reads the parameters anew.
    """

    def __init__(self) -> None:
        self._kept: tuple[_Few, CompiledForward | None] | None = None

    def __reduce__(self) -> Any:
        return Evaluator, ()  # a copy compiles its own

    def graphs(
        self, model: Module, loss: Loss, x: Samples, y: Samples | None, dtype: np.dtype[Any]
    ) -> Iterator[tuple[Array, BatchGraph]]:
        """What `batch_graphs` gives; of compiled outputs the graphs are those of the loss alone."""
        kept, self._kept = self._kept, None  # two threads do not use its memory at once
        first, few = 0, _worth_compiling(model, loss, x, y)
        try:
            while few and first < count(x):
                piece = slice(first, first + TOGETHER * EVALUATION_BATCH)
                try:
                    if kept is None or _differ(kept[0], few):
                        kept = few, _compiled(model, loss, x, few, dtype)
                    kept = few, kept[1]
                    if kept[1] is None:
                        break
                    outputs = kept[1].run(few.order, few.x, x[piece])
                except (GraphError, NotSeparable):
                    kept = few, None
                    break
                except Exception:  # for a sample: raised again in replay, for its batch
                    break
                targets = None if y is None else take(y, piece)
                for chosen, graph in batch_graphs(Sequential(), loss, outputs, targets):
                    yield first + chosen, graph
                first = piece.stop
            yield from batch_graphs(model, loss, x, y, first=first)
        finally:
            self._kept = kept


class _Few(NamedTuple):
    """The graph of a model on few samples, up to its output, and the node that is fed with them."""

    order: Sequence[GraphNode]
    x: Constant


def _worth_compiling(model: Module, loss: Loss, x: Samples, y: Samples | None) -> _Few | None:
    """The model's graph on few samples, if the model may be compiled for all of x; else None.

    It may not where a hook watches it, where the loss sees more of it than its output, or where
    there are several inputs or outputs.
    """
    if count(x) <= EVALUATION_BATCH or isinstance(x, tuple | dict):
        return None
    try:
        with state_kept(), without_threads(), kernels.blas.blas_threads(1):
            targets = None if y is None else take(y, slice(FEW))
            few = BatchGraph(model, loss, x[:FEW], targets, ())
        order = topological_sort(few.output)
        need_compilable(order)
    except Exception:  # raised again in replay, unless it is for the number of samples
        return None
    inner, after = {*order} - {few.output}, {*few.graph.order} - {*order}
    seen = {one for node in after if isinstance(node, Operator) for one in node.inputs}
    hidden = any(isinstance(one, Operator) or one is few.x for one in seen & inner)
    numbers = sum(node.size for node in order if isinstance(node, Operator)) // FEW
    return None if hidden or numbers * count(x) < WORTH_COMPILING else _Few(order, few.x)


def _differ(a: _Few, b: _Few) -> bool:
    return a is not b and bool(first_difference(a.order, b.order, [(a.x, b.x)]))


def _compiled(
    model: Module, loss: Loss, x: Array, few: _Few, dtype: np.dtype[Any]
) -> CompiledForward:
    """The compiled forward pass.

    Raises `NotSeparable` where the output for a sample depends on others, or may, and `GraphError`
    for what cannot be compiled.
    """
    each = sum(node._data.nbytes for node in few.order if isinstance(node, Operator)) // FEW
    least = SLICE + sum(node._data.nbytes for node in few.order if isinstance(node, Variable))
    size = min(max(least // max(each, 1), SMALLEST), EVALUATION_BATCH)
    with state_kept(), without_threads():
        part = BatchGraph(model, loss, x[:size], None, ())
        part.verify(x[-size:], None)
    order = part.graph.order
    if users_rules(order) or sample_axes(order, {part.x: 0})[order[-1]] != 0:
        raise NotSeparable
    return CompiledForward(order, part.x, dtype)


def measured(metrics: Mapping[str, Metric], output: Any, target: Any) -> dict[str, float]:
    """What the metrics give, by name. Raises `ShapeError` for what is no single number."""
    found = {name: np.asarray(metric(output, target)) for name, metric in metrics.items()}
    for name, number in found.items():
        if number.shape:
            shape = f"the metric {name} has shape {number.shape}"
            raise ShapeError(f"Trainer: {shape}; a single number was expected")
    return {name: float(number) for name, number in found.items()}


def correct(outputs: Any, y: Samples, loss: Loss) -> Array:
    """1.0 for each sample (N,) that is classified correctly, else 0.0; NaN without classes."""
    if isinstance(outputs, tuple | dict) or isinstance(y, tuple | dict):
        return np.full(count(y), np.nan)
    output = outputs.value
    if output.ndim == 2 and output.shape[1] > 1 and y.ndim == 1:
        return np.asarray(output.argmax(1) == y, dtype=float)
    y = y.reshape(len(y), -1)
    if not np.isin(y, (0, 1)).all() or output.size != y.size:
        return np.full(len(y), np.nan)
    while isinstance(loss, partial):
        loss = loss.func
    # a function, or a module for one
    name = getattr(loss, "operator", getattr(loss, "__name__", ""))
    if name not in _THRESHOLDS and not ((output >= 0) & (output <= 1)).all():
        return np.full(len(y), np.nan)  # logits, perhaps, of a loss of the user's own
    threshold = _THRESHOLDS.get(name, 0.5)
    right = (output.reshape(y.shape) > threshold) == (y > 0.5)
    return np.asarray(right.mean(1))
