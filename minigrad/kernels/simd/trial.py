"""A trial of the machine code, on import: does it compile, and compute what the plain forms do?"""

from typing import Any

import numba
import numpy as np
from numba.core.registry import cpu_target

from ..options import FORMULAS
from . import plain
from .disk import start_runtime
from .plain import FRESH, Begin, Entries, Rows, Sizes


def _work(doors):
    """A function that goes through every door once."""
    table, view = np.zeros(1, np.int64), doors.view  # Numba takes x.view for an array's method

    def called(table, sizes, floats, first):
        table, sizes, floats = doors.opened(table), doors.opened(sizes), doors.opened(floats)
        doors.row(view(table, 0, np.float32), sizes[0], 2)[first] = floats[0]

    made = called if doors is plain else doors.compiled_separately(called)
    code, starts = doors.linked([made], np.dtype(np.float32)), np.zeros((1, 2), np.int64)
    place, number = np.array([197]), np.array([7], np.float32)

    def work(x, out, places, described):
        a, b = doors.flat(x), doors.flat(doors.shaped(x, (5, 20)))
        rows, sizes, begin = Rows(0, 18, 0), Sizes(3, 5, 18, 1), Begin(FRESH, 0)
        doors.block(out, rows, a, Entries(0, 5, 1, 0), b, rows, table, 0, sizes, out, begin, 0.5)
        doors.sums(out, Rows(60, 4, 0), a, rows, b, rows, table, Sizes(3, 18, 4, 1), True)
        doors.copy_rows(out, 80, 5, a, 0, 7, 2, 3)
        doors.add_row(out, 91, a, 1, 5)
        doors.transpose(out, 100, 10, a, 0, 9, 9, 10)
        doors.prefetch_row(x, 1, 4)
        doors.window_maxima(out[200:206], places, a, 0, 10, (0, 3), -1, 2, 3)
        out[199] = doors.larger(x[0, 0], x[0, 1])
        doors.launch(code, 0, 1, starts, described, place, number, 1)

    return work


def trial(machine: Any) -> None:
    """Raise an error where the machine code does not compile, or computes something else."""
    start_runtime(cpu_target.target_context)  # before Numba starts it without the disk
    x = np.random.default_rng(0).normal(size=(10, 10)).astype(np.float32)
    (found, where), (expected, right) = (
        (np.zeros(206, np.float32), np.zeros(6, np.int32)) for _ in range(2)
    )
    described = (np.array([out.ctypes.data, out.size]) for out in (found, expected))
    numba.njit(_work(machine), **FORMULAS)(x, found, where, next(described))
    _work(plain)(x, expected, right, next(described))
    if not (np.allclose(found, expected, atol=1e-5) and (where == right).all()):
        raise ArithmeticError("it computes other numbers than the plain forms")
