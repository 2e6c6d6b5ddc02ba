"""The contents of values as plain data that can be compared, and fingerprints of functions."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic, np.dtype)


def contents(value: Any, other: Callable[[Any], Any]) -> Any:
    """A copy of all numbers and texts in a value, equal for values that contain the same ones.

    `other` gives the contents of what is neither plain nor a collection nor a random generator.
    """
    if isinstance(value, _PLAIN):
        return repr(value)  # equal for NaN, too, and different for 1, 1.0 and True
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, list | tuple):
        return type(value).__name__, [contents(x, other) for x in value]
    if isinstance(value, set | frozenset):
        return sorted(repr(contents(x, other)) for x in value)
    if isinstance(value, dict):
        return [(repr(key), contents(x, other)) for key, x in value.items()]
    if isinstance(value, np.random.Generator):
        return contents(value.bit_generator.state, other)
    if isinstance(value, random.Random):
        return value.getstate()
    return other(value)


def fingerprint(function: Any) -> str:
    """A digest of a function's code and of all that it reads.

    These are globals, closures, defaults and the functions that it calls. Machine code is found by
    that, not by the function's name.
    """
    seen: set[int] = set()

    def other(value: Any) -> Any:
        function = getattr(value, "py_func", value)  # what Numba has compiled
        if isinstance(function, CodeType):
            code = function.co_code, function.co_names, function.co_varnames
            return contents((*code, function.co_consts), other)
        if isinstance(function, FunctionType) and id(function) not in seen:
            seen.add(id(function))
            options = sorted(map(str, getattr(value, "targetoptions", {}).items()))
            defaults = function.__code__, function.__defaults__, function.__kwdefaults__
            cells = [cell.cell_contents for cell in function.__closure__ or ()]
            return contents((options, *defaults, cells, _globals(function)), other)
        name = getattr(function, "__qualname__", type(function).__qualname__)
        return getattr(function, "__module__", ""), name

    return hashlib.sha256(repr(contents(function, other)).encode()).hexdigest()[:16]


def _globals(function: FunctionType) -> list[Any]:
    """The globals that a function reads; of a module, the attributes that it may read."""
    found: list[Any] = []
    names = sorted(_names(function.__code__))
    for name in names:
        value = function.__globals__.get(name)
        if isinstance(value, ModuleType):
            found += [value.__name__, getattr(value, "__version__", "")]
            if value.__name__.partition(".")[0] not in ("numpy", "numba", "math"):
                found += [getattr(value, attribute, None) for attribute in names]
        else:
            found += [name, value]
    return found


def _names(code: CodeType) -> set[str]:
    """The names that code refers to, functions within it included."""
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return {*code.co_names}.union(*inner)
