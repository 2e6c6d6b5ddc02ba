"""The innermost loops of matrix products, written for vector registers.

A product of matrices is fast when a block of its result stays in registers while the loop over the
common axis runs. LLVM vectorises a plain loop, but it does not keep such a block; so the two blocks
that are needed are built here as LLVM code, one instruction at a time. Python's loops over `rows`
and `vectors` below run while the code is built: that is what unrolls it.

* `tile`: R rows × U vectors of C += A @ B, where rows of B lie contiguous. Each step loads U
  vectors of B and, for each row, one number of A, which is copied into all lanes: R·U multiply-adds
  for R + U loads. Several such blocks with one A can be made in one go, which loads A once for all
  of them.
* `dots`: R × U numbers of C += A @ Bᵀ, where rows of A and of B lie contiguous: R·U sums of vectors
  side by side, whose lanes are added up at the end.

A vector has 64 bytes where Numba compiles for AVX-512 and 32 elsewhere. What does not fill the last
vector is masked out: nothing beyond an array is read or written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic, register_jitable

#: what a row of a result begins with: what is there already, zeros, a number of its own, or a row
#: that all begin with
ADD, FRESH, START, ACROSS = 0, 1, 2, 3

WIDE = (
    "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[-1]
)  # 32 registers instead of 16, too
_BYTES = 64 if WIDE else 32


@register_jitable
def lanes(itemsize):  # type: ignore[no-untyped-def]
    """How many numbers of that size a vector has.

    Of those below four bytes it has as many as of four: `turn_block` has a row of code for each.
    """
    return _BYTES // max(itemsize, 4)


def bits(dtype: Any) -> int:
    """How many bits a number of this Numba type takes in an array."""
    return 8 if isinstance(dtype, types.Boolean) else int(dtype.bitwidth)


class Code:
    """What blocks (and the comparisons of `tops.py`) are built from: pointers, masked loads and
    stores of vectors.
    """

    def __init__(self, context: Any, builder: Any, dtype: Any, rest: Any, count: int = 0) -> None:
        """`rest` numbers are in the last vector, which has `count` lanes (as many as fit by
        default).
        """
        self.context, self.builder, self.dtype = context, builder, dtype
        self.number = context.get_data_type(dtype)  # as it lies in memory: a boolean in eight bits
        self.bits, self.floats = bits(dtype), isinstance(dtype, types.Float)
        self.lanes = count or lanes(self.bits // 8)
        self.vector = ir.VectorType(self.number, self.lanes)
        self.mask_type = ir.VectorType(ir.IntType(1), self.lanes)
        index = ir.VectorType(ir.IntType(64), self.lanes)
        iota = ir.Constant(index, list(range(self.lanes)))
        self.mask = builder.icmp_signed("<", iota, self.splat(rest, index))
        self.whole = builder.icmp_signed("==", rest, ir.Constant(ir.IntType(64), self.lanes))

    def splat(self, x: Any, kind: Any) -> Any:
        """x in all lanes."""
        one = self.builder.insert_element(
            ir.Constant(kind, ir.Undefined), x, ir.Constant(ir.IntType(32), 0)
        )
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)

    def at(self, pointer: Any, index: Any) -> Any:
        """The address of entry `index` of some memory."""
        return self.builder.gep(pointer, [index])

    def sums(self, count: int) -> list[Any]:
        """So many vectors of zeros, to add to."""
        return [
            cgutils.alloca_once_value(self.builder, ir.Constant(self.vector, None))
            for _ in range(count)
        ]

    def places(self, pointer: Any, first: Any, count: int) -> Iterator[tuple[Any, bool]]:
        """The addresses of so many vectors side by side, and whether each is the last, which has a
        mask.
        """
        for u in range(count):
            yield (
                self.at(
                    pointer, self.builder.add(first, ir.Constant(ir.IntType(64), u * self.lanes))
                ),
                u == count - 1,
            )

    def vectors(self, pointer: Any, first: Any, count: int) -> list[Any]:
        """So many vectors side by side."""
        return [self.load(*place) for place in self.places(pointer, first, count)]

    def row(self, distance: Any, table: Any, step: Any, p: Any) -> Any:
        """How far row p lies from the first: so many times the distance, and what a table says."""
        further = self.builder.load(self.at(table, self.builder.mul(p, step)))
        return self.builder.add(self.builder.mul(p, distance), further)

    @contextmanager
    def loop(self, count: Any) -> Iterator[Any]:
        """A loop over 0, 1, … count - 1 that stays one: LLVM would make several steps in one go,
        and those that are left over would take as long as three others.
        """
        with cgutils.for_range(self.builder, count) as loop:
            yield loop.index
            latch = self.builder.block
        module = self.builder.module
        said = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
        name = module.add_metadata([ir.Constant(ir.IntType(64), len(module.metadata)), said])
        name.operands = name, said  # a loop's metadata begins with itself
        latch.terminator.set_metadata("llvm.loop", name)

    def load(self, address: Any, masked: bool, otherwise: Any = None, mask: Any = None) -> Any:
        """A vector; what is masked out, by default beyond the `rest`, is taken from the vector
        `otherwise`, or zeros.
        """
        if not masked:
            found = self.builder.load(self._pointer(address))
            found.align = self.bits // 8
            return found
        args = (
            self._pointer(address),
            self._align(),
            mask or self.mask,
            otherwise or ir.Constant(self.vector, None),
        )
        return self._masked("load", self.vector, args)

    def collect(self, pointer: Any, places: Any, mask: Any, otherwise: Any) -> Any:
        """pointer[places], number by number; what is masked out is taken from `otherwise`."""
        b, wide = self.builder, ir.VectorType(ir.IntType(64), self.lanes)
        places = places if places.type == wide else b.sext(places, wide)
        bytes_on = b.mul(places, ir.Constant(wide, [self.bits // 8] * self.lanes))
        start = self.splat(b.ptrtoint(pointer, wide.element), wide)
        addresses = b.inttoptr(b.add(start, bytes_on), ir.VectorType(pointer.type, self.lanes))
        return self._masked(
            "gather", self.vector, (addresses, self._align(), mask, otherwise), f"v{self.lanes}p0"
        )

    def store(self, value: Any, address: Any, masked: bool) -> None:
        def plain() -> None:
            done = self.builder.store(value, self._pointer(address))
            done.align = self.bits // 8

        if not masked:
            return plain()
        with self.builder.if_else(self.whole) as (then, otherwise):
            with then:  # a load soon after a store with a mask waits for it
                plain()
            with otherwise:
                self._masked(
                    "store",
                    ir.VoidType(),
                    (value, self._pointer(address), self._align(), self.mask),
                )

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """a · b + c, rounded once where the processor can; where it cannot, a library call per lane
        would do that.
        """
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fmuladd.v{self.lanes}f{self.bits}"
        return self.builder.call(
            cgutils.get_or_insert_function(self.builder.module, kind, name), (a, b, c)
        )

    def _pointer(self, address: Any) -> Any:
        return self.builder.bitcast(address, self.vector.as_pointer())

    def _align(self) -> Any:
        return ir.Constant(ir.IntType(32), self.bits // 8)

    def _masked(self, what: str, result: Any, args: tuple[Any, ...], of: str = "p0") -> Any:
        kind = ir.FunctionType(result, [x.type for x in args])
        name = f"llvm.masked.{what}.v{self.lanes}{'f' if self.floats else 'i'}{self.bits}.{of}"
        return self.builder.call(
            cgutils.get_or_insert_function(self.builder.module, kind, name), args
        )


def _begin(
    code: Code,
    begin: Any,
    sums: list[Any],
    places: Iterator[tuple[Any, bool]],
    start: Any,
    s0: Any,
    rows: int,
    vectors: int,
) -> None:
    """What the sums of a block begin with, see `tile`; they lie row by row, zeros so far."""
    builder, w, across = code.builder, ir.IntType(64), len(sums) // rows
    with builder.if_then(builder.icmp_signed("==", begin, ir.Constant(w, ADD))):
        for total, (address, last) in zip(sums, places, strict=True):
            builder.store(code.load(address, last), total)
    with builder.if_then(builder.icmp_signed("==", begin, ir.Constant(w, START))):
        for r in range(rows):
            number = code.splat(
                builder.load(code.at(start, builder.add(s0, ir.Constant(w, r)))), code.vector
            )
            for total in sums[r * across : (r + 1) * across]:
                builder.store(number, total)
    with builder.if_then(builder.icmp_signed("==", begin, ir.Constant(w, ACROSS))):
        for u, vector in enumerate(code.vectors(start, s0, vectors)):
            for total in sums[u::vectors]:
                builder.store(vector, total)


@intrinsic
def tile(
    context,
    c,
    c0,
    c_row,
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
    rest,
    start,
    s0,
    begin,
    least,
    c_next,
    b_next,
    rows,
    vectors,
    times,
):  # type: ignore[no-untyped-def]
    """C[r, j] = max(least, what row r begins with + Σ_p A[r, p] · B[p, j]) for `rows` rows and
    `vectors` vectors of columns, the last with `rest` numbers; and so `times` times, with C and B
    further on by `c_next` and `b_next` each time.

    Of each array the first entry and the distance between rows are given, in entries; of A also
    that between columns. Row p of B lies p · b_row + table[p · t_step] from the first: a
    convolution reads shifted rows of a picture. A row begins with what C holds (`begin` is `ADD`),
    with zeros (`FRESH`), with the number start[s0 + r] (`START`, the bias of a convolution) or with
    start[s0 + j] (`ACROSS`, that of a linear layer). `least` is -inf, or 0 for a ReLU. `rows`,
    `vectors` and `times` are literals.
    """
    if not all(isinstance(count, types.IntegerLiteral) for count in (rows, vectors, times)):
        return None
    r_count, u_count, q_count = rows.literal_value, vectors.literal_value, times.literal_value
    dtype, ints = c.dtype, types.intp

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        (
            c,
            c0,
            c_row,
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
            rest,
            start,
            s0,
            begin,
            least,
        ) = args[:18]
        c_next, b_next = args[18:20]
        code, w = Code(context, builder, dtype, rest), ir.IntType(64)

        def plus(x, y, times=1):  # type: ignore[no-untyped-def]
            return (
                x
                if times == 0
                else builder.add(x, builder.mul(y, ir.Constant(w, times)) if times != 1 else y)
            )

        def places():  # type: ignore[no-untyped-def]
            for r in range(r_count):
                for q in range(q_count):
                    yield from code.places(c, plus(plus(c0, c_row, r), c_next, q), u_count)

        across_row = q_count * u_count
        sums = code.sums(r_count * across_row)
        _begin(code, begin, sums, places(), start, s0, r_count, u_count)
        with code.loop(depth) as p:
            row = builder.add(b0, code.row(b_row, table, t_step, p))
            across = [
                x for q in range(q_count) for x in code.vectors(b, plus(row, b_next, q), u_count)
            ]
            column = builder.add(a0, builder.mul(p, a_step))
            for r in range(r_count):
                number = builder.load(code.at(a, plus(column, a_row, r)))
                factor = code.splat(number, code.vector)
                for vector, total in zip(
                    across, sums[r * across_row : (r + 1) * across_row], strict=True
                ):
                    builder.store(code.fma(factor, vector, builder.load(total)), total)
        least = code.splat(least, code.vector)
        for (address, last), total in zip(places(), sums, strict=True):
            value = builder.load(total)
            below = builder.fcmp_ordered("<", value, least)  # false for NaN, which stays
            code.store(builder.select(below, least, value), address, last)
        return context.get_dummy_value()

    signature = types.void(
        c,
        ints,
        ints,
        a,
        ints,
        ints,
        ints,
        b,
        ints,
        ints,
        table,
        ints,
        ints,
        ints,
        a,
        ints,
        ints,
        dtype,
        ints,
        ints,
        rows,
        vectors,
        times,
    )
    return signature, generate


@intrinsic
def dots(  # type: ignore[no-untyped-def]
    context,
    c,
    c0,
    c_row,
    a,
    a0,
    a_row,
    b,
    b0,
    b_row,
    table,
    t_step,
    first,
    depth,
    times,
    a_next,
    b_next,
    fresh,
    rows,
    columns,
):
    """C[r, u] (+)= Σ_p A[r, p] · B[u, p] for `rows` × `columns` numbers, which are literals; see
    `tile`.

    Rows u of B are counted from `first`. The sum runs over `times` stretches of `depth` numbers,
    which begin `a_next` and `b_next` entries after each other.
    """
    if not isinstance(rows, types.IntegerLiteral) or not isinstance(columns, types.IntegerLiteral):
        return None
    r_count, u_count, dtype = rows.literal_value, columns.literal_value, c.dtype
    ints = types.intp

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        (
            c,
            c0,
            c_row,
            a,
            a0,
            a_row,
            b,
            b0,
            b_row,
            table,
            t_step,
            first,
            depth,
            times,
            a_next,
            b_next,
            fresh,
            _,
            _,
        ) = args
        w = ir.IntType(64)
        size = ir.Constant(w, lanes(bits(dtype) // 8))
        full = builder.udiv(depth, size)
        code = Code(context, builder, dtype, builder.urem(depth, size))
        sums = code.sums(r_count * u_count)
        left_rows = [builder.add(a0, builder.mul(a_row, ir.Constant(w, r))) for r in range(r_count)]
        right_rows = [
            builder.add(b0, code.row(b_row, table, t_step, builder.add(first, ir.Constant(w, u))))
            for u in range(u_count)
        ]

        def step(q, p, masked):  # type: ignore[no-untyped-def]
            def vectors(array, rows, following):  # type: ignore[no-untyped-def]
                at = builder.add(p, builder.mul(q, following))
                return [code.load(code.at(array, builder.add(row, at)), masked) for row in rows]

            left, right = vectors(a, left_rows, a_next), vectors(b, right_rows, b_next)
            for i, total in enumerate(sums):
                builder.store(
                    code.fma(left[i // u_count], right[i % u_count], builder.load(total)), total
                )

        with code.loop(times) as q:
            with code.loop(full) as p:
                step(q, builder.mul(p, size), False)
            with builder.if_then(
                builder.icmp_unsigned("!=", builder.urem(depth, size), ir.Constant(w, 0))
            ):
                step(q, builder.mul(full, size), True)
        add = ir.FunctionType(code.number, [code.number, code.vector])
        name = f"llvm.vector.reduce.fadd.v{code.lanes}f{code.bits}"
        reduce = cgutils.get_or_insert_function(builder.module, add, name)
        for i, total in enumerate(sums):
            found = builder.call(
                reduce, (ir.Constant(code.number, 0.0), builder.load(total)), fastmath=("reassoc",)
            )
            row = builder.add(c0, builder.mul(c_row, ir.Constant(w, i // u_count)))
            address = code.at(c, builder.add(row, ir.Constant(w, i % u_count)))
            old = builder.select(fresh, ir.Constant(code.number, 0.0), builder.load(address))
            builder.store(builder.fadd(old, found), address)
        return context.get_dummy_value()

    signature = types.void(
        c,
        ints,
        ints,
        a,
        ints,
        ints,
        b,
        ints,
        ints,
        table,
        ints,
        ints,
        ints,
        ints,
        ints,
        ints,
        types.boolean,
        rows,
        columns,
    )
    return signature, generate


@intrinsic
def move(context, goal, g0, source, s0, count, add):  # type: ignore[no-untyped-def]
    """goal[g0 + i] = source[s0 + i] for i < count, or += where the literal `add` is 1; for short
    rows of any length.

    LLVM's own vectors begin at 64 numbers; shorter rows, and what is left of longer ones, it copies
    one by one.
    """
    if not isinstance(add, types.IntegerLiteral):
        return None
    dtype, ints = goal.dtype, types.intp

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        goal, g0, source, s0, count, _ = args
        size = ir.Constant(ir.IntType(64), lanes(bits(dtype) // 8))
        rest = builder.urem(count, size)
        code = Code(context, builder, dtype, rest)
        whole = builder.or_ if dtype == types.boolean else builder.add
        plus = builder.fadd if code.floats else whole

        def step(at, masked):  # type: ignore[no-untyped-def]
            place = code.at(goal, builder.add(g0, at))
            value = code.load(code.at(source, builder.add(s0, at)), masked)
            if add.literal_value:
                value = plus(value, code.load(place, masked))
            code.store(value, place, masked)

        with cgutils.for_range(builder, builder.udiv(count, size)) as loop:
            step(builder.mul(loop.index, size), False)
        with builder.if_then(builder.icmp_unsigned("!=", rest, ir.Constant(ir.IntType(64), 0))):
            if add.literal_value:
                step(builder.sub(count, rest), True)
            else:
                with builder.if_else(builder.icmp_unsigned(">=", count, size)) as (then, otherwise):
                    with then:  # the last vector once more, further left: no store with a mask
                        step(builder.sub(count, size), False)
                    with otherwise:
                        step(builder.sub(count, rest), True)
        return context.get_dummy_value()

    return types.void(goal, ints, source, ints, ints, add), generate


@intrinsic
def turn_block(context, goal, g0, g_row, source, s0, s_row, h, w, whole):  # type: ignore[no-untyped-def]
    """goal[g0 + j · g_row + i] = source[s0 + i · s_row + j] for i < h and j < w, both at most a
    vector's length.

    All rows are loaded, and interleaved pair by pair until each vector holds a column (the literal
    `whole` is 1 where h and w are a vector's length, so that no masks are needed).
    """
    if not isinstance(whole, types.IntegerLiteral):
        return None
    dtype, ints, masked = goal.dtype, types.intp, not whole.literal_value

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        goal, g0, g_row, source, s0, s_row, h, w, _ = args
        inward, outward = Code(context, builder, dtype, w), Code(context, builder, dtype, h)
        size = inward.lanes

        def row(code, array, first, step, i):  # type: ignore[no-untyped-def]
            return code.at(
                array, builder.add(first, builder.mul(step, ir.Constant(ir.IntType(64), i)))
            )

        def only(code, i, limit):  # type: ignore[no-untyped-def]
            """The mask of row i: none of it if there is no such row."""
            there = builder.icmp_signed("<", ir.Constant(ir.IntType(64), i), limit)
            code.mask = builder.select(there, full[id(code)], ir.Constant(code.mask_type, None))
            code.whole = ir.Constant(ir.IntType(1), 0)

        full = {id(inward): inward.mask, id(outward): outward.mask}
        rows = []
        for i in range(size):
            if masked:
                only(inward, i, h)
            rows.append(inward.load(row(inward, source, s0, s_row, i), masked))
        half, word = size // 2, ir.VectorType(ir.IntType(32), size)
        low = ir.Constant(word, [i // 2 + (size if i % 2 else 0) for i in range(size)])
        high = ir.Constant(word, [half + i // 2 + (size if i % 2 else 0) for i in range(size)])
        for _ in range(size.bit_length() - 1):
            pairs = [(rows[i], rows[i + half]) for i in range(half)]
            rows = [builder.shuffle_vector(a, b, which) for a, b in pairs for which in (low, high)]
        for j, value in enumerate(rows):
            if masked:
                only(outward, j, w)
            outward.store(value, row(outward, goal, g0, g_row, j), masked)
        return context.get_dummy_value()

    return types.void(goal, ints, ints, source, ints, ints, ints, ints, whole), generate


@intrinsic
def prefetch(context, array, place):  # type: ignore[no-untyped-def]
    """Begin to bring array[place] into the nearest cache."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        there, small = (
            builder.bitcast(builder.gep(args[0], [args[1]]), ir.IntType(8).as_pointer()),
            ir.IntType(32),
        )
        kind = ir.FunctionType(ir.VoidType(), [there.type, small, small, small])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        read, near, data = 0, 3, 1
        builder.call(function, (there, *(ir.Constant(small, n) for n in (read, near, data))))
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@intrinsic
def address(context, array):  # type: ignore[no-untyped-def]
    """Where an array's memory begins, as a pointer to its dtype."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), generate
