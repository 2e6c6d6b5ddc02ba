"""The errors that minigrad raises on purpose.

Each derives from the built-in that fits best, so code that knows nothing of minigrad still catches the right
thing. A message names the operator or function, what it was given and what was expected. Below it stand notes: the line of
the user's own code that led to it (`tell_line`), and where there is one, the module (`graph/notes.py`).
"""

from __future__ import annotations

import os
import sys
from typing import TypeVar

E = TypeVar("E", bound=BaseException)
LINE = "in your line "


class _Located(Exception):
    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        tell_line(self)


class ShapeError(_Located, ValueError):
    """Arrays whose shapes do not fit together, or do not fit the operator that received them."""


class DTypeError(_Located, TypeError):
    """An element type that an operator cannot take, such as integers where a gradient is asked for."""


class GraphError(_Located, RuntimeError):
    """A graph asked for something it cannot give, such as a gradient that nothing leads to."""


class DataError(_Located, RuntimeError):
    """A data set that is missing, damaged or out of reach; the message says which one and what to do."""


def tell_line(error: E) -> E:
    """Note on an error that is about to be raised the innermost line of code that is the user's own; returns the error.

    A traceback shows that line too, but among those of libraries, and last comes one of ours. What is looked at is the
    present stack: no node remembers where it was made, which would make each one dearer. Where no line is the user's
    (a prompt, whose text Python does not keep; a library that calls minigrad) nothing is noted.
    """
    import linecache

    frame = sys._getframe(1)
    while frame and not _own(frame.f_code.co_filename, frame.f_globals.get("__name__", "")):
        frame = frame.f_back  # type: ignore[assignment]
    if frame:
        file, number = frame.f_code.co_filename, frame.f_lineno
        if text := linecache.getline(file, number, frame.f_globals).strip():
            name = "of the cell" if "ipykernel_" in file else f"of {os.path.basename(file)}"
            error.add_note(f"{LINE}{number} {name}: {text}")
    return error


def _own(file: str, module: str) -> bool:
    """Is this file the user's: no part of minigrad, of Python or of an installed package?"""
    library = module.partition(".")[0] == "minigrad" or f"{os.sep}site-packages{os.sep}" in file
    return not library and not file.startswith(("<", os.path.dirname(os.__file__)))
