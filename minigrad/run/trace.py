"""Tracing: the program of a graph, from running it once on symbolic arrays."""

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
from . import functions, products  # noqa: F401 - which symbolic arrays look up
from .batch import sample_axes
from .symbolic import FIRST, Expr, Program, Shape, SumOverParts, View


@dataclass
class Trace:
    """A program, and where the values and gradients of a graph's leaves are in it.

    `gradients` are those of the trained variables that the loss depends on. `outputs` are the
    values of the last node and of `results`; `result` is the loss, or 0 without a backward pass, or
    NaN where a computed index is out of range.
    """

    program: Program
    outputs: list[View]
    result: View
    values: dict[GraphNode, View]
    gradients: dict[GraphNode, View]

    def give(self, arrays: Sequence[View], width: int | None = None) -> None:
        """Write the last of the outputs into arrays that are given with each run.

        `width` is how many numbers there are for each sample.
        """
        self.program.note = "what is returned"
        for out, view in zip(arrays, self.outputs[-len(arrays) :], strict=False):
            args = out, FIRST, width or view.size, view.reshape(-1)
            self.program.call(kernels.update.put, *args)


class _Tracer(Operator):
    """A node of the traced graph, or a leaf: its arrays are views of storages of the program."""

    work: dict[str, Any]
    _data: Any
    _spare: Any
    _grad: Any

    def __init__(self, program: Program, node: GraphNode, label: str) -> None:
        self.program, self.label, self.note = program, label, program.note
        self.name, self.inputs, self.work = node.name, (), {}
        self._grad = self._spare = None
        self.borrowed = False  # is the gradient an array of another node?
        self.samples: int | None = None  # the axis along which they lie, where a batch is split

    # ---------------- gradient
    def target(self) -> Any:
        if self._grad is not None:
            return None
        if self._spare is None:
            place = f"grad_{self.label}", self._data.shape, self._data.dtype, "gradient"
            self._spare = self.program.allocate(*place, node=self.note)
        return self._spare

    def receive(self, cotangent: Any, owned: bool) -> None:
        same_shape = isinstance(cotangent, View) and cotangent.shape == self._data.shape
        if self._grad is not None:
            self._own(Expr("add", (self._grad, cotangent)))
        elif self._spare is None and same_shape and cotangent.contiguous:
            self._grad, self.borrowed = cotangent, True  # nobody writes to it any more
        else:
            self._own(cotangent)

    def growing(self) -> Any:
        if self.borrowed:
            self._own(self._grad)
        return self._grad

    def _own(self, total: Any) -> None:
        """Write the gradient into a storage of the node's own."""
        if self._grad is None or self.borrowed:
            self._grad, self.borrowed = None, False
            self._grad = self.target()
        self.program.assign(self._grad, total)

    # ---------------- what rules ask of a node
    def buffer(self, name: str, shape: Shape, dtype: Any, **options: Any) -> Any:
        if name not in self.work:
            label = f"{self.label}_{name.replace(' ', '_')}"
            self.work[name] = self.program.allocate(label, shape, dtype, **options)
        return self.work[name]

    def store(self, name: str, values: Any, each: int = 0) -> Any:
        each = each if self.samples == 0 else 0
        options = {"kind": "constant", "initial": values, "each": each}
        return self.buffer(name, values.shape, values.dtype, **options)

    @property
    def parts(self) -> int:
        return self.program.parts

    def record_sum(self, array: Any) -> None:
        if self.parts > 1:
            self.program.statements.append(SumOverParts((array,), self.program.note))

    def record(self, kernel: Callable[..., Any], *args: Any) -> None:
        self.program.call(kernel, *args)


def trace(
    order: Sequence[GraphNode],
    inputs: dict[str, GraphNode],
    parameters: Sequence[Variable] = (),
    parts: int = 1,
    floats: np.dtype[Any] | None = None,
    results: Sequence[GraphNode] = (),
) -> Trace:
    """Run every rule of the order on symbolic arrays: forward, then backward.

    `inputs` are the constants that are fed with each batch, by name; the order is the graph of one
    of its `parts`. Without parameters, to be trained, there is no backward pass; `floats` is the
    dtype of floats then. Raises `GraphError` that names the operator for one that cannot be traced.
    """
    program = Program(parts)
    tracers: dict[GraphNode, _Tracer] = {}
    for name, node in inputs.items():  # also those that the loss does not depend on
        tracers[node] = _leaf(program, node, name, "input")
    for i, buffer in enumerate(_buffers(order)):
        tracers[buffer] = _leaf(program, buffer, f"s{i}", "state")
    leading = dict.fromkeys(inputs.values(), 0)
    axes = sample_axes(order, leading, meeting=True) if parts > 1 else {}
    trained = {p for p in parameters if p.requires_grad}
    outside: View | None = None
    dtype = floats or order[-1].dtype
    for i, node in enumerate(order):
        program.note = f"n{i} {_describe(node)}"
        if isinstance(node, Operator):
            for x, *limits in _unchecked(node, inputs):
                if outside is None:
                    outside = program.allocate("outside", (1,), dtype)
                    outside[...] = 0
                indices = tracers[x]._data.reshape(-1)
                program.call(kernels.embedding.mark_outside, indices, *limits, outside)
            tracers[node] = _operator(program, node, tracers, f"n{i}", axes.get(node))
        elif node not in tracers:
            kind = "parameter" if isinstance(node, Variable) else "constant"
            tracers[node] = _leaf(program, node, f"n{i}", kind, node in trained)
    head, program.note = tracers[order[-1]], "the loss of this part"
    result = program.allocate("each", (1,), dtype, "result")
    loss = head._data.reshape(1) if parameters else 0.0
    result[...] = loss if outside is None else outside + loss
    if parameters:
        head.receive(1.0 / parts, owned=True)
    for i, node in reversed(list(enumerate(order))):  # as `graph.autodiff.backward` does
        tracer = tracers[node]
        if isinstance(node, Operator) and tracer._grad is not None and tracer.requires_grad:
            program.note = f"back through n{i} {_describe(node)}"
            with _operator_named(node):
                node.rule.vjp(tracer, tracer._grad)
    leaves = {node: x for node, x in tracers.items() if not isinstance(node, Operator)}
    values = {node: x._data for node, x in leaves.items()}
    gradients = {
        node: x._grad for node, x in leaves.items() if x.requires_grad and x._grad is not None
    }
    outputs = [tracers[node]._data for node in (order[-1], *results)]
    return Trace(program, outputs, result, values, gradients)


def _unchecked(
    node: Operator, inputs: dict[str, GraphNode]
) -> Iterator[tuple[GraphNode, int, int, int]]:
    """The computed indices of an operator, with their limits, and one that may lie outside.

    Indices that are fed are checked before the first step (`CompiledStep.check`), constants when
    the graph is built.
    """
    limits = getattr(node.rule, "limits", None)
    for i, low, high, _, but in limits(node) if limits else ():
        x = node.inputs[i]
        if type(x) is not Constant and all(x is not given for given in inputs.values()):
            yield x, low, high, low if but is None else but


def leaves_of(order: Sequence[GraphNode]) -> list[Buffer | Variable]:
    """The buffers and the variables of a graph, in the same order for graphs that are alike."""
    return [*_buffers(order), *(node for node in order if isinstance(node, Variable))]


def _buffers(order: Sequence[GraphNode]) -> dict[Buffer, None]:
    """The buffers among the leaves of a graph and the attributes of its operators, each once."""
    found: dict[Buffer, None] = {}
    for node in order:
        if isinstance(node, Operator):
            found.update(dict.fromkeys(node.buffers().values()))
        elif isinstance(node, Buffer):
            found[node] = None
    return found


def _leaf(
    program: Program, node: GraphNode, label: str, kind: str, trained: bool = False
) -> _Tracer:
    tracer = _Tracer(program, node, label)
    name = f"{label}_{node.name or type(node).__name__.lower()}"
    initial = node._data.copy() if kind == "constant" else None
    place = node.shape, node.dtype
    tracer._data = program.allocate(
        label if kind == "input" else name, *place, kind, initial=initial
    )
    tracer.requires_grad = trained
    if trained:
        tracer._spare = program.allocate(f"grad_{name}", *place, "parameter gradient")
    return tracer


def _operator(
    program: Program,
    node: Operator,
    tracers: dict[GraphNode, _Tracer],
    label: str,
    samples: int | None,
) -> _Tracer:
    tracer, rule = _Tracer(program, node, label), node.rule
    tracer.samples = samples
    inputs = tuple([tracers[x] for x in node.inputs])
    tracer.rule, tracer.plan, tracer.inputs = rule, node.plan, inputs
    buffers = {name: tracers[buffer] for name, buffer in node.buffers().items()}
    tracer.attributes = {**node.attributes, **buffers}
    # the gradient of a variable that the optimiser does not train is not computed
    tracer.requires_grad = node.requires_grad and any(x.requires_grad for x in inputs)
    with _operator_named(node):
        if getattr(rule, "is_view", False):
            tracer._data = rule.run(tracer, None)
            return tracer
        out: Any = program.allocate(f"{label}_{rule.name}", node.shape, node.dtype, "value")
        tracer._data = out
        if isinstance(rule, Elementwise):
            rule.run(tracer, out)
        else:
            rule.forward(tracer, out, *(x._data for x in inputs))
    return tracer


def _describe(node: GraphNode) -> str:
    kind = node.rule.name if isinstance(node, Operator) else type(node).__name__
    return f"{kind} {f'{node.name!r} ' if node.name else ''}{node.shape}"


@contextmanager
def _operator_named(node: Operator) -> Iterator[None]:
    """Within the block, errors become a `GraphError` that names the operator."""
    try:
        yield
    # a user's rule may raise anything when it meets arrays without numbers
    except Exception as error:
        words = str(error).removeprefix(f"{node.rule.name}: ")
        raise GraphError(f'{node.rule.name}: {words}; use mode="replay"') from error
