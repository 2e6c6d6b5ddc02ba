"""Other programs at work: how much of the machine they take while something is measured.

What is measured beside them is measured again; numbers that stay disturbed do not get onto
the page about speed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from time import perf_counter

from .machine import cores

#: the share of this machine from which on a measurement is disturbed
DISTURBED = 0.05
#: The seconds over which a share is taken at least: the system counts in hundredths.
_LEAST = 0.2


def others() -> float | None:
    """Seconds that processors have spent on other programs than this one and its children.

    On other systems' programs, too, where several share the processor. None where the system does
    not say, as on Windows and a Mac.
    """
    try:
        ticks_in_a_second = os.sysconf("SC_CLK_TCK")
        counts = Path("/proc/stat").read_text(encoding="utf-8").partition("\n")[0].split()
    except (AttributeError, OSError):
        return None
    user, nice, system, _, _, *interrupts_and_stolen = map(int, counts[1:9])
    used: dict[
        int, tuple[int, int]
    ] = {}  # parents, and the time of a process and its dead children
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            words = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            used[int(folder.name)] = int(words[1]), sum(map(int, words[11:15]))
    ours, found = set[int](), {os.getpid()}
    while found:
        ours |= found
        found = {process for process, (parent, _) in used.items() if parent in found}
    ticks = user + nice + system + sum(interrupts_and_stolen) - sum(used[each][1] for each in ours)
    return ticks / ticks_in_a_second


class Disturbed(OSError):
    """Other programs were at work; the message says how much of the machine they took."""


class Rounds:
    """Rounds of a measurement, made until enough were undisturbed, or twice as many in all.

        while rounds.needed():
            ...
            rounds.done()

    `shares` are those of the machine that others took in each, 0 where the system does not say.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted, self.shares = wanted, list[float]()

    def needed(self) -> bool:
        """Whether another round is needed; it begins now."""
        self._before, self._began = others(), perf_counter()
        quiet = sum(share < DISTURBED for share in self.shares)
        return quiet < self.wanted and len(self.shares) < 2 * self.wanted

    def done(self) -> None:
        """End the round."""
        took, now, before = perf_counter() - self._began, others(), self._before
        used = 0.0 if now is None or before is None else now - before
        self.shares.append(max(0.0, used) / (max(_LEAST, took) * cores()))

    def quietest(self) -> list[int]:
        """The rounds that count: as many as were wanted, with the smallest shares."""
        order = sorted(range(len(self.shares)), key=self.shares.__getitem__)
        return sorted(order[: self.wanted])

    def found(self) -> dict[str, float]:
        """For a record, the largest share of `others` in the rounds that count, if known."""
        known = self._before is not None
        return {"others": max(self.shares[number] for number in self.quietest())} if known else {}
