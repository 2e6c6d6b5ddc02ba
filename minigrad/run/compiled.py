"""The compiled training step: forward, backward and update as generated source for Numba.

`CompiledStep` traces the graph of one part of a batch (`trace.py`), simplifies its program
(`simplify.py`), places every array in one arena (`arena.py`), emits source (`emit.py`) in pieces
that models share (`pieces.py`) and runs them (`loop.py`). Each thread takes one part of the batch
through the whole graph with its own values and gradients; then the gradients are added in a fixed
order and the parameters are updated.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from .. import kernels
from ..errors import GraphError
from ..graph.context import add_node_context
from ..graph.conversion import Array
from ..graph.node import Buffer, GraphNode, Variable
from ..graph.rule import Operator, Rule
from ..optim import Optimizer
from .arena import Arena
from .emit import WORDS, Emitter
from .memory import Memory, memory_of
from .nest import indented
from .pieces import Code, Piece, names_of, openings
from .step_module import importable, imports
from .symbolic import FIRST, Call, Statement, Storage, SumOverParts, View
from .trace import trace

THREADED = 20_000  # from so many parameters on, threads share the update

TEMPLATE = '''\
"""{title}

Written by minigrad from the rules of the graph's operators; a comment names the node of the lines
below it. For each part of a batch `minigrad.run.loop.steps` calls `part`, then `update`. P holds
the parameters, G the gradients (a row per part), S buffers such as running statistics, V all other
values. `row(a, i, n)` is a[i : i + n], `shaped` the same numbers in another shape.

Names and sizes are written out here. What is compiled are pieces of `part` that read them from
tables, so that all models which have a piece share its machine code.
"""
import numpy as np
{imports}

f = np.{dtype}


def part(P, G, {arrays}X, Y, x, y, order, first, each):
    """Forward and backward for the samples from order[first] on; `each` is given their loss."""
{part}


def update(P, G, T, {memories}floats, first):
    """Add up the gradients of all parts, in T, and update the parameters of shard `first`.

    `floats` are the optimiser's numbers for this step, and the largest norm of the gradient.
    """
{update}
'''


class CompiledStep:
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
            self.trace = trace(order, inputs, optimizer.params, parts)
        if not self.trace.gradients:
            raise GraphError("compiled: the loss depends on none of the optimiser's parameters")
        self.arena = Arena(self.trace, inputs, optimizer, parts)
        samples = {name: self.arena.fed[name.lower()][0].dtype for name in "XY"}
        self._given = [
            self._array(*each) for each in {**samples, "order": np.dtype(np.intp)}.items()
        ]
        self._sums: list[int] = []  # the pieces that make sums over all parts of the batch
        pieces, table = self._pieces(), dict[Storage, int]()
        self._ends = np.array([*self._sums, len(pieces)])
        self.source = self._shown(pieces, update := self._update())
        self._part, self._new = Code(pieces, table), Code([update], table)
        self._table = np.zeros((parts, 2 * len(table)), np.intp)
        for storage, i in table.items():
            for s in range(parts) if storage not in self._given else ():
                self._table[s, 2 * i : 2 * i + 2] = self.arena.address(storage, s), storage.size
        self._places = [table[storage] for storage in self._given]
        self.trace.program.close()

    @cached_property
    def memory(self) -> Memory:
        """Which array lies where in the arena, and when; `mg.viz.memory_plan(step)` draws it."""
        return memory_of(self.arena, self.trace.program.storages, self.parts)

    def check(self, x: Array, y: Array) -> None:
        """Check all samples for indices out of range, and the graph for hooks.

        Raises what the rule raises; `GraphError` for hooks, and for a rule of the user's that
        checks numbers which are computed.
        """
        samples = {self.inputs["x"]: x, self.inputs["y"]: y}
        for node in self.order:
            if any(hooks.forward or hooks.backward for hooks in node.hooks or ()):
                raise GraphError(
                    f'{node!r} has a hook, which no compiled step calls; use mode="replay"'
                )
            if not isinstance(node, Operator):
                continue
            own = type(node.rule).check is not Rule.check and not hasattr(node.rule, "limits")
            if own and any(isinstance(one, Operator | Variable | Buffer) for one in node.inputs):
                what = (
                    "a check of numbers that are computed cannot be compiled, `limits` of indices "
                    "can"
                )
                raise GraphError(f'{node.rule.name}: {what}; use mode="replay"')
            try:
                node.rule.check(node, *(samples.get(one, one._data) for one in node.inputs))
            except Exception as error:
                add_node_context(error, node)
                raise

    def load(self) -> None:
        """Compile the step, or load it from disk, without making one.

        Raises `GraphError` for what Numba refuses.
        """
        self._part.load()
        self._new.load()

    def run(self, x: Array, y: Array, order: Array, losses: Array) -> int:
        """Make `len(losses)` steps on the samples x[order], y[order]; returns how many were made.

        Steps end with the first loss that is not finite. Losses are written as they come. x and y
        are C-contiguous, one sample after the other.
        """
        from .loop import steps  # with Numba, which importing minigrad does without

        self.load()
        self.arena.adopt()
        first = self.optimizer.steps + 1
        columns = self.optimizer.scalars(np.arange(first, first + len(losses)))
        numbers = np.empty((len(losses), len(columns) + 1), self.arena.dtype)
        for i, column in enumerate((*columns, self.optimizer.max_grad_norm or 0)):
            numbers[:, i] = column
        given = [
            array.astype(storage.dtype, copy=False)
            for storage, array in zip(self._given, (x, y, order), strict=True)
        ]
        for i, array in zip(self._places, given, strict=True):
            self._table[:, 2 * i : 2 * i + 2] = array.ctypes.data, array.size
        run = steps if self.parts > 1 else kernels.jit.serial(steps)
        programs = *self._part.program, self._ends, *self._new.program, self._shards * self.updates
        memory = self._table, self.arena.state, self.arena.each
        made = int(run(*programs, self.size, *memory, numbers, losses))
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
    def _array(self, name: str, dtype: np.dtype[Any], size: int = 0) -> Storage:
        """An array as a whole, by its name."""
        return Storage(self.trace.program, name, size, dtype, "given", "", array=name)

    def _pieces(self) -> list[Piece]:
        """The pieces of the function that takes a part of the batch through the graph.

        Each loop nest is one, so that many are alike, and most are known from other models. Where
        `simd` cannot call functions by their address, all are one.
        """
        groups: list[list[Statement]] = []
        groups += [[call] for call in (*self.arena.clearing, *self._gathers())]
        groups += self.arena.groups
        pieces, note = list[Piece](), ""
        for some in [[group] for group in groups] if kernels.simd.ON else [groups]:
            piece, first = Piece(self.arena.dtype), some[0][0]
            if isinstance(first, SumOverParts):
                self._sums.append(len(pieces))
                piece.lines = [*self._sum_over_parts(piece, *first.reads)]
            else:
                piece.lines = [*Emitter(piece).lines(some, note)]
                note = some[-1][0].note
            pieces.append(piece)
        return pieces

    def _sum_over_parts(self, piece: Piece, view: View) -> Iterator[str]:
        name, start = view.storage.array, view.storage.start + view.offset
        rows = self.arena.V[name]
        every = piece.name(self._array(name, view.dtype, rows.size))
        place = f"{piece.size(start)}, {piece.size(view.size)}"
        yield f"# all parts of the batch meet: their sums, from all rows of {name}"
        every = f"shaped({every}, {piece.shape(rows.shape)})"
        yield f"{piece.called(kernels.update.sum_over_rows)}({every}, {place})"

    def _gathers(self) -> Iterator[Call]:
        """The calls that gather the samples of a part."""
        *samples, order = self._given
        for storage, (view, swap) in zip(samples, self.arena.fed.values(), strict=True):
            width, pieces = view.size // self.size, view.shape[0] if swap else 1
            args = storage.whole(), width, order.whole(), FIRST, view.storage.whole(), pieces
            yield Call(args, swap.note if swap else "the samples", kernels.update.gather)

    def _update(self) -> Piece:
        """The piece that adds the gradients of all parts and updates the parameters in a shard."""
        arena, piece, clipped = self.arena, Piece(self.arena.dtype), self.optimizer.max_grad_norm

        def array(name: str, size: int) -> str:
            return piece.name(self._array(name, arena.dtype, size))

        def rows(name: str, size: int, start: str = "a") -> str:
            return f"row({array(name, size)}, {start}, b - a)"

        threads = self.parts > 1 and clipped is None and arena.trained > THREADED
        self._shards = self.parts if threads else 1
        parts, trained, stretch = map(piece.size, (self.parts, arena.trained, arena.T.shape[1]))
        memories = [rows(f"M{i}", arena.trained) for i in range(len(arena.M))]
        if self.parts == 1:
            gradient = rows("G", arena.trained)
        else:
            gradients = f"shaped({array('G', arena.G.size)}, ({parts}, {trained}))"
            total = rows("T", arena.T.size, f"first * {stretch}")
            gradient = f"add_up({gradients}, a, b, {total})"
        count = len(self.optimizer.scalars(1))
        numbers = [f"floats[{i}]" for i in range(count)]
        args = ", ".join([rows("P", arena.trained), "gradient", *memories, *numbers])
        body = [
            f"b = min(a + {stretch}, end)",
            f"gradient = {gradient}",
            *([f"clip_norm(gradient, floats[{count}])"] if clipped is not None else ()),
            f"{piece.called(self.optimizer.kernel)}({args})",
        ]
        piece.lines = [
            f"start, end = shard(first, {piece.size(self._shards)}, {trained})",
            f"for a in range(start, end, {stretch}):",
            *indented(body),
        ]
        return piece

    def _shown(self, pieces: Sequence[Piece], update: Piece) -> str:
        """The source as a reader wants it: with names, numbers and comments."""
        arena, names = self.arena, names_of(pieces, WORDS)
        part = [*openings(names), *(line for piece in pieces for line in piece.shown(names))]
        new = [*update.shown({storage: storage.name for storage in update.storages})]
        called = {name: thing for p in (*pieces, update) for name, thing in p.kernels.items()}
        shapes = " and ".join(
            f"{name} {(self.batch, *node.shape[1:])}" for name, node in self.inputs.items()
        )
        return TEMPLATE.format(
            title=f"One training step of a graph of {len(self.order)} nodes on batches {shapes}.",
            imports="\n".join(imports(called, "\n".join([*part, *new]))),
            dtype=arena.dtype,
            arrays="".join(f"{name}, " for name in (*arena.S, *arena.V)),
            memories="".join(f"M{i}, " for i in range(len(arena.M))),
            part="\n".join(indented(part)),
            update="\n".join(indented(new)),
        )
