"""The errors that minigrad raises on purpose.

Each derives from the built-in that fits best, so code that knows nothing of minigrad still catches the right
thing.
"""

from __future__ import annotations


class ShapeError(ValueError):
    """Arrays whose shapes do not fit together, or do not fit the operator that received them."""


class DTypeError(TypeError):
    """An element type that an operator cannot take, such as integers where a gradient is asked for."""


class GraphError(RuntimeError):
    """A graph asked for something it cannot give, such as a gradient that nothing leads to."""


class DataError(RuntimeError):
    """A data set that is missing, damaged or out of reach; the message says which one and what to do."""
