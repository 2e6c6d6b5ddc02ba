"""Model and loss on batches of one shape, as a graph that is fed, run and read."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ..errors import GraphError, ShapeError
from ..graph import settings
from ..graph.conversion import Array
from ..graph.node import Constant, GraphNode
from ..nn import Module
from ..run import rebuild
from ..run.replay import Graph

Loss = Callable[..., GraphNode]


class BatchGraph:
    """The graph of a batch: nodes `x`, `y` (None for a prediction) and `output`, and the `graph`.

    `changing` are the parameters that differ from run to run; None: the graph runs only once.
    Raises `GraphError` or `ShapeError` unless the model returns a node and the loss a number.
    """

    def __init__(
        self,
        model: Module,
        loss: Loss,
        x: Array,
        y: Array | None,
        changing: Collection[GraphNode] | None,
    ) -> None:
        self._made_from = model, loss, changing
        self._verified = False
        self.x = Constant(x, name="x", dtype=x.dtype)
        self.y: Constant | None = None
        with settings.rerun(None if changing is None else {*changing, self.x}):
            self.output = _need_node("model", model(self.x))
        head = self.output
        if y is not None:
            self.y = target_for(self.output, y)
            with settings.rerun(None if changing is None else {*changing, self.x, self.y}):
                head = _need_node("loss", loss(self.output, self.y))
            if head.shape:
                raise ShapeError(
                    f"Trainer: the loss has shape {head.shape}; a single number was expected "
                    f"(mean, sum)"
                )
            head.name = head.name or "loss"
        self.graph = Graph(head)

    def feed(self, x: Array, y: Array | None) -> None:
        """Compute the graph on another batch of the same shape."""
        if not self._verified:
            self.verify(x, y)
        self.x.value = x
        if self.y is not None and y is not None:
            self.y.value = y.reshape(self.y.shape)
        self.graph.forward()

    def verify(self, x: Array, y: Array | None) -> None:
        """Build the graph again, on other samples, and compare the two.

        Raises `GraphError` where the model or the loss depends on more than its inputs. Buffers
        keep their values.
        """
        model, loss, changing = self._made_from
        named = [*model.named_modules(), *([("", loss)] if isinstance(loss, Module) else [])]
        with_loss = "" if self.y is None else " with the loss"
        what, name = f"Trainer: {type(model).__name__}.forward{with_loss}", ""
        for _ in range(3):  # another thread (of Dask, say) may draw random numbers meanwhile
            before = rebuild.python_state(named)
            with settings.state_kept():
                again = BatchGraph(model, loss, x, y, changing)
            fed: list[tuple[GraphNode, GraphNode]] = [(self.x, again.x)]
            if self.y is not None and again.y is not None:
                fed.append((self.y, again.y))
            rebuild.refuse(what, rebuild.first_difference(self.graph.order, again.graph.order, fed))
            name = rebuild.changed(before, rebuild.python_state(named))
            if not name:
                break
        rebuild.refuse(what, f"it has changed {name}" if name else "")
        self._verified = True


def _need_node(maker: str, made: object) -> GraphNode:
    if not isinstance(made, GraphNode):
        raise GraphError(
            f"Trainer: the {maker} returned a {type(made).__name__}; one node was expected"
        )
    return made


def target_for(output: GraphNode, y: Array) -> Constant:
    """The target y as a node: floats in the output's dtype, (N,) as a column beside (N, 1)."""
    floats = y.dtype.kind == "f"
    column = floats and output.shape == (*y.shape, 1)
    return Constant(
        y.reshape(output.shape) if column else y,
        name="target",
        dtype=output.dtype if floats else y.dtype,
    )
