"""The number of threads of NumPy's BLAS."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import Any

_lock = Lock()
_held: list[Any] = []  # the limit in force, once for each block that needs it


@lru_cache(maxsize=1)
def _controller(modules: int) -> Any:
    """Of the libraries that so many modules have loaded: SciPy brings a BLAS of its own."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # none exist

    return ThreadpoolController().select(user_api="blas")


@contextmanager
def blas_threads(limit: int) -> Iterator[None]:
    """Limit the threads of matrix products within the block.

    The number belongs to the process: of several blocks at once the first sets it, the last
    restores it. It changes the last digits, for BLAS splits sums between its threads; and
    OpenBLAS's threads stay awake for milliseconds after a product and take the cores from Numba's.
    """
    with _lock:
        _held.append(_held[0] if _held else _controller(len(sys.modules)).limit(limits=limit))
    try:
        yield
    finally:
        with _lock:
            limits = _held.pop()
            if not _held:
                limits.restore_original_limits()
