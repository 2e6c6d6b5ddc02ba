"""From statements to source: loops over numbers that a student can read and Numba compiles to machine code."""
from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import GraphError
from .simplify import touches
from .traced import Assign, Buffer, Call, Expr, MatMul, Reduce, Shape, Statement, Traced, View, views

#: NumPy's name of a function -> how it is written for single numbers
_FORMULAS = {
    "add": "({} + {})", "subtract": "({} - {})", "multiply": "({} * {})", "divide": "({} / {})", "negative": "(-{})",
    "positive": "{}", "square": "square({})", "power": "power({}, {})", "sqrt": "np.sqrt({})", "exp": "exp({})",
    "log": "np.log({})", "log1p": "np.log1p({})", "sin": "np.sin({})", "cos": "np.cos({})", "tanh": "tanh({})",
    **{name: f"np.{name}({{}})" for name in (
        "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "arcsinh", "arccosh", "arctanh", "expm1", "log2", "log10",
        "floor", "ceil", "trunc", "rint",
    )},
    "absolute": "abs({})", "sign": "sign({})", "maximum": "maximum({}, {})", "minimum": "minimum({}, {})",
    "erf": "erf({})", "where": "({1} if {0} else {2})", "equal": "({} == {})", "not_equal": "({} != {})",
    "less": "({} < {})", "less_equal": "({} <= {})", "greater": "({} > {})", "greater_equal": "({} >= {})",
    "bitwise_and": "({} and {})", "bitwise_or": "({} or {})", "invert": "(not {})", "isfinite": "(abs({}) < np.inf)",
}  # fmt: skip
_FUNCTIONS = {word for text in _FORMULAS.values() for word in re.findall(r"[a-z]+\w*", text)} | {"sum", "range", "part"}
_BACK = 6  # how many groups of statements an assignment may pass on its way to one that it fits in with
_START = {"add": "0", "maximum": "-np.inf", "minimum": "np.inf"}


def fuse(statements: Sequence[Statement]) -> list[list[Statement]]:
    """Assignments over the same entries, of which none needs another entry of another one, as groups; an assignment may
    pass statements that have nothing to do with it."""
    groups: list[list[Statement]] = []
    for statement in statements:
        for group in reversed(groups[-_BACK:]) if isinstance(statement, Assign) else ():
            fitting = _shaped(statement, group[0].target.shape) if isinstance(group[0], Assign) else None
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
    """The same assignment over entries that are counted in another shape, if all its arrays lie without gaps."""
    if a.target.shape == shape:
        return a
    size = a.target.size
    if size != np.prod(shape) or any(not v.contiguous or v.size not in (1, size) for v in (a.target, *views(a.value))):
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
        changed = [s.target] if isinstance(s, Assign | Reduce) else [s.out] if isinstance(s, MatMul) else list(touches(s))
        if any(id(view.buffer) in mine for view in changed):
            return True
        if any(view.buffer is new.target.buffer for view in touches(s)):
            return True
    return False


def _turns(a: Assign) -> bool:
    """Is it a copy that turns a matrix? `_Nest.turned` writes it in another way, by itself."""
    return isinstance(a.value, View) and a.value.ndim > 1 and a.value.strides[-1] != 1 and 1 in a.value.strides[:-1]


def _joins(group: Sequence[Any], new: Assign) -> bool:
    if new.target.shape != group[0].target.shape or _turns(new) or _turns(group[0]):
        return False
    if not (new.target.contiguous and group[0].target.contiguous):
        return False
    for old in group:
        for a in (old.target, *views(old.value)):
            for b in (new.target, *views(new.value)):
                written = a is old.target or b is new.target
                if a.buffer is b.buffer and written and not _same(a, b):
                    return False
    return True


@dataclass(frozen=True)
class Place:
    """Where a buffer lives: which array, from where."""

    array: str
    start: int


class Emitter:
    """Writes statements as lines of source.

    `places` says where each buffer lives; those whose `id` is in `single` live nowhere: one number at a time is enough.
    """

    def __init__(self, places: dict[int, Place], dtype: np.dtype[Any], single: Collection[int] = ()) -> None:
        self.places, self.dtype, self.single = places, dtype, single
        self.kernels: dict[str, Any] = {}  # what must be imported, by the name it is called
        self.constants: dict[str, str] = {}  # source -> name of a constant of the module
        self.names: dict[int, str] = {}

    # ---------------------------------------------------------------- names
    def name(self, buffer: Buffer) -> str:
        """The local name of a buffer's flat array."""
        if id(buffer) not in self.names:
            plain = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in buffer.name)
            taken = {*self.names.values(), *_FUNCTIONS, *keyword.kwlist, "np", "f", "P", "G", "V", "total"}
            name, number = plain, 2
            while name in taken:
                name, number = f"{plain}_{number}", number + 1
            self.names[id(buffer)] = name
        return self.names[id(buffer)]

    def openings(self, buffers: Sequence[Buffer]) -> Iterator[str]:
        """The lines that give each buffer its name.

        One in the place of another is that array: of two slices the machine does not know that they are the same entries,
        and a loop that reads one and writes the other would go one number at a time.
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

    # ---------------------------------------------------------------- statements
    def lines(self, groups: Sequence[Sequence[Statement]]) -> Iterator[str]:
        """All statements; those of a group, assignments over the same entries, in one loop."""
        note = ""
        for group in groups:
            statement = group[0]
            if statement.note != note:
                note = statement.note
                yield f"# {note}"
            if isinstance(statement, Assign):
                yield from self._loops([a for a in group if isinstance(a, Assign)])
            elif isinstance(statement, Reduce):
                yield from self._reduce(statement)
            elif isinstance(statement, MatMul):
                yield self._matmul(statement)
            else:
                yield self._call(statement)

    def _loops(self, group: list[Assign]) -> Iterator[str]:
        shape = group[0].target.shape
        operands = [view for a in group for view in (a.target, *views(a.value))]
        loop = _Nest(shape, operands, self, {id(a.target.buffer) for a in group})
        if len(group) == 1 and isinstance(group[0].value, View) and (lines := loop.turned(group[0].target, group[0].value)):
            yield from lines
            return

        def body() -> Iterator[str]:
            note = group[0].note
            for a in group:
                if a.note != note:
                    note = a.note
                    yield f"# {note}"
                value = self.formula(a.value, loop)
                alone = id(a.target.buffer) in self.single and a.target.dtype.kind == "f"
                yield f"{loop.entry(a.target)} = {f'f({value})' if alone else value}"

        yield from loop.lines(body)

    def _reduce(self, s: Reduce) -> Iterator[str]:
        fill = f"{self._typed(_START[s.op], s.target.dtype)}"
        yield from self._loops([Assign(s.target, _Raw(fill))])
        target = View(s.target.buffer, s.target.offset, s.value.shape, _stretched(s.target, s.value.shape))
        loop = _Nest(s.value.shape, [target, *views(s.value)], self, {id(target.buffer)})
        value = self.formula(s.value, loop) if s.value.dtype.kind != "b" else f"({self.formula(s.value, loop)} * 1)"

        def joined(old: str) -> str:
            return f"{old} + {value}" if s.op == "add" else f"{s.op}({old}, {value})"

        if loop.shape and loop.strides(target)[-1] == 0:
            yield from loop.lines(
                lambda: iter([f"total = {joined('total')}"]), before=f"total = {fill}",
                after=f"{loop.outer(target)} = " + (f"{loop.outer(target)} + total" if s.op == "add"
                                                     else f"{s.op}({loop.outer(target)}, total)"),
            )  # fmt: skip
        else:
            yield from loop.lines(lambda: iter([f"{loop.entry(target)} = {joined(loop.entry(target))}"]))

    def _matmul(self, s: MatMul) -> str:
        a, b, out = s.a, s.b, s.out
        lone = b.shape[1] == 1 and b.T.contiguous and a.contiguous  # one column: sums along rows, not rows of one number
        kind = ("n" if a.contiguous else "t") + ("t" if lone or not b.contiguous else "n")
        a, b = a if kind[0] == "n" else a.T, b if kind[1] == "n" else b.T
        if kind == "tt" or not (a.contiguous and b.contiguous and out.contiguous):
            raise GraphError("a product of matrices in this layout cannot be compiled")
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
                raise GraphError(f"a kernel that is given an array {x.dtype} {x.shape} cannot be compiled")
            return f"shaped(P[0:0], {x.shape})"  # no constant of the module: those cannot be written to
        if isinstance(x, tuple):
            self.kernels[type(x).__name__] = type(x)
            return self.constant(f"{type(x).__name__}{tuple(x)!r}", "dims")
        return {"inf": "np.inf", "-inf": "-np.inf"}.get(repr(x), repr(x))

    def flat(self, view: View) -> str:
        """A contiguous view as a flat array."""
        name = self.name(view.buffer)
        return f"{name}[{view.offset}:{view.offset + view.size}]" if view.offset or view.size != view.buffer.size else name

    def array(self, view: View) -> str:
        """A contiguous view as an array of its shape."""
        return self.flat(view) if view.ndim == 1 else f"shaped({self.flat(view)}, {view.shape!r})"

    # ---------------------------------------------------------------- formulas
    def formula(self, value: Any, loop: _Nest) -> str:
        """A formula for the present entry of the loop."""
        if isinstance(value, View):
            return loop.entry(value)
        if isinstance(value, _Raw):
            return value.text
        if not isinstance(value, Expr):
            return self._typed(repr(value), self.dtype)
        if value.op not in _FORMULAS:
            raise GraphError(f"np.{value.op} cannot be compiled")
        args = [self.formula(x, loop) for x in value.args]
        if value.dtype.kind == "f":  # a mask among floats counts as 0 or 1
            masks = [isinstance(x, Traced) and x.dtype.kind == "b" for x in value.args]
            args = [
                f"({self._typed('1', self.dtype)} if {text} else {self._typed('0', self.dtype)})"
                if mask and not (value.op == "where" and i == 0) else text
                for i, (text, mask) in enumerate(zip(args, masks, strict=True))
            ]  # fmt: skip
        return _FORMULAS[value.op].format(*args)

    def _typed(self, number: str, dtype: np.dtype[Any]) -> str:
        number = {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}.get(number, number)
        return f"f({number})" if dtype.kind == "f" else number


@dataclass
class _Raw(Traced):
    """Source that is a number already."""

    text: str


def _same(a: View, b: View) -> bool:
    return (a.offset, a.shape, a.strides) == (b.offset, b.shape, b.strides)


def _stretched(view: View, shape: Shape) -> Shape:
    """The strides of a view that is broadcast to a shape."""
    added = len(shape) - view.ndim
    return (0,) * added + tuple(
        0 if n == 1 and m != 1 else s for n, m, s in zip(view.shape, shape[added:], view.strides, strict=True)
    )


class _Nest:
    """Loops over a shape, with as few axes as its operands allow, the innermost along rows.

    Rows are sliced before the innermost loop and indexed from 0: an offset index would keep a test for negative values
    in the loop, which then does not vectorise.
    """

    def __init__(self, shape: Shape, operands: Sequence[View], emitter: Emitter, written: Collection[int]) -> None:
        self.emitter, self.written = emitter, written
        rows: dict[int, tuple[View, list[int]]] = {}
        for view in operands:
            strides = zip(_stretched(view, shape), shape, strict=True)
            rows[id(view)] = (view, [s for s, n in strides if n != 1])
        sizes = [n for n in shape if n != 1]
        i = len(sizes) - 2
        while i >= 0:
            if all(strides[i] == sizes[i + 1] * strides[i + 1] for _, strides in rows.values()):
                sizes[i] *= sizes.pop(i + 1)
                for _, strides in rows.values():
                    del strides[i]
            i -= 1
        self.shape = tuple(sizes)
        self._strides = {key: tuple(strides) for key, (_, strides) in rows.items()}
        self._views = {key: view for key, (view, _) in rows.items()}
        self._texts: dict[tuple[int, int, Shape], str] = {}
        self._openings: list[str] = []
        for key, view in self._views.items():
            self._open(key, view)

    def strides(self, view: View) -> Shape:
        return self._strides[id(view)]

    def _base(self, view: View, strides: Shape) -> str:
        terms = [f"i{k} * {s}" if s != 1 else f"i{k}" for k, s in enumerate(strides) if s]
        return " + ".join([*([str(view.offset)] if view.offset or not terms else []), *terms])

    def _open(self, key: int, view: View) -> None:
        """The text of an entry of the view, and the line that makes it possible."""
        strides, name = self._strides[key], self.emitter.name(view.buffer)
        known = (id(view.buffer), view.offset, strides)
        if known in self._texts:
            return
        if id(view.buffer) in self.emitter.single:
            self._texts[known] = name
            return
        base = self._base(view, strides[:-1])
        if not strides or strides[-1] == 0:
            self._texts[known] = f"{name}[{base}]"
            if strides and id(view.buffer) not in self.written:  # the same for the whole row
                self._texts[known] = f"one{len(self._openings)}"
                self._openings.append(f"one{len(self._openings)} = {name}[{base}]")
            return
        inner = strides[-1]
        if len(strides) == 1 and view.offset == 0 and inner == 1 and view.buffer.size == self.shape[-1]:
            self._texts[known] = f"{name}[j]"  # the whole buffer: no slice is needed
            return
        row, far = f"row{len(self._openings)}", (self.shape[-1] - 1) * inner
        low, high = (base, f"{base} + {far + 1}") if inner > 0 else (f"{base} - {-far}", f"{base} + 1")
        self._openings.append(f"{row} = {name}[{low}:{high}]")
        step = "" if abs(inner) == 1 else f" * {abs(inner)}"
        self._texts[known] = f"{row}[j{step}]" if inner > 0 else f"{row}[({self.shape[-1] - 1} - j){step}]"

    def turned(self, target: View, source: View) -> list[str]:
        """The lines of a copy of which one side is contiguous along another axis than the other; none if it is not so."""
        there, here = self._strides[id(target)], self._strides[id(source)]
        last, across = len(there) - 1, next((k for k, s in enumerate(here) if s == 1), -1)
        if len(there) < 2 or there[-1] != 1 or not 0 <= across < last or min(self.shape[across], self.shape[-1]) < 8:
            return []
        outer = [k for k in range(last) if k != across]
        lines = [f"{'    ' * i}for i{k} in range({self.shape[k]}):" for i, k in enumerate(outer)]
        goal, origin = (
            f"{self.emitter.name(v.buffer)}, {self._base(v, tuple(s if k in outer else 0 for k, s in enumerate(strides)))}"
            for v, strides in ((target, there), (source, here))
        )
        sizes = f"{self.shape[across]}, {self.shape[last]}"
        return [*lines, f"{'    ' * len(outer)}turn({goal}, {there[across]}, {origin}, {here[last]}, {sizes})"]

    def entry(self, view: View) -> str:
        """The present entry of a view, in the innermost loop."""
        return self._texts[id(view.buffer), view.offset, self._strides[id(view)]]

    outer = entry

    def lines(self, body: Any, before: str = "", after: str = "") -> Iterator[str]:
        """The loops around the lines of `body`."""
        depth = 0
        for k, n in enumerate(self.shape[:-1]):
            yield f"{'    ' * depth}for i{k} in range({n}):"
            depth += 1
        pad = "    " * depth
        yield from (pad + line for line in self._openings)
        if before:
            yield pad + before
        if self.shape:
            yield f"{pad}for j in range({self.shape[-1]}):"
            yield from (f"{pad}    {line}" for line in body())
        else:
            yield from (pad + line for line in body())
        if after:
            yield pad + after
