"""Emitting statements as source: loops that a student can read and Numba compiles."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import GraphError
from .nest import Nest
from .pieces import Piece
from .symbolic import Assign, Call, Expr, Shape, Statement, SymbolicArray, View, formula

#: NumPy's name of a function -> how it is written for single numbers
_FORMULAS = {
    "add": "({} + {})",
    "subtract": "({} - {})",
    "multiply": "({} * {})",
    "divide": "({} / {})",
    "remainder": "np.remainder({}, {})",
    "floor_divide": "np.floor_divide({}, {})",
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
    "maximum": (-np.inf, "larger({}, {})"),
    "minimum": (np.inf, "smaller({}, {})"),
}
_TEXTS = " ".join([*_FORMULAS.values(), *(join for _, join in _REDUCTIONS.values())])
#: words of the source, which no array may have for a name
WORDS = {
    *re.findall(r"[a-z]+\w*", _TEXTS),
    *keyword.kwlist,
    *("sum", "range", "part", "f", "P", "G", "V", "first", "total", "row", "shaped"),
}
_CONSTANTS = {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}
#: numbers of formulas that stay in the source: they say more than a size, and a compiler uses them
_LITERAL = (0, 1, -1, 2, np.inf, -np.inf)


def comment(note: str) -> str:
    """A comment on one line, whatever is in a name: unprintable characters are escaped."""
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in note)
    return f"# {''.join(shown)}"


class Emitter:
    """Writes statements as the lines of a piece."""

    def __init__(self, piece: Piece) -> None:
        self.piece, self.dtype = piece, piece.dtype
        self.size, self.length, self.name = piece.size, piece.length, piece.name

    # ---------------- statements
    def lines(self, groups: Sequence[Sequence[Statement]], note: str = "") -> Iterator[str]:
        """All statements; those of a group, assignments over the same entries, in one loop.

        `note` is that of the statement before.
        """
        for group in groups:
            statement = group[0]
            if statement.note != note:
                note = statement.note
                yield comment(note)
            if isinstance(statement, Call):
                yield self._call(statement)
            elif isinstance(statement, Assign):
                if statement.op == "formula":
                    yield from self._assignments([s for s in map(formula, group) if s])
                elif statement.op == "matmul":
                    yield self._matmul(statement)
                else:
                    yield from self._reduction(statement)

    def nest(self, shape: Shape, group: Sequence[Assign], *more: View) -> Nest:
        """The loops over the entries of all arrays of a group."""
        operands = [*more, *(view for s in group for view in s.touches)]
        written = {s.target.storage for s in group}
        return Nest(shape, operands, written, self.name, self.length)

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
            sizes = f"{self.size(rows)}, {self.size(target.size)}"
            yield f"sum_rows({self.flat(target)}, {self.flat(x)}, {sizes})"
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
        arrays = ", ".join(map(self.flat, (out, *matrices)))
        sizes = ", ".join(map(self.size, (m, k, n)))
        return f"{name}({', '.join([arrays, sizes, *map(self.flat, bias)])})"

    def _call(self, s: Call) -> str:
        return f"{self.piece.called(s.kernel)}({', '.join(map(self._argument, s.args))})"

    def _argument(self, x: Any) -> str:
        if isinstance(x, View):
            flat = self.flat(x)
            return flat if x.ndim == 1 else f"shaped({flat}, {self.piece.shape(x.shape)})"
        if isinstance(x, np.ndarray):
            if x.size or x.dtype != self.dtype:
                raise GraphError(
                    f"a kernel that is given an array {x.dtype} {x.shape} cannot be compiled"
                )
            return f"shaped(np.empty(0, f), {self.piece.shape(x.shape)})"
        if isinstance(x, tuple):
            kind = type(x)
            self.piece.kernels[kind.__name__] = kind
            return f"{kind.__name__}({', '.join(map(self._argument, x))})"
        if isinstance(x, int) and not isinstance(x, bool):
            return self.size(x)
        return _CONSTANTS.get(repr(x), repr(x))

    def flat(self, view: View) -> str:
        """A contiguous view as a flat array."""
        name = self.name(view.storage)
        if view.size == view.storage.size:
            return name
        return f"row({name}, {self.length(view.offset)}, {self.length(view.size)})"

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
            self.length(x) if indices and isinstance(x, int) else self.formula(x, loop)
            for x in value.args
        ]
        for i, x in enumerate(value.args):  # a mask among floats counts as 0 or 1
            mask = isinstance(x, SymbolicArray) and x.dtype.kind == "b"
            if mask and value.dtype.kind == "f" and not (value.op == "where" and i == 0):
                one, zero = (self._number(n, self.dtype) for n in (1, 0))
                args[i] = f"({one} if {args[i]} else {zero})"
        return _FORMULAS[value.op].format(*args)

    def _number(self, number: float, dtype: np.dtype[Any]) -> str:
        if dtype.kind != "f":
            return repr(number) if isinstance(number, bool) else self.length(int(number))
        if number not in _LITERAL and number == number:
            return self.piece.number(number)
        return f"f({_CONSTANTS.get(repr(number), repr(number))})"


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
