"""The compiled training step: forward, backward and update as generated source for Numba.

`CompiledStep` traces the graph of one part of a batch (`trace.py`), simplifies its program
(`simplify.py`), places every array in one arena (`arena.py`), emits the source (`emit.py`) and
loads it (`step_module.py`). Each thread takes one part of the batch through the whole graph with
its own values and gradients; then the gradients are added in a fixed order and the parameters are
updated.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from .. import kernels
from ..errors import GraphError
from ..graph.context import add_node_context
from ..graph.conversion import Array
from ..graph.hooks import read_only
from ..graph.node import Buffer, GraphNode, Variable
from ..graph.rule import Operator, Rule
from ..optim import Optimizer
from .arena import STRETCH, Arena
from .emit import Emitter, comment
from .memory import Memory, memory_of
from .nest import indented
from .step_module import STEPS, TEMPLATE, compiling, importable, imports, load
from .trace import Trace, trace

THREADED = 20_000  # from so many parameters on, threads share the update


def need_compilable(order: Sequence[GraphNode]) -> None:
    """Raise `GraphError` for hooks, and for a rule of the user's that checks computed numbers."""
    for node in order:
        if any(hooks.forward or hooks.backward for hooks in node.hooks or ()):
            raise GraphError(
                f'{node!r} has a hook, which no compiled step calls; use mode="replay"'
            )
        if not isinstance(node, Operator) or hasattr(node.rule, "limits"):
            continue
        own = type(node.rule).check is not Rule.check
        if own and any(isinstance(one, Operator | Variable | Buffer) for one in node.inputs):
            what = (
                "a check of numbers that are computed cannot be compiled, `limits` of indices can"
            )
            raise GraphError(f'{node.rule.name}: {what}; use mode="replay"')


def check_samples(order: Iterable[GraphNode], samples: dict[GraphNode, Array]) -> None:
    """Let the rules check samples, given by the constants that are fed with them."""
    for node in order:
        if isinstance(node, Operator):
            try:
                node.rule.check(node, *(samples.get(one, one._data) for one in node.inputs))
            except Exception as error:
                add_node_context(error, node)
                raise


class Generated:
    """Source that is generated for a graph, and the module that is compiled from it.

    What is compiled has no comments and reads sizes when it runs: it is the same for all graphs of
    one structure, so that it is compiled once.
    """

    trace: Trace
    arena: Arena
    source: str

    def _generate(self, frame: str, title: str, **fields: Any) -> None:
        arena, emitter = self.arena, Emitter(self.arena.dtype)
        body, numbers, outside = list(emitter.lines(arena.groups)), emitter.numbers, "f(0)"
        if self.trace.outside is not None:
            outside = f"{emitter.name(self.trace.outside.storage)}[0]"
        last = f"return {self._returned(emitter, outside)}"
        part = [*emitter.openings(self.trace.program.storages), *body, last]
        bodies = {"part": part, "steps": list(self._steps(emitter))}
        needed, rows = "\n".join(imports(emitter.kernels)), (*arena.S, *arena.V)
        fields |= {"arenas": "".join(f"{name}, " for name in rows), "dtype": arena.dtype}

        def text(title: str, told: Callable[[list[str]], Iterator[str]], given: str) -> str:
            lines = {name: "\n".join(indented(told(body))) for name, body in bodies.items()}
            started = {"title": title, "imports": needed, "numbers": given}
            return (TEMPLATE + frame).format(**started, **lines, **fields)

        shown = text(title, numbers.shown, "")
        self.source = shown.replace("part(K, C, ", "part(")
        self._numbers = np.array(numbers.sizes, np.int64), np.array(numbers.floats, arena.dtype)
        self._module = load(text("Compiled for all sizes.", numbers.compiled, "K, C, "))
        self.trace.program.close()

    def _returned(self, emitter: Emitter, outside: str) -> str:
        """What `part` returns; `outside` is NaN where an index is out of range, else 0."""
        return outside

    def _steps(self, emitter: Emitter) -> Iterable[str]:
        """The body of the function that calls `part`."""
        return ()


class CompiledStep(Generated):
    """The training step of a graph, for one batch size.

    `order` is the graph of one part of the batch, `inputs` its constants `x` and `y`, which are fed
    with each batch; the batch has `parts` of them. Parameters and the optimiser's memory move into
    the arena: the variables' arrays become views of it. Without `updates` a step ends with the
    gradients in the rows of `arena.G`; `update` does the rest. `source` is the generated source.
    Raises `GraphError` that names the operator for a graph that cannot be compiled, or for an
    optimiser that steps in Python.
    """

    def __init__(
        self,
        order: Sequence[GraphNode],
        inputs: dict[str, GraphNode],
        optimizer: Any,
        parts: int,
        updates: bool = True,
    ) -> None:
        kernel, own = optimizer.kernel, type(optimizer).__name__
        if type(optimizer).step is not Optimizer.step:
            raise GraphError(
                f'{own} has a step of its own, which is not compiled; use mode="replay"'
            )
        found = getattr(sys.modules.get(kernel.__module__), kernel.__name__, None)
        if found is not kernel or not importable(kernel):
            raise GraphError(
                f'{own}.kernel is no function that can be imported by its name; use mode="replay"'
            )
        self.order, self.inputs, self.updates = order, inputs, updates
        self.parts, self.size, self.optimizer = parts, inputs["x"].shape[0], optimizer
        self.batch = parts * self.size
        with kernels.jit.one_thread():  # each part has a thread of its own already
            self.trace = trace(order, inputs, optimizer.params, 1.0 / parts)
        if not self.trace.gradients:
            raise GraphError("compiled: the loss depends on none of the optimiser's parameters")
        dtype = next(iter(self.trace.gradients)).dtype
        self.arena = Arena(self.trace, inputs, dtype, parts, optimizer)
        shapes = " and ".join(
            f"{name} {(self.batch, *node.shape[1:])}" for name, node in inputs.items()
        )
        self._generate(
            STEPS,
            f"One training step of a graph of {len(order)} nodes on batches {shapes}.",
            parallel=parts > 1,
            memories="".join(f"M{i}, " for i in range(len(self.arena.M))),
        )
        self._loaded: set[Any] = set()  # dtypes of samples for which there is machine code
        self._each = np.zeros(self.parts, self.arena.dtype)

    @cached_property
    def memory(self) -> Memory:
        """Which array lies where in the arena, and when; `mg.viz.memory_plan(step)` draws it."""
        return memory_of(self.arena, self.trace.program.storages, self.parts)

    def check(self, x: Array, y: Array) -> None:
        """Check all samples for indices out of range, and the graph; see `need_compilable`.

        Raises what the rule raises.
        """
        need_compilable(self.order)
        check_samples(self.order, {self.inputs["x"]: x, self.inputs["y"]: y})

    def load(self, x: Array, y: Array) -> None:
        """Compile the step, or load it from disk, without making one; x and y are as for `run`.

        Raises `GraphError` for what Numba refuses.
        """
        dtypes = x.dtype, y.dtype
        if dtypes not in self._loaded:
            with compiling(self._module):
                self.run(x, y, np.arange(0), np.zeros(0, self.arena.dtype))
            self._loaded.add(dtypes)

    def run(self, x: Array, y: Array, order: Array, losses: Array) -> int:
        """Make `len(losses)` steps on the samples x[order], y[order]; returns how many were made.

        Steps end with the first loss that is not finite. Losses are written as they come. x and y
        are C-contiguous, one sample after the other.
        """
        self.arena.adopt()
        first = self.optimizer.steps + 1
        columns = self.optimizer.scalars(np.arange(first, first + len(losses)))
        numbers = np.empty((len(losses), len(columns)), self.arena.dtype)
        for i, column in enumerate(columns):
            numbers[:, i] = column
        # always read-only, so that there is one compiled version
        samples = (read_only(data.reshape(len(data), -1)) for data in (x, y))
        given = *self._numbers, *self.arena.arrays(), *samples, *self.arena.inputs, order
        given = *given, numbers, self._each
        made = int(self._module.steps(*given, losses))
        self.optimizer.steps += made * self.updates
        return made

    def update(self, gradient: Array) -> None:
        """Update the parameters by a gradient (arena.trained,), clipped in place if need be."""
        arena, number = self.arena, self.arena.dtype.type
        if self.optimizer.max_grad_norm is not None:
            kernels.update.clip_norm(gradient, number(self.optimizer.max_grad_norm))
        self.optimizer.steps += 1
        numbers = map(number, self.optimizer.scalars(self.optimizer.steps))
        self.optimizer.kernel(arena.P[: arena.trained], gradient, *arena.M, *numbers)

    # ---------------- source
    def _returned(self, emitter: Emitter, outside: str) -> str:
        loss = self.trace.result
        place = f"{emitter.name(loss.storage)}[{emitter.numbers.length(loss.offset)}]"
        return place if self.trace.outside is None else f"{place} + {outside}"

    def _steps(self, emitter: Emitter) -> Iterator[str]:
        """The body of the function that makes steps."""
        arena, size = self.arena, emitter.numbers.size
        rows = "".join(f"flat({name}[s]), " for name in (*arena.S, *arena.V))
        several, parts = self.parts > 1, size(self.parts)
        each = [
            *self._clear(emitter),
            *self._gather(emitter, "x"),
            *self._gather(emitter, "y"),
            f"each[s] = part(K, C, flat(P), flat(G[s]), {rows}flat(x[s]), flat(y[s]))",
        ]
        step = [
            *(f"before_{name}[:] = {name}" for name in arena.S),
            f"for s in {'prange' if several else 'range'}({parts}):",
            *indented(each),
            # a plain loop: Numba's own sum would load a module that a cached start does without
            *("total = each[0]", f"for s in range(1, {parts}):", "    total += each[s]") * several,
            f"losses[t] = {f'total / {parts}' if several else 'each[0]'}",
            "if not abs(losses[t]) < np.inf:  # NaN compares false",
            # a step that is not made leaves nothing behind
            *indented([*(f"{name}[:] = before_{name}" for name in arena.S), "return t"]),
            *(self._update(emitter) if self.updates else ()),
        ]
        yield from (f"before_{name} = {name}.copy()" for name in arena.S)
        yield "for t in range(losses.size):"
        yield from indented(step)
        yield "return losses.size"

    def _gather(self, emitter: Emitter, name: str) -> Iterator[str]:
        """The lines that gather a part's samples."""
        view, swap = self.arena.fed[name]
        size = emitter.numbers.size
        first = f"t * {size(self.batch)} + s * {size(self.size)}"
        given = f"{name.upper()}, order, {first}, {name}[s]"
        if swap is None:
            yield f"gather_rows({given})"
            return
        emitter.kernels["gather_pieces"] = kernels.update.gather_pieces
        yield comment(swap.note)
        yield f"gather_pieces({given}, {size(view.shape[0])})"

    def _clear(self, emitter: Emitter) -> Iterator[str]:
        """The lines that set back to zero the rows of sparse gradients that the last step wrote."""
        for call in self.arena.clearing:
            ids, grad = call.args
            name = f"embedding_{call.kernel.__name__}"
            emitter.kernels[name] = call.kernel
            size, shape = emitter.numbers.size, emitter.numbers.shape(grad.shape)
            place = f"{size(ids.offset)}:{size(ids.offset + ids.size)}"
            samples = f"{ids.storage.name}[s, {place}]"
            rows = f"G[s, {size(grad.storage.start)}:{size(grad.storage.end)}]"
            yield f"{name}({samples}, shaped({rows}, {shape}))"

    def _update(self, emitter: Emitter) -> list[str]:
        """The lines that add the gradients of all parts and update the parameters."""
        size, clipped = emitter.numbers.size, self.optimizer.max_grad_norm
        parts, trained = self.parts, self.arena.trained
        kernel = self.optimizer.kernel
        emitter.kernels[kernel.__name__] = kernel
        memories = "".join(f"M{i}[a:b], " for i in range(len(self.arena.M)))
        numbers = ", ".join(f"H[t, {i}]" for i in range(len(self.optimizer.scalars(1))))

        def update(gradient: str) -> str:
            return f"{kernel.__name__}(P[a:b], {gradient}, {memories}{numbers})"

        if parts == 1 or clipped is not None:
            total = "add_up(G, a, b, T[0])" if parts > 1 else "G[0, a:b]"
            lines = [update(total)]
            if clipped is not None:
                most = emitter.numbers.number(clipped)
                lines = [f"g = {total}", f"clip_norm(g, {most})", update("g")]
            return [f"a, b = 0, {size(trained)}", *lines]
        start, row = ("start", "s") if trained > THREADED else ("0", "0")
        loop = [
            f"for a in range({start}, end, {STRETCH}):",
            f"    b = min(a + {STRETCH}, end)",
            f"    {update(f'add_up(G, a, b, T[{row}])')}",
        ]
        if trained <= THREADED:
            return [f"end = {size(trained)}", *loop]
        shards = size(parts)
        shard = f"start, end = shard(s, {shards}, {size(trained)})"
        return [f"for s in prange({shards}):", *indented([shard, *loop])]
