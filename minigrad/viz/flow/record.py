"""The record of one backward pass, and its rows for CSV and JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ..scene.measure import Stats
from .naming import norm

#: columns of `GradientFlow.to_csv`
COLUMNS = tuple(
    "step kind name size norm rms zeros nans infs weight_norm update_ratio".split()  # noqa: SIM905
)
_MEASURED, _OF_WEIGHTS = COLUMNS[3:9], COLUMNS[9:]

Numbers = dict[str, float | None]


@dataclass(slots=True)
class Record:
    """One backward pass: the gradients of `parameters` and `nodes`, the norms of the `weights`.

    `loss` is the value of the head, NaN where that is not a single number. `ratios` holds
    ‖update‖ / ‖weight‖ of the next step of the optimiser; it is filled in after that step.
    """

    step: int
    loss: float = math.nan
    parameters: dict[str, Stats] = field(default_factory=dict)
    nodes: dict[str, Stats] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, str, Numbers]]:
        """(kind, name, numbers) of each parameter and node; without a gradient only the weight."""
        parameters = [
            (
                "parameter",
                name,
                _numbers(self.parameters.get(name))
                | {"weight_norm": weight, "update_ratio": self.ratios.get(name)},
            )
            for name, weight in self.weights.items()
        ]
        nodes = [
            ("node", name, _numbers(stats) | dict.fromkeys(_OF_WEIGHTS))
            for name, stats in self.nodes.items()
        ]
        return parameters + nodes


def _numbers(stats: Stats | None) -> Numbers:
    if stats is None:
        return dict.fromkeys(_MEASURED)
    found = (stats.size, norm(stats), stats.rms, stats.zeros, stats.nans, stats.infs)
    return dict(zip(_MEASURED, found, strict=True))


def json_number(x: float | None) -> float | None:
    """The number, or None for NaN and inf, which JSON does not have."""
    return float(x) if x is not None and math.isfinite(x) else None
