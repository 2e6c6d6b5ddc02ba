"""Copies of rows and transposed blocks, in vectors whatever the sizes; arrays are addresses."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import SHORT, VectorBuilder, call, lanes, word


def _row(adds):
    """goal[g0 + i] = source[s0 + i] for i < count, or += where it `adds`.

    LLVM's own vectors begin at 64 numbers; shorter rows, and the rest of longer ones, it copies one
    by one.
    """

    @intrinsic
    def row(context, goal, g0, source, s0, count):
        dtype, n = goal.dtype, types.intp

        def generate(context, builder, signature, args):
            goal, g0, source, s0, count = args
            size = word(lanes(dtype))
            rest = builder.urem(count, size)
            code = VectorBuilder(context, builder, dtype, rest)
            whole = builder.or_ if dtype == types.boolean else builder.add
            plus = builder.fadd if code.floats else whole

            def step(at, mask=None):
                place = code.at(goal, g0, at)
                value = code.load(code.at(source, s0, at), mask)
                if adds:
                    value = plus(value, code.load(place, mask))
                code.store(value, place, mask)

            with cgutils.for_range(builder, builder.udiv(count, size)) as loop:
                step((loop.index, size))
            with builder.if_then(builder.icmp_unsigned("!=", rest, word(0))):
                if adds:
                    step(builder.sub(count, rest), code.mask)
                else:
                    long = builder.icmp_unsigned(">=", count, size)
                    with builder.if_else(long) as (then, otherwise):
                        with then:  # the last vector once more, further left: a store without mask
                            step(builder.sub(count, size))
                        with otherwise:
                            step(builder.sub(count, rest), code.mask)
            return context.get_dummy_value()

        return types.void(goal, n, source, n, n), generate

    return row


copy, add = _row(False), _row(True)


@intrinsic
def transpose_block(context, goal, g0, g_row, source, s0, s_row, h, w):
    """goal[g0 + j · g_row + i] = source[s0 + i · s_row + j] for i < h and j < w, both at most a
    vector's length.

    All rows are loaded, and interleaved pair by pair until each vector holds a column; without
    masks where h and w are a vector's length.
    """
    dtype, n = goal.dtype, types.intp

    def generate(context, builder, signature, args):
        goal, g0, g_row, source, s0, s_row, h, w = args
        inward, outward = (VectorBuilder(context, builder, dtype, rest) for rest in (w, h))
        size = inward.lanes
        half, kind = size // 2, ir.VectorType(SHORT, size)
        low = ir.Constant(kind, [i // 2 + (size if i % 2 else 0) for i in range(size)])
        high = ir.Constant(kind, [half + i // 2 + (size if i % 2 else 0) for i in range(size)])

        def mask(code, i, limit):
            """The mask of row i: none of it if there is no such row."""
            exists = builder.icmp_signed("<", word(i), limit)
            return builder.select(exists, code.mask, ir.Constant(code.mask.type, None))

        def build(masks, other_masks):
            rows = [
                inward.load(inward.at(source, s0, (s_row, i)), each) for i, each in enumerate(masks)
            ]
            for _ in range(size.bit_length() - 1):
                pairs = [(rows[i], rows[i + half]) for i in range(half)]
                rows = [
                    builder.shuffle_vector(a, b, which) for a, b in pairs for which in (low, high)
                ]
            for j, (value, each) in enumerate(zip(rows, other_masks, strict=True)):
                outward.store(value, outward.at(goal, g0, (g_row, j)), each)

        with builder.if_else(builder.and_(inward.whole, outward.whole)) as (then, otherwise):
            with then:
                build([None] * size, [None] * size)
            with otherwise:
                build(
                    *(
                        [mask(code, i, n) for i in range(size)]
                        for code, n in ((inward, h), (outward, w))
                    )
                )
        return context.get_dummy_value()

    return types.void(goal, n, n, source, n, n, n, n), generate


@intrinsic
def prefetch(context, array, place):
    """Begin to bring array[place] into the nearest cache."""

    def generate(context, builder, signature, args):
        start = builder.bitcast(builder.gep(args[0], [args[1]]), ir.IntType(8).as_pointer())
        read_near_data = (ir.Constant(SHORT, n) for n in (0, 3, 1))
        call(builder, "llvm.prefetch.p0", ir.VoidType(), (start, *read_near_data))
        return context.get_dummy_value()

    return types.void(array, types.intp), generate
