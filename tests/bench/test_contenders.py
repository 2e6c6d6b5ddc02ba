"""The real contenders: from the same first values and batches, all come to the same losses."""

import importlib
import importlib.util

import numpy as np
import pytest
from bench.tasks import small_task

from minigrad.bench import kernels
from minigrad.bench.process import Process
from minigrad.bench.sections import MODES

STEPS = 9  # one epoch of six and the half of another, for those that do not round up


def contender(library, task, mode):
    if not importlib.util.find_spec(library):
        pytest.skip(f"{library} is not installed")
    return importlib.import_module(f"minigrad.bench.peers.on_{library}").contender(task, mode)


@pytest.fixture(scope="module")
def expected():
    """Losses after three steps from minigrad's eager mode."""
    found = {}
    for kind in ("cnn", "textcnn", "rnn", "mlp"):
        trained = contender("minigrad", small_task(kind), "eager")
        found[kind] = [trained.train(3, seed)[1] for seed in (0, 1)]
        assert found[kind][0] != found[kind][1]
    return found


PAIRS = [
    ("minigrad", "replay"),
    *(
        (lib, mode)
        for lib in ("torch", "jax", "autograd", "mygrad")
        for mode in MODES[lib]
        if mode != "compile"
    ),
]


@pytest.mark.parametrize("kind", ["cnn", "textcnn", "rnn", "mlp"])
@pytest.mark.parametrize(("library", "mode"), PAIRS)
def test_losses_agree_and_a_reset_brings_them_back(kind, library, mode, expected):
    trained = contender(library, small_task(kind), mode)
    losses = [trained.train(3, seed) for seed in (0, 1)]
    assert [made for made, _ in losses] == [3, 3]
    np.testing.assert_allclose([loss for _, loss in losses], expected[kind], rtol=2e-5)
    trained.reset()
    assert trained.train(3, 0)[1] == losses[0][1]


def test_the_compiled_mode_rounds_up_to_whole_epochs(expected):
    trained = contender("minigrad", small_task("mlp"), "compiled")
    assert [trained.train(3, seed)[1] for seed in (0, 1)] == pytest.approx(
        expected["mlp"], rel=2e-5
    )
    assert trained.train(STEPS, 0)[0] == 12
    assert trained.work()["flops"] > 1000


def test_allocations_are_counted(folder):
    with Process("minigrad", extra={"NUMBA_NRT_STATS": "1"}) as process:
        found = process.ask(process.make("replay", folder=folder), "allocations", steps=6)["result"]
        assert found["steps"] == 6 and 0 < found["bytes"] < 1e6 and found["arrays"] >= 0


@pytest.mark.parametrize("name", [name for name in kernels.KERNELS if name != "LSTM"])
def test_kernels_run_both_ways(name, tmp_path):
    from minigrad.bench.peers import on_minigrad

    small = {
        "conv2d": kernels._conv(2, 3, 4, 6, 3),
        "max_pool2d": kernels._normal((2, 3, 6, 6)),
        "cross_entropy": kernels._ids((5, 7), (5,), 7, True),
        "linear": kernels._normal((4, 6), (5, 6), (5,)),
        "rnn": kernels._recurrent(4, 2, 3, 5, 1),
        "embedding": kernels._ids((9, 4), (3, 2), 9, False),
    }
    given = kernels.KERNELS[name]
    kernel = kernels.Kernel("", given.operator, small[given.operator], given.options).save(tmp_path)
    for way in kernels.WAYS:
        sums = []
        libraries = [("minigrad", "replay")]
        if importlib.util.find_spec("torch"):
            libraries += [("torch", "NCHW"), ("torch", "channels-last")]
        for library, mode in libraries:
            made = importlib.import_module(f"minigrad.bench.peers.on_{library}").kernel(
                {**kernel, "way": way}, mode
            )
            sums.append(made.run(2))
        np.testing.assert_allclose(sums, sums[0], rtol=1e-5)
        assert sums[0] > 0
        work = on_minigrad.kernel({**kernel, "way": way}, "replay").work()
        assert work["bytes"] > 0 and (work["flops"] > 0) == (name != "embedding")
