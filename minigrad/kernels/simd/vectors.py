"""Vector instructions as LLVM code, from which products, copies and maxima are built."""

from contextlib import contextmanager

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic, overload

_features = cpu_target.target_context.codegen().magic_tuple()[-1].split(",")
#: does Numba compile for AVX-512? Then there are 32 vector registers instead of 16, too, and loads
#: with a mask take no longer than others
WIDE = "+avx512f" in _features
#: bytes in a vector
BYTES = 64 if WIDE else 32 if "+avx" in _features else 16

WORD, SHORT = ir.IntType(64), ir.IntType(32)


def word(n):
    """A number of 64 bits: a constant, or as it is if it is computed."""
    return ir.Constant(WORD, n) if isinstance(n, int) else n


def unpacked(builder, value):
    """The numbers in a tuple of tuples, which is nested in the same way."""
    if isinstance(value, ir.Value) and not isinstance(value.type, ir.Aggregate):
        return value
    parts = value if isinstance(value, list | tuple) else cgutils.unpack_tuple(builder, value)
    return [unpacked(builder, part) for part in parts]


def call(builder, name, result, args, **options):
    """Call one of LLVM's own functions."""
    kind = ir.FunctionType(result, [x.type for x in args])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, args, **options)


def bits(dtype):
    """How many bits a number of this Numba type takes in an array."""
    return 8 if isinstance(dtype, types.Boolean) else int(dtype.bitwidth)


def lanes(dtype):
    """How many numbers of this Numba type a vector has; of those below four bytes as many as of
    four, because `transpose_block` has a row of code for each. In compiled code, of a pointer's.
    """
    return BYTES // max(bits(dtype) // 8, 4)


@overload(lanes)
def _lanes(pointer):
    count = lanes(pointer.dtype)
    return lambda pointer: count


class VectorBuilder:
    """An LLVM builder with loads and stores of vectors, of which the last may be partly filled."""

    def __init__(self, context, builder, dtype, rest, count=0):
        """`rest` numbers are in the last vector, which has `count` lanes (as many as fit by
        default).
        """
        self.builder = builder
        self.number = context.get_data_type(dtype)  # as it lies in memory: a boolean in eight bits
        self.bits, self.floats = bits(dtype), isinstance(dtype, types.Float)
        self.lanes = count or lanes(dtype)
        self.vector = ir.VectorType(self.number, self.lanes)
        self.zeros = ir.Constant(self.vector, None)
        index = ir.VectorType(WORD, self.lanes)
        iota = ir.Constant(index, list(range(self.lanes)))
        self.mask = builder.icmp_signed("<", iota, self.splat(rest, index))
        self.whole = builder.icmp_signed("==", rest, word(self.lanes))
        self._align = ir.Constant(SHORT, self.bits // 8)

    def splat(self, x, kind=None):
        """x in all lanes."""
        nothing = ir.Constant(kind or self.vector, ir.Undefined)
        one = self.builder.insert_element(nothing, x, ir.Constant(SHORT, 0))
        zeros = ir.Constant(ir.VectorType(SHORT, self.lanes), None)
        return self.builder.shuffle_vector(one, nothing, zeros)

    def at(self, pointer, *index):
        """The address of an entry, whose index is the `total` of some terms."""
        return self.builder.gep(pointer, [self.total(*index)])

    def total(self, *terms):
        """The sum of some numbers, and of products, which are pairs of numbers."""
        total = word(0)
        for term in terms:
            if isinstance(term, tuple):
                term = self.builder.mul(*map(word, term))
            total = self.builder.add(total, word(term))
        return total

    def sums(self, count):
        """Vectors of zeros, to add to; LLVM keeps them in registers."""
        return [cgutils.alloca_once_value(self.builder, self.zeros) for _ in range(count)]

    def places(self, pointer, first, count):
        """The addresses of vectors side by side, and their masks, which only the last one has."""
        for u in range(count):
            yield self.at(pointer, first, u * self.lanes), self.mask if u == count - 1 else None

    def vectors(self, pointer, first, count, whole=False):
        """The vectors side by side; `whole` says that the last one needs no mask."""
        places = self.places(pointer, first, count)
        return [self.load(place, None if whole else mask) for place, mask in places]

    def without_masks(self, build):
        """build(whole), built for a last vector that is whole, and for others: where masks take no
        time, for all at once.
        """
        if WIDE:
            build(False)
            return
        with self.builder.if_else(self.whole) as branches:
            for branch, whole in zip(branches, (True, False), strict=True):
                with branch:
                    build(whole)

    @contextmanager
    def loop(self, count):
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

    def load(self, address, mask=None, otherwise=None):
        """A vector; the lanes that are masked out are taken from the vector `otherwise`, by default
        zeros.
        """
        if mask is None:
            found = self.builder.load(self._pointer(address))
            found.align = self.bits // 8
            return found
        args = self._pointer(address), self._align, mask, otherwise or self.zeros
        return self._masked("load", self.vector, args)

    def gather(self, pointer, places, mask, otherwise):
        """pointer[places], number by number; masked lanes are taken from `otherwise`."""
        b, wide = self.builder, ir.VectorType(WORD, self.lanes)
        places = places if places.type == wide else b.sext(places, wide)
        further = b.mul(places, ir.Constant(wide, [self.bits // 8] * self.lanes))
        start = self.splat(b.ptrtoint(pointer, WORD), wide)
        addresses = b.inttoptr(b.add(start, further), ir.VectorType(pointer.type, self.lanes))
        args = addresses, self._align, mask, otherwise
        return self._masked("gather", self.vector, args, f"v{self.lanes}p0")

    def store(self, value, address, mask=None):
        """Write a vector as far as the mask goes."""
        args = value, self._pointer(address), self._align, mask
        if mask is None:
            self.builder.store(*args[:2]).align = self.bits // 8
        elif mask is not self.mask:
            self._masked("store", ir.VoidType(), args)
        else:  # perhaps of all lanes: a load soon after a store with a mask waits for it
            with self.builder.if_else(self.whole) as (then, otherwise):
                with then:
                    self.store(value, address)
                with otherwise:
                    self._masked("store", ir.VoidType(), args)

    def fma(self, a, b, c):
        """a · b + c, rounded once where the processor can; where it cannot, a library call per lane
        would do that.
        """
        name = f"llvm.fmuladd.v{self.lanes}f{self.bits}"
        return call(self.builder, name, self.vector, (a, b, c))

    def _pointer(self, address):
        return self.builder.bitcast(address, self.vector.as_pointer())

    def _masked(self, what, result, args, of="p0"):
        kind = f"v{self.lanes}{'f' if self.floats else 'i'}{self.bits}"
        return call(self.builder, f"llvm.masked.{what}.{kind}.{of}", result, args)


@intrinsic
def address(context, array):
    """The address of the first number of a C-contiguous array, as a pointer to its dtype. Helpers
    get addresses and not arrays: counting references to arrays takes three times as long.
    """
    if array.layout != "C":
        return None

    def generate(context, builder, signature, args):
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), generate


@intrinsic
def entry(context, array, i):
    """The address of entry i of a C-contiguous array, as a pointer to its dtype."""

    def generate(context, builder, signature, args):
        start = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.gep(start, [args[1]])

    return types.CPointer(array.dtype)(array, types.intp), generate
