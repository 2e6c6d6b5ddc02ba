"""What the processor can do at most, measured: multiply-adds from registers, and bytes through
memory of each size.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..kernels.jit import jit, prange, threads
from ..kernels.simd import lanes

# sums side by side: more than a multiply-add's latency times those that start at once, fewer than
# registers
_CHAINS = 24
_BYTES_OF_SWEEP = 1 << 27
_SECONDS = (
    1.5  # that a ceiling is looked for: the longer, the likelier that for once nothing else runs
)
SIZES = tuple(1 << power for power in range(15, 29))


@intrinsic
def _multiply_adds(context, times):  # type: ignore[no-untyped-def]
    """`times` rounds of one multiply-add of a vector in each chain, nothing loaded or stored;
    returns some number.
    """
    width = lanes(4)

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        vector = ir.VectorType(ir.FloatType(), width)
        name = f"llvm.fma.v{width}f32"
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), name
        )
        half = ir.Constant(vector, [0.5] * width)
        sums = [
            cgutils.alloca_once_value(builder, ir.Constant(vector, [float(i)] * width))
            for i in range(_CHAINS)
        ]
        with cgutils.for_range(builder, args[0]):
            for x in sums:
                builder.store(builder.call(fma, (builder.load(x), half, half)), x)
        total = builder.load(sums[0])
        for x in sums[1:]:
            total = builder.fadd(total, builder.load(x))
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return types.float32(types.intp), generate


@jit(parallel=True)
def _compute(out: Any, times: int) -> None:
    for s in prange(out.size):
        out[s] = _multiply_adds(times)


@jit
def _sweep(a: Any, times: int) -> None:
    half = a.dtype.type(0.5)
    for _ in range(times):
        for i in range(a.size):
            a[i] = a[i] * half + half


@jit(parallel=True)
def _sweeps(a: Any, times: int) -> None:
    for s in prange(len(a)):
        _sweep(a[s], times)


def _best(run: Callable[[], None], times: float = 1.0) -> float:
    """The shortest of many runs: nothing makes a program faster than the machine, much makes it
    slower, for a while.
    """
    run()
    found, end = [], perf_counter() + times * _SECONDS
    while not found or perf_counter() < end:
        started = perf_counter()
        run()
        found.append(perf_counter() - started)
    return min(found)


def _flops(shards: int) -> float:
    out, times = np.zeros(shards, np.float32), 100_000
    return 2 * lanes(4) * _CHAINS * shards * times / _best(lambda: _compute(out, times))


def _bandwidth(size: int, shards: int) -> float:
    a = np.ones((shards, size // 4 // shards), np.float32)
    times = max(1, _BYTES_OF_SWEEP // size)
    return 2 * a.nbytes * times / _best(lambda: _sweeps(a, times), 0.2)


def ceilings() -> dict[str, Any]:
    """Operations per second of one core and of all threads, and (bytes, bytes per second) read and
    written in place.
    """
    shards = threads(1 << 20)
    return {
        "flops_of_a_core": _flops(1),
        "flops": _flops(shards),
        "bandwidth": [[size, _bandwidth(size, shards)] for size in SIZES],
    }
