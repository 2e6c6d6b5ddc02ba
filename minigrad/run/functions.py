"""NumPy's functions on traced arrays: how rules that call them are written down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .. import kernels
from ..errors import GraphError
from .traced import FUNCTIONS, Expr, Traced, View


# ---------------- shapes and parts
def copyto(target: View, source: Any) -> None:
    target.program.assign(target, source)


def full_like(x: Traced, number: float) -> View:
    made = x.program.buffer("full", x.shape, x.dtype)
    made[...] = number
    return made


def moveaxis(x: Traced, source: Any, destination: Any) -> View:
    numbered = np.empty(
        range(x.ndim)
    )  # an array without entries, in which each axis is as long as its number says
    return x.program.array(x).transpose(np.moveaxis(numbered, source, destination).shape)


def flip(x: Traced, axis: Any = None) -> View:
    turned = normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)
    return x.program.array(x)[
        tuple(slice(None, None, -1 if i in turned else 1) for i in range(x.ndim))
    ]


def broadcast_to(x: Traced, shape: Any) -> View:
    view = x.program.array(x)
    strides = np.broadcast_to(
        np.lib.stride_tricks.as_strided(np.zeros(1, np.int8), view.shape, view.strides), shape
    ).strides
    return View(view.buffer, view.offset, tuple(shape), strides)


def split(whole: View, ends: Any, axis: int = 0) -> list[View]:
    before = (slice(None),) * axis
    return [
        whole[(*before, slice(a, b))] for a, b in pairwise([0, *map(int, ends), whole.shape[axis]])
    ]


# ---------------- entry by entry, along axes
def where(condition: Any, a: Any, b: Any) -> Expr:
    program = next(x.program for x in (condition, a, b) if isinstance(x, Traced))
    return Expr(program, "where", (condition, a, b))


def reduction(op: str) -> Any:
    def run(x: Traced, axis: Any = None, keepdims: bool = False, out: View | None = None) -> View:
        return x.program.reduce(op, x, axis, keepdims, out)

    return run


def running(name: str) -> Any:
    """Sums or products so far along one axis, by their NumPy name."""

    def run(x: Traced, axis: int, out: View | None = None) -> View:
        made = x.program.buffer(name, x.shape, x.dtype)
        sizes = _around(x, axis % x.ndim)
        x.program.call(
            kernels.scan.running, x.reshape(sizes), made.reshape(sizes), name == "cumprod"
        )
        if out is None:
            return made
        out[...] = made
        return out

    return run


def place(sign: int) -> Any:
    """Where the largest (1) or smallest (-1) entry is."""

    def find(x: Traced, axis: int | None = None, keepdims: bool = False) -> View:
        along = range(x.ndim) if axis is None else (axis % x.ndim,)
        whole = x.reshape(-1) if axis is None else x
        before, n, behind = _around(whole, 0 if axis is None else along[0])
        found = x.program.buffer("places", (before, behind), np.int64)
        x.program.call(kernels.scan.argmax, whole.reshape(before, n, behind), found, sign)
        return found.reshape(
            tuple(
                1 if i in along else m for i, m in enumerate(x.shape) if keepdims or i not in along
            )
        )

    return find


def _around(x: Traced, axis: int) -> tuple[int, int, int]:
    """How many entries come before an axis, along it and after it."""
    return math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])


# ---------------- entries picked by arrays of numbers
def pick(x: View, key: tuple[Any, ...]) -> View:
    """x[key] for a key with arrays: a lookup of rows."""
    table, places, shape = _rows(x, key)
    found = x.program.buffer("picked", shape, x.dtype)
    x.program.call(
        kernels.embedding.gather, table, places, found.reshape(places.size, table.shape[1]), 1
    )
    return found


def add_at(x: View, key: Any, values: Any) -> None:
    """np.add.at: entries that are picked several times collect several values."""
    key = key if isinstance(key, tuple) else (key,)
    if not x.contiguous:
        raise GraphError("np.add.at on an array with gaps cannot be compiled")
    table, places, shape = _rows(x, key)
    given = (
        values
        if isinstance(values, View) and values.shape == shape
        else x.program.buffer("added", shape, x.dtype)
    )
    if given is not values:
        given[...] = values
    x.program.call(
        kernels.embedding.scatter_more, given.reshape(places.size, table.shape[1]), places, table
    )


def _rows(x: View, key: tuple[Any, ...]) -> tuple[View, View, tuple[int, ...]]:
    """x as a table of rows, the numbers of the rows that a key picks, and the shape of what is
    picked.
    """
    if any(isinstance(part, Traced) for part in key):
        return _computed_rows(x, key)
    places = np.arange(x.size).reshape(x.shape)[key]
    width = 1
    for n in reversed(x.shape[1:] if places.size else ()):  # whole rows, as long as can be
        if places.size % (width * n) or not _whole_rows(places.reshape(-1, width * n)):
            break
        width *= n
    rows = places.reshape(-1, width)[:, 0] // width
    fixed = x.program.buffer("places", rows.shape, np.int64, "constant", rows)
    return x.reshape(-1, width), fixed, places.shape


def _whole_rows(places: Any) -> bool:
    """Does each row hold the places of one row of a table as wide?"""
    width = places.shape[1]
    return not (places[:, 0] % width).any() and bool(
        (places == places[:, :1] + np.arange(width)).all()
    )


def _computed_rows(x: View, key: tuple[Any, ...]) -> tuple[View, View, tuple[int, ...]]:
    """`_rows` where indices come in with each batch: the number of a row is a sum over the axes
    that are not taken whole.
    """
    parts = [
        np.asarray(part) if isinstance(part, int | np.integer | np.ndarray) else part
        for part in key
    ]
    while isinstance(parts[-1], slice) and parts[-1] == slice(None):
        parts.pop()
    mine = [i for i, part in enumerate(parts) if not isinstance(part, slice)]
    if any(
        not isinstance(parts[i], Traced | np.ndarray) or parts[i].dtype.kind not in "iu"
        for i in mine
    ):
        raise GraphError(
            "a mask that is a node, or an index beside None or an ellipsis, cannot be compiled"
        )
    if mine[-1] - mine[0] >= len(mine):
        raise GraphError("indices on both sides of a slice cannot be compiled")
    inner, after = (
        len(np.broadcast_shapes(*(parts[i].shape for i in mine))),
        len(parts) - 1 - mine[-1],
    )
    fixed: Any = 0
    terms: list[Any] = []
    for i, (n, part) in enumerate(zip(x.shape, parts, strict=False)):
        step = math.prod(x.shape[i + 1 : len(parts)])
        if isinstance(part, slice):
            behind = after + mine[-1] - i if i > mine[-1] else after + inner + mine[0] - 1 - i
            fixed = fixed + np.arange(n)[part].reshape(-1, *(1,) * behind) * step
        elif isinstance(part, np.ndarray):
            fixed = fixed + part.reshape((*part.shape, *(1,) * after)) % n * step
        else:
            wide = part.reshape((*part.shape, *(1,) * after))
            index = np.where(wide < 0, wide + n, wide)
            terms.append(index if step == 1 else index * step)
    if np.any(fixed):
        terms.append(
            x.program.buffer("index", fixed.shape, np.int64, "constant", fixed)
            if fixed.ndim
            else int(fixed)
        )
    total = reduce(add, terms)
    places = x.program.buffer("places", total.shape, np.int64)
    places[...] = total
    rest = x.shape[len(parts) :]
    return (
        x.reshape(math.prod(x.shape[: len(parts)]), math.prod(rest)),
        places.reshape(-1),
        total.shape + rest,
    )


# ---------------- sums of products
def einsum(text: str, *xs: Traced, out: View | None = None, optimize: Any = False) -> View:
    """np.einsum without ellipses: two at a time, in the order that NumPy finds. Of one array
    without a sum a view.
    """
    inputs, result = text.split("->")
    sizes: dict[str, int] = {}
    for term, x in zip(inputs.split(","), xs, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            sizes[letter] = n if sizes.get(letter, 1) == 1 else sizes[letter]
    terms = [
        _diagonal(term, x.program.array(x), sizes)
        for term, x in zip(inputs.split(","), xs, strict=True)
    ]
    shadows = [np.broadcast_to(0.0, x.shape) for _, x in terms]
    path = np.einsum_path(
        ",".join(term for term, _ in terms) + "->" + result, *shadows, optimize="greedy"
    )[0][1:]
    for chosen in path:
        some = [terms[i] for i in chosen]
        terms = [term for i, term in enumerate(terms) if i not in chosen]
        needed = result + "".join(letters for letters, _ in terms)
        while len(some) > 1:
            (left, a), (right, b) = some[-2:]
            later = needed + "".join(letters for letters, _ in some[:-2])
            some[-2:] = [_contracted(left, a, right, b, later)]
        ((letters, y),) = some
        terms.append(_summed(letters, y, needed))
    ((letters, y),) = terms
    y = y.transpose([letters.index(letter) for letter in result])
    if out is None:
        return y
    out[...] = y
    return out


def _diagonal(term: str, x: View, sizes: dict[str, int]) -> tuple[str, View]:
    """Each letter once: of repeated ones the diagonal. An axis of length 1 that stands for a longer
    one is left out.
    """
    letters = list(dict.fromkeys(term))
    strides, own = dict.fromkeys(letters, 0), dict.fromkeys(letters, 1)
    for letter, n, stride in zip(term, x.shape, x.strides, strict=True):
        own[letter] = max(own[letter], n) if n else 0
        strides[letter] += stride if n != 1 else 0
    kept = "".join(letter for letter in letters if own[letter] == sizes[letter])
    return kept, View(
        x.buffer, x.offset, tuple(own[c] for c in kept), tuple(strides[c] for c in kept)
    )


def _summed(letters: str, x: View, needed: str) -> tuple[str, View]:
    """Summed over the letters that are not needed any more."""
    gone = tuple(i for i, letter in enumerate(letters) if letter not in needed)
    return ("".join(c for c in letters if c in needed), x.sum(gone)) if gone else (letters, x)


def _contracted(left: str, a: View, right: str, b: View, needed: str) -> tuple[str, View]:
    """Two arrays as one: a product of matrices where it is one, else a product entry by entry that
    is summed.
    """
    left, a = _summed(left, a, needed + right)
    right, b = _summed(right, b, needed + left)
    shared = [c for c in left if c in right]
    along, inner = ([c for c in shared if (c in needed) == kept] for kept in (True, False))
    rows, columns = [c for c in left if c not in shared], [c for c in right if c not in shared]
    sizes = dict(zip(left + right, a.shape + b.shape, strict=True))
    result = "".join(along + rows + columns)
    m, k, n = (math.prod(sizes[c] for c in some) for some in (rows, inner, columns))

    def laid(letters: str, x: View, order: Sequence[str]) -> View:
        return x.transpose([letters.index(c) for c in order if c in letters])

    if not along and min(m, k, n) > 1:
        product = laid(left, a, rows + inner).reshape(m, k) @ laid(
            right, b, inner + columns
        ).reshape(k, n)
        return result, product.reshape(tuple(sizes[c] for c in result))
    order = along + rows + inner + columns
    wide_a, wide_b = (
        laid(letters, x, order).reshape(tuple(sizes[c] if c in letters else 1 for c in order))
        for letters, x in ((left, a), (right, b))
    )
    return result, (wide_a * wide_b).sum(tuple(order.index(c) for c in inner))


FUNCTIONS.update(
    {
        "copyto": copyto,
        "where": where,
        "sum": reduction("add"),
        "prod": reduction("multiply"),
        "max": reduction("maximum"),
        "min": reduction("minimum"),
        "split": split,
        "moveaxis": moveaxis,
        "flip": flip,
        "broadcast_to": broadcast_to,
        "ones_like": lambda x: full_like(x, 1),
        "zeros_like": lambda x: full_like(x, 0),
        "cumsum": running("cumsum"),
        "cumprod": running("cumprod"),
        "argmax": place(1),
        "argmin": place(-1),
        "einsum": einsum,
        "pick": pick,
        "add.at": add_at,
    }
)
