"""Schedules of the learning rate in a `Trainer`: each mode, by epochs and by batches, resumed."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.optim import lr_scheduler

MODES = ("eager", "replay", "compiled")
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(23, 4)), RNG.integers(0, 3, 23)
FIT = {"batch_size": 5, "progress": False}  # five steps an epoch, the last one smaller
SCHEDULES = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [1, 7]),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.7),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 0.0, total_iters=4),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 4),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, epochs=4, steps_per_epoch=5),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=0.3),
}


def make(mode, schedule, optimizer=mg.optim.Adam, dtype=np.float64, lr=0.05, **options):
    model = nn.Sequential(nn.Linear(4, 6, seed=0), nn.Tanh(), nn.Linear(6, 3, seed=1)).to(dtype)
    rates = optimizer(model.parameters(), lr=lr)
    return mg.Trainer(
        model, mg.cross_entropy, rates, mode=mode, scheduler=SCHEDULES[schedule](rates), **options
    )


def by_hand(schedule, epochs, unit):
    """The same training as a loop of one's own."""
    run = make("eager", schedule)
    order, losses, rates = np.arange(23), [], []
    for _ in range(epochs):
        total = 0.0
        for start in range(0, 23, 5):
            chosen = order[start : start + 5]
            run.optimizer.zero_grad()
            loss = mg.cross_entropy(run.model(X[chosen].astype(np.float64)), Y[chosen])
            loss.backward()
            rates.append(run.optimizer.lr)
            run.optimizer.step()
            losses.append(loss.item())
            total += losses[-1] * len(chosen)
            if unit == "batch":
                run.scheduler.step()
        if schedule == "ReduceLROnPlateau":
            run.scheduler.step(total / 23)
        elif unit == "epoch":
            run.scheduler.step()
    return losses, rates


UNITS = [(name, unit) for name in SCHEDULES for unit in ("epoch", "batch")]
UNITS.remove(("ReduceLROnPlateau", "batch"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("schedule", "unit"), UNITS)
def test_every_mode_trains_as_a_loop_of_ones_own(schedule, unit, mode):
    with mg.default_dtype(np.float64):
        losses, rates = by_hand(schedule, 4, unit)
        run = make(mode, schedule, scheduler_step=unit)
        found = run.fit(X, Y, epochs=4, shuffle=False, **FIT).batch_loss
    np.testing.assert_allclose(found, losses, rtol=1e-9)
    assert len(set(rates)) > 1
    assert run.scheduler.last_epoch == (20 if unit == "batch" else 4)


def test_a_float32_training_with_a_schedule_is_the_same_in_every_mode():
    losses = [
        make(mode, "OneCycleLR", dtype=np.float32).fit(X, Y, epochs=4, **FIT).batch_loss
        for mode in MODES
    ]
    assert losses[0] == losses[1]
    np.testing.assert_allclose(losses[2], losses[0], rtol=1e-4)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("schedule", ["CosineAnnealingLR", "OneCycleLR", "ReduceLROnPlateau"])
def test_a_checkpoint_resumes_to_the_bit(schedule, mode, tmp_path):
    path, fit = tmp_path / "t.safetensors", {**FIT, "validation": (X, Y)}
    whole, first, second = (make(mode, schedule) for _ in range(3))
    expected = whole.fit(X, Y, epochs=4, **fit).batch_loss
    losses = first.fit(X, Y, epochs=2, **fit).batch_loss
    mg.save(first, path)
    mg.load(second, path)
    losses += second.fit(X, Y, epochs=4, resume=True, **fit).batch_loss
    assert losses == expected
    np.testing.assert_equal(second.state_dict(), whole.state_dict())


def test_an_interrupted_epoch_goes_on_with_its_rate(tmp_path):
    class Cut:
        left = 7

        def on_batch(self, trainer, graph):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    whole, run = make("replay", "OneCycleLR"), make("replay", "OneCycleLR", callbacks=[Cut()])
    expected = whole.fit(X, Y, epochs=4, **FIT).batch_loss
    losses = run.fit(X, Y, epochs=4, **FIT).batch_loss
    assert len(losses) == run.scheduler.last_epoch == 6
    assert losses + run.fit(X, Y, epochs=4, resume=True, **FIT).batch_loss == expected


def test_a_file_of_a_trainer_without_a_schedule_is_refused_and_changes_nothing(tmp_path):
    one = make("replay", "StepLR")
    one.fit(X, Y, epochs=2, **FIT)
    other = mg.Trainer(one.model, one.loss, one.optimizer)
    mg.save(other, tmp_path / "t")
    before = one.state_dict()
    with pytest.raises(mg.GraphError, match="scheduler.base_lrs, scheduler.last_epoch"):
        mg.load(one, tmp_path / "t")
    np.testing.assert_equal(one.state_dict(), before)


@pytest.mark.parametrize("mode", MODES)
def test_a_learning_rate_of_zero_changes_nothing(mode):
    model = nn.Linear(4, 3, seed=0)
    before = model.weight.value.copy()
    run = mg.Trainer(model, mg.cross_entropy, mg.optim.SGD(model.parameters(), lr=0), mode=mode)
    run.fit(X, Y, epochs=1, **FIT)
    np.testing.assert_array_equal(model.weight.value, before)


def test_a_plateau_watches_the_validation_where_there_is_one():
    run = make("replay", "ReduceLROnPlateau")
    history = run.fit(X, Y, epochs=1, validation=(X[:9], Y[:9]), **FIT)
    assert [run.scheduler.best] == history.validation_loss
    other = make("replay", "ReduceLROnPlateau")
    history = other.fit(X, Y, epochs=1, **FIT)
    assert [other.scheduler.best] == history.epoch_loss


def test_a_training_longer_than_its_cycle_is_refused_before_it_begins():
    run = make("compiled", "OneCycleLR")
    with pytest.raises(ValueError, match="OneCycleLR: 25 steps; total_steps=20"):
        run.fit(X, Y, epochs=5, **FIT)
    assert run.optimizer.steps == 0
    run.fit(X, Y, epochs=4, **FIT)


def test_bad_use_is_explained():
    run = make("replay", "StepLR")
    with pytest.raises(ValueError, match="another optimiser"):
        mg.Trainer(
            run.model, run.loss, mg.optim.Adam(run.optimizer.params), scheduler=run.scheduler
        )
    with pytest.raises(ValueError, match="scheduler_step='step'; one of epoch, batch"):
        make("replay", "StepLR", scheduler_step="step")
    with pytest.raises(ValueError, match="scheduler_step='batch'; one of epoch was"):
        make("replay", "ReduceLROnPlateau", scheduler_step="batch")
    with pytest.raises(TypeError, match="scheduler is a list"):
        mg.Trainer(run.model, run.loss, run.optimizer, scheduler=[])
