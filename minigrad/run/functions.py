"""NumPy's functions and methods on symbolic arrays: how rules that call them are recorded."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial, reduce
from itertools import pairwise
from operator import add
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .. import kernels
from ..errors import GraphError
from .symbolic import FUNCTIONS, Expr, Shape, SymbolicArray, View


# ---------------- shapes and parts
def copyto(target: View, source: Any) -> None:
    target.program.assign(target, source)


def full_like(x: SymbolicArray, number: float) -> View:
    made = x.program.allocate("full", x.shape, x.dtype)
    made[...] = number
    return made


def looking(function: Callable[..., Any]) -> Callable[..., View]:
    """A function of NumPy's that gives a view."""
    return lambda x, *args, **options: x.evaluate().look(function, *args, **options)


def split(whole: SymbolicArray, ends: Any, axis: int = 0) -> list[View]:
    edges = [0, *ends, whole.shape[axis]]
    return [whole[(slice(None),) * axis + (slice(*pair),)] for pair in pairwise(edges)]


# ---------------- along axes
def reduction(op: str) -> Callable[..., View]:
    def run(
        x: SymbolicArray,
        axis: Any = None,
        keepdims: bool = False,
        out: View | None = None,
        dtype: Any = None,
        initial: Any = None,
    ) -> View:
        kept, rest = _reduced(x, axis)
        if out is None:
            name = "sum" if op == "add" else op
            out = x.program.allocate(name, kept, dtype or x.dtype)
        x.program.assign(out.reshape(kept), x, op=op)
        return out if keepdims else out.reshape(rest)

    return run


def _reduced(x: SymbolicArray, axis: Any) -> tuple[Shape, Shape]:
    """The shape of a reduction over `axis`, with and without `keepdims`."""
    axes = normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return kept, tuple(n for i, n in enumerate(x.shape) if i not in axes)


def cumulative(name: str) -> Callable[..., View]:
    """Running sums or products along one axis, by their NumPy name."""

    def run(x: SymbolicArray, axis: int, out: View | None = None) -> View:
        made = x.program.allocate(name, x.shape, x.dtype)
        sizes = _around(x, axis)
        product = name == "cumprod"
        x.program.call(kernels.scan.running, x.reshape(sizes), made.reshape(sizes), product)
        if out is None:
            return made
        out[...] = made
        return out

    return run


def extreme(sign: int) -> Callable[..., View]:
    """The index of the largest (1) or smallest (-1) entry."""

    def find(x: SymbolicArray, axis: int | None = None, keepdims: bool = False) -> View:
        before, n, behind = (1, x.size, 1) if axis is None else _around(x, axis)
        found = x.program.allocate("places", (before, behind), np.int64)
        x.program.call(kernels.scan.argmax, x.reshape(before, n, behind), found, sign)
        kept, rest = _reduced(x, axis)
        return found.reshape(kept if keepdims else rest)

    return find


def argsort(x: SymbolicArray, axis: int, kind: str) -> View:
    places, sizes = x.program.allocate("places", x.shape, np.int64), _around(x, axis)
    x.program.call(kernels.scan.argsort, x.reshape(sizes), places.reshape(sizes))
    return places


def _around(x: SymbolicArray, axis: int) -> Shape:
    """How many entries come before an axis, along it and after it."""
    axis %= x.ndim
    return math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])


# ---------------- indexing with arrays
def pick(x: View, key: tuple[Any, ...]) -> View:
    """x[key] for a key with arrays: a lookup of rows."""
    table, rows, shape = _rows(x, key)
    found = x.program.allocate("picked", shape, x.dtype)
    flat = found.reshape(rows.size, table.shape[1])
    x.program.call(kernels.embedding.gather, table, rows, flat, 1)
    return found


def add_at(x: View, key: Any, values: Any) -> None:
    """np.add.at: an entry that is picked several times collects several values."""
    if not x.contiguous:
        raise GraphError("np.add.at on an array with gaps cannot be compiled")
    table, rows, shape = _rows(x, key if isinstance(key, tuple) else (key,))
    if not isinstance(values, View) or values.shape != shape:
        given, values = values, x.program.allocate("added", shape, x.dtype)
        values[...] = given
    flat = values.reshape(rows.size, table.shape[1])
    x.program.call(kernels.embedding.scatter_more, flat, rows, table)


def _rows(x: View, key: tuple[Any, ...]) -> tuple[View, View, Shape]:
    """x as a table of rows, the indices of the rows that a key picks, and the result's shape."""
    if any(isinstance(part, SymbolicArray) for part in key):
        return _computed_rows(x, key)
    picked = np.arange(x.size).reshape(x.shape)[key]
    width = 1
    for n in reversed(x.shape[1:] if picked.size else ()):  # rows as wide as possible
        wider = width * n
        if picked.size % wider:
            break
        wide = picked.reshape(-1, wider)
        if (wide != wide[:, :1] // wider * wider + np.arange(wider)).any():
            break
        width = wider
    rows = picked.reshape(-1, width)[:, 0] // width
    fixed = x.program.allocate("places", rows.shape, np.int64, "constant", initial=rows)
    return x.reshape(-1, width), fixed, picked.shape


def _computed_rows(x: View, key: tuple[Any, ...]) -> tuple[View, View, Shape]:
    """`_rows` for indices that are computed: a row's index is a sum over the axes before it."""
    parts = list(key)
    while isinstance(parts[-1], slice) and parts[-1] == slice(None):
        parts.pop()
    arrays = [i for i, part in enumerate(parts) if not isinstance(part, slice)]
    if any(type(parts[i]) is not int and _kind(parts[i]) not in "iu" for i in arrays):
        raise GraphError(
            "a mask that is a node, or an index beside None or an ellipsis, cannot be compiled"
        )
    if arrays[-1] - arrays[0] >= len(arrays):
        raise GraphError("indices on both sides of a slice cannot be compiled")
    taken, rest = x.shape[: len(parts)], x.shape[len(parts) :]
    zeros = [np.zeros((1,) * p.ndim, int) if isinstance(p, SymbolicArray) else p for p in parts]
    fixed = np.arange(math.prod(taken)).reshape(taken)[
        tuple(zeros)
    ]  # where all computed ones are 0
    terms: list[Any] = []
    for i, (n, part) in enumerate(zip(taken, parts, strict=True)):
        if isinstance(part, SymbolicArray):
            part = part.reshape((*part.shape, *(1,) * (len(parts) - 1 - arrays[-1])))
            index, step = np.where(part < 0, part + n, part), math.prod(taken[i + 1 :])
            terms.append(index if step == 1 else index * step)
    shape = np.broadcast_shapes(fixed.shape, *(term.shape for term in terms))
    if fixed.any():
        place = "index", fixed.shape, np.int64, "constant"
        single = fixed.size == 1
        terms.append(fixed.item() if single else x.program.allocate(*place, initial=fixed))
    rows = x.program.allocate("places", shape, np.int64)
    rows[...] = reduce(add, terms)
    table = x.reshape(math.prod(taken), math.prod(rest))
    return table, rows.reshape(-1), shape + rest


def _kind(part: Any) -> str:
    return np.dtype(getattr(part, "dtype", bool)).kind


FUNCTIONS.update(
    {
        "copyto": copyto,
        "where": lambda *args: Expr("where", args),
        "split": split,
        "ones_like": lambda x: full_like(x, 1),
        "zeros_like": lambda x: full_like(x, 0),
        "moveaxis": looking(np.moveaxis),
        "swapaxes": looking(np.swapaxes),
        "flip": looking(np.flip),
        "squeeze": looking(np.squeeze),
        "einsum": lambda text, x: x.evaluate().look(partial(np.einsum, text)),  # a diagonal
        "broadcast_to": looking(np.broadcast_to),
        "sum": reduction("add"),
        "prod": reduction("multiply"),
        "max": reduction("maximum"),
        "min": reduction("minimum"),
        "cumsum": cumulative("cumsum"),
        "cumprod": cumulative("cumprod"),
        "argmax": extreme(1),
        "argmin": extreme(-1),
        "argsort": argsort,
        "pick": pick,
        "add.at": add_at,
    }
)
