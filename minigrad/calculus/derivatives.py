"""Gradients as graphs, so that they can be differentiated again, from the rules as they are.

`vjp` takes nodes backward along a graph as `backward` takes arrays. How a rule takes part, the
first that applies:

* a method `vjp_nodes(node, g, wanted)` of its own: for mathematics entry by entry its derivatives,
  run on nodes;
* `decompose`: the derivatives of the operators that it is composed of;
* `multilinear`: for fixed other inputs ⟨g, R(x)⟩ is linear in g and in x, so that forward and
  backward are each other's gradients (`VJP`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from ..errors import GraphError
from ..graph import registry
from ..graph.autodiff import topological_sort
from ..graph.conversion import Array
from ..graph.node import Constant, GraphNode
from ..graph.rule import Operator, Rule


# ---------------- along a graph
def vjp(
    order: Sequence[GraphNode], seed: GraphNode, wrt: Collection[GraphNode]
) -> dict[GraphNode, GraphNode]:
    """The cotangents, as nodes, of the nodes in `wrt`, where that of the last node is `seed`.

    Some nodes may have none. A node of `wrt` need not be in the order, only nodes that use it.
    """
    needed = set(wrt)
    for node in order:
        if node.requires_grad and not needed.isdisjoint(node.inputs):
            needed.add(node)
    found = {order[-1]: seed}
    for node in reversed(order):
        if node in found and node in needed and isinstance(node, Operator):
            wanted = [x in needed for x in node.inputs]
            if not any(wanted):
                continue
            for x, cotangent in zip(node.inputs, _vjp(node, found[node], wanted), strict=True):
                if cotangent is not None:
                    found[x] = found[x] + cotangent if x in found else cotangent
    return found


def zeros_like(x: GraphNode) -> Constant:
    """Zeros of the shape and dtype of a node."""
    return Constant(np.zeros(x.shape), dtype=x.dtype)


# ---------------- through one node
def _vjp(node: Operator, g: GraphNode, wanted: Sequence[bool]) -> Sequence[GraphNode | None]:
    """The cotangents of the wanted inputs, as nodes, from `g`, a node of the node's shape."""
    rule, xs = node.rule, node.inputs
    if own := getattr(rule, "vjp_nodes", None):
        return own(node, g, wanted)  # type: ignore[no-any-return]
    # A node of its own in place of each input, also for f(x, x).
    reshape, pairs = registry.by_name("reshape"), zip(xs, wanted, strict=True)
    parts = [reshape(x, x.shape) if want else x for x, want in pairs]
    y = rule.decompose(node, *parts)
    if y is not None:
        found = vjp(topological_sort(y, known=xs), g, set(parts).difference(xs))
        return [found.get(part) for part in parts]
    if not rule.multilinear:
        expected = (
            "its rule has no graph of its gradient (create_graph=True) and no forward mode; "
            "define `decompose`"
        )
        raise rule.error(xs, expected, GraphError)
    return _multilinear_vjp(rule, g, xs, node.attributes, wanted)


# ---------------- multilinear rules
def _multilinear_vjp(
    rule: Rule,
    g: GraphNode,
    xs: Sequence[GraphNode],
    attributes: dict[str, Any],
    wanted: Sequence[bool],
) -> list[GraphNode | None]:
    """The cotangents of the wanted inputs; each depends on the inputs that it is multiplied with.

    Of the others only shape and dtype count: zeros stand for them.
    """
    found: list[GraphNode | None] = []
    for index, want in enumerate(wanted):
        multiplied = rule.multilinear if index < rule.multilinear else 0
        others = [x if i < multiplied and i != index else zeros_like(x) for i, x in enumerate(xs)]
        found.append(VJP(rule, index).apply((g, *others), attributes) if want else None)
    return found


class VJP(Rule):
    """The gradient of a multilinear rule R for one of its inputs: an operator on (g, *inputs).

    The result V(g, x) satisfies ⟨u, V(g, x)⟩ = ⟨g, R(x with u in that place)⟩. So the gradient of g
    is R's forward with u in that place, and that of another input R's backward for the same.
    """

    def __init__(self, of: Rule, index: int) -> None:
        self.of, self.index = of, index
        self.name, self.symbol = f"{of.name} back to input {index}", f"{of.symbol} back"

    def __reduce__(self) -> Any:
        return VJP, (self.of, self.index)

    def plan(self, g: GraphNode, *xs: GraphNode, **attributes: Any) -> Any:
        return self.of.plan(*xs, **attributes)

    def shape(self, node: Operator) -> tuple[int, ...]:
        return node.inputs[1 + self.index].shape

    def forward(self, node: Operator, out: Array, *arrays: Array) -> None:
        g, *xs = arrays
        grads: list[Array | None] = [None] * len(xs)
        grads[self.index] = out
        self.of.backward(_Inner(self.of, node, ""), grads, g, g, *xs)

    def backward(
        self, node: Operator, grads: list[Array | None], g: Array, y: Array, *arrays: Array
    ) -> None:
        cotangent, *xs = arrays
        xs[self.index] = g
        inner = _Inner(self.of, node, "again ")
        if grads[0] is not None:
            self.of.forward(inner, grads[0], *xs)
        if any(grad is not None for grad in grads[1:]):
            self.of.backward(inner, grads[1:], cotangent, cotangent, *xs)

    def vjp_nodes(
        self, node: Operator, g: GraphNode, wanted: Sequence[bool]
    ) -> Sequence[GraphNode | None]:
        cotangent, *xs = node.inputs
        xs[self.index] = g
        again = self.of.apply(tuple(xs), node.attributes) if wanted[0] else None
        return [again, *_multilinear_vjp(self.of, cotangent, xs, node.attributes, wanted[1:])]


class _Inner(Operator):
    """The node of a `VJP` as the inner rule knows its nodes; its work arrays have a prefix.

    Everything else is the node's own.
    """

    __slots__ = ("node", "prefix")

    def __init__(self, rule: Rule, node: Operator, prefix: str) -> None:
        self.rule, self.node, self.prefix, self.inputs = rule, node, prefix, node.inputs[1:]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.node, name)

    def buffer(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        return self.node.buffer(self.prefix + name, shape, dtype)


class WorkArray(Rule):
    """An array that the node's kernel left behind (a mask, the winners of a pooling), as a node."""

    differentiable = False

    def __init__(self, name: str, read: Callable[[Any], Array]) -> None:
        self.name = self.symbol = name
        self.read = read

    def __reduce__(self) -> Any:
        return WorkArray, (self.name, self.read)

    def shape(self, node: Operator) -> tuple[int, ...]:
        return self.read(node.inputs[0]).shape

    def dtype(self, node: Operator) -> np.dtype[Any]:
        return self.read(node.inputs[0]).dtype

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        out[...] = self.read(node.inputs[0])
