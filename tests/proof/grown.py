"""Graphs that grow at random, here and in JAX at once: operators of the table on whatever has been
computed so far.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from operators import SMOOTH
from oracle import QUICK, above_one, coin, few, ids, jax, positive, unit
from proof.generate import Drawn

import minigrad as mg

jnp = jax.numpy
ROWS = [row for row in SMOOTH if few not in row.domains]
#: where equal numbers, or a 0 that a ReLU left behind, would stand on a kink
KINKED = {
    "abs",
    "relu",
    "leaky_relu",
    "clip",
    "maximum",
    "minimum",
    "max",
    "min",
    "max_pool1d",
    "max_pool2d",
    "rnn",
}
MOST = (
    5.0  # larger results are bent back by a tanh, so that a long chain neither dies nor overflows
)


class Grown:
    """Nodes in the order in which they were made: `steps[i]` says how the one after all leaves and
    i others was computed.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[mg.GraphNode] = []
        self.steps: list[
            tuple[Callable[..., Any], Callable[..., Any], list[int]] | None
        ] = []  # None: a leaf
        for shape in ((2, 3), (3,), (2, 1), (), (2, 3, 2)):
            self.leaf(shape)

    def leaf(self, shape: tuple[int, ...]) -> int:
        return self._keep(mg.Variable(self.rng.normal(size=shape), dtype=np.float64), None)

    def _keep(self, node: mg.GraphNode, step: Any) -> int:
        self.nodes.append(node)
        self.steps.append(step)
        return len(self.nodes) - 1

    def do(self, ours: Callable[..., Any], theirs: Callable[..., Any], *places: int) -> int:
        return self._keep(ours(*(self.nodes[p] for p in places)), (ours, theirs, list(places)))

    def both(self, formula: Callable[..., Any], *places: int) -> int:
        """A step that is written in the same way here and in JAX."""
        return self.do(formula, formula, *places)

    def some(self) -> int:
        """One of the nodes, more often one of the last."""
        count = len(self.nodes)
        return int(self.rng.integers(max(0, count - 6) if self.rng.random() < 0.5 else 0, count))

    def fitted(self, place: int, shape: tuple[int, ...]) -> int:
        """The numbers of a node, cut off or repeated, in a shape."""
        node, size = self.nodes[place], int(np.prod(shape, dtype=int))
        if node.shape == shape:
            return place
        flat = self.both(lambda x: x.reshape(-1), place)
        times = -(-size // node.size)
        if times > 1:
            flat = self.do(
                lambda x: mg.concatenate([x] * times), lambda x: jnp.concatenate([x] * times), flat
            )
        if times * node.size != size:
            flat = self.both(lambda x: x[:size], flat)
        return self.both(lambda x: x.reshape(shape), flat)

    def operand(self, case: Drawn, i: int) -> int | np.ndarray:
        """What goes into a case as its operand i: nodes, as its domain wants them, or its own
        integers.
        """
        domain = case.row.domains[min(i, len(case.row.domains) - 1)]
        if domain is coin or getattr(domain, "__qualname__", "").startswith(ids.__name__):
            return case.operands[i]
        place = self.fitted(self.some(), case.shapes[i])
        if domain is positive:
            return self.both(lambda x: x * x + 0.5, place)
        if domain is above_one:
            return self.both(lambda x: x * x + 1.5, place)
        if domain is unit:
            return self.both(lambda x: 0.1 + 0.8 / (1 + x * x), place)
        if case.row.name in KINKED:
            return self.both(lambda x, moved: x + moved, place, self.leaf(case.shapes[i]))
        return place

    def apply(self, case: Drawn) -> None:
        """The operator of the case, with its options and shapes, on nodes of the graph. Nothing
        without numbers.
        """
        if 0 in (x.size for x in case.operands) or 0 in case.reference[0].shape:
            return
        given = [self.operand(case, i) for i in range(len(case.shapes))]

        def spread(call: Callable[..., Any], *found: Any) -> Any:
            left = iter(found)
            return call(
                *(x if isinstance(x, np.ndarray) else next(left) for x in given), **case.options
            )

        place = self.do(
            lambda *xs: spread(case.row.ours, *xs),
            lambda *xs: spread(case.row.theirs, *xs),
            *(x for x in given if not isinstance(x, np.ndarray)),
        )
        if np.abs(self.nodes[place].value).max() > MOST:
            self.do(mg.tanh, jnp.tanh, place)

    def loss(self) -> mg.GraphNode:
        """One number in which every node takes part, and from now on the last of the nodes."""
        used = {p for step in self.steps if step for p in step[2]}
        total = None
        for place in (p for p in range(len(self.nodes)) if p not in used):
            weights = self.rng.normal(size=self.nodes[place].shape)
            term = self.do(
                lambda x, w=weights: (x * w).sum(), lambda x, w=weights: (x * w).sum(), place
            )
            total = term if total is None else self.both(lambda a, b: a + b, total, term)
        return self.nodes[-1]

    @property
    def leaves(self) -> list[mg.Variable]:
        return [node for node in self.nodes if isinstance(node, mg.Variable)]

    def reference(self) -> Callable[..., Any]:
        """From JAX, compiled: values of the leaves to the values of all nodes and the gradients of
        the leaves.
        """

        def values(leaves: list[Any]) -> Any:
            given, found = iter(leaves), []
            for step in self.steps:
                found.append(next(given) if step is None else step[1](*(found[p] for p in step[2])))
            return found[-1], found

        def both(leaves: list[Any]) -> Any:
            (_, found), grads = jax.value_and_grad(values, has_aux=True)(leaves)
            return found, grads

        return jax.jit(both, compiler_options=QUICK)
