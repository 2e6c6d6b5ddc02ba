"""Run as a script by `test_jit.py`: trainings in several threads or forked processes, against the
same ones in turn.
"""

import multiprocessing
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import numba
import numpy as np

import minigrad as mg
from minigrad import nn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1280, 1, 20, 20)).astype(
    np.float32
)  # enough for eager kernels to use their threads
Y = RNG.integers(0, 10, 1280)


def losses(seed, mode):
    model = nn.Sequential(
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(100, 100, seed=seed), nn.Linear(100, 10, seed=seed)
    )
    trainer = mg.Trainer(
        model, mg.cross_entropy, mg.optim.SGD(model.parameters(), lr=0.1), mode=mode
    )
    return trainer.fit(X, Y, epochs=5, batch_size=640, progress=False).batch_loss


def first_of_two_threads(jobs):
    """The very first calls of a process come at once; kernels compile while others run."""
    start = threading.Barrier(2)
    with ThreadPoolExecutor(2, initializer=start.wait) as pool:
        return list(pool.map(losses, *zip(*jobs, strict=True)))


def main(ways):
    jobs = [(seed, mode) for seed in (0, 1) for mode in ("eager", "replay", "compiled")]
    found = {"first": first_of_two_threads(jobs)} if "first" in ways else {}
    expected = [losses(*job) for job in jobs]
    for backend in {"threading", "multiprocessing"} & ways:
        found[backend] = joblib.Parallel(2, backend=backend)(
            joblib.delayed(losses)(*job) for job in jobs
        )
    if "fork" in ways:
        with multiprocessing.get_context("fork").Pool(2) as pool:
            found["fork"] = pool.starmap_async(losses, jobs).get(
                100
            )  # without an end it would wait for ever
    assert found == dict.fromkeys(ways, expected), (found, expected)
    print(numba.threading_layer(), "the same numbers")


if __name__ == "__main__":
    main(set(sys.argv[1:]))
