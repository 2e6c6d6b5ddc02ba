"""`predict` asks before a cell runs; `check` accepts a right answer, and hints at a wrong one."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np

#: keys of a case that say what is right
JUDGED = {"right", "words", "least", "most"}


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


def run(code: str, **names: Any) -> Any:
    """What code of `exercises.toml` gives.

    It is an expression, a function, a class, or lines with a `return`, and knows `np`, `mg` and
    `normal(*shape)`, which draws the same numbers each time.
    """
    draw = np.random.default_rng(0)
    space: dict[str, Any] = {"normal": lambda *shape: draw.normal(size=shape)}
    code = code.strip()
    defined = re.match(r"(?:def|class) (\w+)", code)
    if defined:
        code += f"\nreturn {defined[1]}"
    elif not re.search(r"(?m)^ *return\b", code):
        code = f"return ({code})"
    header = f"import numpy as np\nimport minigrad as mg\ndef made({', '.join(names)}):\n"
    exec(header + indent(code, "    "), space)
    return space["made"](**names)


def _tried(ask: str, answer: Any) -> Any:
    """What a case gives for an answer, or the text of its error."""
    try:
        return run(ask, answer=answer)
    except NotImplementedError:
        raise
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _judge(record: dict[str, Any], answer: Any) -> str | None:
    """Judge an answer by a record of `exercises.toml`, case by case where it has cases."""
    cases = [each if isinstance(each, dict) else {"ask": each} for each in record.get("cases", ())]
    given = [_tried(case["ask"], answer) for case in cases]
    for case, found in zip(cases, given, strict=True):
        if "solution" in record and not JUDGED & case.keys():
            case = case | {"right": _tried(case["ask"], run(record["solution"]))}
        told = _compare(record | case, found)
        if told is None:
            continue
        for code, better in record.get("mistakes", ()):
            if _same(given, [_tried(each["ask"], run(code)) for each in cases], 1e-4):
                told = better
                break
        with np.printoptions(precision=4, threshold=20):
            wanted = f", {case['right']} was expected" if "right" in case else ""
            asked = "; ".join(case["ask"].strip().split("\n"))
            return f"{asked} gives {found}{wanted}: {told}"
    return None if cases else _compare(record, answer)


def _compare(record: dict[str, Any], answer: Any) -> str | None:
    """None for an answer as the record wants it, else the hint that fits."""
    if "words" in record:
        right = any(map(partial(_same, answer), record["words"]))
    elif "right" in record:
        right = _same(answer, record["right"], record.get("rtol", 1e-3))
    else:
        right = record.get("least", answer) <= answer <= record.get("most", answer)
    wrong = (better for other, better in record.get("wrong", ()) if _same(answer, other, 0.01))
    return None if right else next(wrong, record["hint"])


def _same(answer: Any, expected: Any, rtol: float = 0) -> bool:
    """Is the answer a word, in any case, or a number, array, node or list that agrees?"""
    answer, expected = (getattr(each, "value", each) for each in (answer, expected))
    if isinstance(expected, str) or expected is None:
        return str(answer).strip().lower() == str(expected).strip().lower()
    if isinstance(expected, tuple | list):
        if not isinstance(answer, tuple | list | np.ndarray) or len(answer) != len(expected):
            return False
        return all(_same(*pair, rtol) for pair in zip(answer, expected, strict=True))
    try:
        given, right = np.asarray(answer), np.asarray(expected)
    except ValueError:  # rows of different lengths
        return False
    comparable = given.dtype.kind in "biuf" and given.shape == right.shape
    return comparable and np.allclose(given, right, rtol, 1e-6, equal_nan=True)
