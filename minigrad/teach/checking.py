"""`check`: tells a right answer, and gives a hint that fits a wrong one."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph.node import GraphNode

#: returns None for a right answer, else a hint
Judge = Callable[[Any], str | None]

_checks: dict[str, Check] = {}


class NotYet(AssertionError):
    """Raised for a wrong answer; the message is a hint."""

    def _render_traceback_(self) -> list[str]:
        return [f"NotYet: {self}"]  # what IPython shows in place of a traceback


@dataclass(frozen=True)
class Check:
    """One exercise: the function that judges answers, and hints for common wrong ones."""

    name: str
    judge: Judge
    hints: Mapping[Any, str]

    def hint(self, answer: Any) -> str | None:
        """None for a right answer, else a hint: preferably the one for this very answer."""
        if answer is ... or answer is None:
            return "your turn: put your answer in place of the three dots."
        try:
            told = self.judge(answer)
        except NotImplementedError:
            return "your turn: the function has no body yet."
        except Exception as error:
            return f"your answer could not be tried: {type(error).__name__}: {error}"
        if told is None:
            return None
        return next((hint for wrong, hint in self.hints.items() if _same(answer, wrong)), told)


def exercise(name: str, hints: Mapping[Any, str] | None = None) -> Callable[[Judge], Judge]:
    """Decorator: the function judges the exercise `name`, "chapter/what is asked".

    It returns None for a right answer, else a hint. `hints` maps common wrong answers, a word (in
    any case) or a number (to one percent), to their hints. An answer that makes the function raise
    an error is wrong, and the error is shown. Raises `ValueError` for a malformed name.
    """
    chapter_of(name)

    def register(judge: Judge) -> Judge:
        _checks[name] = Check(name, judge, hints or {})
        return judge

    return register


def answer(
    name: str,
    right: npt.ArrayLike,
    hint: str,
    hints: Mapping[Any, str] | None = None,
    *,
    rtol: float = 1e-3,
) -> None:
    """Define an exercise whose answer is a number or an array, `right` to the tolerance."""
    exercise(name, hints)(lambda given: expect(given, right, hint, rtol=rtol))


def word(
    name: str, accepted: Collection[str], hint: str, hints: Mapping[Any, str] | None = None
) -> None:
    """Define an exercise whose answer is one of the accepted words, in lower case."""
    exercise(name, hints)(lambda given: None if str(given).strip().lower() in accepted else hint)


def check(name: str, answer: Any) -> None:
    """Print `✓ name` for a right answer to an exercise; raise `NotYet` with a hint for a wrong one.

    Raises `ValueError` for an exercise that does not exist.
    """
    chapter = chapter_of(name)
    known = exercises(chapter)
    if name not in known:
        there = ", ".join(map(repr, known)) or "none"
        raise ValueError(
            f"check: there is no exercise {name!r}; in chapter {chapter} there is {there}"
        )
    hint = known[name].hint(answer)
    if hint is not None:
        raise NotYet(f"{name}: {hint}")
    print(f"✓ {name}")


def exercises(chapter: int) -> dict[str, Check]:
    """The exercises of a chapter, by name."""
    module = f"{__package__}.chapter{chapter:02d}"
    if importlib.util.find_spec(module) is not None:
        importlib.import_module(module)
    return {name: each for name, each in _checks.items() if chapter_of(name) == chapter}


def chapter_of(name: str) -> int:
    """The chapter in the name of an exercise: 3 in "3/slowest start"."""
    number, slash, rest = name.partition("/")
    if not (slash and rest and number.isdecimal()):
        raise ValueError(
            f"exercise {name!r}: a chapter and a name were expected, as in '3/slowest start'"
        )
    return int(number)


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


def _same(answer: Any, wrong: Any) -> bool:
    """Is the answer this wrong one?"""
    if isinstance(answer, str) or isinstance(wrong, str):
        return str(answer).strip().lower() == str(wrong).strip().lower()
    try:
        return bool(np.isclose(float(answer), float(wrong), rtol=0.01))
    except (TypeError, ValueError):
        return False
