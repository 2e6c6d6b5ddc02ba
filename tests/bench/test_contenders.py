"""The real contenders: with the same initial weights and batches, all have the same losses."""

import importlib
import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from bench.tasks import MODELS, small_task

from minigrad.bench import jobs
from minigrad.bench.peers import task as tasks
from minigrad.bench.process import Process
from minigrad.bench.session import THEIRS
from minigrad.train import evaluation

STEPS = 9  # one epoch of six and the half of another, for those that do not round up


def ready(library, task, mode):
    """A runner at the initial weights."""
    if not importlib.util.find_spec(library):
        pytest.skip(f"{library} is not installed")
    module = importlib.import_module(f"minigrad.bench.peers.on_{library}")
    made = module.RUNNERS[task.operator](task, mode)
    made.reset()
    return made


@pytest.fixture(scope="module")
def expected():
    """Losses after three steps from minigrad's eager mode."""
    found = {}
    for kind in MODELS:
        trained = ready("minigrad", small_task(kind), "eager")
        found[kind] = [trained.run(3, seed)[1] for seed in (0, 1)]
        assert found[kind][0] != found[kind][1]
    return found


#: the models that some contenders have, others have all
ONLY = {"torch channels-last": ("lenet", "residual")}


@pytest.mark.parametrize(
    ("library", "mode", "kind"),
    [
        (*name.partition(" ")[::2], kind)
        for name in ("minigrad replay", *THEIRS, "torch channels-last")
        if name != "torch compile"
        for kind in ONLY.get(name, MODELS)
    ],
)
def test_losses_agree_and_a_reset_brings_them_back(kind, library, mode, expected):
    trained = ready(library, small_task(kind), mode)
    losses = [trained.run(3, seed) for seed in (0, 1)]
    assert [made for made, _ in losses] == [3, 3]
    np.testing.assert_allclose([loss for _, loss in losses], expected[kind], rtol=2e-5)
    again = trained.measure(3, 0)
    assert again["loss"] == losses[0][1] and again["steps"] == 3 and again["seconds"] > 0


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("direction", ["evaluate", "predict"])
def test_looking_agrees(kind, direction, monkeypatch):
    """With running statistics that are not those of the samples, and a smaller last batch."""
    monkeypatch.setattr(tasks, "BATCH", 10)
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", 10)
    task = replace(small_task(kind), direction=direction)
    found = {
        library: ready(library, task, mode).measure(1, 0)["loss"]
        for library, mode in (("minigrad", "replay"), ("torch", "eager"), ("jax", "step"))
        if importlib.util.find_spec(library)
    }
    assert list(found.values()) == pytest.approx([found["minigrad"]] * len(found), rel=1e-5)


def test_others_look_at_batches_of_the_size_that_the_trainer_takes():
    assert tasks.BATCH == evaluation.EVALUATION_BATCH


def test_dropout_changes_the_loss_and_is_left_out_where_losses_are_compared(expected):
    task = small_task("lenet")
    dropping = replace(task, options=(0.9, *task.options[1:]))
    assert tuple(dropping.certain.options) == task.options
    for library, mode in (("minigrad", "replay"), ("torch", "eager"), ("jax", "step")):
        if importlib.util.find_spec(library):
            loss = ready(library, dropping, mode).measure(3, 0)["loss"]
            assert abs(loss / expected["lenet"][0] - 1) > 0.01


def test_characters_and_the_one_after():
    x, y = jobs.JOBS["J8"].source()
    assert x.shape[1] == 80 and x.max() < 128
    assert y[0] == x[1, 80 - 37]  # the next window begins 37 characters further on


def test_the_compiled_mode_rounds_up_to_whole_epochs(expected):
    trained = ready("minigrad", small_task("mlp"), "compiled")
    assert [trained.run(3, seed)[1] for seed in (0, 1)] == pytest.approx(expected["mlp"], rel=2e-5)
    assert trained.run(STEPS, 0)[0] == 12
    assert trained.work()["flops"] > 1000


def test_allocations_are_counted(path):
    with Process("minigrad", extra={"NUMBA_NRT_STATS": "1"}) as process:
        process.measure(path, "minigrad replay", 6)
        found = process.ask("allocations", steps=6)
        (held,) = found["rounds"]
        assert 0 < held < 1e6 and found["arrays a step"] >= 0


SMALL = {
    "Conv2d": ((3, 4), (2, 3, 6, 6)),
    "MaxPool2d": ((), (2, 3, 6, 6)),
    "cross_entropy": ((), (5, 7)),
    "Linear": ((6, 5), (4, 6)),
    "RNN": ((3, 5), (4, 2, 3)),
    "LSTM": ((3, 5), (4, 2, 3)),
    "Embedding": ((9, 4), (3, 2)),
}


@pytest.mark.parametrize("job", jobs.OPERATORS, ids=lambda job: job.title.partition(":")[0])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_operators_run_both_ways(job, direction):
    options, shape = SMALL[job.kind]
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(np.float32)
    if job.kind == "Embedding":
        x = rng.integers(0, 9, shape)
    arrays = (x, rng.integers(0, 7, 5)) if job.kind == "cross_entropy" else (x,)
    options += job.options[len(options) :]
    small = replace(job, options=options, source=lambda: arrays, direction=direction)
    task = jobs.prepared(small)
    pairs = [("minigrad", "replay")]
    if importlib.util.find_spec("torch"):
        pairs += [("torch", "NCHW"), ("torch", "channels-last")][: 1 + (x.ndim == 4)]
    sums = [ready(library, task, mode).measure(2, 0)["loss"] for library, mode in pairs]
    np.testing.assert_allclose(sums, sums[0], rtol=1e-5)
    assert sums[0] > 0
    work = ready("minigrad", task, "replay").work()
    assert work["bytes"] > 0 and (work["flops"] > 0) == (job.kind != "Embedding")


def test_the_operands_of_operators_have_the_shapes_of_their_titles():
    shapes = {job.title: [array.shape for array in job.source()] for job in jobs.OPERATORS[3:5]}
    assert shapes == {
        "max-pool: 64×20×24², 2×2": [(64, 20, 24, 24)],
        "cross-entropy: 4096×1000": [(4096, 1000), (4096,)],
    }
    (ids,) = jobs.OPERATORS[-1].source()
    assert ids.shape == (64, 130) and ids.dtype == np.int64 and ids.max() < 12_849
