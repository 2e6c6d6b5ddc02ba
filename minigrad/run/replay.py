"""Replay: a graph built once and run many times on the same memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..graph.autodiff import backward, forward, topological_sort
from ..graph.conversion import Array
from ..graph.hooks import Handle, Hook, Hooks
from ..graph.node import GraphNode


class Graph:
    """The graph that leads to `head`, in an order fixed once.

    Feed it by assigning to the `value` of its constants (same shapes), then call `forward()` and
    `backward()` as often as needed. Values are written into the arrays that the first, eager run
    made, gradients into those of the first backward pass.

    Only nodes are computed again: a number that Python code read while it built the graph
    (`x.item()`, `float(x)`) stays as it was. A `Trainer` refuses that; here the code that built the
    graph has run already.
    """

    #: `mg.viz.snapshot` and `mg.viz.diff`: drawings stand above this and put themselves here
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
        """Compute every operator anew; returns the value of the head."""
        return forward(self.order)

    def backward(self, grad: Any = None) -> None:
        """Pull gradients back to the variables, where they add up until cleared. See
        `GraphNode.backward`.
        """
        backward(self.order, grad)

    def zero_grad(self) -> None:
        """Forget all gradients; their memory is used again."""
        for node in self.order:
            node.recycle_grad()

    def register_forward_hook(self, hook: Hook) -> Handle:
        """Call `hook(node, value)` for every operator, in the order in which they are computed."""
        self._watch()
        return Handle(self._hooks.forward, hook)

    def register_backward_hook(self, hook: Hook) -> Handle:
        """Call `hook(node, grad)` for every node that gets a gradient, in the order in which they
        are completed.
        """
        self._watch()
        return Handle(self._hooks.backward, hook)

    def _watch(self) -> None:
        for node in self.order:
            node.attach(self._hooks)

    def __reduce__(self) -> Any:
        return type(self), (self.head,)  # a copy or a pickle orders its own nodes

    # ---------------- looking at it
    def snapshot(self) -> Any:
        """Copies of all values, gradients and names, for a later comparison (`mg.viz.Snapshot`)."""
        return Graph.snapshot_by(self)

    def diff(self, other: Any) -> Any:
        """Compare this graph with an earlier snapshot of it, or with another graph or its head.

        The result is a drawing of both; printed, it is a table of the changes (`mg.viz.Diff`).
        Raises `TypeError` for anything but a graph.
        """
        return Graph.diff_by(other, self)

    def __repr__(self) -> str:
        return f"<Graph of {len(self.order)} nodes, head {self.head!r}>"
