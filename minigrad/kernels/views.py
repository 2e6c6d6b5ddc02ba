"""Arrays seen in another shape, at no cost.

Numba's `reshape` asks at run time whether the memory is contiguous and counts a reference to it:
about 40 ns, as long as a small product. Kernels know that their arrays are C-contiguous and that
the caller keeps them, so a view is an address and a shape. Of an array that a kernel makes itself,
no view may outlive it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload


def index_dtype(count: int) -> Any:
    """The dtype of indices into so many entries: int32, or int64 where they are too many for it."""
    return np.int32 if count <= 2**31 else np.int64


def shaped(array: Any, shape: tuple[int, ...]) -> Any:
    """A C-contiguous array in another shape of as many numbers; compiled code does not look whether
    they are as many.
    """
    return array.reshape(shape)


def flat(array: Any) -> Any:
    """A C-contiguous array as one row of numbers."""
    return array.reshape(-1)


@intrinsic
def _view(context, array, shape):  # type: ignore[no-untyped-def]
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


@overload(shaped)
def _shaped(array, shape):  # type: ignore[no-untyped-def]
    return lambda array, shape: _view(array, shape)


@overload(flat)
def _flat(array):  # type: ignore[no-untyped-def]
    return lambda array: _view(array, (array.size,))
