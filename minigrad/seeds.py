"""Where random numbers come from: a seed of one's own, or the library's generator.

A `seed` is an integer, a `numpy.random.Generator` to draw on, or None for the library's own generator, which starts
with seed 0 in every process: a script gives the same numbers each time. `manual_seed` sets it anew.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

_generator = np.random.default_rng(0)
_own: ContextVar[np.random.Generator | None] = ContextVar("own", default=None)  # of a `seeded` block


def manual_seed(seed: int) -> None:
    """Start the generator that layers without `seed=` draw on from `seed`."""
    global _generator
    if _own.get() is None:
        _generator = np.random.default_rng(seed)
    else:
        _own.set(np.random.default_rng(seed))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block, in this thread, the library's generator is another one, started from `seed`."""
    token = _own.set(np.random.default_rng(seed))
    try:
        yield
    finally:
        _own.reset(token)


def generator(seed: Any = None) -> np.random.Generator:
    """The generator that a seed stands for."""
    return (_own.get() or _generator) if seed is None else np.random.default_rng(seed)
