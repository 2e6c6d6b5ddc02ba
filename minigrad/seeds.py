"""Random numbers: from the caller's seed, or from the library's generator.

A `seed` is an integer, a `numpy.random.Generator`, or None for the library's generator, which
starts with seed 0 in every thread of every process: a script gives the same numbers each time, and
threads draw independently. `manual_seed` restarts the generator of its thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral

import numpy as np

Seed = int | np.random.Generator | None


class _Local(threading.local):
    """The library's generator of each thread."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)


_local = _Local()


def manual_seed(seed: int) -> None:
    """Restart the generator of this thread, which layers without `seed=` use.

    >>> mg.manual_seed(3)
    >>> a = mg.nn.Linear(4, 2)
    >>> mg.manual_seed(3)
    >>> np.array_equal(a.weight.value, mg.nn.Linear(4, 2).weight.value)
    True
    """
    _local.generator = generator(seed, "manual_seed")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block, the library's generator of this thread is a new one, seeded with `seed`."""
    before = _local.generator
    try:
        manual_seed(seed)
        yield
    finally:
        _local.generator = before


def generator(seed: Seed = None, function: str = "init") -> np.random.Generator:
    """The generator for a seed; `function` is named in errors.

    Raises `ValueError` for a negative integer, `TypeError` for anything that is not a seed.

    >>> mg.nn.init.generator(0).integers(10, size=3)
    array([8, 6, 5])
    """
    if seed is None:
        return _local.generator
    if isinstance(seed, np.random.Generator):
        return seed
    if not isinstance(seed, Integral) or seed < 0:
        kind = ValueError if isinstance(seed, Integral) else TypeError
        raise kind(
            f"{function}: seed={seed!r}; an integer ≥ 0, a numpy.random.Generator or None was "
            f"expected"
        )
    return np.random.default_rng(int(seed))
