"""A graph run once on traced arrays: the program that its rules make, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import kernels
from ..errors import GraphError
from ..graph.node import Buffer, Constant, GraphNode, Variable
from ..graph.rule import Elementwise, Operator
from . import functions  # noqa: F401 - which the traced arrays look up
from .traced import Expr, Program, View


@dataclass
class Trace:
    """A program, and where to find in it what comes in (`inputs`, by name), the `loss`, by
    `id(variable)` the values of the graph's variables and the gradients of those that are trained,
    and the buffers that it may change. `outside` is NaN where an index that was computed lies
    beyond its limits, else 0; None where there are none.
    """

    program: Program
    inputs: dict[str, View]
    loss: View
    values: dict[int, View]
    gradients: dict[int, View]
    state: list[tuple[Buffer, View]]
    outside: View | None


class _Tracer:
    """A node of a traced graph: its arrays are views, and gradients are written into buffers of the
    program.
    """

    program: Program
    _data: Any
    _spare: Any
    _grad: Any
    borrowed = False
    label: str

    def target(self) -> Any:
        if self._grad is not None:
            return None
        if self._spare is None:
            self._spare = self.program.buffer(
                f"grad_{self.label}", self._data.shape, self._data.dtype
            )
        return self._spare

    def receive(self, cotangent: Any, owned: bool) -> None:
        if self._grad is None and self._may_borrow(cotangent):
            self._grad, self.borrowed = cotangent, True
            return
        self._own(
            cotangent if self._grad is None else Expr(self.program, "add", (self._grad, cotangent))
        )

    def growing(self) -> Any:
        if self.borrowed:
            self._own(self._grad)
        return self._grad

    def _own(self, total: Any) -> None:
        """Write the gradient into a buffer that is the node's own."""
        if self._grad is None or self.borrowed:
            self._grad, self.borrowed = None, False
            self._grad = self.target()
        self.program.assign(self._grad, total)

    def _may_borrow(self, cotangent: Any) -> bool:
        """Can another array stand for the gradient as it is? It is not written to after it has been
        handed on.
        """
        return False

    def recycle_grad(self) -> None:
        self._grad = None


class _Leaf(_Tracer, GraphNode):
    """A constant or a variable."""

    requires_grad = False


class _Node(_Tracer, Operator):
    """An operator."""

    work: dict[str, Any]

    def buffer(self, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        if name not in self.work:
            self.work[name] = self.program.buffer(
                f"{self.label}_{name.replace(' ', '_')}", shape, dtype
            )
        return self.work[name]

    def store(self, name: str, values: Any, each: int = 0) -> Any:
        if name not in self.work:
            label = f"{self.label}_{name.replace(' ', '_')}"
            self.work[name] = self.program.buffer(
                label, values.shape, values.dtype, "constant", values, each
            )
        return self.work[name]

    def record(self, kernel: Callable[..., Any], *args: Any) -> None:
        self.program.call(kernel, *args)

    def _may_borrow(self, cotangent: Any) -> bool:
        return (
            isinstance(cotangent, View)
            and cotangent.contiguous
            and cotangent.shape == self._data.shape
        )


def trace(
    order: Sequence[GraphNode],
    inputs: dict[str, GraphNode],
    parameters: Sequence[Variable],
    seed: float,
) -> Trace:
    """Run every rule of the order on traced arrays: forward, then backward from `seed`, the
    gradient of the last node.

    `inputs` are the constants that are fed anew for each batch, by name. Raises `GraphError` that
    names the operator for one that cannot be written down.
    """
    program = Program()
    tracers: dict[int, Any] = {}
    names = {id(node): name for name, node in inputs.items()}
    trained = {id(p) for p in parameters}
    for node in inputs.values():  # also those that the loss does not depend on
        tracers[id(node)] = _leaf(program, node, "", names[id(node)], False)
    state = _state(order)
    for i, buffer in enumerate(state):
        tracers[id(buffer)] = _leaf(program, buffer, f"s{i}", None, False)
    outside: View | None = None
    for i, node in enumerate(order):
        program.note = f"n{i} {_words(node)}"
        if isinstance(node, Operator):
            known = {name: tracers[id(buffer)] for name, buffer in node.buffers().items()}
            inner = tuple(tracers[id(x)] for x in node.inputs)
            outside = _guard(program, node, inner, inputs, outside, order[-1].dtype)
            tracers[id(node)] = _operator(
                program, node, inner, {**node.attributes, **known}, f"n{i}"
            )
        elif id(node) not in tracers:
            tracers[id(node)] = _leaf(program, node, f"n{i}", None, id(node) in trained)
    head = tracers[id(order[-1])]
    head.receive(seed, owned=True)
    for i, node in reversed(list(enumerate(order))):  # as `graph.order.backward` does
        tracer = tracers[id(node)]
        if isinstance(node, Operator) and tracer._grad is not None and tracer.requires_grad:
            program.note = f"back through n{i} {_words(node)}"
            with _naming(node):
                node.rule.vjp(tracer, tracer._grad)
    variables = [tracers[id(node)] for node in order if isinstance(node, Variable)]
    keys = [id(node) for node in order if isinstance(node, Variable)]
    return Trace(
        program,
        {name: tracers[id(node)]._data for name, node in inputs.items()},
        head._data,
        {key: tracer._data for key, tracer in zip(keys, variables, strict=True)},
        {
            key: tracer._grad
            for key, tracer in zip(keys, variables, strict=True)
            if tracer._grad is not None
        },
        [(buffer, tracers[id(buffer)]._data) for buffer in state],
        outside,
    )


def _guard(
    program: Program,
    node: Operator,
    xs: Sequence[Any],
    fed: dict[str, GraphNode],
    outside: View | None,
    dtype: np.dtype[Any],
) -> View | None:
    """Write down that indices are compared with their limits, where nobody can do so before the
    step: those that are fed are all looked at beforehand (`CompiledStep.check`), constants when the
    graph is built.
    """
    limits = getattr(node.rule, "limits", None)
    for i, low, high, _ in limits(node) if limits else ():
        x = node.inputs[i]
        if type(x) is Constant or any(x is given for given in fed.values()):
            continue
        if outside is None:
            outside = program.buffer("outside", (1,), dtype)
            outside[...] = 0
        program.call(kernels.embedding.mark_outside, xs[i]._data.reshape(-1), low, high, outside)
    return outside


def _state(order: Sequence[GraphNode]) -> list[Buffer]:
    """The buffers of a graph, leaves and attributes of its nodes, each once."""
    found: dict[int, Buffer] = {}
    for node in order:
        held = (
            (node,)
            if isinstance(node, Buffer)
            else node.buffers().values()
            if isinstance(node, Operator)
            else ()
        )
        found.update((id(buffer), buffer) for buffer in held)
    return list(found.values())


def _operator(
    program: Program,
    node: Operator,
    inputs: tuple[Any, ...],
    attributes: dict[str, Any],
    label: str,
) -> Any:
    tracer = _Node.__new__(_Node)
    tracer.program, tracer.label, tracer.name = program, label, node.name
    tracer.rule, tracer.inputs, tracer.attributes, tracer.plan, tracer.work = (
        node.rule,
        inputs,
        attributes,
        node.plan,
        {},
    )
    # the gradient of a variable that the optimiser does not train is not computed
    tracer.requires_grad = node.requires_grad and any(x.requires_grad for x in inputs)
    tracer._grad = tracer._spare = tracer._data = None
    with _naming(node):
        if getattr(node.rule, "is_view", False):
            tracer._data = node.rule.run(tracer, None)
        else:
            tracer._data = program.buffer(f"{label}_{node.rule.name}", node.shape, node.dtype)
            if isinstance(node.rule, Elementwise):
                node.rule.run(tracer, tracer._data)
            else:
                node.rule.forward(tracer, tracer._data, *(x._data for x in inputs))
    return tracer


def _leaf(program: Program, node: GraphNode, label: str, fed: str | None, trained: bool) -> Any:
    tracer = _Leaf.__new__(_Leaf)
    name = f"{label}_{node.name or type(node).__name__.lower()}"
    kinds = ((Variable, "parameter"), (Buffer, "state"), (GraphNode, "constant"))
    kind = "input" if fed else next(kind for leaf, kind in kinds if isinstance(node, leaf))
    tracer.program, tracer.label, tracer.name = program, label, node.name
    initial = node._data.copy() if kind == "constant" else None
    tracer._data = program.buffer(fed or name, node.shape, node.dtype, kind, initial)
    tracer.requires_grad, tracer._grad, tracer._spare = node.requires_grad and trained, None, None
    if tracer.requires_grad:
        tracer._spare = program.buffer(f"grad_{name}", node.shape, node.dtype, "gradient")
    return tracer


def _words(node: GraphNode) -> str:
    name = f" {node.name!r}" if node.name else ""
    return (
        f"{node.rule.name if isinstance(node, Operator) else type(node).__name__}{name} "
        f"{node.shape}"
    )


@contextmanager
def _naming(node: Operator) -> Iterator[None]:
    """Within the block, what cannot be written down is said with the operator's name."""
    try:
        yield
    except (
        Exception
    ) as error:  # a rule of the user's may raise anything when it meets arrays without numbers
        words = str(error).removeprefix(f"{node.rule.name}: ")
        raise GraphError(f'{node.rule.name}: {words}; use mode="replay"') from error
