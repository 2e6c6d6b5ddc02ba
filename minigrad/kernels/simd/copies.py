"""Copies of rows and transposed blocks, in vectors whatever the sizes; arrays are addresses."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import BIT, SHORT, VectorBuilder, lanes, word


@intrinsic
def copy_or_add(context, goal, g0, source, s0, count, add):  # type: ignore[no-untyped-def]
    """goal[g0 + i] = source[s0 + i] for i < count, or += where the literal `add` is 1.

    LLVM's own vectors begin at 64 numbers; shorter rows, and the rest of longer ones, it copies one
    by one.
    """
    if not isinstance(add, types.IntegerLiteral):
        return None
    dtype, n = goal.dtype, types.intp

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        goal, g0, source, s0, count, _ = args
        size = word(lanes(dtype))
        rest = builder.urem(count, size)
        code = VectorBuilder(context, builder, dtype, rest)
        whole = builder.or_ if dtype == types.boolean else builder.add
        plus = builder.fadd if code.floats else whole

        def step(at, masked):  # type: ignore[no-untyped-def]
            place = code.at(goal, g0, at)
            value = code.load(code.at(source, s0, at), masked)
            if add.literal_value:
                value = plus(value, code.load(place, masked))
            code.store(value, place, masked)

        with cgutils.for_range(builder, builder.udiv(count, size)) as loop:
            step(builder.mul(loop.index, size), False)
        with builder.if_then(builder.icmp_unsigned("!=", rest, word(0))):
            if add.literal_value:
                step(builder.sub(count, rest), True)
            else:
                with builder.if_else(builder.icmp_unsigned(">=", count, size)) as (then, otherwise):
                    with then:  # the last vector once more, further left: no store with a mask
                        step(builder.sub(count, size), False)
                    with otherwise:
                        step(builder.sub(count, rest), True)
        return context.get_dummy_value()

    return types.void(goal, n, source, n, n, add), generate


@intrinsic
def transpose_block(context, goal, g0, g_row, source, s0, s_row, h, w, whole):  # type: ignore[no-untyped-def]
    """goal[g0 + j · g_row + i] = source[s0 + i · s_row + j] for i < h and j < w, both at most a
    vector's length.

    All rows are loaded, and interleaved pair by pair until each vector holds a column (the literal
    `whole` is 1 where h and w are a vector's length, so that no masks are needed).
    """
    if not isinstance(whole, types.IntegerLiteral):
        return None
    dtype, n, masked = goal.dtype, types.intp, not whole.literal_value

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        goal, g0, g_row, source, s0, s_row, h, w, _ = args
        inward, outward = (VectorBuilder(context, builder, dtype, rest) for rest in (w, h))
        full = {id(inward): inward.mask, id(outward): outward.mask}

        def only(code, i, limit):  # type: ignore[no-untyped-def]
            """The mask of row i: none of it if there is no such row."""
            exists = builder.icmp_signed("<", word(i), limit)
            code.mask = builder.select(exists, full[id(code)], code.no_lane)
            code.whole = ir.Constant(BIT, 0)

        rows, size = [], inward.lanes
        for i in range(size):
            if masked:
                only(inward, i, h)
            rows.append(inward.load(inward.at(source, inward.plus(s0, s_row, i)), masked))
        half, kind = size // 2, ir.VectorType(SHORT, size)
        low = ir.Constant(kind, [i // 2 + (size if i % 2 else 0) for i in range(size)])
        high = ir.Constant(kind, [half + i // 2 + (size if i % 2 else 0) for i in range(size)])
        for _ in range(size.bit_length() - 1):
            pairs = [(rows[i], rows[i + half]) for i in range(half)]
            rows = [builder.shuffle_vector(a, b, which) for a, b in pairs for which in (low, high)]
        for j, value in enumerate(rows):
            if masked:
                only(outward, j, w)
            outward.store(value, outward.at(goal, outward.plus(g0, g_row, j)), masked)
        return context.get_dummy_value()

    return types.void(goal, n, n, source, n, n, n, n, whole), generate


@intrinsic
def prefetch(context, array, place):  # type: ignore[no-untyped-def]
    """Begin to bring array[place] into the nearest cache."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        start = builder.bitcast(builder.gep(args[0], [args[1]]), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [start.type, SHORT, SHORT, SHORT])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        read, near, data = 0, 3, 1
        builder.call(function, (start, *(ir.Constant(SHORT, n) for n in (read, near, data))))
        return context.get_dummy_value()

    return types.void(array, types.intp), generate
