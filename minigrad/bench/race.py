"""The race: everything that is compared does a short piece of work in turn, round after round.

A disturbance of the machine then meets all of them, and what counts is the ratio within a round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from statistics import median_low
from time import sleep

from .disturbance import Rounds
from .process import Failed

Answer = Mapping[str, float]
#: (steps, seed) to seconds per step, the steps made, the loss, and whatever else was measured
Measure = Callable[[int, int], Answer]

#: seconds in which threads that spin after their work fall asleep
_PAUSE = 0.01


def _laps(measure: Measure, answers: list[Answer], unit: float, least: int) -> Iterator[None]:
    """Warm up and find how many steps take `unit` seconds; then measure once in each round.

    All measure on the same batches in a round.
    """
    answers.append(measure(least, 0))
    steps = enough = least
    took = 0.0
    while took < unit / 2:
        # twice, because the first of so many steps may compile
        answer = min((measure(steps, seed) for seed in (998, 999)), key=lambda a: a["seconds"])
        took = answer["seconds"] * answer["steps"]
        enough = max(least, math.ceil(unit / max(answer["seconds"], 1e-9)))
        steps = max(steps + 1, min(enough, 16 * steps))
    for seed in range(1000, 2000):
        yield
        sleep(_PAUSE)
        answers.append(measure(enough, seed))


def race(
    measures: Mapping[str, Measure],
    add: Callable[..., None],
    *,
    rounds: int,
    unit: float,
    least: int = 1,
) -> None:
    """Run each measure for `rounds` rounds of about `unit` seconds, and of `least` steps at least.

    Rounds that other programs disturbed are made again. At the end, `add(name, **found)` is called
    for each: with the seconds per step of `rounds` rounds, the share of the machine that `others`
    took, the `loss` after `least` steps, and medians of whatever else was measured; or where it
    raised `Failed`, with the `reason`. Each round begins with another measure. After Ctrl-C the
    rounds that all have made are kept.
    """
    answers: dict[str, list[Answer]] = {name: [] for name in measures}
    laps = {name: _laps(measures[name], answers[name], unit, least) for name in measures}
    reasons: dict[str, str] = {}
    made = Rounds(rounds)

    def turn(number: int) -> None:
        running = [name for name in measures if name not in reasons]
        first = number % max(1, len(running))
        for name in running[first:] + running[:first]:
            try:
                next(laps[name])
            except Failed as error:
                reasons[name] = str(error)

    try:
        turn(0)  # only warms up
        while made.needed():
            turn(len(made.shares))
            made.done()
    finally:
        chosen = made.quietest()
        for name, found in answers.items():
            if name in reasons or not chosen:
                add(name, reason=reasons.get(name, "interrupted"))
                continue
            raced = [found[1 + number] for number in chosen]
            columns = {key: [answer[key] for answer in raced] for key in raced[0]}
            told = {
                key: median_low(x) for key, x in columns.items() if key not in ("seconds", "steps")
            }
            told |= {"loss": found[0]["loss"], **made.found()}
            add(name, **told, rounds=columns["seconds"])
