"""Contenders' processes: what they are told, what they answer, and how they fail."""

import sys

import pytest

from minigrad.bench.process import Failed, Pool, Process, find


def test_a_worker_answers_and_measures_inside(fake, folder, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    with Process("fake", threads=1) as process:
        assert process.versions == {"fake": "1.0", "threads": "1", "coretype": "unset"}
        made = process.make("steady", folder=folder)
        answer = process.ask(made, "train", steps=200, seed=0)
        assert answer["result"] == [200, 0.5] and answer["seconds"] >= 0.02
        assert process.tell("memory")["result"] > 1e6
        process.drop(made)
        with pytest.raises(Failed, match="KeyError"):
            process.ask(made, "reset")
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
def test_failures_have_reasons(mode, reason, fake, folder):
    with Process("fake", patience=1.0) as process:
        made = process.make(mode, folder=folder)
        with pytest.raises(Failed, match=reason):
            process.ask(made, "train", steps=1, seed=0)
        assert process.alive == (mode == "wrong")
        if mode != "wrong":
            with pytest.raises(Failed, match="ended"):
                process.tell("memory")


def test_what_cannot_be_made_says_why_in_one_line(fake, folder):
    with (
        Process("fake") as process,
        pytest.raises(Failed, match="^RuntimeError: needs a compiler$"),
    ):
        process.make("unmade", folder=folder)


def test_a_library_that_is_not_there(fake):
    with pytest.raises(Failed, match="^not installed$"):
        Process("nowhere")


def test_libraries_are_found_in_their_own_python():
    assert (find("numpy", sys.executable) / "linalg").is_dir()
    assert find("no_such_library", sys.executable) is None
    with pytest.raises(Failed, match="^/no/python: "):
        find("numpy", "/no/python")


def test_a_pool_starts_each_library_once_and_again_after_a_crash(fake, folder):
    with Pool({}, 1) as pool:
        first = pool.process("fake")
        assert pool.process("fake") is first
        made = first.make("crashes", folder=folder)
        with pytest.raises(Failed):
            first.ask(made, "train", steps=1, seed=0)
        second = pool.process("fake")
        assert second is not first and second.alive
        assert pool.versions()["fake"] == "1.0"
        for _ in range(2):
            with pytest.raises(Failed, match="not installed"):
                pool.process("nowhere")
    assert not second.alive
