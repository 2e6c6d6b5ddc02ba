"""Where random numbers come from: a seed of one's own, or the library's generator.

A `seed` is an integer, a `numpy.random.Generator` to draw on, or None for the library's own generator, which starts
with seed 0 in every process: a script gives the same numbers each time. `manual_seed` sets it anew.
"""
from __future__ import annotations

from typing import Any

import numpy as np

_generator = np.random.default_rng(0)


def manual_seed(seed: int) -> None:
    """Start the generator that layers without `seed=` draw on from `seed`."""
    global _generator
    _generator = np.random.default_rng(seed)


def generator(seed: Any = None) -> np.random.Generator:
    """The generator that a seed stands for."""
    return _generator if seed is None else np.random.default_rng(seed)
