"""The few numbers that a drawing says about an array, and whether they are cause for alarm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: below and above these a gradient counts as vanished or exploded; the ramp of inks lies between
#: them
VANISHED, EXPLODED = 1e-6, 1e2
STEPS = 6


@dataclass(frozen=True, slots=True)
class Stats:
    """An array in numbers: `zeros` is the share of exact zeros, `whole` says that it holds integers
    or booleans.
    """

    shape: tuple[int, ...]
    size: int
    whole: bool
    mean: float
    std: float
    rms: float
    low: float
    high: float
    zeros: float
    nans: int
    infs: int

    @property
    def state(self) -> str:
        """`nan`, `inf`, `zero` or `normal`: the first that holds."""
        if self.nans:
            return "nan"
        if self.infs:
            return "inf"
        return "zero" if self.size and self.rms == 0 else "normal"

    @property
    def judged(self) -> str:
        """`state`, where a normal size may also be `vanished` or `exploded`: of a layer that is
        looked at alone.
        """
        if self.state != "normal" or not self.size:
            return self.state
        return (
            "vanished" if self.rms < VANISHED else "exploded" if self.rms > EXPLODED else "normal"
        )

    @property
    def step(self) -> int:
        """Which of the six inks, weak to strong, belongs to the rms; -1 where there is no size to
        speak of.
        """
        if self.state != "normal" or not self.size:
            return -1
        low, high = math.log10(VANISHED), math.log10(EXPLODED)
        place = (math.log10(self.rms) - low) / (high - low)
        return min(STEPS - 1, max(0, int(place * STEPS)))


def measure(array: np.ndarray[Any, Any]) -> Stats:
    """Measure an array, in float64, without changing it. Where NaN or inf are, mean, std and rms
    are NaN.
    """
    shape, whole = array.shape, array.dtype.kind in "biu"
    if array.size == 1:  # most of a teaching graph: NumPy would take ten times as long
        a = float(array.item())
        std, rms = (0.0, abs(a)) if math.isfinite(a) else (math.nan, math.nan)
        return Stats(
            shape,
            1,
            whole,
            a,
            std,
            rms,
            a,
            a,
            float(a == 0),
            int(math.isnan(a)),
            int(math.isinf(a)),
        )
    if not array.size:
        return Stats(shape, 0, whole, math.nan, math.nan, 0.0, math.nan, math.nan, 0.0, 0, 0)
    x = array.astype(np.float64).ravel()
    low, high = float(x.min()), float(x.max())
    zeros = 1 - np.count_nonzero(x) / x.size
    if not (math.isfinite(low) and math.isfinite(high)):
        nans, infs = int(np.isnan(x).sum()), int(np.isinf(x).sum())
        return Stats(
            shape, x.size, whole, math.nan, math.nan, math.nan, low, high, zeros, nans, infs
        )
    largest = max(-low, high)
    unit = (
        x / largest if largest > 0 else x
    )  # squares of numbers near the ends of the range would leave it
    mean, std, rms = (
        float(f) * (largest or 1.0)
        for f in (unit.mean(), unit.std(), np.sqrt(np.mean(unit * unit)))
    )
    return Stats(shape, x.size, whole, mean, std, rms, low, high, zeros, 0, 0)


def pooled(parts: Sequence[Stats]) -> Stats:
    """The numbers of several arrays as one, stacked where they have one shape; at least one array
    was expected.
    """
    if len(parts) == 1:
        return parts[0]
    size, same = sum(s.size for s in parts), len({s.shape for s in parts}) == 1
    shape = (len(parts), *parts[0].shape) if same else (size,)
    full = [s for s in parts if s.size]

    def mean(numbers: list[float]) -> float:
        return (
            sum(x * s.size for x, s in zip(numbers, full, strict=True)) / size if size else math.nan
        )

    centre, rms = (
        mean([s.mean for s in full]),
        math.hypot(*(s.rms * math.sqrt(s.size / size) for s in full)),
    )
    return Stats(
        shape,
        size,
        all(s.whole for s in parts),
        centre,
        math.sqrt(max(0.0, rms**2 - centre**2)),
        rms,
        min((s.low for s in full), default=math.nan),
        max((s.high for s in full), default=math.nan),
        mean([s.zeros for s in full]) if size else 0.0,
        sum(s.nans for s in parts),
        sum(s.infs for s in parts),
    )
