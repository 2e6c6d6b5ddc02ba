"""Where random numbers come from: a seed of one's own, or the library's generator.

A `seed` is an integer, a `numpy.random.Generator` to draw on, or None for the library's own
generator, which starts with seed 0 in every thread of every process: a script gives the same
numbers each time, and two threads that make two models do not draw on each other's numbers.
`manual_seed` sets that of its thread anew.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np

Seed = int | np.integer[Any] | np.random.Generator | None

class _Own(threading.local):
    """What each thread has for itself."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)


_own = _Own()


def manual_seed(seed: int) -> None:
    """Start the generator that layers without `seed=` draw on from `seed`, in this thread."""
    _own.generator = generator(seed, "manual_seed")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block, in this thread, the library's generator is another one, started from
    `seed`.
    """
    before = _own.generator
    try:
        manual_seed(seed)
        yield
    finally:
        _own.generator = before


def generator(seed: Seed = None, function: str = "init") -> np.random.Generator:
    """The generator that a seed stands for. For what is none, a `TypeError` or `ValueError` with
    the function's name.
    """
    if seed is None:
        return _own.generator
    if isinstance(seed, np.random.Generator):
        return seed
    if not isinstance(seed, Integral) or seed < 0:
        kind = ValueError if isinstance(seed, Integral) else TypeError
        raise kind(
            f"{function}: seed={seed!r}; an integer ≥ 0, a numpy.random.Generator or None was "
            f"expected"
        )
    return np.random.default_rng(int(seed))
