"""Model and loss on batches of one shape, as a graph that is fed, run and read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from ..errors import GraphError, ShapeError
from ..graph import settings
from ..graph.conversion import Array
from ..graph.node import Constant, GraphNode
from ..nn import Module
from ..run import rebuild
from ..run.replay import Graph

T = TypeVar("T")
KEPT = 8  # graphs of so many shapes of batches are kept at a time


class Program:
    """The graph of a batch. `changing` are the parameters that change from run to run; None: it
    runs only once.
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[..., GraphNode],
        x: Array,
        y: Array | None,
        changing: Collection[GraphNode] | None,
    ) -> None:
        self._made_from = model, loss, changing
        self._verified = False
        self.x = Constant(x, name="x", dtype=x.dtype)
        self.y: Constant | None = None
        with settings.rerun(None if changing is None else {*changing, self.x}):
            self.output: GraphNode = model(self.x)
        if not isinstance(self.output, GraphNode):
            raise GraphError(
                f"Trainer: the model returned a {type(self.output).__name__}; one node was expected"
            )
        self.graph = Graph(self.output if y is None else self._loss(loss, y, changing))

    def _loss(
        self, loss: Callable[..., GraphNode], y: Array, changing: Collection[GraphNode] | None
    ) -> GraphNode:
        self.y = target_for(self.output, y)
        with settings.rerun(None if changing is None else {*changing, self.x, self.y}):
            head = loss(self.output, self.y)
        if not isinstance(head, GraphNode):
            raise GraphError(
                f"Trainer: the loss returned a {type(head).__name__}; one node was expected"
            )
        if head.shape:
            raise ShapeError(
                f"Trainer: the loss has shape {head.shape}; a single number was expected "
                f"(mean, sum)"
            )
        head.name = head.name or "loss"
        return head

    def feed(self, x: Array, y: Array | None) -> None:
        """Put another batch of the same shape in and compute."""
        if not self._verified:
            self.verify(x, y)
        self.x.value = x
        if self.y is not None and y is not None:
            self.y.value = y.reshape(self.y.shape)
        self.graph.forward()

    def verify(self, x: Array, y: Array | None) -> None:
        """Build the graph once more, on other samples, and compare: `GraphError` where the model or
        the loss is no function of its inputs alone. Buffers stay as they are.
        """
        model, loss, changing = self._made_from
        named = [*model.named_modules(), *([("", loss)] if isinstance(loss, Module) else [])]
        before = rebuild.python_state(named)
        with settings.state_kept():
            again = Program(model, loss, x, y, changing)
        fed = [
            (self.x, again.x),
            *([(self.y, again.y)] if self.y is not None and again.y is not None else []),
        ]
        what = f"Trainer: {type(model).__name__}.forward" + (
            "" if self.y is None else " with the loss"
        )
        rebuild.refuse(what, rebuild.first_difference(self.graph.order, again.graph.order, fed))
        name = rebuild.changed(before, rebuild.python_state(named))
        rebuild.refuse(what, f"it has changed {name}" if name else "")
        self._verified = True


def target_for(output: GraphNode, y: Array) -> Constant:
    """The target y as a node beside this output: floats in its dtype, and a column where (N,) meets
    (N, 1).
    """
    floats = y.dtype.kind == "f"
    column = floats and output.shape == (*y.shape, 1)
    return Constant(
        y.reshape(output.shape) if column else y,
        name="target",
        dtype=output.dtype if floats else y.dtype,
    )


class Recent(Generic[T]):
    """The `KEPT` things that were asked for last, by key."""

    def __init__(self) -> None:
        self._held: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        """The thing of that key, if it is still there."""
        if key in self._held:
            self._held.move_to_end(key)
        return self._held.get(key)

    def keep(self, key: Hashable, thing: T) -> T:
        """Keep a thing, and forget the one that was not asked for the longest."""
        self._held[key] = thing
        if len(self._held) > KEPT:
            self._held.popitem(last=False)
        return thing


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Within the block the model is in evaluation mode; after it each module is in the mode in
    which it was.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training
