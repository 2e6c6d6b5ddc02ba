"""The compiled training step: forward, backward and update as generated source for Numba.

`CompiledStep` traces the graph of one part of a batch (`trace.py`), simplifies its program
(`simplify.py`), places every array in one arena (`arena.py`), emits source (`emit.py`) in pieces
that models share (`pieces.py`) and runs them (`loop.py`). Each thread takes one part of the batch
through the whole graph with its own values and gradients; then the gradients are added in a fixed
order and the parameters are updated.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from .. import kernels
from ..errors import GraphError
from ..graph.conversion import Array
from ..graph.node import GraphNode
from ..optim import Optimizer
from .arena import Arena
from .generated import Generated, check_samples, need_compilable
from .memory import Memory, memory_of
from .nest import indented
from .pieces import Piece
from .samples import Samples, named
from .step_module import importable
from .trace import trace

#: numbers that replay computes in the time that a call of an operator takes, a few microseconds
CALL = 2_000
#: and in the time that the machine code of a piece takes to load from disk, a millisecond
LOADING = 200_000
THREADED = 20_000  # from so many parameters on, threads share the update


class CompiledStep(Generated):
    """The training step of a graph, for one batch size.

    `order` is the graph of one part of the batch, `inputs` its constants by name, such as `x` and
    `y`, which are fed with each batch; the batch has `parts` of them. `together` feeds whole arrays
    that need not have samples. Parameters and the optimiser's memory move into the arena: the
    variables' arrays become views of it. Without `updates` a step ends with the gradients in the
    rows of `arena.G`; `update` does the rest. The values of `results` are given, too, if there is
    one part. `source` is the generated source. Raises `GraphError` that names the operator for a
    graph that cannot be compiled, or for an optimiser that steps in Python.
    """

    def __init__(
        self,
        order: Sequence[GraphNode],
        inputs: dict[str, GraphNode],
        optimizer: Any,
        parts: int,
        updates: bool = True,
        results: Sequence[GraphNode] = (),
        together: bool = False,
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
        self.parts, self.optimizer = parts, optimizer
        self.size = 1 if together else next(iter(inputs.values())).shape[0]
        self.batch = parts * self.size
        with kernels.jit.one_thread():  # each part has a thread of its own already
            self.trace = trace(order, inputs, optimizer.params, parts, results=results)
        if not self.trace.gradients:
            raise GraphError("compiled: the loss depends on none of the optimiser's parameters")
        dtype = next(iter(self.trace.gradients)).dtype
        self.results = [node._data for node in results]
        kinds = {f"out{i}": array.dtype for i, array in enumerate(self.results)}
        self.given = {name: self.array(name, dtype) for name, dtype in kinds.items()}
        self.trace.give([storage.whole() for storage in self.given.values()])
        self.arena = Arena(self.trace, inputs, dtype, parts, optimizer, together)
        kinds = {name.upper(): view.dtype for name, (view, _) in self.arena.fed.items()}
        kinds["order"] = np.dtype(np.intp)
        self.given |= {name: self.array(name, dtype) for name, dtype in kinds.items()}
        shapes = " and ".join(
            f"{name} {(self.batch, *node.shape[1:])}" for name, node in inputs.items()
        )
        title = f"One training step of a graph of {len(order)} nodes on batches {shapes}."
        self.generate(title, self._update())

    @cached_property
    def memory(self) -> Memory:
        """Which array lies where in the arena, and when; `mg.viz.memory_plan(step)` draws it."""
        return memory_of(self.arena, self.trace.program.storages, self.parts)

    def worth_loading(self, steps: int) -> bool:
        """Would so many steps take longer in replay than machine code takes to load from disk?

        Counts decide, so that the answer is the same in every run.
        """
        effort = sum(node.size * self.parts + CALL for node in self.order)
        return steps * effort > LOADING * len(set(self.texts))

    def check(self, x: Samples, y: Samples) -> None:
        """Check all samples for indices out of range, and the graph; see `need_compilable`.

        Raises what the rule raises.
        """
        need_compilable(self.order)
        given = named(x=x, y=y)
        check_samples(self.order, {node: given[name] for name, node in self.inputs.items()})

    def run(
        self,
        x: Samples,
        y: Samples,
        order: Array,
        losses: Array,
        schedule: Any = None,
        results: Sequence[Array] = (),
    ) -> int:
        """Make `len(losses)` steps on the samples x[order], y[order]; returns how many were made.

        Steps end with the first loss that is not finite. Losses are written as they come, and the
        last step's `results`. x and y are C-contiguous, one sample after the other. A `schedule`
        changes the optimiser's numbers from step to step; it is stepped by the caller, afterwards.
        """
        from .loop import steps  # with Numba, which importing minigrad does without

        self.load()
        self.arena.adopt()
        columns = self.optimizer.ahead(len(losses), schedule)
        scalars = np.empty((len(losses), len(columns) + 1), self.arena.dtype)
        for i, column in enumerate((*columns, self.optimizer.max_grad_norm or 0)):
            scalars[:, i] = column
        samples = {name.upper(): array for name, array in named(x=x, y=y).items()}
        outputs = {f"out{i}": array for i, array in enumerate(results)}
        held = self.give(**samples, order=order, **outputs)
        run = steps if self.parts > 1 else kernels.jit.serial(steps)
        part, update = self.codes
        programs = *part.program, self.ends, *update.program, self._shards * self.updates
        memory = self.table, self.arena.state, self.arena.each
        made = int(run(*programs, self.size, *memory, scalars, losses))
        del held
        self.optimizer.steps += made * self.updates
        return made

    def give_gradients(self) -> None:
        """Set the `.grad` of the trained variables to the gradients of the last step."""
        total = self.arena.G.sum(0)
        for variable, start in self.arena.starts.items():
            if start < self.arena.trained:
                variable.grad = total[start : start + variable.size].reshape(variable.shape)

    def update(self, gradient: Array) -> None:
        """Update the parameters by a gradient (arena.trained,), clipped in place if need be."""
        arena, number = self.arena, self.arena.dtype.type
        if self.optimizer.max_grad_norm is not None:
            kernels.update.clip_norm(gradient, number(self.optimizer.max_grad_norm))
        self.optimizer.steps += 1
        for group, place in zip(self.optimizer.param_groups, arena.stretches, strict=True):
            numbers = map(number, self.optimizer.scalars(self.optimizer.steps, group))
            arrays = (whole[slice(*place)] for whole in (arena.P, gradient, *arena.M))
            self.optimizer.kernel(*arrays, *numbers)

    def _update(self) -> Piece:
        """The piece that adds the gradients of all parts and updates the parameters in a shard."""
        arena, piece, clipped = self.arena, Piece(self.arena.dtype), self.optimizer.max_grad_norm

        def array(name: str, size: int) -> str:
            return piece.name(self.array(name, arena.dtype, size))

        def rows(name: str, size: int, start: str = "a", end: str = "b") -> str:
            return f"row({array(name, size)}, {start}, {end} - {start})"

        threads = self.parts > 1 and clipped is None and arena.trained > THREADED
        self._shards = self.parts if threads else 1
        parts, trained, stretch = map(piece.size, (self.parts, arena.trained, arena.T.shape[1]))
        if self.parts == 1:
            gradient = rows("G", arena.trained)
        else:
            gradients = f"shaped({array('G', arena.G.size)}, ({parts}, {trained}))"
            total = f"row({array('T', arena.T.size)}, first * {stretch}, b - a)"
            gradient = f"add_up({gradients}, a, b, {total})"
        count = len(self.optimizer.ahead(1))
        body = [
            f"b = min(a + {stretch}, end)",
            f"gradient = {gradient}",
            *([f"clip_norm(gradient, floats[{count}])"] if clipped is not None else ()),
        ]
        kernel, groups = piece.called(self.optimizer.kernel), arena.stretches
        for i, place in enumerate(groups):
            start, end, own = "a", "b", "gradient"
            if len(groups) > 1:  # the part of the group's parameters that is in this stretch
                start, end, own = "c", "d", "row(gradient, c - a, d - c)"
                low, high = map(piece.size, place)
                body.append(f"c, d = max(a, {low}), max(a, {low}, min(b, {high}))")
            names = "P", *(f"M{k}" for k in range(len(arena.M)))
            p, *memories = (rows(name, arena.trained, start, end) for name in names)
            first, last = i * count // len(groups), (i + 1) * count // len(groups)
            numbers = [f"floats[{k}]" for k in range(first, last)]
            body.append(f"{kernel}({', '.join([p, own, *memories, *numbers])})")
        piece.lines = [
            f"start, end = shard(first, {piece.size(self._shards)}, {trained})",
            f"for a in range(start, end, {stretch}):",
            *indented(body),
        ]
        return piece
