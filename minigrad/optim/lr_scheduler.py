"""Schedules: learning rates that change as a training goes on, with PyTorch's names and numbers.

A schedule is a function of the number of its steps, so a compiled step knows the learning rates of
the steps to come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from ..checks import number, one_of, positive
from ..errors import GraphError
from ..graph.conversion import Array
from .optimizers import Optimizer, fitting

__all__ = [
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "StepLR",
]

WAITS = ("patience", "cooldown")  # counts that may be 0
SHARES = ("start_factor", "end_factor", "factor", "pct_start", "base_momentum", "max_momentum")


@dataclass
class LRScheduler:
    """Base of the schedules, which set the learning rate of each group of an optimiser.

    `last_epoch` counts the steps of the schedule, `base_lrs` are the learning rates that the
    optimiser had before. A `Trainer` makes a step after each epoch, or after each batch where
    `unit` is "batch". One schedule at a time sets the rates of an optimiser: `step` raises
    `GraphError` where they are not those that it has set. A subclass is a dataclass that defines
    `rate`; its options are checked by their types.

    >>> optimizer = mg.optim.SGD([mg.Variable(1.0)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> for epoch in range(3):
    ...     schedule.step()  # after the steps of the optimiser in this epoch
    >>> optimizer.lr
    0.125
    """

    optimizer: Optimizer
    unit: ClassVar[str] = "epoch"
    state: ClassVar[tuple[str, ...]] = ("last_epoch", "base_lrs")

    def __post_init__(self) -> None:
        name = type(self).__name__
        if not isinstance(self.optimizer, Optimizer):
            kind = type(self.optimizer).__name__
            raise TypeError(f"{name}: a {kind}; an Optimizer was expected")
        for option in fields(self):
            value = {option.name: getattr(self, option.name)}
            if option.type == "int":
                positive(name, int(option.name not in WAITS), **value)
            elif option.name in SHARES:
                number(name, "from 0 to 1", lambda x: 0 <= x <= 1, **value)
            elif option.type == "float":
                number(name, "≥ 0", lambda x: 0 <= x < np.inf, **value)
        self.last_epoch, self.base_lrs = 0, self.get_last_lr()
        self._apply()

    def rate(self, n: Array, base: float) -> Array:
        """The learning rates after n steps, an array of counts, where the first one was `base`."""
        raise NotImplementedError

    def numbers(self, n: Array, base: float) -> dict[str, Array]:
        """What the schedule sets, by name, after n steps."""
        return {"lr": self.rate(n, base)}

    def ahead(self, count: int) -> list[dict[str, Array]]:
        """For each group what is set now, after the next step, and so on, `count` times."""
        n = self.last_epoch + np.arange(count)
        return [self.numbers(n, base) for base in self.base_lrs]

    def get_last_lr(self) -> list[float]:
        """The present learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        """Set the learning rates for what comes next: the next epoch, or the next batch."""
        self.advance()

    def advance(self, count: int = 1) -> None:
        """Make several steps at once."""
        if self.get_last_lr() != self._set:
            raise GraphError(
                f"{type(self).__name__}: the learning rates are {self.get_last_lr()}, the schedule "
                f"has set {self._set}; only one thing can set them"
            )
        self.last_epoch += count
        self._apply()

    def _apply(self) -> None:
        for group, new in zip(self.optimizer.param_groups, self.ahead(1), strict=True):
            group.update({name: float(array[0]) for name, array in new.items()})
        self._set = self.get_last_lr()

    def _each(self, rates: float | Sequence[float]) -> list[float]:
        """A learning rate for each group, from one for all or from a list."""
        groups, found = len(self.optimizer.param_groups), np.ravel(rates)
        if found.size not in (1, groups) or not (found >= 0).all():
            expected = f"a number ≥ 0, or one for each of {groups} groups, was expected"
            raise ValueError(f"{type(self).__name__}: a learning rate of {rates}; {expected}")
        return [float(lr) for lr in np.resize(found, groups)]

    def state_dict(self) -> dict[str, Array]:
        """The count of steps and all else that changes, as arrays by name."""
        return {name: np.array(getattr(self, name)) for name in self.state}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Restore what `state_dict` returned, and set the learning rates.

        Raises `GraphError` where names or sizes differ; nothing is changed then.
        """
        found = fitting(type(self).__name__, self.state_dict(), state)
        vars(self).update({name: array.tolist() for name, array in found.items()})
        self._apply()


@dataclass
class StepLR(LRScheduler):
    """The learning rate times `gamma` after each `step_size` steps.

    >>> optimizer = mg.optim.SGD([mg.Variable(1.0)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> schedule.ahead(5)[0]["lr"]
    array([1.  , 1.  , 0.5 , 0.5 , 0.25])
    """

    step_size: int
    gamma: float = 0.1

    def rate(self, n: Array, base: float) -> Array:
        return np.asarray(base * self.gamma ** (n // self.step_size))


@dataclass
class MultiStepLR(LRScheduler):
    """The learning rate times `gamma` after so many steps as each of the `milestones` says.

    >>> optimizer = mg.optim.SGD([mg.Variable(1.0)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> schedule.ahead(5)[0]["lr"]
    array([1.  , 0.5 , 0.5 , 0.25, 0.25])
    """

    milestones: Sequence[int]
    gamma: float = 0.1

    def rate(self, n: Array, base: float) -> Array:
        return base * self.gamma ** np.searchsorted(np.sort(self.milestones), n, side="right")


@dataclass
class ExponentialLR(LRScheduler):
    """The learning rate times `gamma` after every step.

    >>> optimizer = mg.optim.SGD([mg.Variable(1.0)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule.ahead(4)[0]["lr"]
    array([1.   , 0.5  , 0.25 , 0.125])
    """

    gamma: float

    def rate(self, n: Array, base: float) -> Array:
        return np.asarray(base * self.gamma**n)


@dataclass
class LinearLR(LRScheduler):
    """A warm-up: factors of the learning rate from `start_factor` to `end_factor`.

    They change evenly for `total_iters` steps, and stay. Both are from 0 to 1.

    >>> optimizer = mg.optim.SGD([mg.Variable(1.0)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> schedule.ahead(4)[0]["lr"]
    array([0.5 , 0.75, 1.  , 1.  ])
    """

    start_factor: float = 1 / 3
    end_factor: float = 1.0
    total_iters: int = 5

    def rate(self, n: Array, base: float) -> Array:
        share = np.minimum(n / self.total_iters, 1)
        return base * _between(self.start_factor, self.end_factor, share)


@dataclass
class CosineAnnealingLR(LRScheduler):
    """From the learning rate down to `eta_min` in `T_max` steps, along half a cosine.

    After that it goes up again (Loshchilov & Hutter 2017, without restarts).

    >>> optimizer = mg.optim.SGD([mg.Variable(1.0)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> schedule.ahead(3)[0]["lr"].round(4)
    array([1. , 0.5, 0. ])
    """

    T_max: int
    eta_min: float = 0.0

    def rate(self, n: Array, base: float) -> Array:
        return _between(base, self.eta_min, _eased(n / self.T_max))


@dataclass
class OneCycleLR(LRScheduler):
    """Up to `max_lr`, then down to almost nothing; the momentum the other way round.

    The learning rate begins with max_lr / div_factor, is at `max_lr` after the share `pct_start`
    of `total_steps` (or of `epochs` times `steps_per_epoch`), and ends at the first one, divided
    by `final_div_factor` (Smith & Topin 2018). `three_phase` goes down as it came up, and then to
    the end. Momentum, or Adam's first beta, goes from `max_momentum` to `base_momentum` and back,
    unless `cycle_momentum` is False. `max_lr` is a number, or a list with one for each group;
    `anneal_strategy` is "cos" or "linear". More than `total_steps` steps are a `ValueError`.

    >>> optimizer = mg.optim.SGD([mg.Variable(1.0)], lr=0.1, momentum=0.9)
    >>> schedule = mg.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    >>> schedule.ahead(10)[0]["lr"].round(2)
    array([0.04, 0.52, 1.  , 0.95, 0.81, 0.61, 0.39, 0.19, 0.05, 0.  ])
    """

    unit = "batch"
    max_lr: float | Sequence[float]
    total_steps: int | None = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    cycle_momentum: bool = True
    base_momentum: float = 0.85
    max_momentum: float = 0.95
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False

    def __post_init__(self) -> None:
        one_of("OneCycleLR", "anneal_strategy", self.anneal_strategy, ("cos", "linear"))
        if self.total_steps is None and self.epochs and self.steps_per_epoch:
            self.total_steps = self.epochs * self.steps_per_epoch
        positive("OneCycleLR", total_steps=self.total_steps)
        super().__post_init__()
        self.base_lrs = self._each(self.max_lr)
        self._apply()

    def rate(self, n: Array, base: float) -> Array:
        first = base / self.div_factor
        return self._along(n, [first, base], first / self.final_div_factor)

    def numbers(self, n: Array, base: float) -> dict[str, Array]:
        if n.max() > self.total_steps:
            raise ValueError(f"OneCycleLR: {n.max()} steps; total_steps={self.total_steps}")
        found = super().numbers(n, base)
        if self.cycle_momentum:
            cycled = {"momentum", "beta1"} & self.optimizer.param_groups[0].keys()
            if not cycled:
                kind = type(self.optimizer).__name__
                expected = "cycle_momentum=False was expected"
                raise ValueError(f"OneCycleLR: {kind} has no momentum to cycle; {expected}")
            ends = [self.max_momentum, self.base_momentum]
            found[cycled.pop()] = self._along(n, ends, self.max_momentum)
        return found

    def _along(self, n: Array, up: list[float], last: float) -> Array:
        """The values after n steps on the way up, back in a third phase, and to the last."""
        total = self.total_steps or 0
        top, back = self.pct_start * total - 1, self.three_phase
        turns = np.array([0, top, *[2 * top] * back, total - 1])
        values = np.array([*up, *up[:1] * back, last])
        i = np.minimum(np.searchsorted(turns[1:], n), len(turns) - 2)
        width = turns[i + 1] - turns[i]
        share = np.where(width == 0, 1, (n - turns[i]) / np.where(width == 0, 1, width))
        share = _eased(share) if self.anneal_strategy == "cos" else share
        return _between(values[i], values[i + 1], share)


@dataclass
class ReduceLROnPlateau(LRScheduler):
    """The learning rate times `factor` when a number has not improved for `patience` steps.

    A `Trainer` gives the loss of the validation data, or of the training where there are none.
    Better is lower by the share `threshold` (`threshold_mode="rel"`) or by that much ("abs"); in
    mode "max" it is higher. After a change, `cooldown` steps are not counted. `min_lr` is a number,
    or a list with one for each group; smaller changes than `eps` are not made.

    >>> optimizer = mg.optim.SGD([mg.Variable(1.0)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> optimizer.lr
    0.5
    """

    mode: str = "min"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: float | Sequence[float] = 0
    eps: float = 1e-8
    state = (*LRScheduler.state, "best", "num_bad_epochs", "cooldown_counter")

    def __post_init__(self) -> None:
        one_of("ReduceLROnPlateau", "mode", self.mode, ("min", "max"))
        one_of("ReduceLROnPlateau", "threshold_mode", self.threshold_mode, ("rel", "abs"))
        super().__post_init__()
        self._least, self._sign = self._each(self.min_lr), 1 if self.mode == "min" else -1
        self.best, self.num_bad_epochs, self.cooldown_counter = self._sign * np.inf, 0, 0

    def rate(self, n: Array, base: float) -> Array:
        return np.full(n.shape, base)

    def step(self, metrics: float) -> None:  # type: ignore[override]  # PyTorch's signature
        """Compare a number with the best one so far."""
        found, margin = float(metrics), self._sign * self.threshold
        bound = self.best * (1 - margin) if self.threshold_mode == "rel" else self.best - margin
        self.num_bad_epochs += 1
        if self._sign * found < self._sign * bound:
            self.best, self.num_bad_epochs = found, 0
        if self.cooldown_counter > 0:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            for i, lr in enumerate(self.base_lrs):
                lower = max(lr * self.factor, self._least[i])
                self.base_lrs[i] = lower if lr - lower > self.eps else lr
        self.advance()


def _between(start: Any, end: Any, share: Array) -> Array:
    return np.asarray(start + (end - start) * share)


def _eased(share: Array) -> Array:
    """From 0 to 1 along half a cosine."""
    return np.asarray(1 - np.cos(np.pi * share)) / 2
