"""Smaller batches run compiled where they need no other machine code than full ones."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.run.compiled import CompiledStep
from minigrad.train.runner import StepRunner

RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(79, 3)), RNG.integers(0, 2, 79)


def trainer(mode):
    model = nn.Sequential(
        nn.Linear(3, 8, seed=0), nn.BatchNorm1d(8), nn.Dropout(0.2, seed=2), nn.Linear(8, 2, seed=1)
    )
    return mg.Trainer(
        model, mg.cross_entropy, mg.optim.Adam(model.parameters(), lr=0.01), mode=mode
    )


def fit(run, n=70, **options):
    return run.fit(
        X[:n], Y[:n], **{"epochs": 3, "batch_size": 32, "progress": False, **options}
    ).batch_loss


@pytest.fixture
def replayed(monkeypatch):
    """The sizes of the batches that run in replay."""
    sizes, gradients = [], StepRunner.gradients

    def counted(self, x, y, *more, **options):
        sizes.append(len(x))
        return gradients(self, x, y, *more, **options)

    monkeypatch.setattr(StepRunner, "gradients", counted)
    return sizes


def test_the_last_batch_runs_compiled_with_the_same_numbers(replayed):
    expected = fit(trainer("replay"))
    assert replayed == [32, 32, 6] * 3
    first, again = trainer("compiled"), trainer("compiled")
    np.testing.assert_allclose(fit(first), expected, rtol=1e-4)
    assert fit(again) == fit(trainer("compiled")) and len(replayed) == 9
    np.testing.assert_equal(again.state_dict(), {**first.state_dict()})


@pytest.mark.parametrize("n", [78, 79])
def test_parts_of_a_smaller_batch(n, monkeypatch, replayed):
    """A batch of 14 has two parts, as the full ones do, one of 15 cannot be halved."""
    monkeypatch.setattr("minigrad.run.batch.WORTH_THREADS", 0)
    monkeypatch.setattr("minigrad.kernels.jit.threads", lambda items: 2)
    losses = []
    for mode in ("replay", "compiled"):
        model = nn.Sequential(nn.Linear(3, 8, seed=0), nn.Tanh(), nn.Linear(8, 2, seed=1))
        run = mg.Trainer(model, mg.cross_entropy, mg.optim.SGD(model.parameters(), 0.1), mode=mode)
        losses.append(fit(run, n))
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert not replayed[9:]


def test_a_batch_that_needs_other_machine_code_runs_in_replay(replayed):
    run, x = trainer("compiled"), X[:65]  # a single sample: products and loops of another kind
    run.model = nn.Sequential(run.model[0], nn.Tanh(), nn.LayerNorm(8), run.model[3])
    run.optimizer = mg.optim.SGD(run.model.parameters(), lr=0.1)
    assert len(fit(run, len(x))) == 9 and replayed == [1] * 3


def test_fewer_samples_than_a_batch_has_run_in_replay(replayed):
    fit(trainer("compiled"), 20)
    assert replayed == [20] * 3


def test_a_training_resumes_at_the_last_batch_to_the_same_bits(monkeypatch, tmp_path):
    path, whole, first, second = tmp_path / "t.safetensors", *(trainer("compiled") for _ in "123")
    np.save(tmp_path / "x.npy", X)
    expected, run = fit(whole), CompiledStep.run

    def interrupted(self, x, y, order, losses, schedule):
        if self.batch == 6 and len(losses):
            raise KeyboardInterrupt
        return run(self, x, y, order, losses, schedule)

    with monkeypatch.context() as patch:
        patch.setattr(CompiledStep, "run", interrupted)
        assert fit(first) == expected[:2]
    mg.save(first, path)
    mg.load(second, path)
    for run_again, x in ((first, X), (second, np.load(tmp_path / "x.npy", mmap_mode="r"))):
        found = run_again.fit(x[:70], Y[:70], epochs=3, batch_size=32, progress=False, resume=True)
        assert found.batch_loss == expected[2:]
        np.testing.assert_equal(run_again.state_dict(), whole.state_dict())
