"""Vector instructions as LLVM code, from which products, copies and maxima are built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic, overload

#: does Numba compile for AVX-512? Then there are 32 vector registers instead of 16, too
WIDE = "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[-1]
#: bytes in a vector; on narrower processors LLVM splits the vectors into narrower ones
BYTES = 64 if WIDE else 32

WORD, SHORT, BIT = ir.IntType(64), ir.IntType(32), ir.IntType(1)


def word(n: int) -> Any:
    """A constant of 64 bits."""
    return ir.Constant(WORD, n)


def bits(dtype: Any) -> int:
    """How many bits a number of this Numba type takes in an array."""
    return 8 if isinstance(dtype, types.Boolean) else int(dtype.bitwidth)


def lanes(dtype: Any) -> int:
    """How many numbers of this Numba type a vector has; of those below four bytes as many as of
    four, because `transpose_block` has a row of code for each. In compiled code, of a pointer's.
    """
    return BYTES // max(bits(dtype) // 8, 4)


@overload(lanes)
def _lanes(pointer):  # type: ignore[no-untyped-def]
    count = lanes(pointer.dtype)
    return lambda pointer: count


class VectorBuilder:
    """An LLVM builder with loads and stores of vectors, of which the last may be partly filled."""

    def __init__(self, context: Any, builder: Any, dtype: Any, rest: Any, count: int = 0) -> None:
        """`rest` numbers are in the last vector, which has `count` lanes (as many as fit by
        default).
        """
        self.context, self.builder, self.dtype = context, builder, dtype
        self.number = context.get_data_type(dtype)  # as it lies in memory: a boolean in eight bits
        self.bits, self.floats = bits(dtype), isinstance(dtype, types.Float)
        self.lanes = count or lanes(dtype)
        self.vector = ir.VectorType(self.number, self.lanes)
        self.zeros = ir.Constant(self.vector, None)
        self.no_lane = ir.Constant(ir.VectorType(BIT, self.lanes), None)
        index = ir.VectorType(WORD, self.lanes)
        iota = ir.Constant(index, list(range(self.lanes)))
        self.mask = builder.icmp_signed("<", iota, self.splat(rest, index))
        self.whole = builder.icmp_signed("==", rest, word(self.lanes))
        self._align = ir.Constant(SHORT, self.bits // 8)

    def splat(self, x: Any, kind: Any = None) -> Any:
        """x in all lanes."""
        nothing = ir.Constant(kind or self.vector, ir.Undefined)
        one = self.builder.insert_element(nothing, x, ir.Constant(SHORT, 0))
        zeros = ir.Constant(ir.VectorType(SHORT, self.lanes), None)
        return self.builder.shuffle_vector(one, nothing, zeros)

    def lowest(self) -> Any:
        """-inf in all lanes."""
        return self.splat(ir.Constant(self.number, float("-inf")))

    def at(self, pointer: Any, *index: Any) -> Any:
        """The address of an entry, whose index is the sum of some numbers."""
        return self.builder.gep(pointer, [self.total(*index)])

    def total(self, first: Any, *more: Any) -> Any:
        """The sum of some numbers."""
        for x in more:
            first = self.builder.add(first, x)
        return first

    def plus(self, x: Any, y: Any, times: int = 1) -> Any:
        """x + times · y."""
        further = y if times == 1 else self.builder.mul(y, word(times))
        return x if times == 0 else self.builder.add(x, further)

    def sums(self, count: int) -> list[Any]:
        """Vectors of zeros, to add to; LLVM keeps them in registers."""
        return [cgutils.alloca_once_value(self.builder, self.zeros) for _ in range(count)]

    def places(self, pointer: Any, first: Any, count: int) -> Iterator[tuple[Any, bool]]:
        """The addresses of vectors side by side, and whether each is the last, which has a mask."""
        for u in range(count):
            yield self.at(pointer, first, word(u * self.lanes)), u == count - 1

    def vectors(self, pointer: Any, first: Any, count: int) -> list[Any]:
        """The vectors side by side."""
        return [self.load(*place) for place in self.places(pointer, first, count)]

    @contextmanager
    def loop(self, count: Any) -> Iterator[Any]:
        """A loop over 0, 1, … count - 1 that LLVM does not unroll: the steps that are left over
        would take as long as three others.
        """
        with cgutils.for_range(self.builder, count) as loop:
            yield loop.index
            latch = self.builder.block
        module = self.builder.module
        said = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
        name = module.add_metadata([word(len(module.metadata)), said])
        name.operands = name, said  # a loop's metadata begins with itself
        latch.terminator.set_metadata("llvm.loop", name)

    def load(self, address: Any, masked: bool, otherwise: Any = None, mask: Any = None) -> Any:
        """A vector; the lanes that are masked out, by default those beyond the `rest`, are taken
        from the vector `otherwise`, by default zeros.
        """
        if not masked:
            found = self.builder.load(self._pointer(address))
            found.align = self.bits // 8
            return found
        args = self._pointer(address), self._align, mask or self.mask, otherwise or self.zeros
        return self._masked("load", self.vector, args)

    def gather(self, pointer: Any, places: Any, mask: Any, otherwise: Any) -> Any:
        """pointer[places], number by number; masked lanes are taken from `otherwise`."""
        b, wide = self.builder, ir.VectorType(WORD, self.lanes)
        places = places if places.type == wide else b.sext(places, wide)
        further = b.mul(places, ir.Constant(wide, [self.bits // 8] * self.lanes))
        start = self.splat(b.ptrtoint(pointer, WORD), wide)
        addresses = b.inttoptr(b.add(start, further), ir.VectorType(pointer.type, self.lanes))
        args = addresses, self._align, mask, otherwise
        return self._masked("gather", self.vector, args, f"v{self.lanes}p0")

    def store(self, value: Any, address: Any, masked: bool) -> None:
        """Write a vector; a masked one only as far as the `rest` goes."""
        if not masked:
            self._store_whole(value, address)
            return
        with self.builder.if_else(self.whole) as (then, otherwise):
            with then:  # a load soon after a store with a mask waits for it
                self._store_whole(value, address)
            with otherwise:
                args = value, self._pointer(address), self._align, self.mask
                self._masked("store", ir.VoidType(), args)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """a · b + c, rounded once where the processor can; where it cannot, a library call per lane
        would do that.
        """
        return self.call(f"llvm.fmuladd.v{self.lanes}f{self.bits}", self.vector, (a, b, c))

    def call(self, name: str, result: Any, args: tuple[Any, ...], **options: Any) -> Any:
        """Call one of LLVM's own functions."""
        kind = ir.FunctionType(result, [x.type for x in args])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, args, **options)

    def _store_whole(self, value: Any, address: Any) -> None:
        self.builder.store(value, self._pointer(address)).align = self.bits // 8

    def _pointer(self, address: Any) -> Any:
        return self.builder.bitcast(address, self.vector.as_pointer())

    def _masked(self, what: str, result: Any, args: tuple[Any, ...], of: str = "p0") -> Any:
        kind = f"v{self.lanes}{'f' if self.floats else 'i'}{self.bits}"
        return self.call(f"llvm.masked.{what}.{kind}.{of}", result, args)


@intrinsic
def address(context, array):  # type: ignore[no-untyped-def]
    """The address of an array's first number, as a pointer to its dtype. Helpers get addresses and
    not arrays: counting references to arrays takes three times as long.
    """

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), generate


@intrinsic
def view(context, array, shape):  # type: ignore[no-untyped-def]
    """A C-contiguous array in another shape, without a reference to its memory."""
    if not isinstance(array, types.Array) or array.layout != "C":
        return None
    kind = array.copy(ndim=len(shape))

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        old = context.make_array(signature.args[0])(context, builder, args[0])
        new, sizes = (
            context.make_array(kind)(context, builder),
            cgutils.unpack_tuple(builder, args[1]),
        )
        strides = [old.itemsize]
        for size in sizes[:0:-1]:
            strides.insert(0, builder.mul(strides[0], size))
        nobody = cgutils.get_null_value(old.meminfo.type)
        context.populate_array(
            new, data=old.data, shape=sizes, strides=strides, itemsize=old.itemsize, meminfo=nobody
        )
        return new._getvalue()

    return kind(array, shape), generate
