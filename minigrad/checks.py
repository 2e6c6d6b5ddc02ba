"""Checks of arguments, with one wording for all messages."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import Any


def integer(function: str, name: str, value: Any, least: int = 1, why: str = "") -> int:
    """The value as an `int` of at least `least`; `why` is added to the message about a lower one.

    Raises `TypeError` for what is not an integer, `ValueError` for one below `least`.
    """
    expected = f"{function}: {name}={value!r}; an integer ≥ {least} was expected"
    try:
        number = index(value)
    except TypeError:
        raise TypeError(expected) from None
    if number < least:
        raise ValueError(expected + why)
    return number


def one_of(function: str, name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise `ValueError` unless the value is one of the choices."""
    if value not in list(choices):
        expected = f"one of {', '.join(choices)} was expected"
        raise ValueError(f"{function}: {name}={value!r}; {expected}")
