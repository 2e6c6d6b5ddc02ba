"""Arrays that compute nothing: what is done with them is written down as a program.

The compiled mode runs every rule once, forward and backward, on such arrays, so that it knows
exactly what the rules say without a second definition of any of them. A `View` is a part of a
buffer, an `Expr` a formula on views that nobody has needed as an array yet. Assigning, reducing and
multiplying matrices become statements of the `Program`, as do the calls of kernels
(`Operator.call`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ..errors import GraphError

Shape = tuple[int, ...]
#: with so many rows it pays to lay a transposed right-hand matrix out anew
_FEW_ROWS = 4
#: rows of fewer numbers fill too little of a vector
_NARROW = 8
#: rows of so many numbers are summed one by one
_LONG = 256
_COMPARISONS = {
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_not",
}
_LOGICAL = {"bitwise_and", "bitwise_or", "invert"}
#: functions of NumPy's that are more than a formula, by name (see `functions.py`), and "pick":
#: indexing with arrays
FUNCTIONS: dict[str, Callable[..., Any]] = {}


@dataclass(eq=False)
class Buffer:
    """Memory of a program: `size` numbers of one dtype.

    `kind` says where it lives: `parameter`, `gradient` (of a parameter), `input`, `state` (a
    model's own buffer), `constant` (with its numbers in `initial`; where a batch is worked on in
    parts, in part k with `each` · k more) or `value` (whatever is computed).
    """

    program: Program
    name: str
    size: int
    dtype: np.dtype[Any]
    kind: str = "value"
    initial: np.ndarray[Any, Any] | None = None
    each: int = 0

    def view(self, shape: Shape) -> View:
        """All of it, as an array of that shape."""
        return View(self, 0, shape, strides_of(shape))


def strides_of(shape: Shape) -> Shape:
    """Strides, in entries, of a C-contiguous array."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


class Traced(NDArrayOperatorsMixin):
    """What views and formulas have in common: NumPy's operators and functions on them are written
    down.
    """

    program: Program
    shape: Shape
    dtype: np.dtype[Any]
    base = True  # as a view's: nobody may keep it as if it were fresh memory

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"an array's .{name} cannot be compiled")

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=int))

    def __len__(self) -> int:
        return self.shape[0]

    def __bool__(self) -> bool:
        raise GraphError("a rule that looks at numbers on the way cannot be compiled")

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        if method != "__call__" or options:
            name = f"{ufunc.__name__}.{method}"
            if name not in FUNCTIONS:
                raise GraphError(f"np.{name} cannot be compiled")
            return FUNCTIONS[name](*inputs, **options)
        if ufunc is np.matmul:
            a, b = inputs
            return self.program.matmul(a, b, out)
        formula = Expr(self.program, ufunc.__name__, inputs)
        if out is None:
            return formula
        self.program.assign(out[0], formula)
        return out[0]

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        name = function.__name__
        if name not in FUNCTIONS:
            raise GraphError(f"np.{name} cannot be compiled")
        return FUNCTIONS[name](*args, **options)

    def sum(
        self, axis: Any = None, keepdims: bool = False, dtype: Any = None, out: View | None = None
    ) -> View:
        return self.program.reduce("add", self, axis, keepdims, out, dtype)

    def dot(self, other: Any, out: View | None = None) -> View:
        return self.program.matmul(self, other, None if out is None else (out,))

    def max(self, axis: Any = None, keepdims: bool = False, initial: Any = None) -> View:
        return self.program.reduce("maximum", self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> View:
        return self.program.reduce("minimum", self, axis, keepdims)

    def copy(self) -> View:
        made = self.program.buffer("copy", self.shape, self.dtype)
        self.program.assign(made, self)
        return made

    def reshape(self, *shape: Any) -> View:
        return self.program.array(self).reshape(*shape)


class Expr(Traced):
    """A formula: a NumPy function of views, formulas and numbers, entry by entry."""

    def __init__(self, program: Program, op: str, args: Sequence[Any]) -> None:
        self.program, self.op = program, op
        self.args = tuple(_literal(x) for x in args)
        traced = [x for x in self.args if isinstance(x, Traced)]
        self.shape = np.broadcast_shapes(*(x.shape for x in traced))
        floats = [
            x.dtype
            for x in (*traced, *args)
            if isinstance(x, Traced | np.generic) and x.dtype.kind == "f"
        ]
        logical = op in _COMPARISONS or (
            op in _LOGICAL and all(x.dtype.kind == "b" for x in traced)
        )
        values = traced[1:] if op == "where" and len(traced) > 1 else traced
        self.dtype = (
            np.dtype(bool)
            if logical
            else floats[0]
            if floats
            else np.result_type(*(x.dtype for x in values))
        )

    def __setitem__(self, key: Any, value: Any) -> None:
        raise GraphError("a formula cannot be assigned to")

    def __getitem__(self, key: Any) -> View:
        return self.program.array(self)[key]


def _literal(x: Any) -> Any:
    """An operand as a view, a formula or a Python number."""
    if isinstance(x, np.generic) or (isinstance(x, np.ndarray) and x.ndim == 0):
        return x.item()
    if isinstance(x, Traced) or x is None or isinstance(x, bool | int | float):
        return x
    raise GraphError(f"a rule that brings along an array of shape {np.shape(x)} cannot be compiled")


class View(Traced):
    """A part of a buffer: offset, shape and strides, in entries."""

    def __init__(self, buffer: Buffer, offset: int, shape: Shape, strides: Shape) -> None:
        self.buffer, self.offset, self.shape, self.strides = (
            buffer,
            offset,
            tuple(map(int, shape)),
            tuple(map(int, strides)),
        )
        self.program, self.dtype = buffer.program, buffer.dtype

    @property
    def contiguous(self) -> bool:
        """Do its entries lie one after the other?"""
        return all(
            n == 1 or a == b
            for n, a, b in zip(self.shape, self.strides, strides_of(self.shape), strict=True)
        )

    @property
    def T(self) -> View:
        return self.transpose()

    def transpose(self, *axes: Any) -> View:
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        order = [int(i) for i in order] or list(reversed(range(self.ndim)))
        return View(
            self.buffer,
            self.offset,
            tuple(self.shape[i] for i in order),
            tuple(self.strides[i] for i in order),
        )

    def swapaxes(self, a: int, b: int) -> View:
        order = list(range(self.ndim))
        order[a], order[b] = order[b], order[a]
        return self.transpose(order)

    def reshape(self, *shape: Any) -> View:
        wanted = (
            shape[0] if len(shape) == 1 and not isinstance(shape[0], int | np.integer) else shape
        )
        wanted = np.broadcast_to(0, self.shape).reshape(wanted).shape
        if wanted == self.shape:
            return self
        whole = self if self.contiguous else self.copy()
        return View(whole.buffer, whole.offset, wanted, strides_of(wanted))

    def __getitem__(self, key: Any) -> View:
        shadow = np.lib.stride_tricks.as_strided(np.zeros(1, np.int8), self.shape, self.strides)
        parts = key if isinstance(key, tuple) else (key,)
        if _picks(parts):
            return FUNCTIONS["pick"](self, parts)  # type: ignore[no-any-return]
        found = shadow[(*parts, ...) if Ellipsis not in parts else parts]
        moved = found.__array_interface__["data"][0] - shadow.__array_interface__["data"][0]
        return View(
            self.buffer, self.offset + (moved if found.size else 0), found.shape, found.strides
        )

    def __setitem__(self, key: Any, value: Any) -> None:
        if _picks(key if isinstance(key, tuple) else (key,)):
            raise GraphError("writing into entries that arrays pick cannot be compiled")
        part = self[key]
        if not (
            isinstance(value, View) and same(part, value)
        ):  # the end of `x[key] += y`, which is written down already
            self.program.assign(part, value)


def _picks(key: tuple[Any, ...]) -> bool:
    """Does it take arrays of indices, or masks, to say which entries?"""
    return any(isinstance(part, np.ndarray | Traced | list) for part in key)


def same(a: View, b: View) -> bool:
    """Are these the same entries of one buffer?"""
    return a.buffer is b.buffer and (a.offset, a.shape, a.strides) == (b.offset, b.shape, b.strides)


def views(value: Any) -> list[View]:
    """The views that a formula reads."""
    if isinstance(value, View):
        return [value]
    return [view for x in value.args for view in views(x)] if isinstance(value, Expr) else []


# ---------------- statements
@dataclass
class Assign:
    """target[...] = value, entry by entry."""

    target: View
    value: Any
    note: str = ""

    def exchanges(self, i: int, j: int) -> bool:
        """Is it a copy of an array with its axes i and j exchanged, neither side with gaps?"""
        x, target = self.value, self.target
        if (
            not isinstance(x, View)
            or x.shape != target.shape
            or x.dtype != target.dtype
            or x.ndim <= max(i, j)
        ):
            return False
        return target.contiguous and x.swapaxes(i, j).contiguous


@dataclass
class Reduce:
    """target (with its axes kept) = the value reduced over `axes` by `op`: add, multiply, maximum
    or minimum.
    """

    target: View
    op: str
    value: Any
    axes: tuple[int, ...]
    note: str = ""


@dataclass
class MatMul:
    """out (m, n) = a (m, k) @ b (k, n), plus a bias (n,) if there is one."""

    out: View
    a: View
    b: View
    note: str = ""
    bias: View | None = None


@dataclass
class Call:
    """A kernel with its arguments: contiguous views, arrays without entries, numbers and
    descriptions of sizes.
    """

    kernel: Any
    args: tuple[Any, ...]
    note: str = ""


Statement = Assign | Reduce | MatMul | Call


@dataclass(eq=False)
class Program:
    """What was written down: buffers and statements, in order; `note` says for which node the next
    ones are.
    """

    buffers: list[Buffer] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    note: str = ""

    def buffer(
        self,
        name: str,
        shape: Shape,
        dtype: Any,
        kind: str = "value",
        initial: Any = None,
        each: int = 0,
    ) -> View:
        """A new buffer, as a view of that shape."""
        made = Buffer(
            self, name, int(np.prod(shape, dtype=int)), np.dtype(dtype), kind, initial, each
        )
        self.buffers.append(made)
        return made.view(tuple(shape))

    def close(self) -> None:
        """Once the program is written: let go of what refers back to it, so that no garbage
        collector is needed.
        """
        self.statements = []
        for buffer in self.buffers:
            del buffer.program

    def array(self, value: Traced) -> View:
        """The value as a view: a formula is worked out into a buffer of its own."""
        return value if isinstance(value, View) else value.copy()

    def assign(self, target: View, value: Any) -> None:
        """target[...] = value."""
        self.statements.append(Assign(target, _literal(value), self.note))

    def reduce(
        self,
        op: str,
        value: Traced,
        axis: Any,
        keepdims: bool,
        out: View | None = None,
        dtype: Any = None,
    ) -> View:
        """Reduce over one axis, several or all of them."""
        axes = (
            range(value.ndim)
            if axis is None
            else (axis,)
            if isinstance(axis, int | np.integer)
            else axis
        )
        axes = tuple(sorted(int(a) % value.ndim for a in axes))
        kept = tuple(1 if i in axes else n for i, n in enumerate(value.shape))
        if out is None:
            out = self.buffer("sum" if op == "add" else op, kept, dtype or value.dtype)
        self.statements.append(Reduce(out.reshape(kept), op, value, axes, self.note))
        return (
            out
            if keepdims
            else out.reshape(tuple(n for i, n in enumerate(value.shape) if i not in axes))
        )

    def matmul(self, a: Any, b: Any, out: Any = None) -> View:
        """a @ b of matrices or vectors; leading axes of a go along with its rows where b is one
        matrix.
        """
        a, b = self.array(a), self.array(b)
        shape = _product_shape(a.shape, b.shape)
        target = self.buffer("product", shape, a.dtype) if out is None else out[0]
        if b.ndim > 2:  # one product for each of the matrices
            many = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
            for at in np.ndindex(many):
                self.matmul(_matrix(a, at), _matrix(b, at), out=(target[at],))
            return target
        # sizes are said outright: reshape cannot guess one beside a 0
        rows = a.reshape(math.prod(a.shape[:-1]), a.shape[-1]) if a.ndim != 2 else a
        columns = b.reshape(len(b), 1) if b.ndim == 1 else b
        if rows.shape[1] == 1 and (
            target.buffer.kind == "value" or len(rows) == 1
        ):  # entry by entry: fits in
            self.assign(
                target.reshape(len(rows), columns.shape[1]), Expr(self, "multiply", (rows, columns))
            )
            return target
        if columns.shape[1] == 1 and (
            len(rows) == 1 or rows.shape[1] >= _LONG
        ):  # sums along rows, in a plain loop
            self.reduce(
                "add",
                Expr(self, "multiply", (rows, columns.T)),
                1,
                True,
                target.reshape(len(rows), 1),
            )
            return target
        if not (rows.contiguous or rows.T.contiguous):
            rows = rows.copy()
        if not columns.contiguous and not (
            rows.contiguous and columns.T.contiguous and len(rows) < _FEW_ROWS
        ):
            columns = (
                columns.copy()
            )  # worth it: then its rows are contiguous, and the fast block fits
        if not target.contiguous:
            self.assign(target, self.matmul(rows, columns).reshape(target.shape))
            return target
        place = target.reshape(len(rows), columns.shape[1])
        if (
            columns.shape[1] < _NARROW <= len(rows) and rows.T.contiguous
        ):  # the other way round it fills vectors
            self.assign(place, self.matmul(columns.T, rows.T).T)
        else:
            self.statements.append(MatMul(place, rows, columns, self.note))
        return target

    def call(self, kernel: Any, *args: Any) -> None:
        """A call of a kernel; a view that is not contiguous goes through a copy."""
        ready = tuple(x if not isinstance(x, View) or x.contiguous else x.copy() for x in args)
        self.statements.append(Call(kernel, ready, self.note))


def _product_shape(a: Shape, b: Shape) -> Shape:
    """The shape of a @ b as NumPy has it: a vector is a row on the left, a column on the right."""
    rows, columns = a[-2:-1], b[-1:] if len(b) > 1 else ()
    return (*np.broadcast_shapes(a[:-2], b[:-2]), *rows, *columns)


def _matrix(x: View, at: tuple[int, ...]) -> View:
    """The matrix that broadcasting leads to from a place among the leading axes."""
    if x.ndim <= 2:
        return x
    own = at[len(at) - (x.ndim - 2) :]
    return x[tuple(0 if n == 1 else i for i, n in zip(own, x.shape, strict=False))]
