"""The largest of many numbers, in vectors and without a branch: of a row, and of windows side by
side (see `tile.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from .tile import Code, address, lanes


@intrinsic
def top(context, array, count):  # type: ignore[no-untyped-def]
    """The largest of array[:count], NaN left out; -inf if nothing is left.

    Four vectors side by side, so that a comparison need not wait for the one before. LLVM
    vectorises such a loop only if it may assume that there is no NaN.
    """
    dtype, ints = array.dtype, types.intp

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        array, count = args
        step, four = (ir.Constant(ir.IntType(64), lanes(dtype.bitwidth // 8) * n) for n in (1, 4))
        code = Code(context, builder, dtype, builder.urem(count, step))
        lowest = code.splat(ir.Constant(code.number, float("-inf")), code.vector)
        found = [cgutils.alloca_once_value(builder, lowest) for _ in range(4)]

        def larger(x, y):  # type: ignore[no-untyped-def]
            return builder.select(builder.fcmp_ordered(">", x, y), x, y)

        def take(place, at, masked=False):  # type: ignore[no-untyped-def]
            value = code.load(code.at(array, at), masked, lowest)
            builder.store(larger(value, builder.load(place)), place)

        quads = builder.mul(builder.udiv(count, four), four)
        with code.loop(builder.udiv(count, four)) as i:
            for n, place in enumerate(found):
                take(
                    place,
                    builder.add(builder.mul(i, four), ir.Constant(ir.IntType(64), n * code.lanes)),
                )
        with code.loop(builder.udiv(builder.sub(count, quads), step)) as i:
            take(found[0], builder.add(quads, builder.mul(i, step)))
        with builder.if_then(
            builder.icmp_unsigned("!=", builder.urem(count, step), ir.Constant(ir.IntType(64), 0))
        ):
            take(found[1], builder.sub(count, builder.urem(count, step)), True)
        a, b, c, d = map(builder.load, found)
        value, half = larger(larger(a, b), larger(c, d)), code.lanes // 2
        while half:
            order = [i + half if i < half else i for i in range(code.lanes)]
            other = builder.shuffle_vector(
                value, value, ir.Constant(ir.VectorType(ir.IntType(32), code.lanes), order)
            )
            value, half = larger(value, other), half // 2
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return dtype(array, ints), generate


@intrinsic
def window_tops(  # type: ignore[no-untyped-def]
    context, best, at, first, x, start, width, upper, lower, left, step, columns, count, dense
):
    """`of_windows` for `count` of them, a vector at most: best[first + i] and at[first + i].

    The rows are those from `upper` on, up to `lower`; `left` is where the first of these windows
    begins. The literal `dense` is 1 where the step is: then vectors are read, and not collected
    number by number.
    """
    if not isinstance(dense, types.IntegerLiteral):
        return None
    dtype, n, small = x.dtype, types.intp, ir.IntType(at.dtype.bitwidth)

    at_type = at.dtype

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        best, at, first, x, start, width, upper, lower, left, step, columns, count, _ = args
        code = Code(context, builder, dtype, count)
        places = Code(context, builder, at_type, count, code.lanes)
        picture, zero = code.at(x, start), ir.Constant(places.vector, None)

        def all_of(number):  # type: ignore[no-untyped-def]
            number = builder.trunc(number, small) if at_type.bitwidth < 64 else number
            return places.splat(number, places.vector)

        lane = ir.Constant(places.vector, list(range(code.lanes)))
        begins, most = builder.add(all_of(left), builder.mul(lane, all_of(step))), all_of(width)
        inside = builder.select(builder.icmp_signed(">", begins, zero), begins, zero)
        lowest = code.splat(ir.Constant(code.number, float("-inf")), code.vector)
        value = cgutils.alloca_once_value(builder, lowest)
        place = cgutils.alloca_once_value(
            builder, builder.add(all_of(builder.mul(upper, width)), inside)
        )

        def compare(row, column):  # type: ignore[no-untyped-def]
            """Entry (row, column) of every window."""
            here = builder.add(begins, all_of(column))
            there = builder.and_(
                builder.icmp_signed(">=", here, zero), builder.icmp_signed("<", here, most)
            )
            there, here = builder.and_(there, code.mask), builder.add(here, all_of(row))
            if dense.literal_value:
                found = code.load(
                    code.at(picture, builder.add(builder.add(row, left), column)),
                    True,
                    lowest,
                    there,
                )
            else:
                found = code.collect(picture, here, there, lowest)
            old = builder.load(value)
            wins = builder.or_(
                builder.fcmp_ordered(">", found, old), builder.fcmp_unordered("uno", found, found)
            )
            builder.store(builder.select(wins, found, old), value)
            builder.store(builder.select(wins, here, builder.load(place)), place)

        with code.loop(builder.sub(lower, upper)) as i:
            row = builder.mul(builder.add(upper, i), width)
            with code.loop(columns) as j:
                compare(row, j)
        code.store(builder.load(value), code.at(best, first), True)
        places.store(builder.load(place), places.at(at, first), True)
        return context.get_dummy_value()

    return types.void(best, at, n, x, n, n, n, n, n, n, n, n, dense), generate


def largest(row: Any) -> Any:
    """The largest number of a row (n,), NaN left out; -inf if nothing is left. This is the plain
    form.
    """
    return np.fmax.reduce(row, initial=-np.inf)


@overload(largest)
def _largest(row):  # type: ignore[no-untyped-def]
    return lambda row: top(address(row), row.size)


def of_windows(
    best: Any,
    at: Any,
    x: Any,
    start: int,
    width: int,
    top: int,
    bottom: int,
    left: int,
    step: int,
    columns: int,
) -> None:
    """best[j] = the largest entry of window j and at[j] = its place, for windows side by side in a
    picture.

    The picture begins at x[start], from where places are counted, and its rows have `width`
    numbers. Each window spans the rows from `top` to `bottom` and `columns` columns from left + j ·
    step on; what lies beside the picture is left out. The first of equals wins; NaN wins over
    everything, the last NaN over others. This is the plain form.
    """
    for j in range(best.size):
        lo, hi = max(left + j * step, 0), min(left + j * step + columns, width)
        best[j], at[j] = -np.inf, top * width + lo
        for r in range(top, bottom):
            for c in range(lo, hi):
                v = x[start + r * width + c]
                if v > best[j] or v != v:
                    best[j], at[j] = v, r * width + c


@overload(of_windows)
def _of_windows(best, at, x, start, width, top, bottom, left, step, columns):  # type: ignore[no-untyped-def]
    size = lanes(x.dtype.bitwidth // 8)

    def run(best, at, x, start, width, top, bottom, left, step, columns):  # type: ignore[no-untyped-def]
        to, places, of = address(best), address(at), address(x)
        for j in range(0, best.size, size):
            begin, many = left + j * step, min(size, best.size - j)
            if step == 1:
                window_tops(
                    to, places, j, of, start, width, top, bottom, begin, 1, columns, many, 1
                )
            else:
                window_tops(
                    to, places, j, of, start, width, top, bottom, begin, step, columns, many, 0
                )

    return run
