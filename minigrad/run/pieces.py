"""Pieces of a program: functions without names and sizes, compiled once for all models."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..errors import GraphError
from .nest import indented
from .step_module import imports, load, one_process
from .symbolic import Storage

_SYMBOL = re.compile(r"\b([akc])(\d+)\b")

PIECE = """\
import numpy as np
{imports}

f = np.{dtype}


@compiled_separately
def piece(table, sizes, floats, first):
    table, sizes, floats = opened(table), opened(sizes), opened(floats)
{lines}
"""


class Piece:
    """Lines of a program, in which symbols stand for arrays and numbers.

    a0, a1, … are the `storages`, k0, k1, … the `sizes` (sizes, strides, offsets), c0, c1, … the
    `floats` of formulas. So one function serves for all lines that differ in nothing else; it is
    told its arrays and numbers when it runs. At a `meeting` it runs once for all parts of a batch,
    when they have come so far. `kernels` are the functions that it calls, by name
    (see `step_module.imports`).
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype, self.meeting = dtype, False
        self.lines: list[str] = []
        self.storages: dict[Storage, int] = {}
        self.sizes: list[int] = []
        self.floats: list[float] = []
        self.kernels: dict[str, Any] = {}

    # ---------------- symbols
    def name(self, storage: Storage) -> str:
        """The symbol of an array."""
        return f"a{self.storages.setdefault(storage, len(self.storages))}"

    def size(self, n: int) -> str:
        """A symbol for a size, another one at each call: sizes that are equal here may differ."""
        self.sizes.append(int(n))
        return f"k{len(self.sizes) - 1}"

    def length(self, n: int) -> str:
        """`size`, but for 0 and 1, which change the loops of a program and are written out."""
        return str(n) if n in (0, 1) else self.size(n)

    def shape(self, shape: Sequence[int]) -> str:
        """A tuple of sizes."""
        return f"({', '.join(map(self.size, shape))}{',' * (len(shape) == 1)})"

    def number(self, x: float) -> str:
        """A symbol for a number of a formula."""
        self.floats.append(x)
        return f"c{len(self.floats) - 1}"

    def called(self, kernel: Any) -> str:
        """The name by which a kernel is called."""
        name = f"{kernel.__module__.rpartition('.')[2]}_{kernel.__name__}"
        self.kernels[name] = kernel
        return name

    # ---------------- source
    def compiled(self, table: dict[Storage, int]) -> str:
        """The piece as a module: the same text for all models in which it has the same structure.

        `table` gives the entry of the table that describes each array (`simd.view`). An array in
        the place of another one is the same one: of two the compiler does not know that their
        entries are the same, and a loop that reads one and writes the other would not vectorise.
        """
        known: dict[Storage, str] = {}
        opened = list[str]()
        for s, i in self.storages.items():
            if not s.array:
                continue
            if s.place not in known:
                dtype = (
                    "f" if s.dtype == self.dtype else f"np.{s.dtype.name.replace('bool', 'bool_')}"
                )
                entry = self.size(table.setdefault(s, len(table)))
                known[s.place] = f"view(table, {entry}, {dtype})"
            opened.append(f"a{i} = {known[s.place]}")
            known[s.place] = f"a{i}"
        lines = [*opened, *(line for line in self.lines if not line.lstrip().startswith("#"))]
        used = {kind + number for kind, number in _SYMBOL.findall("\n".join(lines))}
        read = [f"k{i} = sizes[{i}]" for i in range(len(self.sizes)) if f"k{i}" in used]
        read += [f"c{i} = floats[{i}]" for i in range(len(self.floats)) if f"c{i}" in used]
        text = "\n".join(indented([*read, *lines]))
        needed = "\n".join(imports(self.kernels, f"opened {text}"))
        return PIECE.format(imports=needed, dtype=self.dtype, lines=text)

    def shown(self, names: dict[Storage, str]) -> Iterator[str]:
        """The lines with names and numbers in place of symbols; comments may hold any word."""
        storages = list(self.storages)

        def value(symbol: re.Match[str]) -> str:
            kind, i = symbol[1], int(symbol[2])
            if kind == "a":
                return names[storages[i]]
            return str(self.sizes[i]) if kind == "k" else f"f({self.floats[i]!r})"

        for line in self.lines:
            yield line if line.lstrip().startswith("#") else _SYMBOL.sub(value, line)


class Code:
    """Pieces in their order, for `simd.launch`: machine code, and the numbers of each.

    `table` gets an entry for each of their arrays (see `Piece.compiled`).
    """

    def __init__(self, pieces: Sequence[Piece], table: dict[Storage, int]) -> None:
        self.dtype = pieces[0].dtype
        self.texts = [piece.compiled(table) for piece in pieces]
        numbers = [n for piece in pieces for n in piece.sizes]
        floats = [x for piece in pieces for x in piece.floats]
        sizes = [(len(piece.sizes), len(piece.floats)) for piece in pieces]
        starts = np.cumsum([(0, 0), *sizes], axis=0, dtype=np.intp)
        self.numbers = starts, np.array(numbers, np.intp), np.array(floats, self.dtype)
        self.program: tuple[Any, ...] = ()  # code and numbers, for `loop`

    def load(self) -> None:
        """Compile the pieces, or load them from disk.

        Raises `GraphError` for what Numba refuses.
        """
        from numba.core.errors import NumbaError

        if self.program:
            return
        modules = {text: load(text) for text in dict.fromkeys(self.texts)}
        names = "".join(sorted(module.__name__ for module in modules.values()))
        try:
            with one_process(hashlib.sha256(names.encode()).hexdigest()[:16]):
                code = kernels.simd.linked([modules[text].piece for text in self.texts], self.dtype)
        except NumbaError as error:
            said = " ".join(str(error.args[0]).partition("\n\n")[0].split())
            raise GraphError(f'the step does not compile ({said}); use mode="replay"') from error
        self.program = code, self.numbers


def names_of(pieces: Iterable[Piece], taken: Iterable[str]) -> dict[Storage, str]:
    """A readable name for each array, none of them `taken`."""
    storages = dict.fromkeys(storage for piece in pieces for storage in piece.storages)
    names = {s: s.name for s in storages if s.array == s.name}
    used = {*taken, *names.values()}
    for storage in storages:
        if storage in names:
            continue
        plain = re.sub(r"[^A-Za-z0-9_]", "_", storage.name)
        name, number = plain, 2
        while name in used:
            name, number = f"{plain}_{number}", number + 1
        names[storage] = name
        used.add(name)
    return names


def openings(names: dict[Storage, str]) -> Iterator[str]:
    """The lines of the shown source that give arrays their names."""
    for s, name in names.items():
        if s.array and s.array != name:
            yield f"{name} = {s.array}[{s.start}:{s.end}]"
