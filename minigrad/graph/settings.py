"""Settings that hold for a block of code: default dtype, recording, module scope.

Context variables keep them per thread and per task, so that two threads can train two models. Each
is changed within `try`, because Ctrl-C may come as soon as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import _GeneratorContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..errors import DTypeError

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

_dtype: ContextVar[np.dtype[Any]] = ContextVar("dtype", default=FLOATS[0])
_recording: ContextVar[bool] = ContextVar("recording", default=True)
#: The modules that are being called, outermost first; drawings group nodes by it.
_scope: ContextVar[tuple[object, ...]] = ContextVar("scope", default=())
#: Do operators update their buffers (running statistics, random streams)?
_advancing: ContextVar[bool] = ContextVar("advancing", default=True)
#: Leaves whose values will change when the graph being built runs again; None: it runs once.
_changing: ContextVar[Collection[object] | None] = ContextVar("changing", default=None)

recording = _recording.get
advancing = _advancing.get
scope = _scope.get
changing = _changing.get
set_scope = _scope.set


def native(dtype: Any) -> np.dtype[Any]:
    """The dtype in this machine's byte order, the only one that kernels know."""
    own: np.dtype[Any] = np.dtype(dtype).newbyteorder("=")
    return own


def float_dtype(dtype: Any = None) -> np.dtype[Any]:
    """float32 or float64 as a `np.dtype`; None gives the default. Raises `DTypeError` otherwise."""
    if dtype is None:
        return _dtype.get()
    try:
        return FLOATS[FLOATS.index(native(dtype))]
    except (TypeError, ValueError):  # no dtype at all, or not one of the two
        raise DTypeError(f"dtype {dtype!r}: minigrad computes in float32 or float64") from None


@contextmanager
def _within(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    before = variable.get()
    try:
        variable.set(value)
        yield
    finally:
        variable.set(before)


def default_dtype(dtype: Any) -> _GeneratorContextManager[None]:
    """Within the block (or the decorated function), values that enter a graph become `dtype`.

    `dtype` is float32 or float64; anything else raises `DTypeError`.

    >>> with mg.default_dtype(np.float64):
    ...     x = mg.Variable([0.1])
    >>> x.dtype
    dtype('float64')
    """
    return _within(_dtype, float_dtype(dtype))


def recorded(wanted: bool) -> _GeneratorContextManager[None]:
    """Within the block, operators record their inputs, or not, whatever holds around it."""
    return _within(_recording, wanted)


def no_grad() -> _GeneratorContextManager[None]:
    """Within the block (or the decorated function), operators compute but record nothing.

    Their results are `Constant`s: no inputs, no gradient.

    >>> w = mg.Variable(2.0)
    >>> with mg.no_grad():
    ...     y = w * 3
    >>> y
    <Constant () float32: 6.>
    """
    return recorded(False)


def state_kept() -> _GeneratorContextManager[None]:
    """Within the block, operators read their buffers but do not update them.

    Running statistics do not move, and dropout draws the mask of the last pass again.
    """
    return _within(_advancing, False)


def rerun(leaves: Collection[object] | None) -> _GeneratorContextManager[None]:
    """Within the block, graphs are built to run again with other values in `leaves`.

    Reading a number that depends on one of them is a `GraphError`, because Python code would use
    the number of the first run for ever.
    """
    return _within(_changing, leaves)


def inside(module: object) -> _GeneratorContextManager[None]:
    """Within the block, new nodes belong to `module`. (`set_scope` does the same in less time.)"""
    return _within(_scope, (*scope(), module))
