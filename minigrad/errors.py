"""The errors that minigrad raises on purpose.

Each derives from the built-in that fits best, so code that knows nothing of minigrad still catches
the right thing. A message names the operator or function, what it was given and what was expected.
Below it stand notes: the line of the user's own code that led to it (`tell_line`), and where there
is one, the module (`graph/notes.py`).
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from types import FrameType
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
    """An element type that an operator cannot take, such as integers where a gradient is asked
    for.
    """


class GraphError(_Located, RuntimeError):
    """A graph asked for something it cannot give, such as a gradient that nothing leads to."""


class DataError(_Located, RuntimeError):
    """A data set that is missing, damaged or out of reach; the message says which one and what to
    do.
    """


class GradientWarning(UserWarning):
    """A number has left a graph that records gradients, and no gradient flows through it."""


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn at the innermost line of code that is the user's own."""
    depth = 2
    for frame, _ in traceback.walk_stack(sys._getframe(1)):
        if _own(frame):
            break
        depth += 1
    warnings.warn(message, category, stacklevel=depth)


def tell_line(error: E) -> E:
    """Note on an error, before or after it is raised, the innermost line of code that is the user's
    own; returns the error.

    A traceback shows that line too, but among those of libraries, and last comes one of ours. What
    is looked at is the stack as it is: no node remembers where it was made, which would make each
    one dearer. Where no line is the user's (a prompt, whose text Python does not keep; a library
    that calls minigrad), or the error itself is, nothing is noted.
    """
    import linecache

    raised = list(traceback.walk_tb(error.__traceback__))
    if noted(error, LINE) or (raised and _own(raised[-1][0])):
        return error
    for frame, number in (*reversed(raised), *traceback.walk_stack(sys._getframe(1))):
        if _own(frame):
            file = frame.f_code.co_filename
            if text := linecache.getline(file, number, frame.f_globals).strip():
                name = "of the cell" if "ipykernel_" in file else f"of {os.path.basename(file)}"
                error.add_note(f"{LINE}{number} {name}: {text}")
            break
    return error


def noted(error: BaseException, start: str) -> bool:
    """Has the error a note that begins so?"""
    return any(note.startswith(start) for note in getattr(error, "__notes__", ()))


def _own(frame: FrameType) -> bool:
    """Is this code the user's: no part of minigrad, of Python or of an installed package?"""
    file, module = frame.f_code.co_filename, frame.f_globals.get("__name__") or ""
    library = module.partition(".")[0] == "minigrad" or "-packages" in os.path.dirname(
        file
    )  # site-packages, dist-packages
    return not library and not file.startswith(("<", os.path.dirname(os.__file__)))
