"""The race: the order of turns, the rows that it leaves, and the ratios taken from them."""

from functools import partial

import pytest

from minigrad.bench import disturbance
from minigrad.bench import race as module
from minigrad.bench.process import Failed, Process
from minigrad.bench.race import race
from minigrad.bench.records import agree, best, ratio


class Script:
    """A measure that answers from a script, and records its calls."""

    def __init__(self, name, seconds, log, fails_at=None, error=None):
        self.name, self.seconds, self.log, self.fails_at = name, seconds, log, fails_at
        self.turns, self.error = 0, error or Failed("broken")

    def __call__(self, steps, seed):
        if seed >= 1000:  # not the check of the loss
            self.log.append((self.name, seed - 1000, steps))
            self.turns += 1
            if self.turns == self.fails_at:
                raise self.error
        return {"seconds": self.seconds, "steps": steps, "loss": 0.5, "bytes": 8 * self.turns}


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """Without pauses, on a machine that does not say what else it does."""
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    monkeypatch.setattr(disturbance, "others", lambda: None)


def adder(rows):
    return lambda name, **found: rows.update({name: found})


def run(*scripts, **options):
    rows = {}
    measures = {script.name: script for script in scripts}
    try:
        race(measures, adder(rows), unit=0.1, **{"rounds": 3, **options})
    except KeyboardInterrupt:
        rows["interrupted"] = True
    return rows


def test_all_take_their_turn_and_each_round_begins_with_another():
    log = []
    rows = run(Script("a", 0.05, log), Script("b", 0.2, log), Script("c", 0.03, log))
    turns = log[-9:]
    assert "".join(who for who, *_ in turns) == "abcbcacab"
    assert [turn for _, turn, _ in turns] == [0, 0, 0, 1, 1, 1, 2, 2, 2]  # the same batches for all
    assert rows["a"]["rounds"] == pytest.approx([0.05] * 3)
    assert rows["a"]["loss"] == 0.5
    assert rows["a"]["bytes"] == 8 * 4  # the median of 3, 4 and 5: two measures found the steps


@pytest.mark.parametrize(("seconds", "steps"), [(1e-6, 100_000), (0.03, 4), (5.0, 1)])
def test_a_round_takes_about_the_time_it_should(seconds, steps):
    log = []
    run(Script("a", seconds, log))
    assert log[-1][2] == pytest.approx(steps, abs=1)


@pytest.mark.parametrize("when", [1, 4])
def test_one_that_fails_has_its_reason_and_the_others_go_on(when):
    rows = run(Script("a", 0.05, [], fails_at=when), Script("b", 0.05, []))
    assert rows["a"] == {"reason": "broken"}
    assert len(rows["b"]["rounds"]) == 3


def test_ctrl_c_leaves_the_rounds_that_all_have_made():
    interrupt = KeyboardInterrupt()
    rows = run(Script("a", 0.05, []), Script("b", 0.05, [], 5, interrupt), rounds=5)
    assert rows["interrupted"]
    assert [len(rows[name]["rounds"]) for name in "ab"] == [2, 2]  # of the third, a made its part
    rows = run(Script("a", 0.05, [], 1, interrupt))
    assert rows == {"a": {"reason": "interrupted"}, "interrupted": True}


def test_rounds_that_others_disturb_are_made_again(monkeypatch):
    """The whole second round is left out, also for the one that had its turn before."""
    now, others = [0.0], [0.0]
    monkeypatch.setattr(disturbance, "perf_counter", lambda: now[0])
    monkeypatch.setattr(disturbance, "others", lambda: others[0])
    monkeypatch.setattr(disturbance, "cores", lambda: 1)

    def measure(name, steps, seed):
        now[0] += 1.0
        if (name, seed) == ("b", 1001):
            others[0] += 0.5
        return {"seconds": max(1, seed - 999), "steps": 1, "loss": 0.0}

    rows = {}
    measures = {name: partial(measure, name) for name in "ab"}
    race(measures, adder(rows), rounds=3, unit=0.1)
    assert rows["a"]["rounds"] == rows["b"]["rounds"] == [1, 3, 4]
    assert rows["a"]["others"] == 0.0


def test_a_race_between_processes(fake, path):
    modes = ("steady", "other", "fails later", "unmade", "wrong")
    rows, started = {}, {}

    def measure(mode, steps, seed):
        process = started.get(mode) or started.setdefault(mode, Process("fake"))
        return process.measure(path, f"fake {mode}", steps, seed)

    measures = {mode: partial(measure, mode) for mode in modes}
    race(measures, adder(rows), rounds=2, unit=0.005, least=3)
    for process in started.values():
        process.end()
    broken, unmade = "ValueError: cannot train", "RuntimeError: needs a compiler"
    assert [row.get("reason", "") for row in rows.values()] == ["", "", broken, unmade, broken]
    assert len(rows["steady"]["rounds"]) == 2 and min(rows["steady"]["rounds"]) >= 1e-4
    assert [rows[mode]["loss"] for mode in modes[:2]] == [0.5, 0.75]
    assert not agree(rows) and agree({"steady": rows["steady"]})


@pytest.mark.parametrize(
    ("losses", "yes"),
    [
        ([1.0, 1.0005], True),
        ([1.0, 1.002], False),
        ([1.0, float("nan")], False),
        ([], True),
        ([-1.0, -1.0001], True),
    ],
)
def test_losses_agree_to_rounding(losses, yes):
    assert agree({i: {"loss": loss} for i, loss in enumerate(losses)} | {"x": {}}) == yes


def test_ratios_are_taken_round_by_round():
    row = {
        "torch eager": {"rounds": [2.0, 4.0, 60.0]},
        "torch fused": {"rounds": [5.0] * 3},
        "torch compile": {"reason": "no compiler"},
        "minigrad compiled": {"rounds": [1.0, 2.0, 20.0]},
    }
    assert best(row, "torch") is row["torch eager"]
    assert best(row, "torch fused") is row["torch fused"]
    assert best(row, "jax") is None and best(row, "torch compile") is None
    assert ratio(row["torch eager"], row["minigrad compiled"]) == (2.0, 2.0, 3.0)


def test_a_round_has_as_many_steps_as_the_check_at_least():
    log = []
    run(Script("a", 5.0, log), least=10)
    assert [steps for *_, steps in log] == [10] * 5
