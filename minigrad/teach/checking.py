"""`predict` asks before a cell runs; `check` accepts a right answer, and hints at a wrong one."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..calculus.check import GradientError, gradcheck
from ..graph.autodiff import topological_sort


class NotYet(AssertionError):
    """Raised for a wrong answer; the message is a hint.

    >>> try:
    ...     mg.teach.check("5/steepest", 1.0)
    ... except mg.teach.NotYet as hint:
    ...     print(hint)
    5/steepest: That is the slope of tanh.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"NotYet: {self}"]  # what IPython shows in place of a traceback


def predict(question: str, options: Sequence[str], mine: str | None = None) -> None:
    """Show a question, its options with a letter each, and your choice: `mine="b"`.

    The cells that follow show the answer. Raises `ValueError` for a choice that does not exist, and
    for fewer than 2 or more than 26 options.

    >>> mg.teach.predict("Which is steeper at 0?", ["sigmoid", "tanh"], mine="b")
    Which is steeper at 0?
      a) sigmoid
      b) tanh
    You chose b. Run on and see.
    """
    letters = list("abcdefghijklmnopqrstuvwxyz"[: len(options)])
    if not 2 <= len(options) == len(letters):
        raise ValueError(f"predict: {len(options)} options; 2 to 26 were expected")
    chosen = str(mine).lower()
    if mine is None:
        last = 'Choose before you run on: add mine="a", or another letter.'
    elif chosen not in letters:
        raise ValueError(f"predict: mine={mine!r}; a letter from a to {letters[-1]} was expected")
    else:
        last = f"You chose {chosen}. Run on and see."
    shown = [f"  {letter}) {option}" for letter, option in zip(letters, options, strict=True)]
    print("\n".join([question, *shown, last]))


def check(name: str, answer: Any) -> None:
    """Print `✓ name` for a right answer to an exercise; raise `NotYet` with a hint for a wrong one.

    Raises `ValueError` for an exercise that does not exist.

    >>> mg.teach.check("5/steepest", 0.25)
    ✓ 5/steepest
    """
    told = hint(name, answer)
    if told is not None:
        raise NotYet(f"{name}: {told}")
    print(f"✓ {name}")


@cache
def exercises() -> dict[str, Any]:
    """The records of `exercises.toml`, where their keys are explained."""
    return tomllib.loads(Path(__file__).with_name("exercises.toml").read_text(encoding="utf-8"))


def hint(name: str, answer: Any) -> str | None:
    """None for a right answer to an exercise, else a hint: preferably one for this very answer.

    An answer that makes its check raise an error is wrong, and the error is shown.
    """
    if name not in exercises():
        raise ValueError(f"check: there is no exercise {name!r} in exercises.toml")
    if answer is ... or answer is None:
        return "your turn: put your answer in place of the three dots."
    try:
        return _judge(exercises()[name], answer)
    except NotImplementedError:
        return "your turn: the function has no body yet."
    except Exception as error:
        return f"your answer could not be tried: {type(error).__name__}: {error}"


def _judge(record: dict[str, Any], answer: Any) -> str | None:
    """Judge an answer by a record of `exercises.toml`, case by case where it has cases."""
    for case in record.get("cases", ()):
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
            asked = ", ".join(map(str, case["given"]))
            return f"for {asked or 'nothing'} it gives {found}{wanted}: {told}"
    return None if "cases" in record else _compare(record, answer)


def _compare(record: dict[str, Any], answer: Any) -> str | None:
    """None for an answer as the record wants it, else the hint that fits."""
    if "words" in record:
        right = any(map(partial(_same, answer), record["words"]))
    elif "right" in record:
        right = _same(answer, record["right"], record.get("rtol", 1e-3))
    else:
        right = record.get("least", answer) <= answer <= record.get("most", answer)
    if right and "nodes" in record:
        count, told = record["nodes"]
        nodes = len(topological_sort(answer))
        return None if nodes == count else f"the graph has {nodes} nodes; {told}"
    wrong = (better for other, better in record.get("wrong", ()) if _same(answer, other, 0.01))
    return None if right else next(wrong, record["hint"])


def _same(answer: Any, expected: Any, rtol: float = 0) -> bool:
    """Is the answer a word, in any case, or a number, array or node equal to the tolerance?"""
    if isinstance(expected, str):
        return str(answer).strip().lower() == expected
    given, right = np.asarray(getattr(answer, "value", answer)), np.asarray(expected)
    comparable = given.dtype.kind in "biuf" and given.shape == right.shape
    return comparable and np.allclose(given, right, rtol=rtol, atol=1e-6)
