"""Learning-rate schedules against PyTorch's."""

import copy

import numpy as np
import pytest
from needs import need

import minigrad as mg
from minigrad.optim import lr_scheduler

need("torch", "bench")
import torch  # after the check that it is there

CASES = [
    ("StepLR", {"step_size": 3}),
    ("StepLR", {"step_size": 1, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [4, 2, 4, 9], "gamma": 0.3}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.7, "total_iters": 9}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 30}),
    ("CosineAnnealingLR", {"T_max": 5}),
    ("CosineAnnealingLR", {"T_max": 30, "eta_min": 0.01}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 20}),
    ("OneCycleLR", {"max_lr": [0.5, 0.2], "epochs": 4, "steps_per_epoch": 6, "pct_start": 0.45}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 25, "three_phase": True}),
    (
        "OneCycleLR",
        {
            "max_lr": 0.5,
            "total_steps": 23,
            "anneal_strategy": "linear",
            "div_factor": 10.0,
            "final_div_factor": 100.0,
            "base_momentum": 0.6,
            "max_momentum": 0.8,
            "three_phase": True,
        },
    ),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 21, "cycle_momentum": False}),
]
OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9},
    "Adam": {"lr": 0.1},
}


def both(optimizer):
    """minigrad's and PyTorch's optimiser of two groups."""
    leaves = {
        mg.optim: lambda: mg.Variable(np.ones(2), dtype=np.float64),
        torch.optim: lambda: torch.nn.Parameter(torch.ones(2, dtype=torch.float64)),
    }
    return [
        getattr(module, optimizer)(
            [{"params": [leaf()]}, {"params": [leaf()], "lr": 0.03}], **OPTIMIZERS[optimizer]
        )
        for module, leaf in leaves.items()
    ]


def momenta(optimizer):
    found = []
    for group in optimizer.param_groups:
        first = group["betas"][0] if "betas" in group else group.get("beta1")
        found.append(group.get("momentum", first))
    return found


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("name", "options"), CASES)
def test_learning_rates_and_momenta_are_pytorchs(name, options, optimizer):
    mine, theirs = both(optimizer)
    one = getattr(lr_scheduler, name)(mine, **options)
    other = getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    ahead = one.ahead(20)
    for i in range(20):
        np.testing.assert_allclose(one.get_last_lr(), other.get_last_lr(), rtol=1e-9, atol=1e-16)
        np.testing.assert_allclose(momenta(mine), momenta(theirs), rtol=1e-9)
        np.testing.assert_array_equal([each["lr"][i] for each in ahead], one.get_last_lr())
        theirs.step()
        one.step()
        other.step()


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(
    "options",
    [
        {"patience": 2},
        {"patience": 0, "factor": 0.5, "threshold": 0.05, "min_lr": 0.01},
        {"patience": 1, "cooldown": 3, "min_lr": [0.05, 0.0], "eps": 1e-3},
    ],
)
def test_reduction_on_a_plateau_is_pytorchs(options, threshold_mode, mode):
    options = {**options, "mode": mode, "threshold_mode": threshold_mode}
    mine, theirs = both("SGD")
    one = lr_scheduler.ReduceLROnPlateau(mine, **options)
    other = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    for metric in np.random.default_rng(0).normal(size=40) ** 2:
        one.step(metric)
        other.step(metric)
        np.testing.assert_allclose(
            one.get_last_lr(), [group["lr"] for group in theirs.param_groups], rtol=1e-12
        )
    assert one.num_bad_epochs == other.num_bad_epochs


def test_a_loop_of_ones_own_trains_as_pytorchs():
    mine, theirs = both("Adam")
    options = {"max_lr": 0.3, "total_steps": 12}
    one = lr_scheduler.OneCycleLR(mine, **options)
    other = torch.optim.lr_scheduler.OneCycleLR(theirs, **options)
    rng = np.random.default_rng(1)
    for _ in range(12):
        for p, q in zip(
            mine.params, [q for group in theirs.param_groups for q in group["params"]], strict=True
        ):
            p.grad = rng.normal(size=2)
            q.grad = torch.tensor(p.grad, dtype=q.dtype)
        mine.step()
        theirs.step()
        one.step()
        other.step()
    for p, group in zip(mine.params, theirs.param_groups, strict=True):
        np.testing.assert_allclose(p.value, group["params"][0].detach().numpy(), rtol=1e-10)


def test_one_cycle_turns_momentum_on_as_pytorchs_does():
    p = mg.Variable(np.ones(2))
    sgd = mg.optim.SGD([p], lr=0.1)
    lr_scheduler.OneCycleLR(sgd, 0.1, 10)
    assert sgd.memory == ("velocity",) and sgd.param_groups[0]["momentum"] == 0.95


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_state_goes_round(name, options):
    first, second = both("SGD")[0], both("SGD")[0]
    one, other = (getattr(lr_scheduler, name)(each, **options) for each in (first, second))
    for _ in range(7):
        one.step()
    other.load_state_dict(one.state_dict())
    assert other.get_last_lr() == one.get_last_lr() and momenta(first) == momenta(second)
    twin = copy.deepcopy(other)
    for each in (one, twin):
        each.step()
    assert twin.get_last_lr() == one.get_last_lr() and other.last_epoch == 7


def test_the_state_of_a_plateau_goes_round():
    one, other = (lr_scheduler.ReduceLROnPlateau(both("SGD")[0], patience=1) for _ in range(2))
    for metric in (1.0, 2.0, 3.0, 4.0):
        one.step(metric)
    other.load_state_dict(one.state_dict())
    assert other.get_last_lr() == one.get_last_lr() == pytest.approx([0.01, 0.003])
    assert (other.best, other.num_bad_epochs) == (1.0, 1)
    with pytest.raises(mg.GraphError, match="StepLR"):
        lr_scheduler.StepLR(both("SGD")[0], 3).load_state_dict(one.state_dict())


def test_a_rate_that_another_thing_has_set_is_noticed():
    sgd = mg.optim.SGD([mg.Variable(1.0)], lr=0.5)
    schedule = lr_scheduler.ExponentialLR(sgd, 0.5)
    sgd.lr = 0.1
    with pytest.raises(mg.GraphError, match=r"rates are \[0.1\], the schedule has set \[0.5\]"):
        schedule.step()


SGD = mg.optim.SGD([mg.Variable(1.0)], lr=0.5)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: lr_scheduler.StepLR([], 3), TypeError, "a list; an Optimizer was expected"),
        (lambda: lr_scheduler.StepLR(SGD, 0), ValueError, "step_size=0; an integer ≥ 1"),
        (lambda: lr_scheduler.ExponentialLR(SGD, -1), ValueError, "gamma=-1; a number ≥ 0"),
        (lambda: lr_scheduler.LinearLR(SGD, 2), ValueError, "start_factor=2; a number from 0 to 1"),
        (lambda: lr_scheduler.CosineAnnealingLR(SGD, 0.5), ValueError, "T_max=0.5"),
        (lambda: lr_scheduler.OneCycleLR(SGD, 0.1), ValueError, "total_steps=None"),
        (
            lambda: lr_scheduler.OneCycleLR(SGD, [0.1, 0.2], 9),
            ValueError,
            "a learning rate of [0.1, 0.2]; a",
        ),
        (
            lambda: lr_scheduler.OneCycleLR(mg.optim.RMSprop(SGD.params), 0.1, 9),
            ValueError,
            "RMSprop has no momentum to cycle; cycle_momentum=False",
        ),
        (lambda: lr_scheduler.ReduceLROnPlateau(SGD, factor=1.5), ValueError, "factor=1.5"),
        (lambda: lr_scheduler.ReduceLROnPlateau(SGD, "down"), ValueError, "mode='down'; one of"),
    ],
)
def test_bad_use_is_explained(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)


def test_one_cycle_ends():
    schedule = lr_scheduler.OneCycleLR(mg.optim.SGD([mg.Variable(1.0)], lr=1), 0.1, 3)
    for _ in range(3):
        schedule.step()
    with pytest.raises(ValueError, match="OneCycleLR: 4 steps; total_steps=3"):
        schedule.step()
