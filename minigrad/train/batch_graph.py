"""Model and loss on batches of one shape, as a graph that is fed, run and read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial, reduce
from typing import Any

from .. import ops
from ..errors import GraphError, ShapeError
from ..graph import settings
from ..graph.conversion import Array
from ..graph.node import Constant, GraphNode
from ..nn import Module
from ..run import rebuild
from ..run.replay import Graph
from ..run.samples import Samples, arrays, call, each, named

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
        x: Samples,
        y: Samples | None,
        changing: Collection[GraphNode] | None,
    ) -> None:
        self._made_from = model, loss, changing
        self._verified = False
        self.x = each(lambda array: Constant(array, name="x", dtype=array.dtype), x)
        self.y: Any = None
        with settings.rerun(None if changing is None else {*changing, *arrays(self.x)}):
            self.output = _called(model, self.x)
            head = _head(self.output) if y is None else self.output
        if y is not None:
            self.y = _targets(self.output, y)
            fed = self.inputs.values()
            with settings.rerun(None if changing is None else {*changing, *fed}):
                head = _need_node("loss", self._lost(loss))
            if head.shape:
                raise ShapeError(
                    f"Trainer: the loss has shape {head.shape}; a single number was expected "
                    f"(mean, sum)"
                )
            head.name = head.name or "loss"
        self.graph = Graph(head)

    def _lost(self, loss: Loss) -> Any:
        try:
            return loss(self.output, self.y)
        except Exception as error:
            if not isinstance(self.output, GraphNode):
                kind = type(self.output).__name__
                error.add_note(f"the model returned a {kind} of {len(self.output)} for the loss")
            raise

    @property
    def inputs(self) -> dict[str, Constant]:
        """The nodes that are fed with samples, by name."""
        return named(x=self.x) if self.y is None else named(x=self.x, y=self.y)

    @property
    def order(self) -> Sequence[GraphNode]:
        """All nodes, the head at the end."""
        return self.graph.order

    @property
    def fed(self) -> Collection[GraphNode]:
        """The nodes that are fed."""
        return self.inputs.values()

    def feed(self, x: Samples, y: Samples | None) -> None:
        """Compute the graph on another batch of the same shape."""
        if not self._verified:
            self.verify(x, y)
        given = named(x=x) if self.y is None else named(x=x, y=y)
        for name, node in self.inputs.items():
            node.value = given[name].reshape(node.shape)
        self.graph.forward()

    def verify(self, x: Samples, y: Samples | None) -> None:
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
            fed = [*zip(self.inputs.values(), again.inputs.values(), strict=True)]
            rebuild.refuse(what, rebuild.first_difference(self.graph.order, again.graph.order, fed))
            name = rebuild.changed(before, rebuild.python_state(named))
            if not name:
                break
        rebuild.refuse(what, f"it has changed {name}" if name else "")
        self._verified = True


class Weighted:
    """The mean of a loss over samples of different weights; the target is (target, weights).

    The loss is asked for its values with `reduction="none"`, as the losses of this library take it.
    The weighted values are divided by their number, so the mean weight should be 1.
    """

    def __init__(self, loss: Loss) -> None:
        self.loss = loss

    def __call__(self, output: Any, target: Any) -> GraphNode:
        y, weights = target
        try:
            values = self.loss(output, y, reduction="none")
        except TypeError as error:
            raise GraphError(
                f'Trainer: sample_weight needs a loss that takes reduction="none", as '
                f"mg.cross_entropy does ({error})"
            ) from error
        return ops.mean(values * weights.reshape((len(weights), *(1,) * (values.ndim - 1))))


def _called(model: Module, x: Samples) -> Any:
    """What a model returns: a node, or a tuple or dict of nodes."""
    made = call(model, x)
    if isinstance(made, tuple | dict) and not made:
        made = None  # no outputs at all
    return each(partial(_need_node, "model"), made)


def _head(output: Any) -> GraphNode:
    """A node that depends on all outputs."""
    if isinstance(output, GraphNode):
        return output
    return reduce(ops.add, (ops.sum(node) for node in arrays(output)))


def _targets(output: Any, y: Samples) -> Any:
    """Each target as a node, like the output at its place, or like the first."""
    names, made = each(lambda _: 0, y), each(lambda _: 0, output)
    if names == made:  # the same structure
        return each(lambda one, like: target_for(like, one), y, output)  # in the order of y
    return each(partial(target_for, arrays(output)[0]), y)


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
