"""The largest entries of windows, in vectors and without a branch; arrays are addresses."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import VectorBuilder, word


def extreme(instruction):
    """The larger or smaller of two floats, by the instruction "maximum" or "minimum" of LLVM, which
    a loop of comparisons does not become.
    """

    @intrinsic
    def choose(context, total, x):
        def generate(context, builder, signature, args):
            kind = args[0].type
            name, of = f"llvm.{instruction}", ir.FunctionType(kind, [kind, kind])
            return builder.call(builder.module.declare_intrinsic(name, [kind], of), args)

        return total(total, total), generate

    return choose


@intrinsic
def window_maxima(context, best, places, first, x, start, width, rows, left, step, columns, count):
    """`plain.window_maxima` for `count` windows, a vector at most, into best[first + i] and
    places[first + i].

    `left` is where the first of these windows begins. Where the step is 1, vectors are read, else
    they are gathered number by number.
    """
    dtype, place_type, n = x.dtype, places.dtype, types.intp

    def generate(context, builder, signature, args):
        best, places, first, x, start, width, rows, left, step, columns, count = args
        upper, lower = cgutils.unpack_tuple(builder, rows)
        code = VectorBuilder(context, builder, dtype, count)
        spots = VectorBuilder(context, builder, place_type, count, code.lanes)
        picture, zero = code.at(x, start), spots.zeros

        def all_of(number):
            small = place_type.bitwidth < 64
            return spots.splat(builder.trunc(number, spots.number) if small else number)

        lane = ir.Constant(spots.vector, list(range(code.lanes)))
        begins, most = builder.add(all_of(left), builder.mul(lane, all_of(step))), all_of(width)
        inside = builder.select(builder.icmp_signed(">", begins, zero), begins, zero)
        lowest = code.splat(ir.Constant(code.number, float("-inf")))
        value = cgutils.alloca_once_value(builder, lowest)
        corner = builder.add(all_of(builder.mul(upper, width)), inside)
        place = cgutils.alloca_once_value(builder, corner)

        def compare(row, column, dense):
            """Entry (row, column) of every window."""
            here = builder.add(begins, all_of(column))
            exists = builder.and_(
                builder.icmp_signed(">=", here, zero), builder.icmp_signed("<", here, most)
            )
            exists, here = builder.and_(exists, code.mask), builder.add(here, all_of(row))
            if dense:
                found = code.load(code.at(picture, row, left, column), exists, lowest)
            else:
                found = code.gather(picture, here, exists, lowest)
            old = builder.load(value)
            wins = builder.or_(
                builder.fcmp_ordered(">", found, old), builder.fcmp_unordered("uno", found, found)
            )
            builder.store(builder.select(wins, found, old), value)
            builder.store(builder.select(wins, here, builder.load(place)), place)

        with builder.if_else(builder.icmp_signed("==", step, word(1))) as branches:
            for branch, dense in zip(branches, (True, False), strict=True):
                with branch, code.loop(builder.sub(lower, upper)) as i, code.loop(columns) as j:
                    compare(builder.mul(builder.add(upper, i), width), j, dense)
        code.store(builder.load(value), code.at(best, first), code.mask)
        spots.store(builder.load(place), spots.at(places, first), spots.mask)
        return context.get_dummy_value()

    return types.void(best, places, n, x, n, n, rows, n, n, n, n), generate
