"""Where random numbers come from: a seed of one's own, or the library's generator.

A `seed` is an integer, a `numpy.random.Generator` to draw on, or None for the library's own generator, which starts
with seed 0 in every thread of every process: a script gives the same numbers each time, and two threads that make two
models do not draw on each other's numbers. `manual_seed` sets that of its thread anew.
"""
from __future__ import annotations

import threading
from typing import Any

import numpy as np


class _Own(threading.local):
    """What each thread has for itself."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)


_own = _Own()


def manual_seed(seed: int) -> None:
    """Start the generator that layers without `seed=` draw on from `seed`, in this thread."""
    _own.generator = np.random.default_rng(seed)


def generator(seed: Any = None) -> np.random.Generator:
    """The generator that a seed stands for."""
    return _own.generator if seed is None else np.random.default_rng(seed)
