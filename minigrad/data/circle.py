"""Points inside and outside a circle: the smallest problem that a straight line cannot solve."""

from __future__ import annotations

import math

import numpy as np

from ..checks import integer
from ..seeds import generator
from .dataset import Dataset

CENTRE = 0.5
#: the circle covers half of the unit square, so that guessing is right half of the time
RADIUS = math.sqrt(1 / (2 * math.pi))


def circle(n: int = 10_000, seed: int = 0) -> Dataset:
    """Draw `n` points in the unit square; a point has label 1 when it lies outside the circle.

    Parameters
    ----------
    n : number of points in all, at least 5; the first 80 % (rounded down) are for training
    seed : the same seed gives the same points, on every machine

    Returns
    -------
    Dataset with x float32 of shape (N, 2), uniform in [0, 1), and y float32 of shape (N,), 0 or 1

    Raises
    ------
    ValueError : fewer than 5 points, which would leave a part empty; a negative seed
    TypeError : n or seed is not an integer

    >>> data = mg.data.circle(1000, seed=1)
    >>> data.x_train.shape, data.y_test.shape
    ((800, 2), (200,))
    """
    n = integer("circle", "n", n, 5, " so that both parts hold a point")
    x = generator(seed, "circle").random((n, 2)).astype(np.float32)
    # From the rounded float32 points, so that data and labels agree at the rim, too.
    y = (((x - CENTRE) ** 2).sum(axis=1) > RADIUS**2).astype(np.float32)
    split = n * 4 // 5
    source = f"circle, {n:,} points, generated from seed {seed}"
    return Dataset(x[:split], y[:split], x[split:], y[split:], source=source)
