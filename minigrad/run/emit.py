"""From statements to source: loops over numbers that a student can read and Numba compiles to
machine code.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import GraphError
from .nest import Nest, stretched
from .simplify import touches
from .traced import (
    Assign,
    Buffer,
    Call,
    Expr,
    MatMul,
    Reduce,
    Shape,
    Statement,
    Traced,
    View,
    same,
    views,
)

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
    "sqrt": "np.sqrt({})",
    "exp": "exp({})",
    "log": "np.log({})",
    "log1p": "np.log1p({})",
    "sin": "np.sin({})",
    "cos": "np.cos({})",
    "tanh": "tanh({})",
    **{
        name: f"np.{name}({{}})"
        for name in (
            "tan",
            "arcsin",
            "arccos",
            "arctan",
            "sinh",
            "cosh",
            "arcsinh",
            "arccosh",
            "arctanh",
            "expm1",
            "log2",
            "log10",
            "floor",
            "ceil",
            "trunc",
            "rint",
        )
    },
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
#: how a reduction takes in one more number
_JOIN = {
    "add": "plus({}, {})",
    "multiply": "times({}, {})",
    "maximum": _FORMULAS["maximum"],
    "minimum": _FORMULAS["minimum"],
}
_TEXTS = " ".join([*_FORMULAS.values(), *_JOIN.values()])
_FUNCTIONS = {*re.findall(r"[a-z]+\w*", _TEXTS), "sum", "range", "part"}
_BACK = (
    6  # how many groups of statements an assignment may pass on its way to one that it fits in with
)
_START = {"add": "0", "multiply": "1", "maximum": "-np.inf", "minimum": "np.inf"}


def comment(note: str) -> str:
    """A comment on one line, whatever characters are in a name: what cannot be printed is
    escaped.
    """
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in note)
    return f"# {''.join(shown)}"


def fuse(statements: Sequence[Statement]) -> list[list[Statement]]:
    """Assignments over the same entries, of which none needs another entry of another one, as
    groups; an assignment may pass statements that have nothing to do with it.
    """
    groups: list[list[Statement]] = []
    for statement in statements:
        if not isinstance(statement, Assign):
            groups.append([statement])
            continue
        for group in reversed(groups[-_BACK:]):
            first = group[0]
            fitting = _shaped(statement, first.target.shape) if isinstance(first, Assign) else None
            if fitting is not None and _joins(group, fitting):
                group.append(fitting)
                break
            if _meets(group, statement):
                groups.append([statement])
                break
        else:
            groups.append([statement])
    return groups


def _shaped(a: Assign, shape: Shape) -> Assign | None:
    """The same assignment over entries that are counted in another shape, if all its arrays lie
    without gaps.
    """
    if a.target.shape == shape:
        return a
    size = a.target.size
    if size != np.prod(shape) or any(
        not v.contiguous or v.size not in (1, size) for v in (a.target, *views(a.value))
    ):
        return None

    def turned(x: Any) -> Any:
        if isinstance(x, View):
            return x.reshape(shape if x.size == size else (1,) * len(shape))
        return Expr(x.program, x.op, [turned(y) for y in x.args]) if isinstance(x, Expr) else x

    return Assign(a.target.reshape(shape), turned(a.value), a.note)


def _meets(group: Sequence[Statement], new: Assign) -> bool:
    """May the order of the group and the assignment matter?"""
    mine = {id(view.buffer) for view in touches(new)}
    for s in group:
        changed = (
            [s.target]
            if isinstance(s, Assign | Reduce)
            else [s.out]
            if isinstance(s, MatMul)
            else list(touches(s))
        )
        if any(id(view.buffer) in mine for view in changed):
            return True
        if any(view.buffer is new.target.buffer for view in touches(s)):
            return True
    return False


def _turns(a: Assign) -> bool:
    """Is it a copy that turns a matrix? `Nest.turned` writes it in another way, by itself."""
    return (
        isinstance(a.value, View)
        and a.value.ndim > 1
        and a.value.strides[-1] != 1
        and 1 in a.value.strides[:-1]
    )


def _joins(group: Sequence[Any], new: Assign) -> bool:
    if new.target.shape != group[0].target.shape or _turns(new) or _turns(group[0]):
        return False
    if not (new.target.contiguous and group[0].target.contiguous):
        return False
    for old in group:
        for a in (old.target, *views(old.value)):
            for b in (new.target, *views(new.value)):
                written = a is old.target or b is new.target
                if a.buffer is b.buffer and written and not same(a, b):
                    return False
    return True


@dataclass(frozen=True)
class Place:
    """Where a buffer lives: which array, from where."""

    array: str
    start: int


class Emitter:
    """Writes statements as lines of source.

    `places` says where each buffer lives; those whose `id` is in `single` live nowhere: one number
    at a time is enough.
    """

    def __init__(
        self, places: dict[int, Place], dtype: np.dtype[Any], single: Collection[int] = ()
    ) -> None:
        self.places, self.dtype, self.single = places, dtype, single
        self.kernels: dict[
            str, Any
        ] = {}  # what must be imported, by the name it is called; None: from gemm
        self.constants: dict[str, str] = {}  # source -> name of a constant of the module
        self.names: dict[int, str] = {}

    # ---------------- names
    def name(self, buffer: Buffer) -> str:
        """The local name of a buffer's flat array."""
        if id(buffer) not in self.names:
            plain = "".join(
                c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in buffer.name
            )
            taken = {
                *self.names.values(),
                *_FUNCTIONS,
                *keyword.kwlist,
                "np",
                "f",
                "P",
                "G",
                "V",
                "total",
            }
            name, number = plain, 2
            while name in taken:
                name, number = f"{plain}_{number}", number + 1
            self.names[id(buffer)] = name
        return self.names[id(buffer)]

    def openings(self, buffers: Sequence[Buffer]) -> Iterator[str]:
        """The lines that give each buffer its name.

        One in the place of another is that array: of two slices the machine does not know that they
        are the same entries, and a loop that reads one and writes the other would go one number at
        a time.
        """
        known: dict[str, str] = {}
        for buffer in buffers:
            if id(buffer) in self.names and id(buffer) in self.places and buffer.kind != "input":
                place = self.places[id(buffer)]
                where = f"{place.array}[{place.start}:{place.start + buffer.size}]"
                yield f"{self.name(buffer)} = {known.setdefault(where, where)}"
                known[where] = self.name(buffer)

    def constant(self, source: str, hint: str) -> str:
        """The name of a constant of the module."""
        return self.constants.setdefault(source, f"{hint}{len(self.constants)}")

    # ---------------- statements
    def lines(self, groups: Sequence[Sequence[Statement]]) -> Iterator[str]:
        """All statements; those of a group, assignments over the same entries, in one loop."""
        note = ""
        for group in groups:
            statement = group[0]
            if statement.note != note:
                note = statement.note
                yield comment(note)
            if isinstance(statement, Assign):
                yield from self._loops([a for a in group if isinstance(a, Assign)])
            elif isinstance(statement, Reduce):
                yield from self._reduce(statement)
            elif isinstance(statement, MatMul):
                yield self._matmul(statement)
            else:
                yield self._call(statement)

    def _nest(self, shape: Shape, operands: Sequence[View], written: Collection[int]) -> Nest:
        return Nest(shape, operands, written, self.name, self.single)

    def _loops(self, group: list[Assign]) -> Iterator[str]:
        shape = group[0].target.shape
        operands = [view for a in group for view in (a.target, *views(a.value))]
        loop = self._nest(shape, operands, {id(a.target.buffer) for a in group})
        if (
            len(group) == 1
            and isinstance(group[0].value, View)
            and (lines := loop.turned(group[0].target, group[0].value))
        ):
            yield from lines
            return

        def body() -> Iterator[str]:
            note = group[0].note
            for a in group:
                if a.note != note:
                    note = a.note
                    yield comment(note)
                value = self.formula(a.value, loop)
                alone = id(a.target.buffer) in self.single and a.target.dtype.kind == "f"
                yield f"{loop.entry(a.target)} = {f'f({value})' if alone else value}"

        yield from loop.lines(body)

    def _reduce(self, s: Reduce) -> Iterator[str]:
        if rows := _rows(s):
            self.kernels["sum_rows"] = None
            yield f"sum_rows({self.flat(s.target)}, {self.flat(s.value)}, {rows}, {s.target.size})"
            return
        fill = f"{self._typed(_START[s.op], s.target.dtype)}"
        yield from self._loops([Assign(s.target, _Raw(fill))])
        target = View(
            s.target.buffer, s.target.offset, s.value.shape, stretched(s.target, s.value.shape)
        )
        loop = self._nest(s.value.shape, [target, *views(s.value)], {id(target.buffer)})
        value = (
            self.formula(s.value, loop)
            if s.value.dtype.kind != "b"
            else f"({self.formula(s.value, loop)} * 1)"
        )

        join = _JOIN[s.op].format
        if loop.shape and loop.strides(target)[-1] == 0:
            yield from loop.lines(
                lambda: iter([f"total = {join('total', value)}"]),
                before=f"total = {fill}",
                after=f"{loop.outer(target)} = {join(loop.outer(target), 'total')}",
            )
        else:
            yield from loop.lines(
                lambda: iter([f"{loop.entry(target)} = {join(loop.entry(target), value)}"])
            )

    def _matmul(self, s: MatMul) -> str:
        a, b, out = s.a, s.b, s.out
        lone = (
            b.shape[1] == 1 and b.T.contiguous and a.contiguous
        )  # one column: sums along rows, not rows of one number
        kind = ("n" if a.contiguous else "t") + ("t" if lone or not b.contiguous else "n")
        a, b = a if kind[0] == "n" else a.T, b if kind[1] == "n" else b.T
        kind = "bias" if s.bias is not None else kind
        self.kernels[f"product_{kind}"] = None
        sizes = ", ".join(map(str, (*out.shape[:1], s.a.shape[1], out.shape[1])))
        bias = f", {self.flat(s.bias)}" if s.bias is not None else ""
        return f"product_{kind}({self.flat(out)}, {self.flat(a)}, {self.flat(b)}, {sizes}{bias})"

    def _call(self, s: Call) -> str:
        name = f"{s.kernel.__module__.rpartition('.')[2]}_{s.kernel.__name__}"
        self.kernels[name] = s.kernel
        return f"{name}({', '.join(map(self._argument, s.args))})"

    def _argument(self, x: Any) -> str:
        if isinstance(x, Traced):
            return self.array(x)  # type: ignore[arg-type]
        if isinstance(x, np.ndarray):
            if x.size or x.dtype != self.dtype:
                raise GraphError(
                    f"a kernel that is given an array {x.dtype} {x.shape} cannot be compiled"
                )
            # no constant of the module: those cannot be written to
            return f"shaped(P[0:0], {x.shape})"
        if isinstance(x, tuple):
            self.kernels[type(x).__name__] = type(x)
            return self.constant(f"{type(x).__name__}{tuple(x)!r}", "dims")
        return {"inf": "np.inf", "-inf": "-np.inf"}.get(repr(x), repr(x))

    def flat(self, view: View) -> str:
        """A contiguous view as a flat array."""
        name = self.name(view.buffer)
        return (
            f"{name}[{view.offset}:{view.offset + view.size}]"
            if view.offset or view.size != view.buffer.size
            else name
        )

    def array(self, view: View) -> str:
        """A contiguous view as an array of its shape."""
        return self.flat(view) if view.ndim == 1 else f"shaped({self.flat(view)}, {view.shape!r})"

    # ---------------- formulas
    def formula(self, value: Any, loop: Nest) -> str:
        """A formula for the present entry of the loop."""
        if isinstance(value, View):
            return loop.entry(value)
        if isinstance(value, _Raw):
            return value.text
        if not isinstance(value, Expr):
            return self._typed(repr(value), self.dtype)
        if value.op not in _FORMULAS:
            raise GraphError(f"np.{value.op} cannot be compiled")
        whole = all(
            x.dtype.kind in "iu" for x in value.args if isinstance(x, Traced)
        )  # numbers among indices
        args = [
            repr(x) if whole and isinstance(x, int) else self.formula(x, loop) for x in value.args
        ]
        if value.dtype.kind == "f":  # a mask among floats counts as 0 or 1
            masks = [isinstance(x, Traced) and x.dtype.kind == "b" for x in value.args]
            args = [
                f"({self._typed('1', self.dtype)} if {text} else {self._typed('0', self.dtype)})"
                if mask and not (value.op == "where" and i == 0)
                else text
                for i, (text, mask) in enumerate(zip(args, masks, strict=True))
            ]
        return _FORMULAS[value.op].format(*args)

    def _typed(self, number: str, dtype: np.dtype[Any]) -> str:
        number = {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}.get(number, number)
        return f"f({number})" if dtype.kind == "f" else number


@dataclass
class _Raw(Traced):
    """Source that is a number already."""

    text: str


def _rows(s: Reduce) -> int:
    """How many rows a sum adds up, of numbers that lie row after row, so that it is one call; 0 if
    it is another sum.
    """
    x, axes = s.value, [i for i, n in enumerate(s.value.shape) if n != 1 and i in s.axes]
    kept = [i for i, n in enumerate(x.shape) if n != 1 and i not in s.axes]
    if (
        s.op != "add"
        or not isinstance(x, View)
        or not x.size
        or not axes
        or not kept
        or axes[-1] > kept[0]
    ):
        return 0
    fits = (
        x.contiguous and s.target.contiguous and x.dtype == s.target.dtype and x.dtype.kind == "f"
    )
    return x.size // s.target.size if fits else 0
