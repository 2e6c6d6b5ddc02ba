"""Symbolic arrays compute nothing: they record the operations applied to them as a program.

The compiled mode runs every rule once, forward and backward, on symbolic arrays, and so learns what
a rule computes without a second definition of it. A `View` is a strided part of a `Storage`, an
`Expr` an elementwise formula that has no memory yet. Assignments, reductions, matrix products and
calls of kernels (`ops.kernel.launch`) become statements of the `Program`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.lib.stride_tricks import as_strided

from ..errors import GraphError

Shape = tuple[int, ...]
_COMPARISONS = (
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_not",
)
_LOGICAL = ("bitwise_and", "bitwise_or", "invert")
#: what NumPy's functions and methods do with symbolic arrays, by name; filled by `functions.py` and
#: `products.py`. "pick" is indexing with arrays.
FUNCTIONS: dict[str, Callable[..., Any]] = {}


def function(name: str) -> Callable[..., Any]:
    """What NumPy's function of this name does with symbolic arrays, or `GraphError`."""
    if name not in FUNCTIONS:
        raise GraphError(f"np.{name} cannot be compiled")
    return FUNCTIONS[name]


# ---------------- arrays
@dataclass(eq=False)
class Storage:
    """Memory of a program: `size` numbers of one dtype, which belong to a `node` (in words).

    `kind` is "parameter", "parameter gradient", "input" (an array of the caller's: samples, or
    where the result of a forward pass goes), "state" (a model's buffer), "constant"
    (with its values in `initial`; where the batch is split, part k has `each` · k more), or of
    arrays that are computed in every step "value", "gradient" (of the node) or "scratch"; the
    "result" is the loss, what is "given" comes with each run. The arena
    decides where it lies: in `array` from entry `start` on, if anywhere (see `arena.py`), from
    which statement to which it is live, and which storage's place it takes, entry by entry.
    """

    program: Program
    name: str
    size: int
    dtype: np.dtype[Any]
    kind: str
    node: str
    initial: np.ndarray[Any, Any] | None = None
    each: int = 0
    array: str = ""
    start: int = 0
    live: tuple[int, int] | None = None
    takes: Storage | None = None

    @property
    def end(self) -> int:
        return self.start + self.size

    @property
    def place(self) -> Storage:
        """The first of those that lie in one place after each other: the same array."""
        return self.takes.place if self.takes else self

    def whole(self) -> View:
        """All of it, as one row."""
        return View(self, as_strided(np.zeros(1, np.int8), (self.size,), (1,)))

    @property
    def computed(self) -> bool:
        """Is it written by the step before it is read, and of no use afterwards?"""
        return self.kind in ("value", "gradient", "scratch")


class SymbolicArray(NDArrayOperatorsMixin):
    """Base class of views and formulas: records NumPy's operators, functions and methods."""

    program: Program
    shape: Shape
    dtype: np.dtype[Any]
    base = True  # rules take it for a view, which they must not keep as a gradient

    def __getattr__(self, name: str) -> Any:
        if name not in FUNCTIONS:
            raise AttributeError(f"an array's .{name} cannot be compiled")
        return partial(FUNCTIONS[name], self)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __bool__(self) -> bool:
        raise GraphError("a rule that looks at numbers on the way cannot be compiled")

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (None,), **options: Any
    ) -> Any:
        (target,) = out
        if ufunc is np.matmul:
            return FUNCTIONS["matmul"](*inputs, out=target)
        if method != "__call__" or options:
            return function(f"{ufunc.__name__}.{method}")(*inputs, **options)
        formula = Expr(ufunc.__name__, inputs)
        if target is None:
            return formula
        self.program.assign(target, formula)
        return target

    def __array_function__(self, called: Any, types: Any, args: Any, options: Any) -> Any:
        return function(called.__name__)(*args, **options)

    def evaluate(self) -> View:
        """The array as a view: a formula is computed into a storage of its own."""
        return self.copy()

    def copy(self) -> View:
        made = self.program.allocate("copy", self.shape, self.dtype)
        self.program.assign(made, self)
        return made

    def transpose(self, *axes: Any) -> View:
        return self.evaluate().look(np.ndarray.transpose, *axes)

    def reshape(self, *shape: Any) -> View:
        return self.evaluate().reshape(*shape)

    def __getitem__(self, key: Any) -> View:
        return self.evaluate()[key]


class Expr(SymbolicArray):
    """A formula: an elementwise NumPy function `op` of views, formulas and numbers."""

    def __init__(self, op: str, args: Sequence[Any]) -> None:
        self.op, self.args = op, tuple(map(_operand, args))
        arrays = [x for x in self.args if isinstance(x, SymbolicArray)]
        self.program = arrays[0].program
        self.shape = np.broadcast_shapes(*(x.shape for x in arrays))
        floats = [
            x.dtype
            for x in (*arrays, *args)
            if isinstance(x, SymbolicArray | np.generic) and x.dtype.kind == "f"
        ]
        masks = op in _LOGICAL and all(x.dtype.kind == "b" for x in arrays)
        if op in _COMPARISONS or masks:
            self.dtype = np.dtype(bool)
        elif floats:
            self.dtype = floats[0]
        else:
            values = arrays[1:] if op == "where" and len(arrays) > 1 else arrays
            self.dtype = np.result_type(*(x.dtype for x in values))

    def __setitem__(self, key: Any, value: Any) -> None:
        raise GraphError("a formula cannot be assigned to")


def _operand(x: Any) -> Any:
    """An operand as a view, a formula or a Python number."""
    if isinstance(x, np.generic) or (isinstance(x, np.ndarray) and x.ndim == 0):
        return x.item()
    if isinstance(x, SymbolicArray | bool | int | float | None):
        return x
    raise GraphError(f"a rule that brings along an array of shape {np.shape(x)} cannot be compiled")


class View(SymbolicArray):
    """A strided part of a storage.

    `layout` is an array of single bytes with the view's shape, strides and offset, all in entries:
    whatever NumPy does with views, it does with the layout. Its numbers must never be read.
    """

    def __init__(self, storage: Storage, layout: np.ndarray[Any, Any], offset: int = 0) -> None:
        self.storage, self.layout, self.offset = storage, layout, offset
        self.program, self.dtype = storage.program, storage.dtype
        self.shape, self.strides = layout.shape, layout.strides

    def look(self, numpy: Callable[..., Any], *args: Any, **options: Any) -> View:
        """The view of this one that a function of NumPy's gives."""
        found = numpy(self.layout, *args, **options)
        moved = _address(found) - _address(self.layout) if found.size else 0
        return View(self.storage, found, self.offset + moved)

    @property
    def contiguous(self) -> bool:
        return self.layout.flags.c_contiguous

    @property
    def whole(self) -> bool:
        """Does it show all of its storage, in order?"""
        return self.contiguous and self.size == self.storage.size

    @property
    def T(self) -> View:
        return self.transpose()

    def evaluate(self) -> View:
        return self

    def reshape(self, *shape: Any) -> View:
        wanted = np.broadcast_to(0, self.shape).reshape(*shape).shape
        if wanted == self.shape:
            return self
        whole = self if self.contiguous else self.copy()
        return whole.look(np.reshape, wanted)

    def __getitem__(self, key: Any) -> View:
        parts = key if isinstance(key, tuple) else (key,)
        if _picks(parts):
            return FUNCTIONS["pick"](self, parts)  # type: ignore[no-any-return]  # a table
        whole = (*parts, ...) if Ellipsis not in parts else parts  # an array, where a number is hit
        return self.look(np.ndarray.__getitem__, whole)

    def __setitem__(self, key: Any, value: Any) -> None:
        if _picks(key if isinstance(key, tuple) else (key,)):
            raise GraphError("writing into entries that arrays pick cannot be compiled")
        part = self[key]
        # `x[key] += y` ends with x[key] = x[key], which is recorded already
        if not (isinstance(value, View) and same(part, value)):
            self.program.assign(part, value)


def _address(layout: np.ndarray[Any, Any]) -> int:
    address: int = layout.__array_interface__["data"][0]
    return address


def _picks(key: tuple[Any, ...]) -> bool:
    """Does the key contain arrays of indices, or masks?"""
    return any(isinstance(part, np.ndarray | SymbolicArray | list) for part in key)


def same(a: View, b: View) -> bool:
    """Are these the same entries of one storage?"""
    equal = (a.offset, a.shape, a.strides) == (b.offset, b.shape, b.strides)
    return a.storage is b.storage and equal


def views(value: Any) -> list[View]:
    """The views that a formula reads."""
    if isinstance(value, View):
        return [value]
    return [view for x in value.args for view in views(x)] if isinstance(value, Expr) else []


# ---------------- statements
class _First:
    """The argument of a call that is the number of the part's first sample."""

    def __repr__(self) -> str:
        return "first"


FIRST = _First()


@dataclass(eq=False)
class Statement:
    """A step of a program that reads `args`; `note` names the node that it belongs to."""

    args: tuple[Any, ...]
    note: str

    @cached_property
    def reads(self) -> list[View]:
        """The views that it reads, or may read."""
        return [view for x in self.args for view in views(x)]

    @property
    def writes(self) -> list[View]:
        """The views that it writes, or may write."""
        return self.reads

    @cached_property
    def touches(self) -> list[View]:
        """The views that it writes or reads."""
        return [*self.writes, *self.reads]


@dataclass(eq=False)
class Call(Statement):
    """A call of a kernel, which may write into all of its arguments.

    Arguments are contiguous views, empty arrays, numbers and descriptions of sizes.
    """

    kernel: Any


@dataclass(eq=False)
class SumOverParts(Statement):
    """The contiguous view that it reads becomes the sum over all parts, in each of them."""


@dataclass(eq=False)
class Assign(Statement):
    """target[...] = what `op` computes from `args`.

    - "formula": the entries of one formula, view or number
    - "add", "multiply", "maximum", "minimum": a formula, reduced over the axes along which the
      target has length 1
    - "matmul": the product of matrices (m, k) and (k, n), plus a row (n,) if there is a third one
    """

    target: View
    op: str

    @property
    def value(self) -> Any:
        """The formula that is assigned or reduced."""
        return self.args[0]

    @property
    def writes(self) -> list[View]:
        return [self.target]

    def swaps(self, i: int, j: int) -> bool:
        """Is it a copy with axes i and j swapped, and are both arrays contiguous?"""
        x, target = self.value, self.target
        if self.op != "formula" or not isinstance(x, View) or x.ndim <= max(i, j):
            return False
        fits = x.shape == target.shape and x.dtype == target.dtype and target.contiguous
        return fits and x.look(np.swapaxes, i, j).contiguous


def formula(s: Statement) -> Assign | None:
    """The statement if it assigns a formula, entry by entry."""
    return s if isinstance(s, Assign) and s.op == "formula" else None


Users = dict[Storage, list[Statement]]


def users_of(statements: Sequence[Statement]) -> Users:
    """The statements that touch each storage, in their order."""
    users: Users = {}
    for s in statements:
        for storage in dict.fromkeys(view.storage for view in s.touches):
            users.setdefault(storage, []).append(s)
    return users


@dataclass(eq=False)
class Program:
    """Storages and statements, in order; `note` is the node that rules are being run for.

    The program is that of one of the `parts` of a batch.
    """

    parts: int = 1
    storages: list[Storage] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    note: str = ""

    def allocate(
        self, name: str, shape: Shape, dtype: Any, kind: str = "scratch", **options: Any
    ) -> View:
        """A new storage, as a view of this shape; `options` are further fields of `Storage`."""
        size = math.prod(shape)
        given = {"node": self.note.removeprefix("back through "), **options}
        self.storages.append(Storage(self, name, size, np.dtype(dtype), kind, **given))
        return self.storages[-1].whole().look(np.reshape, shape)

    def close(self) -> None:
        """Drop all references back to the program, so that no garbage collector is needed."""
        self.statements = []
        for storage in self.storages:
            del storage.program

    def assign(self, target: View, *args: Any, op: str = "formula") -> None:
        """Record target[...] = what `op` computes."""
        self.statements.append(Assign(tuple(map(_operand, args)), self.note, target, op))

    def call(self, kernel: Any, *args: Any) -> None:
        """Record the call of a kernel; arrays that are not contiguous are copied for it."""
        views = [x.evaluate() if isinstance(x, SymbolicArray) else x for x in args]
        ready = [x.copy() if isinstance(x, View) and not x.contiguous else x for x in views]
        self.statements.append(Call(tuple(ready), self.note, kernel))
