"""The race: everything that is compared does a short piece of work in turn, round after round.

A disturbance of the machine then meets all of them. What counts is the ratio within a round; of
times and ratios, the report has the median and the range over the rounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from time import sleep
from typing import Any, TypeVar

from .process import Failed

K = TypeVar("K")
#: what the report says of one contender, job or section
Found = dict[str, Any]
#: (steps, seed) to seconds per step, the steps made, the loss, and whatever else was measured
Measure = Callable[[int, int], Mapping[str, float]]

#: losses that differ by more, relative to the larger, are not equal to rounding
AGREE = 1e-3
#: seconds in which threads that spin after their work fall asleep
_PAUSE = 0.01
_MOST_STEPS = 200_000


@dataclass
class _Entrant:
    """One measure in a race: the answers of its rounds, or the reason why there are none."""

    measure: Measure
    reason: str = ""
    loss: float | None = None
    steps: int = 0
    answers: list[Mapping[str, float]] = field(default_factory=list)

    def prepare(self, check_steps: int, unit: float, least: int) -> None:
        """Warm up, keep the loss, and find how many steps take `unit` seconds."""
        try:
            self.loss, self.steps = self.measure(check_steps, 0)["loss"], least
            while True:
                answer = self.measure(self.steps, 1000)
                seconds = answer["seconds"] * answer["steps"]
                enough = min(math.ceil(unit / max(answer["seconds"], 1e-12)), _MOST_STEPS)
                if seconds >= unit / 4 or self.steps >= _MOST_STEPS:
                    self.steps = max(least, enough)
                    return
                self.steps = max(self.steps + 1, min(enough, 16 * self.steps))
        except Failed as error:
            self.reason = str(error)

    def round(self, turn: int) -> None:
        """Measure once, on batches that all get in this round."""
        sleep(_PAUSE)
        try:
            self.answers.append(self.measure(self.steps, 1000 + turn))
        except Failed as error:
            self.reason = str(error)

    def row(self) -> Found:
        """Seconds per step over the rounds, and medians of whatever else was measured."""
        if self.reason or not self.answers:
            return {"reason": self.reason or "interrupted"}
        seconds = [answer["seconds"] for answer in self.answers]
        others = set(self.answers[0]) - {"seconds", "steps", "loss"}
        return {
            "median": median(seconds),
            "low": min(seconds),
            "high": max(seconds),
            "rounds": seconds,
            "loss": self.loss,
            **{name: median(answer[name] for answer in self.answers) for name in sorted(others)},
        }


def race(
    rows: dict[K, Found],
    measures: Mapping[K, Measure],
    *,
    rounds: int,
    unit: float,
    check_steps: int = 1,
    least: int = 1,
) -> None:
    """Run each measure for `rounds` rounds of about `unit` seconds; `rows` gets a row for each.

    A round has `least` steps or more; losses are compared after `check_steps`.

    Each round begins with another one. Where one raises `Failed`, its row has the reason, and the
    others go on. After Ctrl-C the rows hold the rounds that all have made.
    """
    entrants = {name: _Entrant(measure) for name, measure in measures.items()}
    try:
        for entrant in entrants.values():
            entrant.prepare(check_steps, unit, least)
        for turn in range(rounds):
            running = [entrant for entrant in entrants.values() if not entrant.reason]
            first = turn % max(1, len(running))
            for entrant in running[first:] + running[:first]:
                entrant.round(turn)
    except KeyboardInterrupt:
        running = [entrant for entrant in entrants.values() if not entrant.reason]
        fewest = min((len(entrant.answers) for entrant in running), default=0)
        for entrant in running:
            del entrant.answers[fewest:]
        raise
    finally:
        rows.update({name: entrant.row() for name, entrant in entrants.items()})


def agree(rows: Iterable[Found]) -> bool:
    """Whether all losses agree to rounding."""
    losses: list[float] = [row["loss"] for row in rows if row.get("loss") is not None]
    if not losses or any(not math.isfinite(x) for x in losses):
        return not losses
    return max(losses) - min(losses) <= AGREE * max(map(abs, losses))


def best_of(rows: Mapping[str, Found], who: str) -> str | None:
    """The name of a library's fastest mode among the rows, or of one contender if measured."""
    medians = {
        name: row["median"]
        for name, row in rows.items()
        if who in (name, name.split()[0]) and row.get("median")
    }
    return min(medians, key=lambda name: medians[name], default=None)


def ratio(slower: Found, faster: Found) -> tuple[float, float, float]:
    """How many times as long `slower` took, round by round: median, lowest and highest."""
    found = [a / b for a, b in zip(slower["rounds"], faster["rounds"], strict=False)]
    return median(found), min(found), max(found)
