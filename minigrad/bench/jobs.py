"""The jobs that are timed, as data: the papers' models, other sizes of them, single operators."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .. import data, nn, ops
from .peers.models import model_and_loss
from .peers.task import Array, Task


def model_of(kind: str) -> tuple[Any, Any]:
    """Return the function that makes minigrad's model or layer of a kind, and its loss."""
    return model_and_loss(kind, nn, ops)


def prepared(job: Task) -> Task:
    """Add a job's arrays and, from a fixed seed, the model's initial weights.

    Raises `DataError` where the data is missing.
    """
    nn.init.manual_seed(0)
    make, _ = model_of(job.kind)
    # a data set has x and y for training first
    arrays = dict(zip("xy", job.source(), strict=False)) | make(*job.options).state_dict()
    return replace(job, arrays={name: np.asarray(a, order="C") for name, a in arrays.items()})


# ---------------- the papers' models
def _fives(samples: int = 2000) -> tuple[Array, ...]:
    x, y, *_ = data.mnist()
    chosen = np.arange(samples) % len(x)
    return x[chosen, None], (y[chosen] == 5).astype(np.float32)


def _rows(*shape: int) -> tuple[Array, ...]:
    """63 MB, twice what the caches of most machines hold."""
    x, y, *_ = data.mnist()
    return x[:20_000].reshape(-1, *shape), y[:20_000]


def _reviews() -> tuple[Array, ...]:
    x, y, *_ = data.imdb()
    return x, y.astype(np.int64)


def _characters(steps: int) -> tuple[Array, ...]:
    """Windows of the manual that comes with Python, and the character after each."""
    from pydoc_data.topics import topics

    text = "".join(topics.values()).encode("ascii", "replace")
    windows = sliding_window_view(np.frombuffer(text, np.uint8), steps + 1)[::37].astype(np.int64)
    return windows[:, :-1], windows[:, -1]


_CNN = (1, 4, 3, 28)  # channels, filters, kernel, pixels
_TEXT = (12_849, 50, 8, 8, 130)  # vocabulary, width, filters, pool, length
_QUARTERS = partial(_rows, 4, 196)
_CIRCLE = partial(data.circle, 12_500, seed=1)
_IMAGES, _LINES = partial(_rows, 1, 28, 28), partial(_characters, 80)
JOBS = {
    "J1a": Task("J1a CNN, is it a five?", "cnn", _CNN, _fives, 100, 0.05),
    "J1b": Task("J1b CNN, is it a five?", "cnn", _CNN, _fives, 1, 0.01),
    "J2": Task("J2 text-CNN on IMDB, Adam", "textcnn", _TEXT, data.imdb, 64, 1e-3, "adam"),
    "J3a": Task("J3a RNN, 4 × 196 pixels", "rnn", (196, 64), _QUARTERS, 100, 0.05),
    "J3b": Task("J3b RNN, 28 rows", "rnn", (28, 64), partial(_rows, 28, 28), 100, 0.05),
    "J4a": Task("J4a MLP on a circle", "mlp", (2, 25), _CIRCLE, 1, 0.05),
    "J4b": Task("J4b MLP on a circle", "mlp", (2, 25), _CIRCLE, 32, 0.1),
    "J5": Task("J5 LeNet, norms, dropout", "lenet", (0.3, 96), _IMAGES, 48, 0.05),
    "J6": Task("J6 residual CNN", "residual", (20,), _IMAGES, 40, 0.05),
    "J7": Task("J7 LSTM on IMDB", "lstm", (2, 12_849, 32, 56), _reviews, 48, 1e-3, "adam"),
    "J8": Task("J8 GRU, 80 characters", "gru", (128, 128, 24, 80), _LINES, 40, 1e-3, "adam"),
    "J9": Task("J9 MLP, 640 wide", "wide", (784, 640), partial(_rows, 784), 96, 0.1),
    "J10": Task(
        "J10 transformer block",
        "transformer",
        (128, 6, 96),
        partial(_characters, 48),
        24,
        1e-3,
        "adam",
    ),
}


#: What people build: their last option is a width.
NETWORKS = tuple(JOBS)[7:]


def few(job: Task, steps: int) -> Task:
    """The job with the samples of so many training steps."""
    return replace(job, source=lambda: tuple(a[: steps * job.batch] for a in job.source()))


def changed(job: Task) -> dict[str, Task]:
    """The job with one number changed, by what it is."""

    def shorter() -> tuple[Array, ...]:
        x, y, *_ = job.source()
        return x[:, : x.shape[1] * 3 // 4], y

    *options, width = job.options
    found = {
        "another width": replace(job, options=(*options, width * 3 // 2)),
        "another batch size": replace(job, batch=job.batch * 3 // 4),
        "another learning rate": replace(job, lr=job.lr / 2),
    }
    if job.kind in ("lstm", "gru", "transformer"):
        found["another number of steps"] = replace(job, source=shorter)
    return found


def _random(floats: tuple[int, ...] | None, *ids: Any) -> tuple[Array, ...]:
    """Normal numbers of a shape, and if asked for, ids of a shape and below a number."""
    rng = np.random.default_rng(0)
    found = [rng.standard_normal(floats, np.float32)] if floats else []
    return (*found, rng.integers(0, ids[1], ids[0])) if ids else tuple(found)


def _images(channels: int) -> tuple[Array, ...]:
    return *_random((128, channels, 16, 16)), np.zeros(128, np.float32)


# ---------------- the same with other sizes
AXES = {
    "batch": "samples in a batch of the CNN J1",
    "steps": "time steps of an RNN, 32 × 28 → 64",
    "channels": "channels in and out of a 3 × 3 convolution, 16 × 16²",
    "threads": "threads, CNN J1a",
}
SCALING = {
    "batch": (1, 4, 16, 64, 256, 1024, 4096),
    "steps": (4, 16, 64, 256, 1024),
    "channels": (1, 4, 16, 64, 256),
}


def scaled(axis: str, size: int) -> Task:
    """Return the job at one point of an axis; on random numbers if no data set fits."""
    cnn, rnn = (replace(JOBS[name], title=str(size)) for name in ("J1a", "J3b"))
    if axis == "batch":
        return replace(cnn, batch=size, source=partial(_fives, 4096))
    if axis == "steps":
        return replace(rnn, batch=32, lr=1e-3, source=partial(_random, (256, size, 28), 256, 10))
    options = (size, size, 3, 16)
    return replace(cnn, options=options, batch=16, lr=1e-3, source=partial(_images, size))


# ---------------- operators: models of one layer
#: One input is used again and again: each is too large for a processor to learn its branches.
#: Minigrad writes into memory that it has already, as in a graph that runs again; PyTorch
#: allocates its results, as it always does.
OPERATORS = [
    Task(title, kind, options, partial(_random, *source))
    for title, kind, options, *source in (
        ("conv 16→32: 32×16×32², 3×3, padding 1", "Conv2d", (16, 32, 3, 1, 1), (32, 16, 32, 32)),
        ("conv 64→64: 64×64×28², 3×3, padding 1", "Conv2d", (64, 64, 3, 1, 1), (64, 64, 28, 28)),
        ("conv 1→20: 64×1×28², 5×5 (LeNet)", "Conv2d", (1, 20, 5), (64, 1, 28, 28)),
        ("max-pool: 64×20×24², 2×2", "MaxPool2d", (2,), (64, 20, 24, 24)),
        ("cross-entropy: 4096×1000", "cross_entropy", (), (4096, 1000), 4096, 1000),
        ("linear: 256×784→512", "Linear", (784, 512), (256, 784)),
        ("RNN: 28 steps, 100×28→64", "RNN", (28, 64), (28, 100, 28)),
        ("LSTM: 64 steps, 32×128→128", "LSTM", (128, 128), (64, 32, 128)),
        ("embedding: 64×130 of 12849×50", "Embedding", (12_849, 50), None, (64, 130), 12_849),
    )
]
