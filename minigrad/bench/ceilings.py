"""The most that this processor can do: multiply-adds from registers, bytes from each memory."""

# Numba's decorators and the builders of LLVM have no types:
# mypy: disable-error-code="no-untyped-call, untyped-decorator, call-arg"
from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import perf_counter
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..kernels.jit import jit, prange, threads
from ..kernels.simd import lanes

# independent sums: more than the latency of a multiply-add times those that start in a cycle, and
# fewer than registers
_CHAINS = 24
_BYTES_OF_SWEEP = 1 << 27
# the longer a ceiling is measured, the likelier that for once nothing else runs
_SECONDS = 1.5
SIZES = tuple(1 << power for power in range(15, 29))


@intrinsic
def _multiply_adds(context, times):  # type: ignore[no-untyped-def]
    """`times` multiply-adds of a vector in each chain, without loads and stores; some number."""
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
    """Seconds of the shortest of many runs: disturbances only make a run slower."""
    run()
    best, end = inf, perf_counter() + times * _SECONDS
    while best == inf or perf_counter() < end:
        started = perf_counter()
        run()
        best = min(best, perf_counter() - started)
    return best


def _flops(shards: int) -> float:
    out, times = np.zeros(shards, np.float32), 100_000
    operations = 2 * lanes(4) * _CHAINS * shards * times
    return float(operations / _best(lambda: _compute(out, times)))


def _bandwidth(size: int, shards: int) -> float:
    a = np.ones((shards, size // 4 // shards), np.float32)
    times = max(1, _BYTES_OF_SWEEP // size)
    return 2 * a.nbytes * times / _best(lambda: _sweeps(a, times), 0.2)


def ceilings() -> dict[str, Any]:
    """Operations per second of one core and of all threads, and bytes per second for each size.

    `bandwidth` holds pairs (bytes of the array, bytes per second read and written in place).
    """
    shards = threads(1 << 20)
    return {
        "flops_of_a_core": _flops(1),
        "flops": _flops(shards),
        "bandwidth": [[size, _bandwidth(size, shards)] for size in SIZES],
    }
