"""Contenders' processes: what they are told, what they answer, and how they fail."""

import pytest

from minigrad.bench.process import Failed, Process
from minigrad.bench.session import Session


def test_a_worker_answers_and_measures_inside(fake, path, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    with Process("fake", threads=1) as process:
        assert process.versions == {"fake": "1.0", "threads": "1", "coretype": "unset"}
        answer = process.measure(path, "fake steady", 200)
        assert (answer["steps"], answer["loss"]) == (200, 0.5) and answer["seconds"] >= 1e-4
        assert process.ask("peak_memory") > 1e6
        with pytest.raises(Failed, match="ValueError: worker: do='dance' is unknown"):
            process.ask("dance")
        assert process.alive  # an error is an answer like others
    assert not process.alive


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("wrong", "ValueError: cannot train"),
        ("crashes", "ended with code 3: Illegal instruction"),
        ("hangs", "no answer in 1 s"),
    ],
)
def test_failures_have_reasons(mode, reason, fake, path):
    with Process("fake") as process:
        process.patience = 1.0
        with pytest.raises(Failed, match=reason):
            process.measure(path, f"fake {mode}", 1)
        assert process.alive == (mode == "wrong")
        if mode != "wrong":
            with pytest.raises(Failed, match="ended"):
                process.ask("peak_memory")


def test_what_cannot_be_made_says_why_in_one_line(fake, path):
    with (
        Process("fake") as process,
        pytest.raises(Failed, match="^RuntimeError: needs a compiler$"),
    ):
        process.measure(path, "fake unmade", 1)


def test_a_library_that_is_missing(fake):
    with pytest.raises(Failed, match="^not installed$"):
        Process("nowhere")


def test_a_session_starts_each_contender_once_and_again_after_a_crash(fake, path):
    session, contender = Session(), "fake crashes"
    first = session.process(contender)
    assert session.process(contender) is first
    assert session.process("fake steady") is not first
    with pytest.raises(Failed):
        first.measure(path, contender, 1)
    second = session.process(contender)
    assert second is not first and second.alive
    assert session.versions["fake"] == "1.0"
    with pytest.raises(Failed, match="not installed"):
        session.process("nowhere")
    session.end()
    assert not second.alive
