"""Small tasks for the tests of the benchmark."""

import numpy as np

from minigrad.bench import jobs
from minigrad.bench.peers.task import Task


def small_task(kind="mlp", samples=24, batch=4):
    """A task of each kind of model, small and made of random numbers."""
    rng = np.random.default_rng(1)
    sizes = {
        "cnn": (2, 3, 3, 8),
        "textcnn": (30, 5, 4, 2, 12),
        "rnn": (6, 5),
        "mlp": (2, 7),
    }[kind]
    x = {
        "cnn": lambda: rng.random((samples, 2, 8, 8), np.float32),
        "rnn": lambda: rng.random((samples, 7, 6), np.float32),
        "textcnn": lambda: rng.integers(0, 30, (samples, 12)).astype(np.int32),
        "mlp": lambda: rng.random((samples, 2), np.float32),
    }[kind]()
    y = (
        rng.integers(0, 10, samples)
        if kind == "rnn"
        else rng.integers(0, 2, samples).astype(np.float32)
    )
    first = {
        name: rng.standard_normal(p.shape, np.float32) * np.float32(0.3)
        for name, p in jobs.model_of(kind)[0](*sizes).state_dict().items()
    }
    optimizer, arrays = "adam" if kind == "textcnn" else "sgd", {"x": x, "y": y, **first}
    return Task("small", kind, sizes, tuple, batch, 0.05, optimizer, arrays=arrays)
