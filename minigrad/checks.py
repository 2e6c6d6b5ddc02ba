"""Checks of arguments, with one wording for all messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Integral, Real
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


def positive(function: str, least: int = 1, /, **sizes: object) -> None:
    """Raise `ValueError` unless each size is an integer of at least `least`."""
    for name, value in sizes.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise ValueError(f"{function}: {name}={value!r}; an integer ≥ {least} was expected")


def number(
    function: str, bounds: str = "", holds: Callable[[Any], bool] | None = None, /, **values: object
) -> None:
    """Raise `TypeError` for what is not a number, `ValueError` where `holds` is false of it.

    `bounds` says in words what holds, such as "> 0".
    """
    for name, value in values.items():
        real = isinstance(value, Real)
        if not real or (holds and not holds(value)):
            expected = f"a number {bounds}".strip()
            kind = ValueError if real else TypeError
            raise kind(f"{function}: {name}={value!r}; {expected} was expected")
