"""Loops over arrays, compiled by Numba: arrays in, arrays out, nothing about graphs.

Beside each heavy kernel stands a `…_reference`: the same result in the plainest code, which is the
lesson and the test oracle. Importing Numba takes a moment, so a kernel module is imported when it
is first used.
"""

from importlib import import_module
from types import ModuleType

from ..interrupts import interrupts_deferred

__all__ = [
    "blas",
    "cache",
    "conv",
    "conv_channels",
    "conv_rows",
    "embedding",
    "gru",
    "jit",
    "lookup_conv",
    "lstm",
    "mathfn",
    "matmul",
    "norm",
    "pool",
    "random",
    "recurrent",
    "rows",
    "scan",
    "simd",
    "softmax",
    "update",
]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        with interrupts_deferred(
            whole=True
        ):  # half an import of Numba cannot be repeated in a process
            return import_module(f".{name}", __name__)
    raise AttributeError(name)
