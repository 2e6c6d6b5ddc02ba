"""The race: who runs when, what is kept of it, and what the numbers say."""

import pytest

from minigrad.bench import race as module
from minigrad.bench.process import Failed, Pool
from minigrad.bench.race import Contender, Entry, agree, best_of, race, ratio


class Script:
    """In a process's place: answers from a script, and notes who was asked."""

    alive = True

    def __init__(self, seconds, log, fails_at=None, error=None):
        self.seconds, self.log, self.fails_at, self.turns = seconds, log, fails_at, 0
        self.error = error or Failed("broken")
        self.dropped = []

    def make(self, mode, **what):
        return mode

    def drop(self, made):
        self.dropped.append(made)

    def ask(self, made, what, **arguments):
        if what == "reset":
            return {"result": None, "seconds": 0.0}
        if arguments["seed"] >= 1000:  # not the check of the loss
            self.log.append((made, arguments["seed"] - 1000))
            self.turns += 1
            if self.turns == self.fails_at:
                raise self.error
        steps = arguments["steps"]
        return {"result": [steps, 0.5], "seconds": steps * self.seconds}


class Scripts:
    def __init__(self, **processes):
        self.processes = processes

    def process(self, library):
        return self.processes[library]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(module, "_PAUSE", 0.0)


def run(scripts, **options):
    entries = []
    race(
        scripts,
        [Contender(name, name) for name in scripts.processes],
        entries,
        unit=0.1,
        **{"rounds": 3, **options},
    )
    return {entry.contender.library: entry for entry in entries}


def test_all_take_their_turn_and_each_round_begins_with_another():
    log = []
    scripts = Scripts(a=Script(0.05, log), b=Script(0.2, log), c=Script(0.03, log))
    entries = run(scripts)
    turns = log[-9:]
    assert [who for who, _ in turns] == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert [turn for _, turn in turns] == [
        0,
        0,
        0,
        1,
        1,
        1,
        2,
        2,
        2,
    ]  # new batches in each round, the same for all
    assert entries["a"].seconds == pytest.approx([0.05] * 3)
    assert entries["a"].to_dict()["median"] == pytest.approx(0.05)
    assert scripts.processes["a"].dropped == ["a"]


@pytest.mark.parametrize(("seconds", "steps"), [(1e-6, 100_000), (0.03, 4), (5.0, 1)])
def test_a_round_takes_about_the_time_it_should(seconds, steps):
    runner = module.TrainingRunner(Script(seconds, []), Entry(Contender("a")), 0.1, 1)
    runner.calibrate()
    assert runner.steps == pytest.approx(steps, abs=1)


@pytest.mark.parametrize("when", [1, 4])
def test_one_that_fails_has_its_reason_and_the_others_go_on(when):
    entries = run(Scripts(a=Script(0.05, [], fails_at=when), b=Script(0.05, [])))
    assert entries["a"].to_dict() == {"reason": "broken"}
    assert len(entries["b"].seconds) == 3


def test_ctrl_c_leaves_the_rounds_that_all_have_made():
    entries = []
    scripts = Scripts(a=Script(0.05, []), b=Script(0.05, [], fails_at=4, error=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        race(scripts, [Contender(name, name) for name in "ab"], entries, unit=0.1, rounds=5)
    assert [len(entry.seconds) for entry in entries] == [2, 2]  # of the third, a had made its part
    entries = []
    scripts = Scripts(a=Script(0.05, [], fails_at=1, error=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        race(scripts, [Contender("a", "a")], entries, unit=0.1, rounds=5)
    assert entries[0].to_dict() == {"reason": "interrupted"}


def test_a_race_between_processes(fake, folder):
    contenders = [
        Contender("fake", mode) for mode in ("steady", "other", "fails later", "unmade", "wrong")
    ]
    contenders.append(Contender("nowhere"))
    entries = []
    with Pool({}, 1) as pool:
        race(pool, contenders, entries, rounds=2, unit=0.005, check_steps=3, folder=folder)
    broken, unmade = "ValueError: cannot train", "RuntimeError: needs a compiler"
    assert [entry.reason for entry in entries] == ["", "", broken, unmade, broken, "not installed"]
    assert all(seconds >= 1e-4 for seconds in entries[0].seconds) and len(entries[0].seconds) == 2
    assert [entry.loss for entry in entries[:2]] == [0.5, 0.75]
    assert not agree(entries) and agree(entries[:1])


@pytest.mark.parametrize(
    ("losses", "yes"),
    [
        ([1.0, 1.0005], True),
        ([1.0, 1.002], False),
        ([1.0, float("nan")], False),
        ([None, 2.0], True),
        ([], True),
        ([-1.0, -1.0001], True),
    ],
)
def test_losses_agree_to_rounding(losses, yes):
    assert agree([Entry(Contender("a"), loss=loss) for loss in losses]) == yes


def test_ratios_are_taken_round_by_round():
    rows = {
        "torch eager": {"median": 4.0, "rounds": [2.0, 4.0, 60.0]},
        "torch fused": {"median": 5.0, "rounds": [5.0] * 3},
        "torch compile": {"reason": "no compiler"},
        "minigrad compiled": {"median": 2.0, "rounds": [1.0, 2.0, 20.0]},
    }
    assert best_of(rows, "torch") == "torch eager"
    assert best_of(rows, "jax") is None
    assert ratio(rows["torch eager"], rows["minigrad compiled"]) == (2.0, 2.0, 3.0)
