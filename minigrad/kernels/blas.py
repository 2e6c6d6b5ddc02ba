"""How many threads NumPy's BLAS has."""
from __future__ import annotations

from functools import cache
from typing import Any


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController  # scikit-learn needs it, too

    return ThreadpoolController().select(user_api="blas")


def blas_threads(limit: int) -> Any:
    """Within the block products of matrices have so many threads at most.

    OpenBLAS's threads stay awake for milliseconds after a product and take the cores from Numba's.
    """
    return _controller().limit(limits=limit)
