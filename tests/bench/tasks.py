"""Small tasks for the tests of the benchmark."""

import numpy as np

from minigrad.bench import jobs
from minigrad.bench.peers.task import Task

#: of each model, its options and the shape of a sample; None for ids
MODELS = {
    "cnn": ((2, 3, 3, 8), (2, 8, 8)),
    "textcnn": ((30, 5, 4, 2, 12), None),
    "rnn": ((6, 5), (7, 6)),
    "mlp": ((2, 7), (2,)),
    "lenet": ((0.0, 7), (1, 28, 28)),
    "residual": ((3,), (1, 28, 28)),
    "lstm": ((2, 30, 4, 5), None),
    "gru": ((2, 30, 4, 5), None),
    "wide": ((6, 7), (6,)),
    "transformer": ((30, 2, 6), None),
}


def small_task(kind="mlp", samples=24, batch=4):
    """A task of each kind of model, small and made of random numbers."""
    rng = np.random.default_rng(1)
    sizes, shape = MODELS[kind]
    x = (
        rng.random((samples, *shape), np.float32)
        if shape
        else rng.integers(0, 30, (samples, 12)).astype(np.int32)
    )
    y = rng.integers(0, 2, samples)
    if kind in ("cnn", "textcnn", "mlp"):
        y = y.astype(np.float32)
    first = {
        name: rng.standard_normal(p.shape, np.float32) * np.float32(0.3) if p.ndim else p
        for name, p in jobs.model_of(kind)[0](*sizes).state_dict().items()
    }
    first |= {name: np.abs(p) for name, p in first.items() if "var" in name}
    optimizer, arrays = "adam" if kind == "textcnn" else "sgd", {"x": x, "y": y, **first}
    return Task("small", kind, sizes, tuple, batch, 0.05, optimizer, arrays=arrays)
