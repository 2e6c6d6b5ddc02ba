"""What a function says, in a few characters: machine code is kept by that, and not by the
function's name.
"""

from __future__ import annotations

import hashlib
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic, np.dtype)


def fingerprint(function: Any) -> str:
    """A digest of the function's code and of all that it reads: globals, closures, defaults,
    functions that it calls.
    """
    digest = hashlib.sha256()
    for part in _said(function, set()):
        digest.update(repr(part).encode())
    return digest.hexdigest()[:16]


def _said(value: Any, seen: set[int]) -> Any:
    """The parts of a value that decide what it computes, functions before what they read."""
    function = getattr(value, "py_func", value)  # what Numba has compiled
    if isinstance(function, _PLAIN):
        yield type(function).__name__, function
    elif isinstance(function, np.ndarray):
        yield function.dtype.str, function.shape, function.tobytes()
    elif isinstance(function, tuple | list | dict | set | frozenset):
        entries = sorted(function, key=repr) if isinstance(function, set | frozenset) else function
        yield type(function).__name__, len(function)
        for entry in [*entries, *(function.values() if isinstance(function, dict) else ())]:
            yield from _said(entry, seen)
    elif isinstance(function, FunctionType):
        if id(function) not in seen:
            seen.add(id(function))
            yield sorted(map(str, getattr(value, "targetoptions", {}).items()))
            yield from _of_function(function, seen)
    else:
        yield (
            getattr(function, "__module__", ""),
            getattr(function, "__qualname__", type(function).__qualname__),
        )


def _of_function(function: FunctionType, seen: set[int]) -> Any:
    yield from _of_code(function.__code__, seen)
    for held in (function.__defaults__, function.__kwdefaults__):
        yield from _said(held, seen)
    for cell in function.__closure__ or ():
        yield from _said(cell.cell_contents, seen)
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield name
            yield from _global(function.__globals__[name], function.__code__, seen)


def _global(value: Any, code: CodeType, seen: set[int]) -> Any:
    """A global that a function reads; of a module what the function may take out of it."""
    if not isinstance(value, ModuleType):
        yield from _said(value, seen)
        return
    yield value.__name__, getattr(value, "__version__", "")
    if value.__name__.partition(".")[0] not in ("numpy", "numba", "math"):
        for name in _names(code):
            if hasattr(value, name):
                yield from _said(getattr(value, name), seen)


def _of_code(code: CodeType, seen: set[int]) -> Any:
    yield code.co_code, code.co_names, code.co_varnames
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _of_code(constant, seen)
        else:
            yield from _said(constant, seen)


def _names(code: CodeType) -> list[str]:
    inner = [
        name
        for constant in code.co_consts
        if isinstance(constant, CodeType)
        for name in _names(constant)
    ]
    return sorted({*code.co_names, *inner})
