"""Threads and processes, as the page `limits.md` tells of them: each threading layer and each
process computes the same bits.
"""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.run import compiled

ROOT = Path(__file__).parents[1]
needs_compiler = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
PROGRAM = """
import sys
from test_threads import losses
found = losses()
import numba
print(numba.threading_layer(), numba.get_num_threads(), *map(float.hex, found))
"""


def losses(mode="compiled"):
    """Of a training that has work for several threads."""
    model = nn.Sequential(nn.Linear(30, 200, seed=0), nn.Tanh(), nn.Linear(200, 1, seed=1))
    trainer = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.01), mode=mode)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(800, 30)), rng.normal(size=(800, 1))
    return [
        float(loss)
        for loss in trainer.fit(x, y, epochs=2, batch_size=400, progress=False).batch_loss
    ]


def in_a_process(**settings):
    """Threading layer, number of threads and losses. Skips where the layer is not installed."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    env = {**os.environ, "PYTHONPATH": paths, "NUMBA_NUM_THREADS": "2", **settings}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=env, capture_output=True, encoding="utf-8"
    )
    if "No threading layer could be loaded" in done.stderr:
        pytest.skip(f"Numba finds no threading layer {settings['NUMBA_THREADING_LAYER']} here")
    assert done.returncode == 0, done.stderr
    layer, threads, *found = done.stdout.split()
    return layer, int(threads), found


@pytest.fixture(scope="module")
def usual():
    return in_a_process()


@needs_compiler
@pytest.mark.parametrize("layer", ["workqueue", "omp", "tbb"])
def test_each_threading_layer_computes_the_same_bits(layer, usual):
    assert in_a_process(NUMBA_THREADING_LAYER=layer) == (layer, 2, usual[2])


@needs_compiler
def test_one_thread_computes_the_same_to_rounding(usual):
    _, threads, found = in_a_process(NUMBA_NUM_THREADS="1")
    assert threads == 1
    np.testing.assert_allclose(
        [*map(float.fromhex, found)], [*map(float.fromhex, usual[2])], rtol=1e-5
    )


def compile_few_steps():
    """What `conftest.py` does for the tests' own process."""
    compiled.LOADING = 0


@pytest.mark.parametrize("mode", ["compiled", "replay"])
def test_spawned_processes_train_side_by_side(mode):
    with multiprocessing.get_context("spawn").Pool(2, compile_few_steps) as pool:
        found = pool.map(losses, [mode] * 2)
    assert found == [losses(mode)] * 2
