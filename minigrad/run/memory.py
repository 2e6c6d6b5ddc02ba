"""The memory of a compiled step in words and numbers: which array lives where in the arena, and
when.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..graph.node import GraphNode
from ..graph.rule import Operator
from .arena import Arena
from .traced import Buffer

KINDS = ("value", "gradient", "scratch", "constant")
_HEADER = ("node", "what", "kind", "array", "offset", "bytes", "from", "to")


@dataclass(frozen=True, slots=True)
class LiveRange:
    """One array that a step computes: when it is live, and where.

    `name` is its name in the generated source (where a second one of that name is numbered), `node`
    the node that it belongs to; `kind` is "value" or "gradient" (of the node), "scratch" or
    "constant" (stored once, always live). It lies in `array` at byte `offset` and takes so many
    `bytes`; it is live from statement `first` to statement `last`, counted from 0 in the order of
    the source. Where another array overwrites it entry by entry, in the last loop that reads it,
    that loop counts for the other one.
    """

    name: str
    node: str
    kind: str
    array: str
    offset: int
    bytes: int
    first: int
    last: int


class Memory:
    """The memory of a compiled step; printed, it is a table, the largest arrays first.

    `rows` has a `LiveRange` for each computed array, in the order in which they begin; each of the
    `parts` of the batch has its own copy of them. `arrays` maps the arrays of the arena in which
    rows lie to their bytes for one part; `fixed` gives the bytes of parameters, gradients, the
    optimiser's memory, layers' buffers and the batch, for all parts. The first `forward` of the
    `statements` are the forward pass.
    """

    def __init__(
        self,
        rows: tuple[LiveRange, ...],
        arrays: Mapping[str, int],
        fixed: Mapping[str, int],
        parts: int,
        statements: int,
        forward: int,
    ) -> None:
        self.rows, self.arrays, self.fixed = rows, dict(arrays), dict(fixed)
        self.parts, self.statements, self.forward = parts, statements, forward

    @property
    def shared(self) -> int:
        """Bytes of one part's computed arrays, places being used again."""
        return sum(self.arrays.values())

    @property
    def unshared(self) -> int:
        """Bytes that the same arrays would take side by side."""
        return sum(row.bytes for row in self.rows)

    @property
    def total(self) -> int:
        """All bytes of the step: those of all parts, and what is fixed."""
        return self.parts * self.shared + sum(self.fixed.values())

    def table(self) -> str:
        """The rows as aligned text, the largest first, and sums."""
        rows = sorted(self.rows, key=lambda row: (-row.bytes, row.first))
        cells = [
            (
                r.node,
                r.name,
                r.kind,
                r.array,
                f"{r.offset:,}",
                f"{r.bytes:,}",
                str(r.first),
                str(r.last),
            )
            for r in rows
        ]
        widths = [max(map(len, column)) for column in zip(_HEADER, *cells, strict=True)]
        lines = [
            "  ".join(
                c.rjust(w) if i > 3 else c.ljust(w)
                for i, (c, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in (_HEADER, *cells)
        ]
        parts = f", for each of {self.parts} parts of the batch" if self.parts > 1 else ""
        fixed = ", ".join(f"{name} {size:,}" for name, size in self.fixed.items())
        return "\n".join(
            [
                *lines,
                f"computed: {self.shared:,} bytes in place of {self.unshared:,}{parts}",
                f"fixed: {fixed} bytes",
                f"in all: {self.total:,} bytes; statements 0 to {self.forward - 1} are the "
                f"forward pass, "
                f"{self.forward} to {self.statements - 1} the backward pass",
            ]
        )

    __str__ = table

    def __repr__(self) -> str:
        return (
            f"<Memory of {len(self.rows)} arrays: {self.shared:,} bytes in place of "
            f"{self.unshared:,}>"
        )


def memory_of(
    arena: Arena, buffers: Sequence[Buffer], order: Sequence[GraphNode], parts: int
) -> Memory:
    """The memory of a compiled step, as its arena planned it."""
    notes = [group[0].note for group in arena.groups]
    end, rows = len(notes) - 1, []
    for buffer in buffers:
        place = arena.places.get(id(buffer))
        if place is None or place.array not in arena.names:
            continue  # a parameter, its gradient, a sample, or nothing that anybody needs
        first, last = arena.lives.get(id(buffer), (0, end))
        if buffer.kind == "constant":
            first, last = 0, end
        node, kind = _belongs(order, buffer, notes[first])
        size, start = buffer.dtype.itemsize * buffer.size, buffer.dtype.itemsize * place.start
        rows.append(
            LiveRange(buffer.name, node, kind, place.array, start, size, first, min(last, end))
        )
    fixed = {
        "parameters": arena.P.nbytes,
        "gradients": arena.G.nbytes + arena.T.nbytes,
        "optimiser": sum(m.nbytes for m in arena.M),
        "kept": sum(kept.nbytes for kept in arena.S.values()),
        "batch": sum(samples.nbytes for samples in arena.inputs),
    }
    arrays = {name: row.nbytes // parts for name, row in zip(arena.names, arena.rows, strict=True)}
    begins = {(row.array, row.offset, row.first) for row in rows}
    rows = [
        replace(row, last=row.last - 1)
        if row.first < row.last and (row.array, row.offset, row.last) in begins
        else row
        for row in rows
    ]
    forward = next(
        (i for i, note in enumerate(notes) if note.startswith("back through ")), len(notes)
    )
    return Memory(
        tuple(sorted(rows, key=lambda row: row.first)),
        arrays,
        fixed,
        parts,
        len(notes),
        forward,
    )


def _belongs(order: Sequence[GraphNode], buffer: Buffer, note: str) -> tuple[str, str]:
    """The node of a buffer in words, and its kind."""
    named = re.match(r"(grad_)?n(\d+)_?(.*)", buffer.name)
    if named is None:  # a copy or a sum on the way
        return note.removeprefix("back through "), "scratch"
    node = order[int(named[2])]
    rule = node.rule.name if isinstance(node, Operator) else type(node).__name__
    words = f"n{named[2]} {rule}{f' {node.name!r}' if node.name else ''} {node.shape}"
    if buffer.kind == "constant":
        return words, "constant"
    return words, "gradient" if named[1] else "value" if named[3] == rule else "scratch"
