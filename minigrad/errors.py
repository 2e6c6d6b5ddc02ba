"""The errors and warnings of minigrad.

Each error derives from the built-in that fits best, so that code that does not know minigrad
catches it, too. A message names the operator or function, its arguments and the expectation. Notes
add the line of the user's code that led to the error (`tell_line`), and the module, if any
(`graph/context.py`).
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any, ClassVar, TypeVar

__all__ = ["DTypeError", "DataError", "GradientWarning", "GraphError", "ShapeError"]

E = TypeVar("E", bound=BaseException)
LINE = "in your line "


class Located(Exception):
    """An error that knows the user's line."""

    shown = False  # in a notebook, with a picture
    #: what IPython shows of it; set by the drawings, which this module does not import
    _render_traceback_: ClassVar[Callable[[Any], list[str]]]

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        tell_line(self)


class ShapeError(Located, ValueError):
    """Arrays whose shapes do not fit together, or do not fit the operator that received them."""


class DTypeError(Located, TypeError):
    """An element type that an operator cannot take, such as integers where a gradient is needed."""


class GraphError(Located, RuntimeError):
    """A graph that cannot do what was asked, such as a gradient for an unconnected variable."""


class DataError(Located, RuntimeError):
    """A data set or file that is missing or damaged; the message says which one and what to do."""


class GradientWarning(UserWarning):
    """A value left a graph that records gradients, so no gradient will flow through it."""


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn at the innermost line of the user's code."""
    depth = 2
    for frame, _ in traceback.walk_stack(sys._getframe(1)):
        if of_user(frame):
            break
        depth += 1
    warnings.warn(message, category, stacklevel=depth)


def tell_line(error: E) -> E:
    """Add the innermost line of the user's code as a note to an error, before or after raising it.

    Returns the error. A traceback shows that line too, but among those of libraries, with one of
    ours last. The line comes from the current stack: nodes do not record where they were made,
    which would be expensive. Nothing is added where no line is the user's (a prompt, whose text
    Python does not keep; a library that calls minigrad), or where the user's code raised the error.
    """
    import linecache

    raised = list(traceback.walk_tb(error.__traceback__))
    if noted(error, LINE) or (raised and of_user(raised[-1][0])):
        return error
    for frame, number in (*reversed(raised), *traceback.walk_stack(sys._getframe(1))):
        if of_user(frame):
            file = frame.f_code.co_filename
            if text := linecache.getline(file, number, frame.f_globals).strip():
                name = "of the cell" if "ipykernel_" in file else f"of {os.path.basename(file)}"
                error.add_note(f"{LINE}{number} {name}: {text}")
            break
    return error


def noted(error: BaseException, start: str) -> bool:
    """Does the error have a note with this beginning?"""
    return any(note.startswith(start) for note in getattr(error, "__notes__", ()))


def of_user(frame: FrameType) -> bool:
    """Is this the user's code, not a part of minigrad, of Python or of an installed package?"""
    file, module = frame.f_code.co_filename, frame.f_globals.get("__name__") or ""
    installed = "-packages" in os.path.dirname(file)  # site-packages, dist-packages
    library = installed or module.partition(".")[0] == "minigrad"
    return not library and not file.startswith(("<", os.path.dirname(os.__file__)))
