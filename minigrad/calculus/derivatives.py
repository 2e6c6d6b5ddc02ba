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

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import GraphError
from ..graph import registry
from ..graph.autodiff import topological_sort
from ..graph.conversion import Array
from ..graph.node import Constant, GraphNode
from ..graph.rule import Operand, Operator, Rule


# ---------------- along a graph
def vjp(
    order: Sequence[GraphNode], seed: GraphNode, wrt: Sequence[GraphNode]
) -> list[GraphNode | None]:
    """The cotangents of the nodes in `wrt`, as nodes, where that of the last node is `seed`.

    None where there is none. A node of `wrt` need not be in the order, only nodes that use it.
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
    return [found.get(x) for x in wrt]


# ---------------- through one node
def _vjp(node: Operator, g: GraphNode, wanted: Sequence[bool]) -> Sequence[GraphNode | None]:
    """The cotangents of the wanted inputs, as nodes, from `g`, a node of the node's shape."""
    rule, xs = node.rule, node.inputs
    if own := getattr(rule, "vjp_nodes", None):
        return own(node, g, wanted)  # type: ignore[no-any-return]
    y, parts = _decomposed(node, wanted)
    if y is not None:
        asked = [x for x, want in zip(parts, wanted, strict=True) if want]
        found = iter(vjp(topological_sort(y, known=xs), g, asked))
        return [next(found) if want else None for want in wanted]
    if not rule.multilinear:
        expected = (
            "its rule has no graph of its gradient (create_graph=True) and no forward mode; "
            "define `decompose`"
        )
        raise rule.error(xs, expected, GraphError)
    return [
        _back(rule, g, xs, i, node.attributes) if want else None for i, want in enumerate(wanted)
    ]


def _decomposed(
    node: Operator, moving: Sequence[bool]
) -> tuple[GraphNode | None, Sequence[GraphNode]]:
    """The node decomposed, and the nodes in place of its inputs: one each, also for f(x, x)."""
    if type(node.rule).decompose is Rule.decompose:
        return None, ()
    reshape = registry.by_name("reshape")
    pairs = zip(node.inputs, moving, strict=True)
    parts = [reshape(x, x.shape) if moves else x for x, moves in pairs]
    return node.rule.decompose(node, *parts), parts


# ---------------- multilinear rules
class ShapeOnly(Constant):
    """A constant of which an operator uses only shape and dtype."""

    __slots__ = ()

    def __init__(self, x: GraphNode) -> None:
        GraphNode.__init__(self, x._data)


def _with(
    rule: Rule, xs: Sequence[Any], index: int, u: Any, zeros: Callable[[int, Any], Any]
) -> list[Any]:
    """The inputs with u in place of one, and zeros for those that are added to its product."""
    start = rule.multilinear if index < rule.multilinear else 0
    return [u if i == index else x if i < start else zeros(i, x) for i, x in enumerate(xs)]


def _back(
    rule: Rule, g: GraphNode, xs: Sequence[GraphNode], index: int, attributes: dict[str, Any]
) -> GraphNode:
    """The cotangent of one input, which depends on the inputs that it is multiplied with."""
    multiplied = rule.multilinear if index < rule.multilinear else 0
    others = (x if i < multiplied and i != index else ShapeOnly(x) for i, x in enumerate(xs))
    return VJP(rule, index).apply((g, *others), attributes)


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
        u, (cotangent, *given) = g, arrays
        inner = _Inner(self.of, node, "again ")
        xs = _with(self.of, given, self.index, u, inner.zeros)
        if grads[0] is not None:
            self.of.forward(inner, grads[0], *xs)
        if any(grad is not None for grad in grads[1:]):
            self.of.backward(inner, grads[1:], cotangent, cotangent, *xs)

    def vjp_nodes(
        self, node: Operator, g: GraphNode, wanted: Sequence[bool]
    ) -> Sequence[GraphNode | None]:
        cotangent, *given = node.inputs
        xs = _with(
            self.of, given, self.index, g, lambda i, x: Constant(np.zeros(x.shape), dtype=x.dtype)
        )
        again = [self.of.apply(tuple(xs), node.attributes) if wanted[0] else None]
        return again + [
            _back(self.of, cotangent, xs, i, node.attributes) if want else None
            for i, want in enumerate(wanted[1:])
        ]


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

    def zeros(self, index: int, x: Array) -> Array:
        """Zeros in place of an input, in a work array so that a compiled run can record them."""
        array = self.buffer(f"zeros {index}", x.shape, x.dtype)
        array[...] = 0
        return array


class WorkArray(Rule):
    """An array that the node's kernel left behind (a mask, the winners of a pooling), as a node."""

    differentiable = False

    def __init__(self, name: str, read: Callable[[Operator], Array]) -> None:
        self.name = self.symbol = name
        self.read = read

    def __reduce__(self) -> Any:
        return WorkArray, (self.name, self.read)

    def plan(self, node: Operand) -> None:
        """Nothing to check."""

    def run(self, node: Operator, out: Array | None) -> Array:
        found = self.read(node.inputs[0])  # type: ignore[arg-type] # always an operator
        if out is None:
            return np.array(found, order="C")
        out[...] = found
        return out

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        self.run(node, out)
