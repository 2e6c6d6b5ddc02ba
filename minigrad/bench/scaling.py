"""How the cost of a step grows: with the batch, the time steps, the channels and the threads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .. import data
from .jobs import JOBS, Job
from .race import Contender

#: what is compared: of each library the mode that does well over the whole range
CONTENDERS = (
    Contender("minigrad", "compiled"),
    Contender("torch", "fused"),
    Contender("jax", "step"),
)
AXES = {
    "batch": "samples in a batch of the CNN J1",
    "steps": "time steps of an RNN, 32 × 28 → 64",
    "channels": "channels in and out of a 3 × 3 convolution, 16 × 16²",
    "threads": "threads, CNN J1a",
}
SIZES = {
    "batch": (1, 4, 16, 64, 256, 1024, 4096),
    "steps": (4, 16, 64, 256, 1024),
    "channels": (1, 4, 16, 64, 256),
}
THREADS = "J1a"  # the job that is run on one thread and on more


def job(axis: str, size: int) -> Job:
    """The job at one point of an axis of `SIZES`; where no data set has that shape, on random
    numbers.
    """
    if axis == "batch":
        return replace(JOBS["J1a"], batch=size, samples=_images)
    if axis == "steps":
        return replace(JOBS["J3b"], batch=32, lr=1e-3, samples=lambda: _sequences(size))
    sizes = {"channels": size, "filters": size, "kernel": 3, "pixels": 16}
    return replace(JOBS["J1a"], sizes=sizes, batch=16, lr=1e-3, samples=lambda: _pictures(size))


def _images() -> tuple[Any, Any]:
    d = data.mnist()
    chosen = np.arange(4096) % len(d.x_train)
    return d.x_train[chosen, None], (d.y_train[chosen] == 5).astype(np.float32)


def _sequences(steps: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.random((256, steps, 28), np.float32), rng.integers(0, 10, 256)


def _pictures(channels: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.random((128, channels, 16, 16), np.float32), rng.integers(0, 2, 128).astype(
        np.float32
    )
