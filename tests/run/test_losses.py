"""Losses with options in all modes: the same numbers, split by samples where they are a mean."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.run import batch

RNG = np.random.default_rng(0)
X, IDS = RNG.normal(size=(36, 4)).astype(np.float32), RNG.integers(0, 3, 36)
SOME = np.where(RNG.random(36) < 0.3, -100, IDS)
SHARES = RNG.dirichlet(np.ones(3), 36).astype(np.float32)
WEIGHT = np.array([0.5, 1.0, 2.0])


def with_options(loss, **options):
    return lambda output, target: loss(output, target, **options)


def sequences(output, target):
    """Computed ids, some of which do not count."""
    ids = target.reshape(-1, 1).reshape(-1)
    return mg.cross_entropy(output, ids, ignore_index=7, label_smoothing=0.1)


LOSSES = {
    "weights": (with_options(mg.cross_entropy, weight=WEIGHT), IDS),
    "ignored": (with_options(mg.cross_entropy, ignore_index=1), IDS),
    "ignored by default": (mg.cross_entropy, SOME),
    "smoothed": (with_options(mg.cross_entropy, label_smoothing=0.1), IDS),
    "all": (with_options(mg.cross_entropy, label_smoothing=0.1, weight=WEIGHT), SOME),
    "computed ids": (sequences, np.where(SOME < 0, 7, SOME)),
    "probabilities": (mg.cross_entropy, SHARES),
    "nll": (lambda y, t: mg.nll_loss(mg.log_softmax(y), t, weight=WEIGHT), IDS),
    "mean of all": (lambda y, t: mg.mse_loss(y, t, reduction="none").mean(), SHARES),
    "smooth l1": (with_options(mg.smooth_l1_loss, beta=0.3), SHARES),
    "hinge": (lambda y, t: mg.hinge_loss(y, mg.sign(t - 0.3)), SHARES),
    "kl": (
        lambda y, t: mg.kl_div(mg.log_softmax(y), t, reduction="batchmean"),
        SHARES,
    ),
    "picked": (lambda y, t: -mg.take_along_axis(y, t.reshape(-1, 1), 1).mean(), IDS),
    "sorted": (lambda y, t: mg.mse_loss(mg.sort(y), mg.sort(t)), SHARES),
}


def trained(loss, y, mode):
    model = nn.Linear(4, 3, seed=0)
    t = mg.Trainer(model, loss, mg.optim.SGD(model.parameters(), lr=0.3), mode=mode)
    losses = t.fit(X, y, epochs=3, batch_size=12, progress=False).batch_loss
    return np.concatenate([losses, model.weight.value.ravel()]), t


@pytest.mark.parametrize("name", LOSSES)
def test_all_modes_agree_also_in_parts(name, monkeypatch):
    loss, y = LOSSES[name]
    expected, _ = trained(loss, y, "eager")
    for mode in ("replay", "compiled"):
        np.testing.assert_allclose(trained(loss, y, mode)[0], expected, rtol=1e-4, atol=1e-6)
    monkeypatch.setattr(batch, "WORTH_THREADS", 0)
    found, t = trained(loss, y, "compiled")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    if mg.kernels.jit.threads(12) > 1 and mg.kernels.simd.ON:
        assert t.compile(X, y, batch_size=12).parts > 1


def test_a_sum_is_not_split():
    """The gradient of a part would be averaged over the parts."""
    loss = with_options(mg.cross_entropy, reduction="sum")
    found = [trained(loss, IDS, mode)[0] for mode in ("eager", "compiled")]
    np.testing.assert_allclose(*found, rtol=1e-4)


@pytest.mark.parametrize("mode", ["replay", "compiled"])
def test_computed_ids_of_no_class_are_found_in_all_modes(mode):
    y = IDS.copy()
    y[30] = 5
    with pytest.raises(IndexError, match="out of range"):
        trained(sequences, y, mode)
