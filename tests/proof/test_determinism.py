"""The same seed gives the same bits: in every mode, twice in a process and in another one, for one
thread and for two; in the process that compiles as in those that load what it has compiled.
"""

import os
import subprocess
import sys

import numba
import pytest

TRAINING = """
import hashlib, sys
import numpy as np, minigrad as mg
from minigrad import nn
def digest(mode):
    mg.manual_seed(3)
    layers = nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 3)
    model = nn.Sequential(*layers)
    x, y = np.random.default_rng(0).normal(size=(40, 5)), np.arange(40) % 3
    optimizer = mg.optim.Adam(model.parameters(), lr=0.01)
    trainer = mg.Trainer(model, mg.cross_entropy, optimizer, mode=mode)
    history = trainer.fit(x, y, epochs=2, batch_size=16, seed=5, progress=False)
    arrays = [np.array(history.batch_loss), *model.state_dict().values()]
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()
print(*(digest(mode) for mode in sys.argv[1:] * 2))
"""


def digests(threads, salt, modes=("eager", "replay", "compiled"), **settings):
    """Of losses and all that the model holds, after training in each mode, twice; in a process of
    its own.
    """
    env = {**os.environ, "NUMBA_NUM_THREADS": str(threads), "PYTHONHASHSEED": str(salt), **settings}
    done = subprocess.run(
        [sys.executable, "-c", TRAINING, *modes], env=env, capture_output=True, encoding="utf-8"
    )
    assert not done.returncode, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("threads", [1, 2])
def test_same_seed_same_bits(threads):
    if threads > numba.config.NUMBA_NUM_THREADS:
        pytest.skip("one thread only")
    first, second = (digests(threads, salt) for salt in range(2))
    assert first == second and first[:3] == first[3:]
    assert (
        first[0] == first[1]
    )  # replay computes what eager does; compiled code rounds in another order


def test_who_compiles_gets_the_same_bits_as_who_loads(tmp_path):
    first, second = (
        digests(1, salt, ["compiled"], NUMBA_CACHE_DIR=str(tmp_path)) for salt in range(2)
    )
    assert first == second and any(tmp_path.iterdir())
