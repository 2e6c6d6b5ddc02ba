"""The race: all contenders for one task do a short piece of work each, in turn, round after round.

Whatever slows the machine down for a while then meets all of them. What counts is the ratio within
a round; of times and ratios the median and the range over the rounds are told.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from time import sleep
from typing import Any

from .process import Failed, Pool, Process

#: two losses that differ by more than this, relative to the larger, are no longer rounding
AGREE = 1e-3
#: seconds for threads that still spin after their work to fall asleep
_PAUSE = 0.01
_MOST_STEPS = 200_000


@dataclass(frozen=True)
class Contender:
    """A library in one of its modes."""

    library: str
    mode: str = ""

    @property
    def name(self) -> str:
        return f"{self.library} {self.mode}".strip()


@dataclass
class Entry:
    """What a contender did: seconds per step in each round, and the loss after the first few steps.
    `reason` says why there is nothing.
    """

    contender: Contender
    seconds: list[float] = field(default_factory=list)
    loss: float | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        if self.reason:
            return {"reason": self.reason}
        low, high = (min(self.seconds), max(self.seconds)) if self.seconds else (None, None)
        return {
            "median": median(self.seconds) if self.seconds else None,
            "low": low,
            "high": high,
            "rounds": self.seconds,
            "loss": self.loss,
        }


class Runner:
    """A contender that is ready: its process, and how many steps fill a round of `unit` seconds."""

    def __init__(self, process: Process, entry: Entry, unit: float, made: int) -> None:
        self.process, self.entry, self.unit, self.id = process, entry, unit, made
        self.steps = 1

    def loss_after(self, steps: int) -> float:
        """The loss after so many steps: to warm up, and to see that all compute the same."""
        raise NotImplementedError

    def once(self, steps: int, turn: int) -> tuple[float, int]:
        """Seconds of so many steps, and how many they were."""
        raise NotImplementedError

    def calibrate(self) -> None:
        """Find how many steps take `unit` seconds."""
        while True:
            seconds, made = self.once(self.steps, 0)
            enough = math.ceil(made * self.unit / max(seconds, 1e-7))
            if seconds >= self.unit / 4 or self.steps >= _MOST_STEPS:
                self.steps = min(enough, _MOST_STEPS)
                return
            self.steps = max(self.steps + 1, min(enough, 16 * self.steps, _MOST_STEPS))

    def round(self, turn: int) -> None:
        sleep(_PAUSE)
        seconds, made = self.once(self.steps, turn)
        self.entry.seconds.append(seconds / made)


class TrainingRunner(Runner):
    """Trains; every round starts from the first values and draws new batches."""

    def loss_after(self, steps: int) -> float:
        return float(self.process.ask(self.id, "train", steps=steps, seed=0)["result"][1])

    def once(self, steps: int, turn: int) -> tuple[float, int]:
        self.process.ask(self.id, "reset")
        answer = self.process.ask(self.id, "train", steps=steps, seed=1000 + turn)
        return answer["seconds"], answer["result"][0]


class KernelRunner(Runner):
    """Runs one operator again and again; a checksum stands for the loss."""

    def loss_after(self, steps: int) -> float:
        return float(self.process.ask(self.id, "run", times=1)["result"])

    def once(self, steps: int, turn: int) -> tuple[float, int]:
        return self.process.ask(self.id, "run", times=steps)["seconds"], steps


def race(
    pool: Pool,
    contenders: Iterable[Contender],
    entries: list[Entry],
    *,
    rounds: int,
    unit: float,
    check_steps: int = 1,
    runner: type[Runner] = TrainingRunner,
    **what: Any,
) -> None:
    """Let all contenders run for `rounds` rounds of about `unit` seconds each on the task in
    `folder=` (or `kernel=`).

    Each round begins with another contender. `entries` gets one for each; who fails has the reason
    in it, and the others go on. After Ctrl-C the entries hold the rounds that all have made.
    """
    ready: list[Runner] = []
    try:
        for contender in contenders:
            entry = Entry(contender)
            entries.append(entry)
            with _told(entry):
                process = pool.process(contender.library)
                ready.append(
                    made := runner(process, entry, unit, process.make(contender.mode, **what))
                )
                entry.loss = made.loss_after(check_steps)
                made.calibrate()
        for turn in range(rounds):
            running = [r for r in ready if not r.entry.reason]
            first = turn % max(1, len(running))
            for made in running[first:] + running[:first]:
                with _told(made.entry):
                    made.round(turn)
    except KeyboardInterrupt:
        fewest = min((len(r.entry.seconds) for r in ready if not r.entry.reason), default=0)
        for entry in entries:
            del entry.seconds[fewest:]
            entry.reason = entry.reason or ("" if entry.seconds else "interrupted")
        raise
    for made in ready:
        if made.process.alive:
            with _told(made.entry):
                made.process.drop(made.id)


@contextmanager
def _told(entry: Entry) -> Iterator[None]:
    """What fails within the block is the entry's reason, and the race goes on."""
    try:
        yield
    except Failed as error:
        entry.reason = str(error)


def agree(entries: Iterable[Entry]) -> bool:
    """Do all losses agree to rounding?"""
    losses = [e.loss for e in entries if e.loss is not None]
    if not losses or any(not math.isfinite(x) for x in losses):
        return not losses
    return max(losses) - min(losses) <= AGREE * max(map(abs, losses))


def best_of(rows: Mapping[str, Mapping[str, Any]], library: str) -> str | None:
    """The name of a library's fastest mode among the rows of a table."""
    measured = {
        name: row["median"]
        for name, row in rows.items()
        if name.split()[0] == library and row.get("median")
    }
    return min(measured, key=lambda name: measured[name]) if measured else None


def ratio(slower: Mapping[str, Any], faster: Mapping[str, Any]) -> tuple[float, float, float]:
    """How many times as long `slower` took, compared round by round: median, lowest and highest."""
    found = [a / b for a, b in zip(slower["rounds"], faster["rounds"], strict=False)]
    return median(found), min(found), max(found)
