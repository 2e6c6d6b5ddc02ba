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

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .plain import ACROSS, ADD, START
from .vectors import WIDE, VectorBuilder, call, lanes, unpacked, word

#: the most vectors of columns in one block: with six rows, all their sums stay in registers
VECTORS = 4 if WIDE else 2
#: the numbers of rows in a block, and of columns of a block of dot products
ROW_COUNTS = (1, 2, 3, 4, 6)
DOT_COLUMNS = (1, 2, 3, 4, 5) if WIDE else (1, 2, 3)
#: a product deeper than this makes blocks one by one: B would leave the cache
DEEPEST_PAIR = 256


def _switch(builder, key, cases, build):
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
def row_blocks(context, arrays, places, least, case):
    """`plain.block` for as many rows and vectors as BLOCKS[case] says.

    `arrays` are the addresses of out, left, right, the table and start. `places` say where C, A, B
    and what rows begin with lie, as in `plain.block`; how far the place in the table moves from one
    p to the next, 0 or 1, and from one time to the next; and the depth, the times, and the numbers
    in the last vector.
    """

    def generate(context, builder, signature, args):
        (out, left, right, table, start), places, least, case = unpacked(builder, args)
        (c0, c_row, c_next), (a0, a_row, a_column, a_next), (b0, b_row, b_next), *others = places
        (kind, s0), (step, slide), (depth, times, rest) = others
        code = VectorBuilder(context, builder, arrays[0].dtype, rest)
        least = code.splat(least)

        def begin_with(sums, places, rows, vectors):
            across = len(sums) // rows
            with builder.if_then(builder.icmp_signed("==", kind, word(ADD))):
                for total, place in zip(sums, places, strict=True):
                    builder.store(code.load(*place), total)
            with builder.if_then(builder.icmp_signed("==", kind, word(START))):
                for r in range(rows):
                    number = builder.load(code.at(start, s0, r))
                    for total in sums[r * across : (r + 1) * across]:
                        builder.store(code.splat(number), total)
            with builder.if_then(builder.icmp_signed("==", kind, word(ACROSS))):
                for u, vector in enumerate(code.vectors(start, s0, vectors)):
                    for total in sums[u::vectors]:
                        builder.store(vector, total)

        def one_block(q, rows, vectors, together):
            def places():
                for r in range(rows):
                    for s in range(together):
                        first = code.total(c0, (q, c_next), (c_row, r), (c_next, s))
                        yield from code.places(out, first, vectors)

            across_row = together * vectors
            sums = code.sums(rows * across_row)
            begin_with(sums, places(), rows, vectors)

            def add_up(whole):
                with code.loop(depth) as p:
                    shift = builder.load(code.at(table, (p, step), (q, slide)))
                    row = code.total(b0, (q, b_next), (p, b_row), shift)
                    across = [
                        vector
                        for s in range(together)
                        for vector in code.vectors(
                            right, code.total(row, (b_next, s)), vectors, whole
                        )
                    ]
                    for r in range(rows):
                        place = code.at(left, a0, (q, a_next), (p, a_column), (a_row, r))
                        number = builder.load(place)
                        factor, mine = code.splat(number), sums[r * across_row :][:across_row]
                        for vector, total in zip(across, mine, strict=True):
                            builder.store(code.fma(factor, vector, builder.load(total)), total)

            code.without_masks(add_up)
            for place, total in zip(places(), sums, strict=True):
                value = builder.load(total)
                below = builder.fcmp_ordered("<", value, least)  # false for NaN, which stays
                code.store(builder.select(below, least, value), *place)

        def all_times(rows, vectors, together):
            with cgutils.for_range(builder, builder.udiv(times, word(together))) as loop:
                one_block(code.total((loop.index, together)), rows, vectors, together)
            if together == 2:
                odd = builder.icmp_unsigned("!=", builder.urem(times, word(2)), word(0))
                with builder.if_then(odd):
                    one_block(code.total(times, -1), rows, vectors, 1)

        _switch(builder, case, BLOCKS, all_times)
        return context.get_dummy_value()

    return types.void(arrays, places, least, types.intp), generate


def block(arrays, c, a, b, steps, begin, least, sizes):
    """`plain.block`, on addresses."""
    wide = lanes(arrays[0])
    for j in range(0, sizes.columns, VECTORS * wide):
        more = sizes.columns - j
        vectors = min(VECTORS, (more + wide - 1) // wide)
        rest = min(more - (vectors - 1) * wide, wide)
        counts, source = (sizes.depth, sizes.times, rest), (b.first + j, b.row, b.next)
        pair = WIDE and vectors == 2 and sizes.times > 1 and sizes.rows % 4 == 0
        pair = pair and sizes.depth <= DEEPEST_PAIR and steps[1] == 0 and a.next == 0
        i = 0
        while i < sizes.rows:
            more = sizes.rows - i
            if pair:
                rows, case = 4, PAIR
            else:  # groups that are as even as can be
                rows = 6 if more == 6 or more > 8 else 4 if more > 6 else 3 if more == 5 else more
                case = (vectors - 1) * 5 + min(rows - 1, 4)
            goal = c.first + i * c.row + j, c.row, c.next
            ones = a.first + i * a.row, a.row, a.column, a.next
            begins = begin.kind, begin.first + (j if begin.kind == ACROSS else i)
            row_blocks(arrays, (goal, ones, source, begins, steps, counts), least, case)
            i += rows


#: rows and columns
DOTS = [(r, u) for r in (1, 4) for u in DOT_COLUMNS]


@intrinsic
def dot_blocks(context, arrays, places, fresh, case):
    """`plain.sums` for as many rows and columns as DOTS[case] says.

    `arrays` are the addresses of out, left, right and the table. `places` say where C, A and B lie,
    as in `plain.sums`; how far the place in the table moves from one column to the next, 0 or 1;
    and the first column, the depth and the times.
    """

    def generate(context, builder, signature, args):
        (out, left, right, table), places, fresh, case = unpacked(builder, args)
        (c0, c_row, _), (a0, a_row, a_next), (b0, b_row, b_next), counts = places
        step, column, depth, times = counts
        size = word(lanes(arrays[0].dtype))
        full, left_over = builder.udiv(depth, size), builder.urem(depth, size)
        code = VectorBuilder(context, builder, arrays[0].dtype, left_over)

        def right_row(u):
            u = code.total(column, u)
            return code.total(b0, (u, b_row), builder.load(code.at(table, (u, step))))

        def build(rows, columns):
            sums = code.sums(rows * columns)
            left_rows = [code.total(a0, (a_row, r)) for r in range(rows)]
            right_rows = [right_row(u) for u in range(columns)]

            def step_of(q, p, mask=None):
                one_at, other_at = code.total(p, (q, a_next)), code.total(p, (q, b_next))
                ones = [code.load(code.at(left, row, one_at), mask) for row in left_rows]
                others = [code.load(code.at(right, row, other_at), mask) for row in right_rows]
                for i, total in enumerate(sums):
                    one, other = ones[i // columns], others[i % columns]
                    builder.store(code.fma(one, other, builder.load(total)), total)

            with code.loop(times) as q:
                with code.loop(full) as p:
                    step_of(q, (p, size))
                with builder.if_then(builder.icmp_unsigned("!=", left_over, word(0))):
                    step_of(q, (full, size), code.mask)
            zero = ir.Constant(code.number, 0.0)
            name = f"llvm.vector.reduce.fadd.v{code.lanes}f{code.bits}"
            for i, total in enumerate(sums):
                args = zero, builder.load(total)
                found = call(builder, name, code.number, args, fastmath=("reassoc",))
                place = code.at(out, c0, (c_row, i // columns), column, i % columns)
                old = builder.select(fresh, zero, builder.load(place))
                builder.store(builder.fadd(old, found), place)

        _switch(builder, case, DOTS, build)
        return context.get_dummy_value()

    return types.void(arrays, places, fresh, types.intp), generate


def sums(arrays, c, a, b, step, fresh, sizes):
    """`plain.sums`, on addresses."""
    most = len(DOT_COLUMNS)
    i = 0
    while i < sizes.rows:
        rows, j = 4 if i + 4 <= sizes.rows else 1, 0
        goal, ones = (c.first + i * c.row, c.row, 0), (a.first + i * a.row, a.row, a.next)
        while j < sizes.columns:
            more = sizes.columns - j
            if more > 8 or more <= most:
                columns = min(more, most)
            else:  # groups that are as even as can be
                columns = 4 if more > 6 and most > 3 else 3
            case = (most if rows == 4 else 0) + columns - 1
            counts = step, j, sizes.depth, sizes.times
            dot_blocks(arrays, (goal, ones, b, counts), fresh, case)
            j += columns
        i += rows
