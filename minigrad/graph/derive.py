"""Derivatives of derivatives, and forward mode: what follows from the rules without saying any of
them twice.

`pulled` takes nodes back along a graph as `order.backward` takes arrays, so that a gradient is a
graph itself; `pushed` takes tangents forward. A rule takes part by `Rule.vjp_nodes` and `Rule.jvp`,
which are

* for mathematics entry by entry (`Elementwise`) its derivatives, run on nodes or on tangents;
* for what is linear in its inputs (`multilinear`) its own forward and backward: for fixed other inputs
  ⟨g, R(x)⟩ is linear in g and in x, and the gradient of one is the other (`Pull`);
* for what can be said in other operators (`decompose`) what holds for those;
* otherwise an `adjoint` of the rule's own. It is linear in g, and its own adjoint is the push:
  forward mode is reverse mode done twice (Townsend 2017, "A new trick for calculating Jacobian
  vector products").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import GraphError
from . import settings
from .node import Array, Constant, GraphNode, Operator, Variable
from .order import topological_sort
from .rule import Rule, by_name


# ---------------- walks
def pulled(
    order: Sequence[GraphNode], seed: GraphNode, wrt: Sequence[GraphNode]
) -> list[GraphNode | None]:
    """The cotangents, as nodes, of those in `wrt` when that of the order's last node is `seed`;
    None where there is none.

    Only what lies between is walked. A node of `wrt` need not be in the order, it is enough that
    nodes in it use it.
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
            for x, cotangent in zip(
                node.inputs, node.rule.vjp_nodes(node, found[node], wanted), strict=True
            ):
                if cotangent is not None:
                    found[x] = found[x] + cotangent if x in found else cotangent
    return [found.get(x) for x in wrt]


def pushed(order: Sequence[GraphNode], tangents: dict[GraphNode, Array]) -> Array | None:
    """The tangent of the order's last node from those of others, one pass; None where it depends on
    none of them.
    """
    found = dict(tangents)
    for node in order:
        if isinstance(node, Operator) and node.requires_grad and node not in found:
            given = [found.get(x) for x in node.inputs]
            if any(tangent is not None for tangent in given):
                found[node] = np.asarray(node.rule.jvp(node, given), node.dtype, order="C")
    return found.get(order[-1])


# ---------------- what rules do unless they say otherwise
def adjoint(node: Operator, g: GraphNode, wanted: Sequence[bool]) -> Sequence[GraphNode | None]:
    """`Rule.vjp_nodes` from the rule's `decompose` or, where it has `multilinear`, from its backward."""
    rule, xs = node.rule, node.inputs
    y, stand_ins = _decomposed(node, wanted)
    if y is not None:
        asked = [x for x, want in zip(stand_ins, wanted, strict=True) if want]
        found = iter(pulled(topological_sort(y, known=xs), g, asked))
        return [next(found) if want else None for want in wanted]
    if not rule.multilinear:
        expected = (
            "its rule gives no graph of its gradient (create_graph=True) and no forward "
            "mode; it needs `decompose`"
        )
        raise rule.error(xs, expected, GraphError)
    return [
        _back(rule, g, xs, i, node.attributes) if want else None for i, want in enumerate(wanted)
    ]


def push(node: Operator, tangents: Sequence[Array | None]) -> Array:
    """`Rule.jvp` from the rule's `decompose`, its forward (`multilinear`), or its adjoint, which is
    linear in g.
    """
    rule, xs = node.rule, node.inputs
    moved = [tangent is not None for tangent in tangents]
    y, stand_ins = _decomposed(node, moved)
    if y is not None:
        given = {
            x: tangent
            for x, tangent in zip(stand_ins, tangents, strict=True)
            if tangent is not None
        }
        total = pushed(topological_sort(y, known=xs), given)
        return np.zeros(node.shape, node.dtype) if total is None else total
    total = np.zeros(node.shape, node.dtype)
    if rule.multilinear:
        part = np.empty_like(total)
        for i, tangent in enumerate(tangents):
            if tangent is not None:
                rule.forward(
                    node,
                    part,
                    *_with(rule, [x._data for x in xs], i, tangent, lambda j, x: np.zeros_like(x)),
                )
                total += part
        return total
    g = Variable(np.ones(node.shape), dtype=node.dtype)
    for cotangent, tangent in zip(rule.vjp_nodes(node, g, moved), tangents, strict=True):
        if cotangent is not None and tangent is not None:
            order = topological_sort(cotangent, known=(node, *xs))
            with settings.recorded(False):
                (back,) = pulled(order, Constant(tangent, dtype=cotangent.dtype), [g])
            total += 0 if back is None else back._data
    return total


class Lent(Constant):
    """A constant of which an operator needs only shape and dtype; its numbers are nobody's."""

    __slots__ = ()


def shared(x: GraphNode) -> Constant:
    """A constant in the same memory: the node's shape and dtype, without where it came from."""
    twin = Lent.__new__(Lent)
    GraphNode.__init__(twin, x._data)
    return twin


def _decomposed(node: Operator, moving: Sequence[bool]) -> tuple[GraphNode | None, list[GraphNode]]:
    """The node in other operators, and what stands there for its inputs: each a node of its own,
    also for x in f(x, x).
    """
    if type(node.rule).decompose is Rule.decompose:
        return None, []
    inputs = zip(node.inputs, moving, strict=True)
    stand_ins = [by_name("reshape")(x, shape=x.shape) if moves else x for x, moves in inputs]
    return node.rule.decompose(node, *stand_ins), stand_ins


def _with(
    rule: Rule, xs: Sequence[Any], index: int, u: Any, zeros: Callable[[int, Any], Any]
) -> list[Any]:
    """The inputs with u in place of one, and zeros for those that are not multiplied with it."""
    apart = range(rule.multilinear, len(xs)) if index < rule.multilinear else range(len(xs))
    return [u if i == index else zeros(i, x) if i in apart else x for i, x in enumerate(xs)]


def _back(
    rule: Rule, g: GraphNode, xs: Sequence[GraphNode], index: int, attributes: dict[str, Any]
) -> GraphNode:
    """The cotangent of one input. It depends on those that the input is multiplied with; the others
    lend their shapes.
    """
    multiplied = (
        [i for i in range(min(rule.multilinear, len(xs))) if i != index]
        if index < rule.multilinear
        else []
    )
    others = (x if i in multiplied else shared(x) for i, x in enumerate(xs))
    return Pull(rule, index).apply((g, *others), attributes)


class Pull(Rule):
    """What a rule with `multilinear` hands back to one of its inputs: its backward, as an operator on
    (g, *inputs).

    The result P(g, x) has ⟨u, P(g, x)⟩ = ⟨g, R(x with u in that place)⟩. So the gradient of g is
    R's forward with u in that place, and that of another factor R's backward for the same.
    """

    def __init__(self, of: Rule, index: int) -> None:
        self.of, self.index = of, index
        self.name, self.symbol = f"{of.name} back to input {index}", f"{of.symbol} back"

    def __reduce__(self) -> Any:
        return Pull, (self.of, self.index)

    def plan(self, g: GraphNode, *xs: GraphNode, **attributes: Any) -> Any:  # type: ignore[override]
        return self.of.plan(*xs, **attributes)

    def shape(self, node: Operator) -> tuple[int, ...]:
        return node.inputs[1 + self.index].shape

    def is_small(self, node: Operator) -> bool:
        return self.of.is_small(_Seen(self.of, node, ""))  # type: ignore[arg-type]

    def forward(self, node: Operator, out: Array, *arrays: Array) -> None:
        g, *xs = arrays
        grads: list[Array | None] = [None] * len(xs)
        grads[self.index] = out
        self.of.backward(_Seen(self.of, node, ""), grads, g, g, *xs)  # type: ignore[arg-type]

    def backward(
        self, node: Operator, grads: list[Array | None], g: Array, y: Array, *arrays: Array
    ) -> None:
        u, (cotangent, *given) = g, arrays
        seen = _Seen(self.of, node, "again ")
        xs = _with(self.of, given, self.index, u, seen.zeros)
        if grads[0] is not None:
            self.of.forward(seen, grads[0], *xs)  # type: ignore[arg-type]
        if any(grad is not None for grad in grads[1:]):
            self.of.backward(seen, grads[1:], cotangent, cotangent, *xs)  # type: ignore[arg-type]

    def vjp_nodes(
        self, node: Operator, g: GraphNode, wanted: Sequence[bool]
    ) -> Sequence[GraphNode | None]:
        u, (cotangent, *given) = g, node.inputs
        xs = _with(
            self.of, given, self.index, u, lambda i, x: Constant(np.zeros(x.shape), dtype=x.dtype)
        )
        found = [self.of.apply(tuple(xs), node.attributes) if wanted[0] else None]
        return found + [
            _back(self.of, cotangent, xs, i, node.attributes) if want else None
            for i, want in enumerate(wanted[1:])
        ]


class Read(Rule):
    """What `look(node)` finds that the node's kernel left behind (a mask, the winners of a
    pooling), as a node after it.
    """

    differentiable = False

    def __init__(self, name: str, look: Callable[[Operator], Array]) -> None:
        self.name = self.symbol = name
        self.look = look

    def __reduce__(self) -> Any:
        return Read, (self.name, self.look)

    def run(self, node: Operator, out: Array | None) -> Array:
        found = self.look(node.inputs[0])  # type: ignore[arg-type]
        if out is None:
            return np.array(found, order="C")
        out[...] = found
        return out

    def forward(self, node: Operator, out: Array, *xs: Array) -> None:
        self.run(node, out)


class _Seen:
    """A node of a `Pull` as the rule that it pulls knows its nodes; work buffers of each pass are
    its own.
    """

    def __init__(self, rule: Rule, node: Operator, kind: str) -> None:
        self.rule, self.inputs, self.attributes, self.plan = (
            rule,
            node.inputs[1:],
            node.attributes,
            node.plan,
        )
        self.node, self.kind, self.call, self.constant = node, kind, node.call, node.constant

    def buffer(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        return self.node.buffer(self.kind + name, shape, dtype)

    def zeros(self, index: int, x: Array) -> Array:
        """In place of an input: zeros, in a buffer, so that a compiled run can write this down
        too.
        """
        array = self.buffer(f"zeros {index}", x.shape, x.dtype)
        array[...] = 0
        return array
