"""Replay: a graph built once and run many times on the same memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..graph.autodiff import backward, forward, topological_sort
from ..graph.conversion import Array
from ..graph.hooks import Handle, Hook, Hooks
from ..graph.node import GraphNode

if TYPE_CHECKING:
    from ..viz.diff import Diff, Snapshot


class Graph:
    """The graph that leads to `head`, in an order fixed once.

    Feed it by assigning to the `value` of its constants (same shapes), then call `forward()` and
    `backward()` as often as needed. Values are written into the arrays that the first, eager run
    made, gradients into those of the first backward pass.

    Only nodes are computed again: a number that Python code read while it built the graph
    (`x.item()`, `float(x)`) stays as it was. A `Trainer` refuses that; here the code that built the
    graph has run already.
    """

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
    def snapshot(self) -> Snapshot:
        """Copies of all values, gradients and names as they are now, to compare with what they
        become.
        """
        from ..viz.diff import snapshot

        return snapshot(self)

    def diff(self, other: Any) -> Diff:
        """What has changed from `other` (a snapshot, another graph or its head) to this graph, as a
        drawing of both.

        Printed, it is a table of the changes; see `mg.viz.diff`. Raises `TypeError` for what is no
        graph.
        """
        from ..viz.diff import diff

        return diff(other, self)

    def __repr__(self) -> str:
        return f"<Graph of {len(self.order)} nodes, head {self.head!r}>"
