"""Other programs at work: their time is told from ours, and disturbed rounds are made again."""

import subprocess
import sys

import pytest

from minigrad.bench import disturbance as module
from minigrad.bench.disturbance import Rounds, others

BUSY = """
from time import process_time
while process_time() < 0.5:
    pass
print(flush=True)
input()
"""


@pytest.mark.skipif(others() is None, reason="this system does not say how busy it is")
def test_the_time_of_children_is_ours(monkeypatch):
    """Seen from another process, it is that of others."""

    def run(code):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return subprocess.Popen([sys.executable, "-c", code], **pipes)

    with run("input()") as idle, run(BUSY) as busy:

        def views():
            ours = others()
            with monkeypatch.context() as patched:
                patched.setattr(module.os, "getpid", lambda: idle.pid)
                return ours, others()

        before = views()
        busy.stdout.readline()
        ours, theirs = (x - y for x, y in zip(views(), before, strict=True))
        assert theirs - ours > 0.3
        assert ours >= -0.1  # the system counts in hundredths
        for process in (idle, busy):
            process.communicate(b"\n")


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when told to: seconds of this machine, and of others on two processors."""
    now = {"seconds": 0.0, "others": 0.0}
    monkeypatch.setattr(module, "perf_counter", lambda: now["seconds"])
    monkeypatch.setattr(module, "others", lambda: now["others"])
    monkeypatch.setattr(module, "cores", lambda: 2)
    return now


def made(rounds, clock, *shares, seconds=1.0):
    """Make rounds in which others take these shares, as long as one is needed."""
    left = list(shares)
    while rounds.needed():
        clock["seconds"] += seconds
        if clock["others"] is not None:
            clock["others"] += left.pop(0) * 2 * seconds
        rounds.done()
    return left


def test_quiet_rounds_are_made_once(clock):
    rounds = Rounds(3)
    assert made(rounds, clock, 0.0, 0.04, 0.01, 0.0) == [0.0]
    assert rounds.quietest() == [0, 1, 2]
    assert rounds.found()["others"] == pytest.approx(0.04)


def test_disturbed_rounds_are_made_again_and_left_out(clock):
    rounds = Rounds(3)
    assert made(rounds, clock, 0.0, 0.5, 0.01, 0.06, 0.02, 0.0) == [0.0]
    assert rounds.quietest() == [0, 2, 4]
    assert rounds.found()["others"] == pytest.approx(0.02)


def test_it_is_given_up_after_twice_as_many_with_the_quietest(clock):
    rounds = Rounds(2)
    assert made(rounds, clock, 0.9, 0.5, 0.3, 0.6, 0.0) == [0.0]
    assert rounds.quietest() == [1, 2]
    assert rounds.found()["others"] == pytest.approx(0.5)


def test_one_hundredth_of_a_second_does_not_disturb_a_short_round(clock):
    rounds = Rounds(1)
    made(rounds, clock, 0.5, seconds=0.01)
    assert rounds.found()["others"] == pytest.approx(0.025)


def test_a_system_that_does_not_say(clock):
    clock["others"] = None
    rounds = Rounds(2)
    made(rounds, clock)
    assert rounds.quietest() == [0, 1] and rounds.found() == {}
