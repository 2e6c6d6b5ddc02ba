"""Running a model, a loss and an optimiser in one of three modes."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import TypeVar

import numpy as np

from .. import kernels
from ..checks import positive
from ..errors import GraphError
from ..graph.context import module_path
from ..graph.settings import state_kept
from ..nn import Module
from ..ops.kernel import without_threads
from ..optim import Optimizer
from ..run.batch import divided
from ..run.compiled import CompiledStep
from ..run.rebuild import written_alike
from ..run.replay import Graph
from ..run.samples import Samples, count, kinds, take
from .batch_graph import BatchGraph, Loss

T = TypeVar("T")
FEW_PIECES = 4  # that the step of a smaller batch may have for itself
KEPT = 8  # graphs, and compiled steps, of this many shapes of batches are kept


class StepRunner:
    """Gradients of batches in eager mode or replay, and compiled steps.

    Graphs and compiled steps are kept and used again, so make a new runner when the model, the loss
    or the optimiser may have changed. Without `updates`, compiled steps end with the gradients.
    """

    def __init__(
        self, model: Module, loss: Loss, optimizer: Optimizer, mode: str, *, updates: bool = True
    ) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.mode, self.updates = mode, updates
        self._graphs: dict[Hashable, BatchGraph] = {}
        self._compiled: dict[Hashable, CompiledStep | None] = {}
        self._trains = False

    # ---------------- eager and replay
    def gradients(
        self, x: Samples, y: Samples, where: str, keep: bool = True
    ) -> tuple[float, Graph]:
        """The loss on a batch and its graph, after the backward pass.

        Raises `GraphError` that begins with `where` for a loss that is not finite, and where the
        loss depends on none of the optimiser's parameters. `keep=False` builds the graph for this
        batch only, for callers that change the model between two batches.
        """
        graph = self._graph(x, y, keep).graph
        loss: float = graph.head.item()
        if not math.isfinite(loss):
            raise GraphError(
                f"Trainer: the loss is {loss} in {where}; {first_nonfinite_node(graph)}"
            )
        self._check_parameters(graph)
        for p in self.optimizer.params:
            p.recycle_grad()
        graph.backward()
        return loss, graph

    def _graph(self, x: Samples, y: Samples, keep: bool) -> BatchGraph:
        """The graph of this batch, computed up to the loss."""
        key = count(x), kinds(x), kinds(y)
        graph = self._graphs.get(key)
        if graph is not None:
            graph.feed(x, y)
            return graph
        graph = self._build(x, y)
        if self.mode != "eager" and keep:
            backwards = slice(None, None, -1)
            graph.verify(take(x, backwards), take(y, backwards))
            _remember(self._graphs, key, graph)
        return graph

    def _build(self, x: Samples, y: Samples) -> BatchGraph:
        changing = None if self.mode == "eager" else [*self.optimizer.params]
        return BatchGraph(self.model, self.loss, x, y, changing)

    def _check_parameters(self, graph: Graph) -> None:
        """Once, raise `GraphError` if the loss depends on none of the optimiser's parameters."""
        if self._trains:
            return
        params = {id(p) for p in self.optimizer.params if p.requires_grad}
        if not any(id(node) in params for node in graph.order):
            raise GraphError(
                "Trainer: the loss depends on none of the optimiser's parameters; are they another "
                "model's, or frozen?"
            )
        self._trains = True

    # ---------------- compiled
    def compiled(self, x: Samples, y: Samples, batch_size: int, usual: int) -> CompiledStep | None:
        """The compiled step for batches like these; compiled at the first call.

        For batches smaller than usual it is None if they need other machine code than usual ones.
        """
        key = batch_size, usual, kinds(x), kinds(y)
        if key not in self._compiled:
            like = None
            if batch_size != usual:
                some = np.arange(usual) % count(x)
                like = self.compiled(take(x, some), take(y, some), usual, usual)
            step = self.compile(x, y, batch_size)
            new = set(step.texts) - set(like.texts) if like else ()
            _remember(self._compiled, key, step if len(new) <= FEW_PIECES else None)
        return self._compiled[key]

    def compile(self, x: Samples, y: Samples, batch_size: int) -> CompiledStep:
        """Compile the training step for batches of this size of data like (x, y).

        Raises `GraphError` that names the operator for what cannot be compiled, `ValueError` for
        fewer samples than a batch has.
        """
        positive("Trainer", batch_size=batch_size)
        if batch_size > count(x):
            raise ValueError(
                f"Trainer: batch_size={batch_size} and {count(x)} samples; at least one full batch "
                f"was expected"
            )

        def build(size: int) -> BatchGraph:
            return self._build(take(x, slice(size)), take(y, slice(size)))

        # the graphs are only read: they run the kernels that the step will call, and no others
        # are compiled
        with state_kept(), without_threads(), kernels.blas.blas_threads(1):
            part, parts = divided(build(batch_size), batch_size, build)
            last = slice(-(batch_size // parts), None)
            part.verify(take(x, last), take(y, last))

        def step() -> CompiledStep:
            return CompiledStep(part.order, {**part.inputs}, self.optimizer, parts, self.updates)

        made: CompiledStep = written_alike(step, part.order, "Trainer")
        return made


def _remember(cache: dict[Hashable, T], key: Hashable, thing: T) -> T:
    """Put a thing into a cache of at most `KEPT`; the oldest one goes."""
    if len(cache) == KEPT:
        del cache[next(iter(cache))]
    cache[key] = thing
    return thing


def first_nonfinite_node(graph: Graph) -> str:
    """In words, the first node in execution order whose value is not finite."""
    for i, node in enumerate(graph.order):
        if node.dtype.kind == "f" and not np.isfinite(node.value).all():
            place = module_path(node.scope)
            made = f"{node.brief} in module {place}" if place else node.brief
            nans, infinite = np.isnan(node.value).sum(), np.isinf(node.value).sum()
            return (
                f"first bad node: number {i} of the graph, {made}, with {nans} NaN and "
                f"{infinite} infinite entries"
            )
    return "no node holds a value that is not finite"
