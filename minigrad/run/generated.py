"""What a compiled step and a compiled forward pass share: a graph as pieces of generated source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..errors import GraphError
from ..graph.context import add_node_context
from ..graph.conversion import Array
from ..graph.node import Buffer, GraphNode, Variable
from ..graph.rule import Operator, Rule
from .arena import Arena
from .emit import WORDS, Emitter
from .nest import indented
from .pieces import Code, Piece, names_of, openings
from .step_module import imports
from .symbolic import FIRST, Call, Statement, Storage, SumOverParts, View
from .trace import Trace

TEMPLATE = '''\
"""{title}

Written by minigrad from the rules of the graph's operators; a comment names the node of the lines
below it. P holds the parameters, G their gradients, S buffers such as running statistics, V all
other values; but for P, arrays are those of one part of the batch. `row(a, i, n)` is a[i : i + n],
`shaped` the same numbers in another shape.

Names and sizes are written out here. What is compiled are pieces of `part` that read them from
tables, so that all models which have a piece share its machine code; `minigrad.run.loop` runs them.
"""
import numpy as np
{imports}

f = np.{dtype}


def part({arrays}, first):
    """The graph for the samples X[order[first]] and so on."""
{part}
'''
UPDATE = '''

def update(P, G, T, {memories}floats, first):
    """Add up the gradients of all parts, in T, and update the parameters of shard `first`.

    `floats` are the optimiser's numbers for this step, and the largest norm of the gradient.
    """
{update}
'''


def need_compilable(order: Sequence[GraphNode]) -> None:
    """Raise `GraphError` for hooks, and for a rule of the user's that checks computed numbers."""
    for node in order:
        if any(hooks.forward or hooks.backward for hooks in node.hooks or ()):
            raise GraphError(
                f'{node.brief} has a hook, which no compiled step calls; use mode="replay"'
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
    """A graph as pieces of generated source, and the arrays that they work on.

    `arena` has the arrays, with a row for each of `parts` that threads compute at a time; each is
    fed with `size` samples. What is `given` with each run are arrays too: samples (X, Y), their
    order, and others. `source` is the generated source.
    """

    trace: Trace
    arena: Arena
    parts: int
    size: int
    source: str
    given: dict[str, Storage]

    def generate(self, title: str, update: Piece | None = None) -> None:
        """Write the source, from the program that the arena has placed, and describe its arrays.

        `table` has an address and a size for each array, a row for each part.
        """
        pieces, entries = list(self._pieces()), dict[Storage, int]()
        self.source = self._shown(title, pieces, update)
        self.ends = np.array([*(i for i, p in enumerate(pieces) if p.meeting), len(pieces)])
        programs = [pieces, [update]] if update else [pieces]
        self.codes = [Code(program, entries) for program in programs]
        self.table = np.zeros((self.parts, 2 * len(entries)), np.intp)
        used = {name: entries[s] for name, s in self.given.items() if s in entries}
        self.places = {name: 2 * i for name, i in used.items()}
        for s, row in enumerate(self.table):
            arrays = self.arena.arrays(s)
            addresses = {name: array.ctypes.data for name, array in arrays.items()}
            for storage, i in entries.items():
                if start := addresses.get(storage.array):
                    start += storage.start * storage.dtype.itemsize
                    row[2 * i : 2 * i + 2] = start, storage.size
        self.trace.program.close()

    @property
    def texts(self) -> list[str]:
        """The source of all pieces, as it is compiled."""
        return [text for code in self.codes for text in code.texts]

    def load(self) -> None:
        """Compile the pieces, or load them from disk, without running them.

        Raises `GraphError` for what Numba refuses.
        """
        for code in self.codes:
            code.load()

    def give(self, **arrays: Array) -> tuple[Array, ...]:
        """Describe arrays that are given. They are returned: they must live as long as the run."""
        held = []
        for name, i in self.places.items():
            held.append(np.ascontiguousarray(arrays[name], self.given[name].dtype))
            self.table[:, i : i + 2] = held[-1].ctypes.data, held[-1].size
        return tuple(held)

    def array(self, name: str, dtype: np.dtype[Any], size: int = 0) -> Storage:
        """An array as a whole, by its name."""
        return Storage(self.trace.program, name, size, dtype, "given", "", array=name)

    # ---------------- source
    def _pieces(self) -> Iterator[Piece]:
        """The pieces of the function that takes a part of the batch through the graph.

        Each loop nest is one, so that many are alike, and most are known from other models. Where
        `simd` cannot call functions by their address, all are one.
        """
        groups: list[list[Statement]] = []
        groups += [[call] for call in (*self.arena.clearing, *self._gathers())]
        groups += self.arena.groups
        note = ""
        for some in [[group] for group in groups] if kernels.simd.ON else [groups]:
            piece, first = Piece(self.arena.dtype), some[0][0]
            if isinstance(first, SumOverParts):
                piece.meeting, piece.lines = True, [*self._sum_over_parts(piece, *first.reads)]
            else:
                piece.lines = [*Emitter(piece).lines(some, note)]
                note = some[-1][0].note
            yield piece

    def _sum_over_parts(self, piece: Piece, view: View) -> Iterator[str]:
        name, start = view.storage.array, view.storage.start + view.offset
        rows = self.arena.V[name]
        every = piece.name(self.array(name, view.dtype, rows.size))
        every = f"shaped({every}, {piece.shape(rows.shape)})"
        place = f"{piece.size(start)}, {piece.size(view.size)}"
        yield f"# all parts of the batch meet: their sums, from all rows of {name}"
        yield f"{piece.called(kernels.update.sum_over_rows)}({every}, {place})"

    def _gathers(self) -> Iterator[Call]:
        """The calls that gather the samples of a part."""
        order = self.given["order"].whole()
        for name, (view, swap) in self.arena.fed.items():
            width, pieces = view.size // self.size, view.shape[0] if swap else 1
            samples = self.given[name.upper()].whole()
            args = samples, width, order, FIRST, view.storage.whole(), pieces
            yield Call(args, swap.note if swap else "the samples", kernels.update.gather)

    def _shown(self, title: str, pieces: Sequence[Piece], update: Piece | None) -> str:
        """The source as a reader wants it: with names, numbers and comments."""
        arena, names = self.arena, names_of(pieces, WORDS)
        part = [*openings(names), *(line for piece in pieces for line in piece.shown(names))]
        last = [*update.shown({s: s.name for s in update.storages})] if update else []
        both = [*pieces, update] if update else pieces
        called = {name: thing for piece in both for name, thing in piece.kernels.items()}
        own = "P", *("G",) * bool(self.trace.gradients), *arena.S, *arena.V
        text = TEMPLATE.format(
            title=title,
            imports="\n".join(imports(called, "\n".join([*part, *last]))),
            dtype=arena.dtype,
            arrays=", ".join([*own, *self.given, *arena.fed, "each"]),
            part="\n".join(indented(part)),
        )
        memories = "".join(f"M{i}, " for i in range(len(arena.M)))
        more = UPDATE.format(memories=memories, update="\n".join(indented(last)))
        return text + more if update else text
