"""Replay: a graph that is built once runs many times in the same memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..graph.autodiff import backward, forward, topological_sort
from ..graph.conversion import Array
from ..graph.hooks import Handle, Hook, Hooks
from ..graph.node import GraphNode


class Graph:
    """The graph of all nodes that `head` is computed from, in topological order.

    Feed it by assigning to the `value` of its constants (same shapes), then call `forward()` and
    `backward()` as often as needed. Values are written into the arrays of the first, eager run,
    gradients into those of the first backward pass.

    Only nodes are recomputed: a number that Python code read while it built the graph (`x.item()`,
    `float(x)`) stays the same. A `Trainer` detects that; a `Graph` cannot.

    >>> x, w = mg.Constant([1.0, 2.0]), mg.Variable(3.0)
    >>> graph = mg.Graph((w * x).sum())
    >>> x.value = [10.0, 20.0]
    >>> graph.forward()
    array(90., dtype=float32)
    >>> graph.backward()
    >>> w.grad
    array(30., dtype=float32)
    """

    #: `mg.viz.snapshot` and `mg.viz.diff`; set by the drawings, which this package does not import
    snapshot_by: ClassVar[Callable[[Graph], Any]]
    diff_by: ClassVar[Callable[[Any, Graph], Any]]

    def __init__(self, head: GraphNode) -> None:
        if not isinstance(head, GraphNode):
            raise TypeError(
                f"Graph: a {type(head).__name__}; a node was expected (call a model first)"
            )
        self.head = head
        self.order = topological_sort(head)
        self._hooks = Hooks()

    def forward(self) -> Array:
        """Recompute every operator and return the value of the head."""
        return forward(self.order)

    def backward(self, grad: Any = None) -> None:
        """Propagate gradients to the variables, as `GraphNode.backward` does."""
        backward(self.order, grad)

    def zero_grad(self) -> None:
        """Clear all gradients; their memory is reused."""
        for node in self.order:
            node.recycle_grad()

    def register_forward_hook(self, hook: Hook) -> Handle:
        """Call `hook(node, value)` for every operator, in the order in which they are computed."""
        return Handle(self._attached().forward, hook)

    def register_backward_hook(self, hook: Hook) -> Handle:
        """Call `hook(node, grad)` for every node whose gradient is complete, in that order."""
        return Handle(self._attached().backward, hook)

    def _attached(self) -> Hooks:
        for node in self.order:
            node.attach(self._hooks)
        return self._hooks

    def __reduce__(self) -> Any:
        return type(self), (self.head,)  # a copy or a pickle sorts its own nodes

    # ---------------- inspection
    def snapshot(self) -> Any:
        """Copies of all values, gradients and names, for a later comparison (`mg.viz.Snapshot`)."""
        return Graph.snapshot_by(self)

    def diff(self, other: Any) -> Any:
        """Compare this graph with an earlier snapshot of it, or with another graph or its head.

        The result is a drawing of both and, printed, a table of the changes (`mg.viz.Diff`). Raises
        `TypeError` for anything but a graph.
        """
        return Graph.diff_by(other, self)

    def __repr__(self) -> str:
        return f"<Graph of {len(self.order)} nodes, head {self.head.brief}>"
