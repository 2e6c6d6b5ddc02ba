"""The most that this processor can do: multiply-adds from registers, bytes from each memory."""

# mypy: disable-error-code="untyped-decorator"
# (Numba's decorators have no types)
from __future__ import annotations

from functools import partial
from timeit import repeat
from typing import Any

import numpy as np

from ..kernels.jit import jit, prange, threads

_BYTES_OF_SWEEP = 1 << 25
# many short runs, so that in some of them nothing else runs
_RUNS = 400
SIZES = tuple(1 << power for power in range(15, 29))


def _kernel(adds: int) -> Any:
    """A kernel that reads each number of an array, does so many multiply-adds, and writes it."""

    @jit
    def sweep(a: Any, times: int) -> None:
        half = a.dtype.type(0.5)
        for _ in range(times):
            for i in range(a.size):
                x = a[i]
                for _ in range(adds):
                    x = x * half + half
                a[i] = x

    @jit(parallel=True)
    def sweeps(a: Any, times: int) -> None:
        for s in prange(len(a)):
            sweep(a[s], times)

    return sweeps


_COPY, _COMPUTE = _kernel(1), _kernel(16)


def _rate(kernel: Any, size: int, shards: int, times: int) -> float:
    """Numbers per second that pass through a kernel, in arrays of `size` bytes in all.

    The best of many runs: disturbances only make a run slower.
    """
    a = np.ones((shards, size // 4 // shards), np.float32)
    kernel(a, 1)
    return a.size * times / min(repeat(partial(kernel, a, times), number=1, repeat=_RUNS))


def ceilings() -> dict[str, Any]:
    """Operations per second of one core and of all threads, and bytes per second for each size.

    `bandwidth` holds pairs (bytes of the array, bytes per second read and written in place).
    """
    shards = threads(1 << 20)
    core, every = (32 * _rate(_COMPUTE, 4096 * n, n, 2000) for n in (1, shards))
    bandwidth = [
        [size, 8 * _rate(_COPY, size, shards, max(1, _BYTES_OF_SWEEP // size))] for size in SIZES
    ]
    return {"flops_of_a_core": core, "flops": every, "bandwidth": bandwidth}
