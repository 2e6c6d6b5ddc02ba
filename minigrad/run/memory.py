"""The memory of a compiled step in words and numbers: which array lives where in the arena, and
when.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..graph.rule import Operator

if TYPE_CHECKING:
    from .compiled import CompiledStep
    from .traced import Buffer

KINDS = ("value", "gradient", "scratch", "constant")
_HEADER = ("node", "what", "kind", "array", "offset", "bytes", "from", "to")


@dataclass(frozen=True, slots=True)
class Stay:
    """One array that a step computes: `name` as in the generated source (a second one of that name
    is numbered there).

    `node` is the node that it belongs to, in the source's words; `kind` is "value" (of the node),
    "gradient" (of the node), "scratch" (something noted on the way) or "constant" (given once,
    there always). It lives in `array`, from byte `offset` for so many `bytes`, from statement
    `first` to statement `last`, counted from 0 in the order of the source. Where another array
    takes over the place entry by entry, in the last loop that reads this one, that loop counts as
    the other's.
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
    """What `CompiledStep.memory` returns; printed, it is a table, the largest arrays first.

    `rows` has a `Stay` for each computed array, in the order in which they begin. All of it is
    there once for each of `parts` parts of the batch, that work side by side. `arrays` maps each
    array of the arena in which rows lie to its bytes for one part; `fixed` says how many bytes
    parameters, gradients, the optimiser's memory, what layers keep (running statistics) and the
    batch take, for all parts. The first `forward` of the `statements` belong to the forward pass.
    """

    def __init__(
        self,
        rows: tuple[Stay, ...],
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


def memory_of(step: CompiledStep) -> Memory:
    """The memory of a compiled step, as its arena planned it."""
    arena, buffers = step.arena, step.trace.program.buffers
    notes = [group[0].note for group in arena.groups]
    end, rows = len(notes) - 1, []
    for buffer in buffers:
        place = arena.places.get(id(buffer))
        if place is None or place.array not in arena.names:
            continue  # a parameter, its gradient, a sample, or nothing that anybody needs
        first, last = arena.lives.get(id(buffer), (0, end))
        if buffer.kind == "constant":
            first, last = 0, end
        node, kind = _belongs(step, buffer, notes[first])
        size, start = buffer.dtype.itemsize * buffer.size, buffer.dtype.itemsize * place.start
        rows.append(Stay(buffer.name, node, kind, place.array, start, size, first, min(last, end)))
    fixed = {
        "parameters": arena.P.nbytes,
        "gradients": arena.G.nbytes + arena.T.nbytes,
        "optimiser": sum(m.nbytes for m in arena.M),
        "kept": sum(kept.nbytes for kept in arena.S.values()),
        "batch": sum(samples.nbytes for samples in arena.inputs),
    }
    arrays = {
        name: row.nbytes // step.parts for name, row in zip(arena.names, arena.rows, strict=True)
    }
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
        step.parts,
        len(notes),
        forward,
    )


def _belongs(step: CompiledStep, buffer: Buffer, note: str) -> tuple[str, str]:
    """The node of a buffer in words, and its kind."""
    named = re.match(r"(grad_)?n(\d+)_?(.*)", buffer.name)
    if named is None:  # a copy or a sum on the way
        return note.removeprefix("back through "), "scratch"
    node = step.order[int(named[2])]
    rule = node.rule.name if isinstance(node, Operator) else type(node).__name__
    words = f"n{named[2]} {rule}{f' {node.name!r}' if node.name else ''} {node.shape}"
    if buffer.kind == "constant":
        return words, "constant"
    return words, "gradient" if named[1] else "value" if named[3] == rule else "scratch"
