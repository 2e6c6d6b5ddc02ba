"""Small matrix products for use inside other kernels, block by block (see `tile.py`); one thread
each.

`add_…` adds to `out`, the others overwrite it. Letters say how the operands lie: n as in the
product, t transposed. All arrays are C-contiguous.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import config, literally, types
from numba.extending import overload
from numba.np.numpy_support import as_dtype

from .jit import jit, of_pointers
from .tile import ACROSS, ADD, FRESH, WIDE, address, dots, lanes, tile
from .views import flat

#: the most vectors side by side in one block: with six rows, all their sums stay in registers
VECTORS = 4 if WIDE else 2

#: for matrices that need no table
NONE = np.zeros(1, np.int64)


# ---------------- of flat arrays, the sizes are said
@jit
def product_nn(out: Any, a: Any, b: Any, m: int, k: int, n: int) -> None:
    """out (m, n) = a (m, k) @ b (k, n)."""
    block(out, 0, n, m, n, a, 0, k, 1, b, 0, n, NONE, 0, k, 1, 0, 0, out, 0, FRESH, -np.inf)


@jit
def product_bias(out: Any, a: Any, b: Any, m: int, k: int, n: int, bias: Any) -> None:
    """out (m, n) = a (m, k) @ b (k, n) + bias (n,)."""
    block(out, 0, n, m, n, a, 0, k, 1, b, 0, n, NONE, 0, k, 1, 0, 0, bias, 0, ACROSS, -np.inf)


@jit
def product_tn(out: Any, a: Any, b: Any, m: int, k: int, n: int) -> None:
    """out (m, n) = aᵀ @ b for a (k, m) and b (k, n)."""
    block(out, 0, n, m, n, a, 0, 1, m, b, 0, n, NONE, 0, k, 1, 0, 0, out, 0, FRESH, -np.inf)


@jit
def product_nt(out: Any, a: Any, b: Any, m: int, k: int, n: int) -> None:
    """out (m, n) = a @ bᵀ for a (m, k) and b (n, k)."""
    sums(out, 0, m, n, a, 0, k, b, 0, k, NONE, 0, k, 1, 0, 0, True)


@jit
def sum_rows(out: Any, b: Any, k: int, n: int) -> None:
    """out (n,) = the sum of the rows of b (k, n): a row of ones times b."""
    block(out, 0, n, 1, n, _one(out), 0, 0, 0, b, 0, n, NONE, 0, k, 1, 0, 0, out, 0, FRESH, -np.inf)


def _one(like: Any) -> Any:
    """An array of one 1 in the dtype of another; in compiled code a constant."""
    return np.ones(1, like.dtype)


# ---------------- of matrices
@jit
def nn(out: Any, a: Any, b: Any) -> None:
    """out = a @ b."""
    product_nn(flat(out), flat(a), flat(b), out.shape[0], a.shape[1], out.shape[1])


@jit
def add_nn(out: Any, a: Any, b: Any) -> None:
    """out += a @ b."""
    m, n, k = out.shape[0], out.shape[1], a.shape[1]
    block(
        flat(out),
        0,
        n,
        m,
        n,
        flat(a),
        0,
        k,
        1,
        flat(b),
        0,
        n,
        NONE,
        0,
        k,
        1,
        0,
        0,
        flat(out),
        0,
        ADD,
        -np.inf,
    )


@jit
def tn(out: Any, a: Any, b: Any) -> None:
    """out = a.T @ b."""
    product_tn(flat(out), flat(a), flat(b), out.shape[0], a.shape[0], out.shape[1])


@jit
def add_tn(out: Any, a: Any, b: Any) -> None:
    """out += a.T @ b."""
    m, n, k = out.shape[0], out.shape[1], a.shape[0]
    block(
        flat(out),
        0,
        n,
        m,
        n,
        flat(a),
        0,
        1,
        m,
        flat(b),
        0,
        n,
        NONE,
        0,
        k,
        1,
        0,
        0,
        flat(out),
        0,
        ADD,
        -np.inf,
    )


@jit
def nt(out: Any, a: Any, b: Any) -> None:
    """out = a @ b.T."""
    product_nt(flat(out), flat(a), flat(b), out.shape[0], a.shape[1], out.shape[1])


@jit
def add_nt(out: Any, a: Any, b: Any) -> None:
    """out += a @ b.T."""
    m, n, k = out.shape[0], out.shape[1], a.shape[1]
    sums(flat(out), 0, m, n, flat(a), 0, k, flat(b), 0, k, NONE, 0, k, 1, 0, 0, False)


# ---------------- the two products that all others are
def block(
    out: Any,
    c0: int,
    c_row: int,
    rows: int,
    columns: int,
    a: Any,
    a0: int,
    a_row: int,
    a_step: int,
    b: Any,
    b0: int,
    b_row: int,
    table: Any,
    t_step: int,
    depth: int,
    times: int,
    c_next: int,
    b_next: int,
    start: Any,
    s0: int,
    begin: int,
    least: float,
) -> None:
    """`tile` for any number of rows and columns, `times` times, with C and B further on by so much
    each time.

    This is the plain form; compiled code has blocks.
    """
    out, a, b, start = out.reshape(-1), a.reshape(-1), b.reshape(-1), start.reshape(-1)
    for q in range(times):
        for r in range(rows):
            at = c0 + q * c_next + r * c_row
            row = out[at : at + columns]
            if begin == ACROSS:
                row[:] = start[s0 : s0 + columns]
            elif begin != ADD:
                row[:] = 0 if begin == FRESH else start[s0 + r]
            for p in range(depth):
                first = b0 + q * b_next + p * b_row + table[p * t_step]
                row += a[a0 + r * a_row + p * a_step] * b[first : first + columns]
            row[:] = np.maximum(row, least)


def sums(
    out: Any,
    c0: int,
    rows: int,
    columns: int,
    a: Any,
    a0: int,
    a_row: int,
    b: Any,
    b0: int,
    b_row: int,
    table: Any,
    t_step: int,
    depth: int,
    times: int,
    a_next: int,
    b_next: int,
    fresh: bool,
) -> None:
    """`dots` for any number of rows and columns: C (+)= A @ Bᵀ. This is the plain form; compiled
    code has blocks.
    """
    out, a, b = out.reshape(-1), a.reshape(-1), b.reshape(-1)
    for r in range(rows):
        for u in range(columns):
            start = b0 + u * b_row + table[u * t_step]
            total = 0 if fresh else out[c0 + r * columns + u]
            for q in range(times):
                left, right = a0 + r * a_row + q * a_next, start + q * b_next
                total += (a[left : left + depth] * b[right : right + depth]).sum()
            out[c0 + r * columns + u] = total


@jit
def _rows(
    c: Any,
    c0: int,
    c_row: int,
    rows: int,
    a: Any,
    a0: int,
    a_row: int,
    a_step: int,
    b: Any,
    b0: int,
    b_row: int,
    table: Any,
    t_step: int,
    depth: int,
    rest: int,
    times: int,
    c_next: int,
    b_next: int,
    start: Any,
    s0: int,
    begin: int,
    least: float,
    vectors: int,
) -> None:
    """All rows of a stretch of columns: six at a time, and what is left in groups that are as even
    as can be.
    """
    literally(vectors)
    i = 0
    while i < rows:
        at, left, s, more = (
            c0 + i * c_row,
            a0 + i * a_row,
            s0 if begin == ACROSS else s0 + i,
            rows - i,
        )
        if more == 6 or more > 8:
            for q in range(times):
                tile(
                    c,
                    at + q * c_next,
                    c_row,
                    a,
                    left,
                    a_row,
                    a_step,
                    b,
                    b0 + q * b_next,
                    b_row,
                    table,
                    t_step,
                    depth,
                    rest,
                    start,
                    s,
                    begin,
                    least,
                    0,
                    0,
                    6,
                    vectors,
                    1,
                )
            i += 6
        elif more == 4 or more > 6:
            for q in range(times):
                tile(
                    c,
                    at + q * c_next,
                    c_row,
                    a,
                    left,
                    a_row,
                    a_step,
                    b,
                    b0 + q * b_next,
                    b_row,
                    table,
                    t_step,
                    depth,
                    rest,
                    start,
                    s,
                    begin,
                    least,
                    0,
                    0,
                    4,
                    vectors,
                    1,
                )
            i += 4
        elif more == 3 or more == 5:
            for q in range(times):
                tile(
                    c,
                    at + q * c_next,
                    c_row,
                    a,
                    left,
                    a_row,
                    a_step,
                    b,
                    b0 + q * b_next,
                    b_row,
                    table,
                    t_step,
                    depth,
                    rest,
                    start,
                    s,
                    begin,
                    least,
                    0,
                    0,
                    3,
                    vectors,
                    1,
                )
            i += 3
        elif more == 2:
            for q in range(times):
                tile(
                    c,
                    at + q * c_next,
                    c_row,
                    a,
                    left,
                    a_row,
                    a_step,
                    b,
                    b0 + q * b_next,
                    b_row,
                    table,
                    t_step,
                    depth,
                    rest,
                    start,
                    s,
                    begin,
                    least,
                    0,
                    0,
                    2,
                    vectors,
                    1,
                )
            i += 2
        else:
            for q in range(times):
                tile(
                    c,
                    at + q * c_next,
                    c_row,
                    a,
                    left,
                    a_row,
                    a_step,
                    b,
                    b0 + q * b_next,
                    b_row,
                    table,
                    t_step,
                    depth,
                    rest,
                    start,
                    s,
                    begin,
                    least,
                    0,
                    0,
                    1,
                    vectors,
                    1,
                )
            i += 1


@jit
def _pairs(
    c: Any,
    c0: int,
    c_row: int,
    rows: int,
    a: Any,
    a0: int,
    a_row: int,
    a_step: int,
    b: Any,
    b0: int,
    b_row: int,
    table: Any,
    t_step: int,
    depth: int,
    rest: int,
    times: int,
    c_next: int,
    b_next: int,
    start: Any,
    s0: int,
    begin: int,
    least: float,
) -> None:
    """`_rows` of two vectors for a multiple of four rows: four rows of two of the times in one
    go.
    """
    for i in range(0, rows, 4):
        at, left, s = c0 + i * c_row, a0 + i * a_row, s0 if begin == ACROSS else s0 + i
        for q in range(0, times - 1, 2):
            tile(
                c,
                at + q * c_next,
                c_row,
                a,
                left,
                a_row,
                a_step,
                b,
                b0 + q * b_next,
                b_row,
                table,
                t_step,
                depth,
                rest,
                start,
                s,
                begin,
                least,
                c_next,
                b_next,
                4,
                2,
                2,
            )
        if times % 2:
            q = times - 1
            tile(
                c,
                at + q * c_next,
                c_row,
                a,
                left,
                a_row,
                a_step,
                b,
                b0 + q * b_next,
                b_row,
                table,
                t_step,
                depth,
                rest,
                start,
                s,
                begin,
                least,
                0,
                0,
                4,
                2,
                1,
            )


def _make_block(itemsize: int) -> Any:
    """The compiled `block` for one dtype, on pointers."""
    wide = lanes(itemsize)

    def block(  # type: ignore[no-untyped-def]
        c,
        c0,
        c_row,
        rows,
        columns,
        a,
        a0,
        a_row,
        a_step,
        b,
        b0,
        b_row,
        table,
        t_step,
        depth,
        times,
        c_next,
        b_next,
        start,
        s0,
        begin,
        least,
    ):
        j = 0
        while j < columns:
            left, s = columns - j, s0 + j if begin == ACROSS else s0
            if WIDE and left > 3 * wide:
                w = min(left - 3 * wide, wide)
                _rows(
                    c,
                    c0 + j,
                    c_row,
                    rows,
                    a,
                    a0,
                    a_row,
                    a_step,
                    b,
                    b0 + j,
                    b_row,
                    table,
                    t_step,
                    depth,
                    w,
                    times,
                    c_next,
                    b_next,
                    start,
                    s,
                    begin,
                    least,
                    4,
                )
            elif WIDE and left > 2 * wide:
                w = left - 2 * wide
                _rows(
                    c,
                    c0 + j,
                    c_row,
                    rows,
                    a,
                    a0,
                    a_row,
                    a_step,
                    b,
                    b0 + j,
                    b_row,
                    table,
                    t_step,
                    depth,
                    w,
                    times,
                    c_next,
                    b_next,
                    start,
                    s,
                    begin,
                    least,
                    3,
                )
            elif (
                WIDE and left > wide and times > 1 and rows % 4 == 0 and depth <= 256
            ):  # deeper: B leaves the cache
                w = left - wide
                _pairs(
                    c,
                    c0 + j,
                    c_row,
                    rows,
                    a,
                    a0,
                    a_row,
                    a_step,
                    b,
                    b0 + j,
                    b_row,
                    table,
                    t_step,
                    depth,
                    w,
                    times,
                    c_next,
                    b_next,
                    start,
                    s,
                    begin,
                    least,
                )
            elif left > wide:
                w = min(left - wide, wide)
                _rows(
                    c,
                    c0 + j,
                    c_row,
                    rows,
                    a,
                    a0,
                    a_row,
                    a_step,
                    b,
                    b0 + j,
                    b_row,
                    table,
                    t_step,
                    depth,
                    w,
                    times,
                    c_next,
                    b_next,
                    start,
                    s,
                    begin,
                    least,
                    2,
                )
            else:
                w = left
                _rows(
                    c,
                    c0 + j,
                    c_row,
                    rows,
                    a,
                    a0,
                    a_row,
                    a_step,
                    b,
                    b0 + j,
                    b_row,
                    table,
                    t_step,
                    depth,
                    w,
                    times,
                    c_next,
                    b_next,
                    start,
                    s,
                    begin,
                    least,
                    1,
                )
            j += VECTORS * wide

    return block


@jit
def _sums_of_rows(
    c: Any,
    c0: int,
    n: int,
    a: Any,
    left: int,
    a_row: int,
    b: Any,
    b0: int,
    b_row: int,
    table: Any,
    t_step: int,
    depth: int,
    times: int,
    a_next: int,
    b_next: int,
    fresh: bool,
    rows: int,
) -> None:
    """All columns of a few rows: five at a time, and what is left in groups that are as even as can
    be; three where there are fewer registers.
    """
    literally(rows)
    j = 0
    while j < n:
        at, more = c0 + j, n - j
        if WIDE and (more == 5 or more > 8):
            dots(
                c,
                at,
                n,
                a,
                left,
                a_row,
                b,
                b0,
                b_row,
                table,
                t_step,
                j,
                depth,
                times,
                a_next,
                b_next,
                fresh,
                rows,
                5,
            )
            j += 5
        elif WIDE and (more == 4 or more > 6):
            dots(
                c,
                at,
                n,
                a,
                left,
                a_row,
                b,
                b0,
                b_row,
                table,
                t_step,
                j,
                depth,
                times,
                a_next,
                b_next,
                fresh,
                rows,
                4,
            )
            j += 4
        elif more == 3 or more > 4:
            dots(
                c,
                at,
                n,
                a,
                left,
                a_row,
                b,
                b0,
                b_row,
                table,
                t_step,
                j,
                depth,
                times,
                a_next,
                b_next,
                fresh,
                rows,
                3,
            )
            j += 3
        elif more == 2:
            dots(
                c,
                at,
                n,
                a,
                left,
                a_row,
                b,
                b0,
                b_row,
                table,
                t_step,
                j,
                depth,
                times,
                a_next,
                b_next,
                fresh,
                rows,
                2,
            )
            j += 2
        else:
            dots(
                c,
                at,
                n,
                a,
                left,
                a_row,
                b,
                b0,
                b_row,
                table,
                t_step,
                j,
                depth,
                times,
                a_next,
                b_next,
                fresh,
                rows,
                1,
            )
            j += 1


def _make_sums(itemsize: int) -> Any:
    """The compiled `sums` for one dtype, on pointers."""

    def sums(
        c,
        c0,
        rows,
        n,
        a,
        a0,
        a_row,
        b,
        b0,
        b_row,
        table,
        t_step,
        depth,
        times,
        a_next,
        b_next,
        fresh,
    ):  # type: ignore[no-untyped-def]
        i = 0
        while i < rows:
            at, left = c0 + i * n, a0 + i * a_row
            if i + 4 <= rows:
                _sums_of_rows(
                    c,
                    at,
                    n,
                    a,
                    left,
                    a_row,
                    b,
                    b0,
                    b_row,
                    table,
                    t_step,
                    depth,
                    times,
                    a_next,
                    b_next,
                    fresh,
                    4,
                )
                i += 4
            else:
                _sums_of_rows(
                    c,
                    at,
                    n,
                    a,
                    left,
                    a_row,
                    b,
                    b0,
                    b_row,
                    table,
                    t_step,
                    depth,
                    times,
                    a_next,
                    b_next,
                    fresh,
                    1,
                )
                i += 1

    return sums


def _declare() -> None:
    """Let other kernels call both products as functions of their own, compiled once for each dtype.

    A kernel that inlined the blocks would be optimised anew with each of them, which takes seconds
    every time.
    """
    n, flag = types.intp, types.boolean
    known: dict[Any, Any] = {}
    for dtype in (types.float32, types.float64):
        p, t = types.CPointer(dtype), types.CPointer(types.int64)
        size = dtype.bitwidth // 8
        first = types.void(p, n, n, n, n, p, n, n, n, p, n, n, t, n, n, n, n, n, p, n, n, dtype)
        second = types.void(p, n, n, n, p, n, n, p, n, n, t, n, n, n, n, n, flag)
        known["block", dtype] = of_pointers(f"block_{dtype}", first, _make_block(size))
        known["sums", dtype] = of_pointers(f"sums_{dtype}", second, _make_sums(size))

    @overload(_one)
    def _one_of(like):  # type: ignore[no-untyped-def]
        one = np.ones(1, as_dtype(like.dtype))
        return lambda like: one

    @overload(block)
    def _block(  # type: ignore[no-untyped-def]
        out,
        c0,
        c_row,
        rows,
        columns,
        a,
        a0,
        a_row,
        a_step,
        b,
        b0,
        b_row,
        table,
        t_step,
        depth,
        times,
        c_next,
        b_next,
        start,
        s0,
        begin,
        least,
    ):
        call = known["block", out.dtype]()

        def run(  # type: ignore[no-untyped-def]
            out,
            c0,
            c_row,
            rows,
            columns,
            a,
            a0,
            a_row,
            a_step,
            b,
            b0,
            b_row,
            table,
            t_step,
            depth,
            times,
            c_next,
            b_next,
            start,
            s0,
            begin,
            least,
        ):
            call(
                address(out),
                c0,
                c_row,
                rows,
                columns,
                address(a),
                a0,
                a_row,
                a_step,
                address(b),
                b0,
                b_row,
                address(table),
                t_step,
                depth,
                times,
                c_next,
                b_next,
                address(start),
                s0,
                begin,
                least,
            )

        return run

    @overload(sums)
    def _sums(
        out,
        c0,
        rows,
        columns,
        a,
        a0,
        a_row,
        b,
        b0,
        b_row,
        table,
        t_step,
        depth,
        times,
        a_next,
        b_next,
        fresh,
    ):  # type: ignore[no-untyped-def]
        call = known["sums", out.dtype]()

        def run(
            out,
            c0,
            rows,
            columns,
            a,
            a0,
            a_row,
            b,
            b0,
            b_row,
            table,
            t_step,
            depth,
            times,
            a_next,
            b_next,
            fresh,
        ):  # type: ignore[no-untyped-def]
            call(
                address(out),
                c0,
                rows,
                columns,
                address(a),
                a0,
                a_row,
                address(b),
                b0,
                b_row,
                address(table),
                t_step,
                depth,
                times,
                a_next,
                b_next,
                fresh,
            )

        return run


if not config.DISABLE_JIT:
    _declare()
