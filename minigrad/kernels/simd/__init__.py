"""The boundary: everything that touches what Numba and llvmlite do not document is in this room.

Kernels are loops that Numba compiles. A few things it does not do well enough: it does not keep a
block of a product in registers, does not vectorise rows shorter than 64 numbers or the windows of
pooling, compiles a function again into each of its callers, and counts references to
views. This room does them with parts of Numba and llvmlite that may change with any release. The
kernels see these doors only:

=============================  =====================================================================
`block`, `sums`                products of matrices, A @ B and A @ Bᵀ, with blocks in registers
`copy_rows`, `add_row`,        rows of any length, in vectors
`transpose`
`prefetch_row`                 a row that will be read soon
`window_maxima`                the largest entries of windows, without branches
`larger`, `smaller`            steps of a maximum or a minimum, which become vectors
`shaped`, `flat`               views of an array that the caller keeps
`lanes`                        how many numbers a vector has
`view`, `row`, `opened`        arrays at an address, and parts of them
`launch`, `linked`             calls of functions by their address
`compiled_separately`          a function called by symbol, which is not compiled into its callers
`compiled`                     a function with a disk cache that knows such symbols
=============================  =====================================================================

Each of the first nine has a plain form, readable Numba, in `plain.py`: its definition, and what
tests compare with. `machine.py` has the same nine in machine code: `products.py`, `copies.py` and
`maxima.py` build it from the vector instructions of `vectors.py`. `symbols.py` calls by symbol,
`disk.py` is the cache.

**Without it.** With `MINIGRAD_SIMD=0` in the environment the doors are the plain forms, nothing
undocumented is imported, and every kernel is an ordinary `numba.njit(cache=True)` function: slower,
with the same numbers to rounding. The same happens, with one warning, where this room does not
start: on import its parts compute a few numbers, once for each folder of the disk cache, which is
named after the versions of Numba and minigrad. A Numba release that changes its internals costs
speed, never function.
"""

import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba

from ...files import write_atomically
from .. import cache
from ..options import config
from . import plain


def _doors() -> Any:
    """The module with the machine code, if it is wanted and works with this Numba, else `plain`.

    Whether it works is tried once for each folder of the cache.
    """
    if os.environ.get("MINIGRAD_SIMD") == "0" or config.DISABLE_JIT:
        return plain
    tried = Path(cache.FOLDER) / "simd.ok"
    try:
        from . import machine

        if not (cache.usable(cache.FOLDER) and tried.exists()):
            from .trial import trial

            trial(machine)
            with suppress(OSError):
                write_atomically(tried, b"", private=True)
        return machine
    except Exception as error:  # whatever another Numba raises
        reason = str(error).strip().partition("\n")[0]
        warnings.warn(
            f"minigrad: the kernels' vector code does not work with Numba {numba.__version__} "
            f"({type(error).__name__}: {reason}); plain kernels run instead, more slowly. "
            "MINIGRAD_SIMD=0 chooses them without this warning.",
            stacklevel=2,
        )
        return plain


doors = _doors()
#: is machine code behind the doors?
ON = doors is not plain

block, sums, window_maxima = doors.block, doors.sums, doors.window_maxima
add_row, copy_rows, transpose = doors.add_row, doors.copy_rows, doors.transpose
prefetch_row, shaped, flat = doors.prefetch_row, doors.shaped, doors.flat
larger, smaller = doors.larger, doors.smaller
row, view, opened = doors.row, doors.view, doors.opened
launch, linked = doors.launch, doors.linked
compiled, compiled_separately = doors.compiled, doors.compiled_separately
Sizes, Rows, Entries, Begin = plain.Sizes, plain.Rows, plain.Entries, plain.Begin
ADD, FRESH, START, ACROSS = plain.ADD, plain.FRESH, plain.START, plain.ACROSS


def lanes(itemsize: int) -> int:
    """How many numbers of that many bytes a vector has."""
    return int(doors.BYTES // max(itemsize, 4))
