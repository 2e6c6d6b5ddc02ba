"""The boundary: everything that touches what Numba and llvmlite do not document is in this room.

Kernels are loops that Numba compiles. A few things it does not do well enough: it does not keep a
block of a product in registers, does not vectorise rows shorter than 64 numbers or a maximum that
must leave out NaN, compiles a function again into each of its callers, and counts references to
views. This room does them with parts of Numba and llvmlite that may change with any release. The
kernels see these doors only:

=============================  =====================================================================
`block`, `sums`                products of matrices, A @ B and A @ Bᵀ, with blocks in registers
`copy_row`, `add_row`,         rows of any length, in vectors
`copy_rows`, `transpose`
`prefetch_row`                 a row that will be read soon
`row_maximum`,                 the largest numbers, without branches
`window_maxima`
`shaped`, `flat`               views of an array that the caller keeps
`lanes`                        how many numbers a vector has
`compiled_separately`          a function called by symbol, which is not compiled into its callers
`compiled`                     a function with a disk cache that knows such symbols
=============================  =====================================================================

Each of the first ten has a plain form, readable Numba, in `plain.py`: its definition, and what
tests compare with. `machine.py` has the same ten in machine code: `products.py`, `copies.py` and
`maxima.py` build it from the vector instructions of `vectors.py`. `symbols.py` calls by symbol,
`disk.py` is the cache.

**Without it.** With `MINIGRAD_SIMD=0` in the environment the doors are the plain forms, nothing
undocumented is imported, and every kernel is an ordinary `numba.njit(cache=True)` function: slower,
with the same numbers to rounding. The same happens, with one warning, where this room does not
start: on import its parts compute a few numbers, once for each folder of the disk cache, which is
named after the versions of Numba and minigrad. A Numba release that changes its internals costs
speed, never function.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba

from ...files import write_atomically
from .. import cache


def _starts() -> bool:
    """Does this room work with this Numba? Tried once for each folder of the cache."""
    if os.environ.get("MINIGRAD_SIMD") == "0" or numba.config.DISABLE_JIT:
        return False
    tried = Path(cache.FOLDER) / "simd works"
    try:
        from . import machine

        if not (cache.usable(cache.FOLDER) and tried.exists()):
            from .trial import trial

            trial(machine)
            with suppress(OSError):
                write_atomically(tried, b"", private=True)
    except Exception as error:  # whatever another Numba raises
        reason = str(error).strip().partition("\n")[0]
        warnings.warn(
            f"minigrad: the kernels' vector code does not work with Numba {numba.__version__} "
            f"({type(error).__name__}: {reason}); plain kernels run instead, more slowly. "
            "MINIGRAD_SIMD=0 chooses them without this warning.",
            stacklevel=2,
        )
        return False
    return True


from .plain import ACROSS, ADD, FRESH, START, Begin, Entries, Rows, Sizes

#: does machine code run behind the doors? Else plain forms do
ON = _starts()

if ON:
    from .machine import (
        BYTES,
        add_row,
        block,
        compiled,
        compiled_separately,
        copy_row,
        copy_rows,
        flat,
        prefetch_row,
        row_maximum,
        shaped,
        sums,
        transpose,
        window_maxima,
    )
else:
    from .plain import (
        BYTES,
        add_row,
        block,
        compiled,
        compiled_separately,
        copy_row,
        copy_rows,
        flat,
        prefetch_row,
        row_maximum,
        shaped,
        sums,
        transpose,
        window_maxima,
    )


@numba.extending.register_jitable
def lanes(itemsize: int) -> int:
    """How many numbers of that many bytes a vector has."""
    return BYTES // max(itemsize, 4)
