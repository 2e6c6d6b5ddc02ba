"""What holds for a stretch of code rather than for one call: dtype, recording, module scope.

Context variables keep these per thread and per task, so that two threads can train two models.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any

import numpy as np

from ..errors import DTypeError

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

_dtype: ContextVar[np.dtype[Any]] = ContextVar("dtype", default=FLOATS[0])
_recording: ContextVar[bool] = ContextVar("recording", default=True)
#: The modules being called just now, outermost first; a drawing groups nodes by it.
_scope: ContextVar[tuple[object, ...]] = ContextVar("scope", default=())

#: Do operators change the buffers that they keep (running statistics, streams of random numbers)?
_advancing: ContextVar[bool] = ContextVar("advancing", default=True)

recording = _recording.get
advancing = _advancing.get
scope = _scope.get


def float_dtype(dtype: Any = None) -> np.dtype[Any]:
    """float32 or float64 as a `np.dtype`; the default one for None. Raises `DTypeError` for any other."""
    if dtype is None:
        return _dtype.get()
    try:
        return FLOATS[FLOATS.index(np.dtype(dtype))]
    except (TypeError, ValueError):  # no dtype at all, or not one of the two
        raise DTypeError(f"dtype {dtype!r}: minigrad computes in float32 or float64") from None


@contextmanager
def default_dtype(dtype: Any) -> Iterator[None]:
    """Within the block (or the decorated function), whatever enters a graph becomes `dtype`.

    `dtype` is float32 or float64; anything else raises `DTypeError`.
    """
    token = _dtype.set(float_dtype(dtype))
    try:
        yield
    finally:
        _dtype.reset(token)


@contextmanager
def recorded(wanted: bool) -> Iterator[None]:
    """Within the block, operators record where they came from, or not, whatever holds around it."""
    token = _recording.set(wanted)
    try:
        yield
    finally:
        _recording.reset(token)


@contextmanager
def no_grad() -> Iterator[None]:
    """Within the block (or the decorated function), operators compute but record nothing.

    Their results are `Constant`s: no inputs, no gradient, no memory of how they came about.
    """
    with recorded(False):
        yield


def enter(module: object) -> Token[tuple[object, ...]]:
    """New nodes belong to `module` (nested modules add up) until `leave` gets what this returns."""
    return _scope.set((*_scope.get(), module))


leave = _scope.reset


@contextmanager
def state_kept() -> Iterator[None]:
    """Within the block, operators use their buffers and leave them as they are: a pass that does not count as one.

    Running statistics do not move, and dropout draws the mask of the last pass again.
    """
    token = _advancing.set(False)
    try:
        yield
    finally:
        _advancing.reset(token)


@contextmanager
def inside(module: object) -> Iterator[None]:
    """Within the block, new nodes belong to `module`. Where every microsecond counts, `enter` and `leave` do it."""
    token = enter(module)
    try:
        yield
    finally:
        leave(token)
