"""The memory of a compiled step as a table: which array lies where in the arena, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

from .arena import Arena
from .symbolic import Storage

KINDS = ("value", "gradient", "scratch", "constant")


@dataclass(frozen=True, slots=True)
class LiveRange:
    """One array that a step computes: when it is live, and where it lies.

    `node` is the node that it belongs to, `name` its name in the generated source (where a second
    one of that name is numbered); `kind` is "value" or "gradient" (of the node), "scratch" or
    "constant" (stored once, always live). It lies in `array` at byte `offset` and takes so many
    `bytes`; it is live from statement `first` to statement `last`, counted from 0 in the order of
    the source. If another array overwrites it entry by entry, the loop that does so counts for the
    other one.
    """

    node: str
    name: str
    kind: str
    array: str
    offset: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Memory:
    """The memory of a compiled step; printed, it is a table, the largest arrays first.

    `rows` has a `LiveRange` for each computed array, in the order in which they begin; each of the
    `parts` of the batch has its own copy of them. `arrays` maps the arrays of the arena in which
    rows lie to their bytes for one part; `fixed` gives the bytes of parameters, gradients, the
    optimiser's memory, the model's buffers and the batch, for all parts. The first `forward` of the
    `statements` are the forward pass.
    """

    rows: tuple[LiveRange, ...]
    arrays: dict[str, int]
    fixed: dict[str, int]
    parts: int
    statements: int
    forward: int

    @property
    def shared(self) -> int:
        """Bytes of the computed arrays of one part, with memory reused."""
        return sum(self.arrays.values())

    @property
    def unshared(self) -> int:
        """Bytes that the same arrays would take side by side."""
        return sum(row.bytes for row in self.rows)

    @property
    def total(self) -> int:
        """All bytes of the step: those of all parts, and `fixed`."""
        return self.parts * self.shared + sum(self.fixed.values())

    def table(self) -> str:
        """The rows as aligned text, the largest first, and sums."""
        rows = sorted(self.rows, key=lambda row: (-row.bytes, row.first))
        cells = [[field.name for field in fields(LiveRange)]]
        cells += [[f"{x:,}" if isinstance(x, int) else x for x in astuple(row)] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        form = "  ".join(f"{{:{'>' if i > 3 else '<'}{n}}}" for i, n in enumerate(widths))
        parts = f", for each of {self.parts} parts of the batch" if self.parts > 1 else ""
        fixed = ", ".join(f"{name} {size:,}" for name, size in self.fixed.items())
        return "\n".join(
            [
                *(form.format(*row).rstrip() for row in cells),
                f"computed: {self.shared:,} bytes in place of {self.unshared:,}{parts}",
                f"fixed: {fixed} bytes",
                f"in all: {self.total:,} bytes; statements 0 to {self.forward - 1} are the "
                f"forward pass, {self.forward} to {self.statements - 1} the backward pass",
            ]
        )

    __str__ = table

    def __repr__(self) -> str:
        return (
            f"<Memory of {len(self.rows)} arrays: {self.shared:,} bytes in place of "
            f"{self.unshared:,}>"
        )


def memory_of(arena: Arena, storages: Sequence[Storage], parts: int) -> Memory:
    """The memory of a compiled step, as its arena planned it."""
    end = len(arena.groups) - 1
    placed = [(*s.live, s) for s in storages if s.live and s.array in arena.V]
    taken = {(s.array, s.start, first) for first, _, s in placed}
    rows = []
    for first, last, s in sorted(placed, key=lambda row: row[0]):
        over = first < last and (s.array, s.start, last) in taken  # taken over by another one
        offset, size = s.dtype.itemsize * s.start, s.dtype.itemsize * s.size
        last = min(last, end) - over
        rows.append(LiveRange(s.node, s.name, s.kind, s.array, offset, size, first, last))
    fixed = {
        "parameters": arena.P.nbytes,
        "gradients": arena.G.nbytes + arena.T.nbytes,
        "optimiser": sum(m.nbytes for m in arena.M),
        "kept": sum(rows.nbytes for rows in arena.S.values()),
        "batch": sum(samples.nbytes for samples in arena.inputs),
    }
    arrays = {name: rows.nbytes // parts for name, rows in arena.V.items()}
    back = [i for i, group in enumerate(arena.groups) if group[0].note.startswith("back through ")]
    forward = back[0] if back else end + 1
    return Memory(tuple(rows), arrays, fixed, parts, end + 1, forward)
