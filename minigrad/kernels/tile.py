"""The innermost loops of matrix products, written for vector registers.

A product of matrices is fast when a block of its result stays in registers while the loop over the common axis runs. LLVM
vectorises a plain loop, but it does not keep such a block; so the two blocks that are needed are built here as LLVM
code, one instruction at a time. Python's loops over `rows` and `vectors` below run while the code is built: that is what
unrolls it.

* `tile`: R rows × U vectors of C += A @ B, where rows of B lie contiguous. Each step loads U vectors of B and, for each
  row, one number of A, which is copied into all lanes: R·U multiply-adds for R + U loads.
* `dots`: R × U numbers of C += A @ Bᵀ, where rows of A and of B lie contiguous: R·U sums of vectors side by side, whose
  lanes are added up at the end.

A vector has 64 bytes where Numba compiles for AVX-512 and 32 elsewhere. What does not fill the last vector is masked out:
nothing beyond an array is read or written.
"""
from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic, register_jitable

_BYTES = 64 if "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[-1] else 32


@register_jitable
def lanes(itemsize):  # type: ignore[no-untyped-def]
    """How many numbers of that size a vector has."""
    return _BYTES // itemsize


class _Code:
    """What both blocks are built from: pointers, masked loads and stores of vectors of one dtype."""

    def __init__(self, context: Any, builder: Any, dtype: Any, rest: Any) -> None:
        self.context, self.builder, self.dtype = context, builder, dtype
        self.number = context.get_value_type(dtype)
        self.lanes = lanes(dtype.bitwidth // 8)
        self.vector = ir.VectorType(self.number, self.lanes)
        self.mask_type = ir.VectorType(ir.IntType(1), self.lanes)
        index = ir.VectorType(ir.IntType(64), self.lanes)
        iota = ir.Constant(index, list(range(self.lanes)))
        self.mask = builder.icmp_signed("<", iota, self.splat(rest, index))

    def splat(self, x: Any, kind: Any) -> Any:
        """x in all lanes."""
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), x, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)

    def at(self, pointer: Any, index: Any) -> Any:
        """The address of entry `index` of some memory."""
        return self.builder.gep(pointer, [index])

    def row(self, distance: Any, table: Any, step: Any, p: Any) -> Any:
        """How far row p lies from the first: so many times the distance, and what a table says."""
        further = self.builder.load(self.at(table, self.builder.mul(p, step)))
        return self.builder.add(self.builder.mul(p, distance), further)

    def load(self, address: Any, masked: bool) -> Any:
        if not masked:
            found = self.builder.load(self.builder.bitcast(address, self.vector.as_pointer()))
            found.align = self.dtype.bitwidth // 8
            return found
        args = (self._pointer(address), self._align(), self.mask, ir.Constant(self.vector, None))
        return self._masked("load", self.vector, args)

    def store(self, value: Any, address: Any, masked: bool) -> None:
        if masked:
            self._masked("store", ir.VoidType(), (value, self._pointer(address), self._align(), self.mask))
        else:
            done = self.builder.store(value, self.builder.bitcast(address, self.vector.as_pointer()))
            done.align = self.dtype.bitwidth // 8

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """a · b + c, rounded once where the processor can; where it cannot, a library call per lane would do that."""
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fmuladd.v{self.lanes}f{self.dtype.bitwidth}"
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), (a, b, c))

    def _pointer(self, address: Any) -> Any:
        return self.builder.bitcast(address, self.vector.as_pointer())

    def _align(self) -> Any:
        return ir.Constant(ir.IntType(32), self.dtype.bitwidth // 8)

    def _masked(self, what: str, result: Any, args: tuple[Any, ...]) -> Any:
        kind = ir.FunctionType(result, [x.type for x in args])
        name = f"llvm.masked.{what}.v{self.lanes}f{self.dtype.bitwidth}.p0"
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), args)


@intrinsic
def tile(
    context, c, c0, c_row, a, a0, a_row, a_step, b, b0, b_row, table, t_step, depth, rest, fresh, rows, vectors
):  # type: ignore[no-untyped-def]  # fmt: skip
    """C[r, j] (+)= Σ_p A[r, p] · B[p, j] for `rows` rows and `vectors` vectors of columns, the last with `rest` numbers.

    Of each array the first entry and the distance between rows are given, in entries; of A also that between columns. Row
    p of B lies p · b_row + table[p · t_step] from the first: a convolution reads shifted rows of a picture. `fresh` says
    that C is overwritten. `rows` and `vectors` are literals.
    """
    if not isinstance(rows, types.IntegerLiteral) or not isinstance(vectors, types.IntegerLiteral):
        return None
    r_count, u_count, dtype = rows.literal_value, vectors.literal_value, c.dtype
    ints = types.intp

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        c, c0, c_row, a, a0, a_row, a_step, b, b0, b_row, table, t_step, depth, rest, fresh, _, _ = args
        code, w = _Code(context, builder, dtype, rest), ir.IntType(64)

        def plus(x, y, times=1):  # type: ignore[no-untyped-def]
            return builder.add(x, builder.mul(y, ir.Constant(w, times)) if times != 1 else y)

        def places():  # type: ignore[no-untyped-def]
            for r in range(r_count):
                row = plus(c0, c_row, r) if r else c0
                for u in range(u_count):
                    address = code.at(c, builder.add(row, ir.Constant(w, u * code.lanes)))
                    yield address, u == u_count - 1

        zero = ir.Constant(code.vector, None)
        sums = [cgutils.alloca_once(builder, code.vector) for _ in range(r_count * u_count)]
        with builder.if_else(fresh) as (then, otherwise):
            with then:
                for total in sums:
                    builder.store(zero, total)
            with otherwise:
                for total, (address, last) in zip(sums, places(), strict=True):
                    builder.store(code.load(address, last), total)
        with cgutils.for_range(builder, depth) as loop:
            row = builder.add(b0, code.row(b_row, table, t_step, loop.index))
            across = [
                code.load(code.at(b, builder.add(row, ir.Constant(w, u * code.lanes))), u == u_count - 1)
                for u in range(u_count)
            ]
            column = builder.add(a0, builder.mul(loop.index, a_step))
            for r in range(r_count):
                number = builder.load(code.at(a, plus(column, a_row, r) if r else column))
                factor = code.splat(number, code.vector)
                for u in range(u_count):
                    total = sums[r * u_count + u]
                    builder.store(code.fma(factor, across[u], builder.load(total)), total)
        for total, (address, last) in zip(sums, places(), strict=True):
            code.store(builder.load(total), address, last)
        return context.get_dummy_value()

    signature = types.void(
        c, ints, ints, a, ints, ints, ints, b, ints, ints, table, ints, ints, ints, types.boolean, rows, vectors
    )
    return signature, generate


@intrinsic
def dots(  # type: ignore[no-untyped-def]
    context, c, c0, c_row, a, a0, a_row, b, b0, b_row, table, t_step, first, depth, times, a_next, b_next, fresh, rows,
    columns,
):  # fmt: skip
    """C[r, u] (+)= Σ_p A[r, p] · B[u, p] for `rows` × `columns` numbers, which are literals; see `tile`.

    Rows u of B are counted from `first`. The sum runs over `times` stretches of `depth` numbers, which begin `a_next` and
    `b_next` entries after each other.
    """
    if not isinstance(rows, types.IntegerLiteral) or not isinstance(columns, types.IntegerLiteral):
        return None
    r_count, u_count, dtype = rows.literal_value, columns.literal_value, c.dtype
    ints = types.intp

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        c, c0, c_row, a, a0, a_row, b, b0, b_row, table, t_step, first, depth, times, a_next, b_next, fresh, _, _ = args
        w = ir.IntType(64)
        size = ir.Constant(w, lanes(dtype.bitwidth // 8))
        full = builder.udiv(depth, size)
        code = _Code(context, builder, dtype, builder.urem(depth, size))
        sums = [cgutils.alloca_once(builder, code.vector) for _ in range(r_count * u_count)]
        for total in sums:
            builder.store(ir.Constant(code.vector, None), total)

        left_rows = [builder.add(a0, builder.mul(a_row, ir.Constant(w, r))) for r in range(r_count)]
        right_rows = [
            builder.add(b0, code.row(b_row, table, t_step, builder.add(first, ir.Constant(w, u)))) for u in range(u_count)
        ]

        def step(q, p, masked):  # type: ignore[no-untyped-def]
            def vectors(array, rows, following):  # type: ignore[no-untyped-def]
                at = builder.add(p, builder.mul(q, following))
                return [code.load(code.at(array, builder.add(row, at)), masked) for row in rows]

            left, right = vectors(a, left_rows, a_next), vectors(b, right_rows, b_next)
            for i, total in enumerate(sums):
                builder.store(code.fma(left[i // u_count], right[i % u_count], builder.load(total)), total)

        with cgutils.for_range(builder, times) as outer:
            with cgutils.for_range(builder, full) as loop:
                step(outer.index, builder.mul(loop.index, size), False)
            with builder.if_then(builder.icmp_unsigned("!=", builder.urem(depth, size), ir.Constant(w, 0))):
                step(outer.index, builder.mul(full, size), True)
        add = ir.FunctionType(code.number, [code.number, code.vector])
        name = f"llvm.vector.reduce.fadd.v{code.lanes}f{code.dtype.bitwidth}"
        reduce = cgutils.get_or_insert_function(builder.module, add, name)
        for i, total in enumerate(sums):
            found = builder.call(reduce, (ir.Constant(code.number, 0.0), builder.load(total)), fastmath=("reassoc",))
            row = builder.add(c0, builder.mul(c_row, ir.Constant(w, i // u_count)))
            address = code.at(c, builder.add(row, ir.Constant(w, i % u_count)))
            old = builder.select(fresh, ir.Constant(code.number, 0.0), builder.load(address))
            builder.store(builder.fadd(old, found), address)
        return context.get_dummy_value()

    signature = types.void(
        c, ints, ints, a, ints, ints, b, ints, ints, table, ints, ints, ints, ints, ints, ints, types.boolean, rows, columns
    )
    return signature, generate



@intrinsic
def address(context, array):  # type: ignore[no-untyped-def]
    """Where an array's memory begins, as a pointer to its dtype."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), generate
