"""`predict` and `check`: what is said to right answers, to wrong ones and to none; and the hints of
every chapter.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

import minigrad as mg
from minigrad.teach import NotYet, check, predict
from minigrad.teach.checking import _compare, exercises, hint, run

RECORDS = [
    (name, {**record, **case})
    for name, record in exercises().items()
    for case in record.get("cases", [{}])
    if isinstance(case, dict)
]
WRITTEN = [name for name, record in exercises().items() if "solution" in record]
MISTAKES = [(name, *pair) for name in WRITTEN for pair in exercises()[name]["mistakes"]]


def test_predict_shows_letters_and_reveals_nothing(capsys):
    predict("Which?", ["this", "that"])
    said = (
        'Which?\n  a) this\n  b) that\nChoose before you run on: add mine="a", or another letter.\n'
    )
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("mine", ["b", "B"])
def test_predict_repeats_the_choice(mine, capsys):
    predict("Which?", ["this", "that"], mine)
    assert capsys.readouterr().out.endswith("You chose b. Run on and see.\n")


@pytest.mark.parametrize("mine", ["c", "", "ab", 0, 2, True, 1.0])
def test_predict_refuses_a_choice_that_is_not_there(mine):
    with pytest.raises(ValueError, match="a letter from a to b was expected"):
        predict("Which?", ["this", "that"], mine)


@pytest.mark.parametrize("options", [[], ["one"], ["x"] * 27])
def test_predict_needs_options(options):
    with pytest.raises(ValueError, match="2 to 26 were expected"):
        predict("Which?", options)


@pytest.fixture
def counting(monkeypatch):
    """An exercise of a chapter that no notebook has."""
    wrong = [["drei", "In English, please."], [2, "One more."]]
    record = {"right": 3, "hint": "Count again.", "wrong": wrong}
    monkeypatch.setitem(exercises(), "77/three", record)
    return "77/three"


def test_a_right_answer_is_ticked_off(counting, capsys):
    for answer in (3, 3.0, np.float32(3.001), mg.Constant(3.0)):
        check(counting, answer)
    assert capsys.readouterr().out == "✓ 77/three\n" * 4


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (4, "Count again"),
        (2, "One more"),
        (2.01, "One more"),
        ("DREI ", "In English"),
        ("x", "Count again"),
        ([3, 3], "Count again"),
        (..., "your turn"),
        (None, "your turn"),
        (float("nan"), "Count"),
    ],
)
def test_a_wrong_answer_gets_the_hint_that_fits(counting, answer, hint):
    with pytest.raises(NotYet, match=hint):
        check(counting, answer)


def test_an_answer_that_breaks_is_wrong_and_the_error_is_told(monkeypatch):
    cases = [{"ask": "answer(1)", "right": 2, "hint": "Two."}]
    monkeypatch.setitem(exercises(), "77/function", {"cases": cases})
    said = r"answer\(1\) gives ZeroDivisionError: division by zero, 2 was expected: Two\."
    with pytest.raises(NotYet, match=said):
        check("77/function", lambda x: x / 0)
    with pytest.raises(NotYet, match="your turn: the function has no body yet"):
        check("77/function", lambda x: (_ for _ in ()).throw(NotImplementedError))


def test_a_notebook_shows_the_hint_without_a_trace():
    assert NotYet("1/x: hint")._render_traceback_() == ["NotYet: 1/x: hint"]


@pytest.mark.parametrize("name", ["three", "78/x", "0/what"])
def test_an_exercise_that_does_not_exist(name):
    with pytest.raises(ValueError, match=f"no exercise '{name}'"):
        check(name, 1)


@pytest.mark.parametrize(
    ("name", "record"), RECORDS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_hint_is_for_a_wrong_answer_and_is_given(name, record):
    for wrong, told in record.get("wrong", ()):
        assert _compare(record, wrong) == told, wrong
    if {"right", "words", "least", "most"} & record.keys():
        edge = record.get("least", record.get("most"))
        assert _compare(record, record.get("words", [record.get("right", edge)])[0]) is None


@pytest.mark.parametrize("name", WRITTEN)
def test_the_solution_of_a_written_exercise_passes(name):
    assert hint(name, run(exercises()[name]["solution"])) is None


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("name", "code", "told"), MISTAKES, ids=lambda value: str(value)[:40])
def test_every_listed_mistake_gets_its_own_hint(name, code, told):
    assert str(hint(name, run(code))).endswith(f": {told}")


PAIR = {
    "solution": "def pair(x):\n    return x + 1, [np.ones(2), 'Yes']",
    "cases": ["answer(1.0)", "one = normal(2)\nreturn answer(one + normal(2))"],
    "mistakes": [
        ["lambda x: (x, [np.ones(2), 'yes'])", "One more."],
        ["lambda x: x.shape", "No shape was asked for."],
    ],
    "hint": "A pair.",
}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda x: (1 + x, [[1, 1], "yes"]), "None"),
        (lambda x: (x, [np.ones(2), "yes"]), r"answer\(1\.0\) gives \(1\.0, .* expected: One more"),
        (lambda x: (x if np.ndim(x) else 2, [np.ones(2), "yes"]), "normal.*: A pair"),
        (lambda x: x.shape, "AttributeError.*: No shape"),
        (lambda x: (1 + x, [np.ones(3), "yes"]), ": A pair"),
        (lambda x: (1 + x,), ": A pair"),
        (lambda x: 1 + x, ": A pair"),
    ],
)
def test_a_written_answer_is_compared_with_the_solution_and_with_mistakes(
    answer, told, monkeypatch
):
    monkeypatch.setitem(exercises(), "77/pair", PAIR)
    assert re.search(told, str(hint("77/pair", answer)), re.S)


def kind(value):
    return type(value).__name__


@pytest.mark.parametrize("name", exercises())
@pytest.mark.parametrize(
    "wrong", [-12.345, "something else", [[1, 2]], lambda *_: None, ...], ids=kind
)
def test_nonsense_is_never_right(name, wrong):
    assert hint(name, wrong)
