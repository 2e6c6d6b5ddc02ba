"""Checks of arguments: each raises an error that names the function and the argument."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np


def positive(owner: str, **sizes: object) -> None:
    """Raise `ValueError` unless each size is an integer of at least 1."""
    for name, value in sizes.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{owner}: {name}={value!r}; an integer ≥ 1 was expected")


def number(
    owner: str, bounds: str = "", holds: Callable[[Any], bool] | None = None, /, **values: object
) -> None:
    """Raise `TypeError` for a value that is no number, `ValueError` for one where `holds` is
    false; `bounds` says it in words, such as "> 0".
    """
    for name, value in values.items():
        real = isinstance(value, Real)
        if not real or (holds and not holds(value)):
            expected = f"a number {bounds}".strip()
            kind = ValueError if real else TypeError
            raise kind(f"{owner}: {name}={value!r}; {expected} was expected")
