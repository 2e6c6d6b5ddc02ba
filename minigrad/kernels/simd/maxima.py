"""The largest of many numbers, in vectors and without a branch; arrays are addresses."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import SHORT, VectorBuilder, lanes, word


@intrinsic
def row_maximum(context, array, count):  # type: ignore[no-untyped-def]
    """`plain.row_maximum` of array[:count].

    Four vectors side by side, so that a comparison need not wait for the one before. LLVM
    vectorises such a loop only if it may assume that there is no NaN.
    """
    dtype = array.dtype

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        array, count = args
        step, four = word(lanes(dtype)), word(4 * lanes(dtype))
        rest = builder.urem(count, step)
        code = VectorBuilder(context, builder, dtype, rest)
        lowest = code.lowest()
        found = [cgutils.alloca_once_value(builder, lowest) for _ in range(4)]

        def larger(x, y):  # type: ignore[no-untyped-def]
            return builder.select(builder.fcmp_ordered(">", x, y), x, y)

        def take(place, at, masked=False):  # type: ignore[no-untyped-def]
            value = code.load(code.at(array, at), masked, lowest)
            builder.store(larger(value, builder.load(place)), place)

        quads = builder.mul(builder.udiv(count, four), four)
        with code.loop(builder.udiv(count, four)) as i:
            for n, place in enumerate(found):
                take(place, builder.add(builder.mul(i, four), word(n * code.lanes)))
        with code.loop(builder.udiv(builder.sub(count, quads), step)) as i:
            take(found[0], builder.add(quads, builder.mul(i, step)))
        with builder.if_then(builder.icmp_unsigned("!=", rest, word(0))):
            take(found[1], builder.sub(count, rest), True)
        a, b, c, d = map(builder.load, found)
        value, half = larger(larger(a, b), larger(c, d)), code.lanes // 2
        while half:
            order = [i + half if i < half else i for i in range(code.lanes)]
            order = ir.Constant(ir.VectorType(SHORT, code.lanes), order)
            value = larger(value, builder.shuffle_vector(value, value, order))
            half //= 2
        return builder.extract_element(value, ir.Constant(SHORT, 0))

    return dtype(array, types.intp), generate


@intrinsic
def window_maxima(  # type: ignore[no-untyped-def]
    context, best, places, first, x, start, width, rows, left, step, columns, count, dense
):
    """`plain.window_maxima` for `count` windows, a vector at most, into best[first + i] and
    places[first + i].

    `left` is where the first of these windows begins. The literal `dense` is 1 where the step is:
    then vectors are read, and not gathered number by number.
    """
    if not isinstance(dense, types.IntegerLiteral):
        return None
    dtype, place_type, n = x.dtype, places.dtype, types.intp

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        best, places, first, x, start, width, rows, left, step, columns, count, _ = args
        upper, lower = cgutils.unpack_tuple(builder, rows)
        code = VectorBuilder(context, builder, dtype, count)
        spots = VectorBuilder(context, builder, place_type, count, code.lanes)
        picture, zero = code.at(x, start), spots.zeros

        def all_of(number):  # type: ignore[no-untyped-def]
            small = place_type.bitwidth < 64
            return spots.splat(builder.trunc(number, spots.number) if small else number)

        lane = ir.Constant(spots.vector, list(range(code.lanes)))
        begins, most = builder.add(all_of(left), builder.mul(lane, all_of(step))), all_of(width)
        inside = builder.select(builder.icmp_signed(">", begins, zero), begins, zero)
        lowest = code.lowest()
        value = cgutils.alloca_once_value(builder, lowest)
        corner = builder.add(all_of(builder.mul(upper, width)), inside)
        place = cgutils.alloca_once_value(builder, corner)

        def compare(row, column):  # type: ignore[no-untyped-def]
            """Entry (row, column) of every window."""
            here = builder.add(begins, all_of(column))
            exists = builder.and_(
                builder.icmp_signed(">=", here, zero), builder.icmp_signed("<", here, most)
            )
            exists, here = builder.and_(exists, code.mask), builder.add(here, all_of(row))
            if dense.literal_value:
                at = code.at(picture, row, left, column)
                found = code.load(at, True, lowest, exists)
            else:
                found = code.gather(picture, here, exists, lowest)
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
        spots.store(builder.load(place), spots.at(places, first), True)
        return context.get_dummy_value()

    return types.void(best, places, n, x, n, n, rows, n, n, n, n, dense), generate
