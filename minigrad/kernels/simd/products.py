"""Products of matrices whose blocks of results stay in vector registers.

A product is fast when a block of its result stays in registers while the loop over the common axis
runs. LLVM vectorises a plain loop, but it does not keep such a block, so it is built here
instruction by instruction. Python's loops over rows and vectors run while the code is built, which
unrolls them; a switch chooses among the sizes of blocks.

* `row_blocks`: R rows × U vectors of C += A @ B, where rows of B lie contiguous. Each step loads U
  vectors of B and, for each row, one number of A, which is copied into all lanes: R · U
  multiply-adds for R + U loads. Two such blocks with one A are made together where that helps,
  which loads A once.
* `dot_blocks`: R × U numbers of C += A @ Bᵀ, where rows of A and of B lie contiguous: R · U sums of
  vectors, whose lanes are added up at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .plain import ACROSS, ADD, START
from .vectors import WIDE, VectorBuilder, lanes, word

#: the most vectors of columns in one block: with six rows, all their sums stay in registers
VECTORS = 4 if WIDE else 2
#: the numbers of rows in a block, and of columns of a block of dot products
ROW_COUNTS = (1, 2, 3, 4, 6)
DOT_COLUMNS = (1, 2, 3, 4, 5) if WIDE else (1, 2, 3)
#: a product deeper than this makes blocks one by one: B would leave the cache
DEEPEST_PAIR = 256


def _switch(
    builder: Any, key: Any, cases: Sequence[tuple[int, ...]], build: Callable[..., None]
) -> None:
    """Code that runs build(*cases[key]), built for every case."""
    end = builder.append_basic_block("end")
    switch = builder.switch(key, end)
    for i, case in enumerate(cases):
        here = builder.append_basic_block(f"case{i}")
        switch.add_case(word(i), here)
        builder.position_at_end(here)
        build(*case)
        builder.branch(end)
    builder.position_at_end(end)


#: rows, vectors of columns, and times made together
BLOCKS = [(r, u, 1) for u in range(1, VECTORS + 1) for r in ROW_COUNTS] + [(4, 2, 2)] * WIDE
PAIR = len(BLOCKS) - 1


@intrinsic
def row_blocks(  # type: ignore[no-untyped-def]
    context, out, c, left, a, right, b, table, steps, start, begin, least, counts, case
):
    """`plain.block` for as many rows and vectors as BLOCKS[case] says; arrays are addresses.

    `steps` says how far the place in the table moves from one p to the next, 0 or 1, and from one
    time to the next; `counts` are depth, times, and the numbers in the last vector.
    """
    dtype, n = out.dtype, types.intp

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        out, c, left, a, right, b, table, steps, start, begin, least, counts, case = args
        tuples = c, a, b, begin, steps, counts
        c, a, b, (kind, s0), (step, slide), (depth, times, rest) = (
            cgutils.unpack_tuple(builder, each) for each in tuples
        )
        (c0, c_row, c_next), (a0, a_row, a_column), (b0, b_row, b_next) = c, a, b
        code = VectorBuilder(context, builder, dtype, rest)
        least = code.splat(least)

        def begin_with(sums, places, rows, vectors):  # type: ignore[no-untyped-def]
            across = len(sums) // rows
            with builder.if_then(builder.icmp_signed("==", kind, word(ADD))):
                for total, (place, last) in zip(sums, places, strict=True):
                    builder.store(code.load(place, last), total)
            with builder.if_then(builder.icmp_signed("==", kind, word(START))):
                for r in range(rows):
                    number = builder.load(code.at(start, s0, word(r)))
                    for total in sums[r * across : (r + 1) * across]:
                        builder.store(code.splat(number), total)
            with builder.if_then(builder.icmp_signed("==", kind, word(ACROSS))):
                for u, vector in enumerate(code.vectors(start, s0, vectors)):
                    for total in sums[u::vectors]:
                        builder.store(vector, total)

        def one_block(q, rows, vectors, together):  # type: ignore[no-untyped-def]
            def places() -> Iterator[tuple[Any, bool]]:
                for r in range(rows):
                    for s in range(together):
                        first = code.plus(code.plus(goal, c_row, r), c_next, s)
                        yield from code.places(out, first, vectors)

            goal, source = (
                builder.add(first, builder.mul(q, further))
                for first, further in ((c0, c_next), (b0, b_next))
            )
            across_row = together * vectors
            sums = code.sums(rows * across_row)
            begin_with(sums, places(), rows, vectors)
            with code.loop(depth) as p:
                shift = code.at(table, builder.mul(p, step), builder.mul(q, slide))
                row = code.total(source, builder.mul(p, b_row), builder.load(shift))
                across = [
                    vector
                    for s in range(together)
                    for vector in code.vectors(right, code.plus(row, b_next, s), vectors)
                ]
                column = builder.add(a0, builder.mul(p, a_column))
                for r in range(rows):
                    number = builder.load(code.at(left, code.plus(column, a_row, r)))
                    factor, mine = code.splat(number), sums[r * across_row : (r + 1) * across_row]
                    for vector, total in zip(across, mine, strict=True):
                        builder.store(code.fma(factor, vector, builder.load(total)), total)
            for (place, last), total in zip(places(), sums, strict=True):
                value = builder.load(total)
                below = builder.fcmp_ordered("<", value, least)  # false for NaN, which stays
                code.store(builder.select(below, least, value), place, last)

        def all_times(rows, vectors, together):  # type: ignore[no-untyped-def]
            with cgutils.for_range(builder, builder.udiv(times, word(together))) as loop:
                one_block(builder.mul(loop.index, word(together)), rows, vectors, together)
            if together == 2:
                odd = builder.icmp_unsigned("!=", builder.urem(times, word(2)), word(0))
                with builder.if_then(odd):
                    one_block(builder.sub(times, word(1)), rows, vectors, 1)

        _switch(builder, case, BLOCKS, all_times)
        return context.get_dummy_value()

    arrays = out, c, left, a, right, b, table, steps, start, begin
    return types.void(*arrays, dtype, counts, n), generate


def block(  # type: ignore[no-untyped-def]
    out, c, left, a, right, b, table, steps, start, begin, least, sizes
):
    """`plain.block`, on addresses."""
    wide = lanes(out)
    for j in range(0, sizes.columns, VECTORS * wide):
        more = sizes.columns - j
        vectors = min(VECTORS, (more + wide - 1) // wide)
        rest = min(more - (vectors - 1) * wide, wide)
        counts, source = (sizes.depth, sizes.times, rest), (b.first + j, b.row, b.next)
        pair = WIDE and vectors == 2 and sizes.times > 1 and sizes.rows % 4 == 0
        pair = pair and sizes.depth <= DEEPEST_PAIR and steps[1] == 0
        i = 0
        while i < sizes.rows:
            more = sizes.rows - i
            if pair:
                rows, case = 4, PAIR
            else:  # groups that are as even as can be
                rows = 6 if more == 6 or more > 8 else 4 if more > 6 else 3 if more == 5 else more
                case = (vectors - 1) * 5 + (rows - 1 if rows < 6 else 4)
            goal = c.first + i * c.row + j, c.row, c.next
            ones = a.first + i * a.row, a.row, a.column
            begins = begin.kind, begin.first + (j if begin.kind == ACROSS else i)
            row_blocks(
                out,
                goal,
                left,
                ones,
                right,
                source,
                table,
                steps,
                start,
                begins,
                least,
                counts,
                case,
            )
            i += rows


#: rows and columns
DOTS = [(r, u) for r in (1, 4) for u in DOT_COLUMNS]


@intrinsic
def dot_blocks(  # type: ignore[no-untyped-def]
    context, out, c, left, a, right, b, table, step, column, depth, times, fresh, case
):
    """`plain.sums` for as many rows and columns as DOTS[case] says, the columns from `column` on;
    arrays are addresses.
    """
    dtype, n = out.dtype, types.intp

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        out, c, left, a, right, b, table, step, column, depth, times, fresh, case = args
        (c0, c_row, _), (a0, a_row, a_next), (b0, b_row, b_next) = (
            cgutils.unpack_tuple(builder, each) for each in (c, a, b)
        )
        size = word(lanes(dtype))
        full, left_over = builder.udiv(depth, size), builder.urem(depth, size)
        code = VectorBuilder(context, builder, dtype, left_over)

        def right_row(u):  # type: ignore[no-untyped-def]
            u = builder.add(column, word(u))
            shift = builder.load(code.at(table, builder.mul(u, step)))
            return code.total(b0, builder.mul(u, b_row), shift)

        def build(rows, columns):  # type: ignore[no-untyped-def]
            sums = code.sums(rows * columns)
            left_rows = [code.plus(a0, a_row, r) for r in range(rows)]
            right_rows = [right_row(u) for u in range(columns)]

            def step_of(q, p, masked):  # type: ignore[no-untyped-def]
                one_at = builder.add(p, builder.mul(q, a_next))
                other_at = builder.add(p, builder.mul(q, b_next))
                ones = [code.load(code.at(left, row, one_at), masked) for row in left_rows]
                others = [code.load(code.at(right, row, other_at), masked) for row in right_rows]
                for i, total in enumerate(sums):
                    one, other = ones[i // columns], others[i % columns]
                    builder.store(code.fma(one, other, builder.load(total)), total)

            with code.loop(times) as q:
                with code.loop(full) as p:
                    step_of(q, builder.mul(p, size), False)
                with builder.if_then(builder.icmp_unsigned("!=", left_over, word(0))):
                    step_of(q, builder.mul(full, size), True)
            zero = ir.Constant(code.number, 0.0)
            name = f"llvm.vector.reduce.fadd.v{code.lanes}f{code.bits}"
            for i, total in enumerate(sums):
                args = zero, builder.load(total)
                found = code.call(name, code.number, args, fastmath=("reassoc",))
                row = code.plus(c0, c_row, i // columns)
                place = code.at(out, row, column, word(i % columns))
                old = builder.select(fresh, zero, builder.load(place))
                builder.store(builder.fadd(old, found), place)

        _switch(builder, case, DOTS, build)
        return context.get_dummy_value()

    arrays = out, c, left, a, right, b, table
    return types.void(*arrays, n, n, n, n, types.boolean, n), generate


def sums(out, c, left, a, right, b, table, step, fresh, sizes):  # type: ignore[no-untyped-def]
    """`plain.sums`, on addresses."""
    most = len(DOT_COLUMNS)
    i = 0
    while i < sizes.rows:
        rows = 4 if i + 4 <= sizes.rows else 1
        goal, ones = (c.first + i * c.row, c.row, 0), (a.first + i * a.row, a.row, a.next)
        others, j = (b.first, b.row, b.next), 0
        while j < sizes.columns:
            more = sizes.columns - j
            if more > 8 or more <= most:
                columns = min(more, most)
            else:  # groups that are as even as can be
                columns = 4 if more > 6 and most > 3 else 3
            case = (most if rows == 4 else 0) + columns - 1
            dot_blocks(
                out,
                goal,
                left,
                ones,
                right,
                others,
                table,
                step,
                j,
                sizes.depth,
                sizes.times,
                fresh,
                case,
            )
            j += columns
        i += rows
