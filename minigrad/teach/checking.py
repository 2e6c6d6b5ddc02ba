"""`predict` asks before a cell runs; `check` accepts a right answer, and hints at a wrong one."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..calculus.check import GradientError, gradcheck
from ..graph.node import GraphNode

#: returns None for a right answer, else a hint
Judge = Callable[[Any], str | None]

_judges: dict[str, Judge] = {}


class NotYet(AssertionError):
    """Raised for a wrong answer; the message is a hint."""

    def _render_traceback_(self) -> list[str]:
        return [f"NotYet: {self}"]  # what IPython shows in place of a traceback


def predict(question: str, options: Sequence[str], mine: str | int | None = None) -> None:
    """Show a question, its options with a letter each, and your choice: `mine="b"`, or a number.

    The cells that follow show the answer. Options are numbered from 1. Raises `ValueError` for a
    choice that does not exist, and for fewer than 2 or more than 26 options.
    """
    letters = "abcdefghijklmnopqrstuvwxyz"[: len(options)]
    if not 2 <= len(options) == len(letters):
        raise ValueError(f"predict: {len(options)} options; 2 to 26 were expected")
    choices = {str(i): letter for i, letter in enumerate(letters, 1)}
    choices |= {letter: letter for letter in letters}
    chosen = choices.get(str(mine).lower())
    if mine is None:
        last = 'Choose before you run on: add mine="a", or another letter.'
    elif chosen is None:
        expected = f"a letter from a to {letters[-1]} was expected, or 1 to {len(letters)}"
        raise ValueError(f"predict: mine={mine!r}; {expected}")
    else:
        last = f"You chose {chosen}. Run on and see."
    shown = [f"  {letter}) {option}" for letter, option in zip(letters, options, strict=True)]
    print("\n".join([question, *shown, last]))


def check(name: str, answer: Any) -> None:
    """Print `✓ name` for a right answer to an exercise; raise `NotYet` with a hint for a wrong one.

    Raises `ValueError` for an exercise that does not exist.
    """
    told = hint(name, answer)
    if told is not None:
        raise NotYet(f"{name}: {told}")
    print(f"✓ {name}")


def hint(name: str, answer: Any) -> str | None:
    """None for a right answer to an exercise, else a hint: preferably one for this very answer.

    An answer that makes its judge raise an error is wrong, and the error is shown.
    """
    judges = exercises()
    if name not in judges:
        chapter = name.partition("/")[0] + "/"
        there = ", ".join(repr(known) for known in judges if known.startswith(chapter)) or "none"
        raise ValueError(f"check: there is no exercise {name!r}; in that chapter there is {there}")
    if answer is ... or answer is None:
        return "your turn: put your answer in place of the three dots."
    try:
        return judges[name](answer)
    except NotImplementedError:
        return "your turn: the function has no body yet."
    except Exception as error:
        return f"your answer could not be tried: {type(error).__name__}: {error}"


@cache
def stored() -> dict[str, Any]:
    """The exercises in `exercises.toml`, where their keys are explained."""
    return tomllib.loads(Path(__file__).with_name("exercises.toml").read_text(encoding="utf-8"))


def exercises() -> dict[str, Judge]:
    """The judge of each exercise, "chapter/what is asked"."""
    return {**{name: partial(_judge, record) for name, record in stored().items()}, **_judges}


def exercise(name: str) -> Callable[[Judge], Judge]:
    """Decorator: the function judges the exercise; it returns None for a right answer or a hint."""
    return lambda judge: _judges.setdefault(name, judge)


def _judge(record: dict[str, Any], answer: Any) -> str | None:
    """Judge an answer by a record of `exercises.toml`."""
    if "cases" not in record:
        return _compare(record, answer)
    for case in record["cases"]:
        given = [np.array(value) if isinstance(value, list) else value for value in case["given"]]
        found = answer[given[0]] if isinstance(answer, dict) else answer(*given)
        told = _compare(record | case, found)
        if told is None and "gradient" in record:
            try:
                gradcheck(answer, given)
            except GradientError as error:
                told = f"the value is right, the gradient is not. {error}. {record['gradient']}"
        if told is not None:
            wanted = f", {case['right']} was expected" if "right" in case else ""
            return f"for {', '.join(map(str, case['given']))}{wanted}: {told}"
    return None


def _compare(record: dict[str, Any], answer: Any) -> str | None:
    word = str(answer).strip().lower()
    if "words" in record:
        told = None if word in record["words"] else record["hint"]
    else:
        told = expect(answer, record["right"], record["hint"], rtol=record.get("rtol", 1e-3))
    for wrong, better in record.get("wrong", ()) if told else ():
        same = (
            wrong == word if isinstance(wrong, str) else not expect(answer, wrong, "-", rtol=0.01)
        )
        if same:
            return str(better)
    return told


def expect(
    answer: Any, expected: Any, hint: str, *, rtol: float = 1e-3, atol: float = 1e-6
) -> str | None:
    """None where `answer` (numbers, an array, a node) is `expected` to the tolerance, else a hint.

    Their shapes must be equal. For the end of a judge: `return expect(answer, 2 * x, "…")`.
    """
    given, right = (
        np.asarray(a.value if isinstance(a, GraphNode) else a) for a in (answer, expected)
    )
    if given.dtype.kind not in "biuf":
        return f"{'numbers were' if right.shape else 'a number was'} expected, not {answer!r}."
    if given.shape != right.shape:
        return f"the shape {right.shape} was expected, not {given.shape}. {hint}"
    return None if np.allclose(given, right, rtol=rtol, atol=atol) else hint
