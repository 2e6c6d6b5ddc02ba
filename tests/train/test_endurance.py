"""Long trainings in constant memory, two trainings at once, and the same bits each time."""

import gc
import os
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.train import cross_validate

MODES = ("eager", "replay", "compiled")
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 4)).astype(np.float32), RNG.integers(0, 3, 40)
ROOT = Path(__file__).parents[2]


def make(mode, seed=0):
    """A model with everything that could grow: running statistics, a stream of masks, momenta."""
    mg.manual_seed(seed)
    layers = (
        nn.Linear(4, 6),
        nn.BatchNorm1d(6),
        nn.Tanh(),
        nn.Dropout(0.3, seed=seed),
        nn.Linear(6, 3),
    )
    model = nn.Sequential(*layers)
    return mg.Trainer(
        model, mg.cross_entropy, mg.optim.Adam(model.parameters(), lr=0.01), mode=mode
    )


def resident():
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf(
        "SC_PAGE_SIZE"
    )


# ---------------- flat memory
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
@pytest.mark.parametrize(
    "steps", [1500, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
@pytest.mark.parametrize("mode", MODES)
def test_memory_is_flat(mode, steps, no_gc):
    """Five hundred steps at a time, as a history grows; every fifth batch is smaller."""
    run = make(mode)

    def train():
        run.fit(X, Y, epochs=100, batch_size=9, validation=(X, Y), progress=False)

    train()
    tracemalloc.start()
    try:
        for _ in range(4):  # Python keeps some freed objects for the next ones
            train()
        held, pages = tracemalloc.get_traced_memory()[0], resident()
        for _ in range(steps // 500):
            train()
        assert tracemalloc.get_traced_memory()[0] - held < 100_000
        assert resident() - pages < 4_000_000
    finally:
        tracemalloc.stop()


# ---------------- two threads
def at_once(*functions):
    """Call each function in a thread of its own, all at the same time; returns the results."""
    found, start = {}, threading.Barrier(len(functions))

    def call(i):
        start.wait()
        found[i] = functions[i]()

    threads = [threading.Thread(target=call, args=(i,)) for i in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[i] for i in range(len(functions))]


def trained(mode, seed, dtype="float32"):
    with mg.default_dtype(dtype):
        run = make(mode, seed)
        run.fit(X, Y, epochs=12, batch_size=10, seed=seed, validation=(X, Y), progress=False)
    return run.state_dict()


@pytest.mark.parametrize("mode", MODES)
def test_two_threads_train_two_models(mode):
    jobs = [(mode, 1, "float32"), (mode, 2, "float64")]
    alone = [trained(*job) for job in jobs]
    assert alone[0]["model.0.weight"].dtype != alone[1]["model.0.weight"].dtype
    for _ in range(3):
        together = at_once(*(lambda job=job: trained(*job) for job in jobs))
        np.testing.assert_equal(together, alone)


def test_one_thread_reads_while_another_trains():
    alone, other = trained("eager", 1), make("eager", 5)

    def look():
        with mg.no_grad():
            return [other.predict(X) for _ in range(20)]

    together, seen = at_once(lambda: trained("eager", 1), look)
    np.testing.assert_equal(together, alone)
    assert all((each == seen[0]).all() for each in seen)


def first_values():
    return [nn.Linear(9, 9).weight.value.copy() for _ in range(50)]


def test_each_thread_draws_its_own_initial_weights():
    mg.manual_seed(0)
    alone = first_values()
    mg.manual_seed(7)
    np.testing.assert_equal(at_once(first_values, first_values), [alone, alone])
    mg.manual_seed(0)
    np.testing.assert_equal(first_values(), alone)


def small():
    return nn.Sequential(
        *(layer for i in range(20) for layer in (nn.Linear(4, 4), nn.Tanh())), nn.Linear(4, 3)
    )


def test_folds_in_threads_are_scored_as_folds_one_after_the_other():
    from joblib import parallel_config

    recipe = {"folds": 4, "epochs": 1, "batch_size": 10, "loss": mg.cross_entropy, "mode": "replay"}
    alone = cross_validate(small, X, Y, **recipe)
    with parallel_config("threading", n_jobs=4):
        assert cross_validate(small, X, Y, **recipe) == alone


# ---------------- the same seed, the same bits
PROGRAM = """
import hashlib, sys, warnings
sys.path.insert(0, "tests")
from train.test_endurance import MODES, trained
for mode in MODES:
    state = trained(mode, 3)
    content = b"".join(name.encode() + state[name].tobytes() for name in state)
    print(mode, hashlib.sha256(content).hexdigest())
"""


def test_the_same_bits_in_every_process():
    """In every mode, for every hash seed, with one thread and with all of them."""
    for threads in ["1"] if os.cpu_count() == 1 else ["1", "2"]:
        said = set()
        for hashing in ("1", "2"):
            env = {
                **os.environ,
                "PYTHONHASHSEED": hashing,
                "NUMBA_NUM_THREADS": threads,
                "PYTHONPATH": str(ROOT),
            }
            command = [sys.executable, "-W", "error", "-c", PROGRAM]
            done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, encoding="utf-8")
            assert done.returncode == 0, done.stderr
            said.add(done.stdout)
        assert len(said) == 1 and len(said.pop().splitlines()) == len(MODES)


@pytest.mark.parametrize("mode", MODES)
def test_the_same_bits_each_time(mode):
    one = trained(mode, 3)
    gc.collect()
    np.testing.assert_equal(trained(mode, 3), one)
    assert any((trained(mode, 4)[name] != one[name]).any() for name in one)
