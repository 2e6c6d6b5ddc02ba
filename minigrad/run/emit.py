"""Emitting statements as source: loops that a student can read and Numba compiles."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import GraphError
from .nest import Nest
from .symbolic import Assign, Call, Expr, Shape, Statement, Storage, SymbolicArray, View

#: NumPy's name of a function -> how it is written for single numbers
_FORMULAS = {
    "add": "({} + {})",
    "subtract": "({} - {})",
    "multiply": "({} * {})",
    "divide": "({} / {})",
    "negative": "(-{})",
    "positive": "{}",
    "square": "square({})",
    "power": "power({}, {})",
    "exp": "exp({})",
    "tanh": "tanh({})",
    "absolute": "abs({})",
    "sign": "sign({})",
    "maximum": "maximum({}, {})",
    "minimum": "minimum({}, {})",
    "erf": "erf({})",
    "where": "({1} if {0} else {2})",
    "equal": "({} == {})",
    "not_equal": "({} != {})",
    "less": "({} < {})",
    "less_equal": "({} <= {})",
    "greater": "({} > {})",
    "greater_equal": "({} >= {})",
    "bitwise_and": "({} and {})",
    "bitwise_or": "({} or {})",
    "invert": "(not {})",
    "isfinite": "(abs({}) < np.inf)",
    "isnan": "({0} != {0})",
    "isinf": "(abs({}) == np.inf)",
}
_AS_IN_NUMPY = """
    sqrt log log1p log2 log10 expm1 sin cos tan arcsin arccos arctan sinh cosh arcsinh arccosh
    arctanh floor ceil trunc rint
"""
_FORMULAS |= {name: f"np.{name}({{}})" for name in _AS_IN_NUMPY.split()}
#: reduction -> what it starts from, and how it takes in one more number
_REDUCTIONS = {
    "add": (0, "plus({}, {})"),
    "multiply": (1, "times({}, {})"),
    "maximum": (-np.inf, _FORMULAS["maximum"]),
    "minimum": (np.inf, _FORMULAS["minimum"]),
}
_TEXTS = " ".join([*_FORMULAS.values(), *(join for _, join in _REDUCTIONS.values())])
_TAKEN = {
    *re.findall(r"[a-z]+\w*", _TEXTS),
    *keyword.kwlist,
    *("sum", "range", "part", "f", "P", "G", "V", "total"),
}
_CONSTANTS = {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}


def comment(note: str) -> str:
    """A comment on one line, whatever is in a name: unprintable characters are escaped."""
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in note)
    return f"# {''.join(shown)}"


class Emitter:
    """Writes statements as lines of source.

    `dtype` is that of all floats. `kernels` are the functions to import, by the name by which the
    source calls them (None: from `kernels.gemm`); `constants` those of the module, source -> name.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.kernels: dict[str, Any] = {}
        self.constants: dict[str, str] = {}
        self.names: dict[Storage, str] = {}

    # ---------------- names
    def name(self, storage: Storage) -> str:
        """The local name of a storage's flat array."""
        if storage not in self.names:
            plain = re.sub(r"[^A-Za-z0-9_]", "_", storage.name)
            taken, name, number = _TAKEN.union(self.names.values()), plain, 2
            while name in taken:
                name, number = f"{plain}_{number}", number + 1
            self.names[storage] = name
        return self.names[storage]

    def openings(self, storages: Sequence[Storage]) -> Iterator[str]:
        """The lines that give arrays their names.

        One in the place of another is the same array: of two slices the compiler does not know that
        their entries are the same, and a loop that reads one and writes the other would not
        vectorise.
        """
        known: dict[str, str] = {}
        for s in storages:
            if s in self.names and s.array and s.kind != "input":
                where = f"{s.array}[{s.start}:{s.start + s.size}]"
                yield f"{self.name(s)} = {known.setdefault(where, where)}"
                known[where] = self.name(s)

    # ---------------- statements
    def lines(self, groups: Sequence[Sequence[Statement]]) -> Iterator[str]:
        """All statements; those of a group, assignments over the same entries, in one loop."""
        note = ""
        for group in groups:
            statement = group[0]
            if statement.note != note:
                note = statement.note
                yield comment(note)
            if isinstance(statement, Call):
                yield self._call(statement)
            elif isinstance(statement, Assign) and statement.op == "matmul":
                yield self._matmul(statement)
            elif isinstance(statement, Assign) and statement.op in _REDUCTIONS:
                yield from self._reduction(statement)
            else:
                yield from self._assignments([s for s in group if isinstance(s, Assign)])

    def nest(self, shape: Shape, group: Sequence[Assign], *more: View) -> Nest:
        """The loops over the entries of all arrays of a group."""
        operands = [*more, *(view for s in group for view in s.touches())]
        return Nest(shape, operands, {s.target.storage for s in group}, self.name)

    def _assignments(self, group: list[Assign]) -> Iterator[str]:
        first, body = group[0], list[str]()
        loop, note = self.nest(first.target.shape, group), first.note
        if len(group) == 1 and isinstance(first.value, View):
            lines = loop.transposed(first.target, first.value)
            if lines:
                yield from lines
                return
        for s in group:
            if s.note != note:
                note = s.note
                body.append(comment(note))
            value, target = self.formula(s.value, loop), s.target
            if not target.storage.array and target.dtype.kind == "f":
                value = f"f({value})"
            body.append(f"{loop.entry(target)} = {value}")
        yield from loop.lines(body)

    def _reduction(self, s: Assign) -> Iterator[str]:
        target, x = s.target, s.value
        if rows := _summed_rows(s):
            self.kernels["sum_rows"] = None
            yield f"sum_rows({self.flat(target)}, {self.flat(x)}, {rows}, {target.size})"
            return
        start, text = _REDUCTIONS[s.op]
        join, fill = text.format, self._number(start, target.dtype)
        yield from self._assignments([Assign((start,), s.note, target, "formula")])
        wide = target.look(np.broadcast_to, x.shape)
        loop = self.nest(x.shape, [s], wide)
        value = self.formula(x, loop)
        if x.dtype.kind == "b":
            value = f"({value} * 1)"
        entry = loop.entry(wide)
        if loop.shape and loop.strides(wide)[-1] == 0:
            body = [f"total = {join('total', value)}"]
            yield from loop.lines(body, [f"total = {fill}"], [f"{entry} = {join(entry, 'total')}"])
        else:
            yield from loop.lines([f"{entry} = {join(entry, value)}"])

    def _matmul(self, s: Assign) -> str:
        (a, b, *bias), out = s.args, s.target
        (m, k), n = a.shape, b.shape[1]
        lone = n == 1 and b.T.contiguous and a.contiguous  # one column: sums along rows
        kind = ("n" if a.contiguous else "t") + ("t" if lone or not b.contiguous else "n")
        matrices = [x if c == "n" else x.T for c, x in zip(kind, (a, b), strict=True)]
        name = f"product_{'bias' if bias else kind}"
        self.kernels[name] = None
        arrays = ", ".join(map(self.flat, (out, *matrices)))
        return f"{name}({', '.join([arrays, f'{m}, {k}, {n}', *map(self.flat, bias)])})"

    def _call(self, s: Call) -> str:
        name = f"{s.kernel.__module__.rpartition('.')[2]}_{s.kernel.__name__}"
        self.kernels[name] = s.kernel
        return f"{name}({', '.join(map(self._argument, s.args))})"

    def _argument(self, x: Any) -> str:
        if isinstance(x, View):
            return self.flat(x) if x.ndim == 1 else f"shaped({self.flat(x)}, {x.shape!r})"
        if isinstance(x, np.ndarray):
            if x.size or x.dtype != self.dtype:
                raise GraphError(
                    f"a kernel that is given an array {x.dtype} {x.shape} cannot be compiled"
                )
            # no constant of the module: those cannot be written to
            return f"shaped(P[0:0], {x.shape})"
        if isinstance(x, tuple):
            kind = type(x)
            self.kernels[kind.__name__] = kind
            source = f"{kind.__name__}{tuple(x)!r}"
            return self.constants.setdefault(source, f"dims{len(self.constants)}")
        return _CONSTANTS.get(repr(x), repr(x))

    def flat(self, view: View) -> str:
        """A contiguous view as a flat array."""
        name, end = self.name(view.storage), view.offset + view.size
        return name if view.size == view.storage.size else f"{name}[{view.offset}:{end}]"

    # ---------------- formulas
    def formula(self, value: Any, loop: Nest) -> str:
        """A formula for the entry of the innermost loop."""
        if isinstance(value, View):
            return loop.entry(value)
        if not isinstance(value, Expr):
            return self._number(value, self.dtype)
        if value.op not in _FORMULAS:
            raise GraphError(f"np.{value.op} cannot be compiled")
        indices = all(x.dtype.kind in "iu" for x in value.args if isinstance(x, SymbolicArray))
        args = [
            repr(x) if indices and isinstance(x, int) else self.formula(x, loop) for x in value.args
        ]
        for i, x in enumerate(value.args):  # a mask among floats counts as 0 or 1
            mask = isinstance(x, SymbolicArray) and x.dtype.kind == "b"
            if mask and value.dtype.kind == "f" and not (value.op == "where" and i == 0):
                one, zero = (self._number(n, self.dtype) for n in (1, 0))
                args[i] = f"({one} if {args[i]} else {zero})"
        return _FORMULAS[value.op].format(*args)

    def _number(self, number: float, dtype: np.dtype[Any]) -> str:
        text = _CONSTANTS.get(repr(number), repr(number))
        return f"f({text})" if dtype.kind == "f" else text


def _summed_rows(s: Assign) -> int:
    """How many rows the sum adds up if they are contiguous, so that it is one call; else 0."""
    x, target = s.value, s.target
    long = [i for i, n in enumerate(x.shape) if n != 1]
    summed = [i for i in long if target.shape[i] == 1]
    leading = summed and summed == long[: len(summed)] != long
    if not leading or s.op != "add" or not isinstance(x, View) or not x.size:
        return 0
    fits = x.contiguous and target.contiguous and x.dtype == target.dtype and x.dtype.kind == "f"
    return x.size // target.size if fits else 0
