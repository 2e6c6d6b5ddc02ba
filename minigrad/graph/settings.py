"""What holds for a stretch of code rather than for one call: dtype, recording, module scope.

Context variables keep these per thread and per task, so that two threads can train two models. They
are changed within `try`: Ctrl-C may come as soon as they are, and what was before must be there
again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import _GeneratorContextManager, contextmanager
from contextvars import ContextVar
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

#: Leaves that hold other numbers whenever the graph that is being built runs again; None: it is
#: built to run once.
_changing: ContextVar[Collection[object] | None] = ContextVar("changing", default=None)

#: gives what operators call in place of a kernel
_version: ContextVar[Callable[[Any], Any] | None] = ContextVar("version", default=None)

recording = _recording.get
advancing = _advancing.get
scope = _scope.get
version = _version.get
changing = _changing.get
set_scope = _scope.set


def native(dtype: Any) -> np.dtype[Any]:
    """The dtype in this machine's byte order, the only one that kernels know."""
    own: np.dtype[Any] = np.dtype(dtype).newbyteorder("=")
    return own


def float_dtype(dtype: Any = None) -> np.dtype[Any]:
    """float32 or float64 as a `np.dtype`; the default one for None. Raises `DTypeError` for any
    other.
    """
    if dtype is None:
        return _dtype.get()
    try:
        return FLOATS[FLOATS.index(native(dtype))]
    except (TypeError, ValueError):  # no dtype at all, or not one of the two
        raise DTypeError(f"dtype {dtype!r}: minigrad computes in float32 or float64") from None


@contextmanager
def _within(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    """Within the block (or the decorated function), the variable has this value."""
    before = variable.get()
    try:
        variable.set(value)
        yield
    finally:
        variable.set(before)


def default_dtype(dtype: Any) -> _GeneratorContextManager[None]:
    """Within the block (or the decorated function), whatever enters a graph becomes `dtype`.

    `dtype` is float32 or float64; anything else raises `DTypeError`.
    """
    return _within(_dtype, float_dtype(dtype))


def recorded(wanted: bool) -> _GeneratorContextManager[None]:
    """Within the block, operators record where they came from, or not, whatever holds around it."""
    return _within(_recording, wanted)


def no_grad() -> _GeneratorContextManager[None]:
    """Within the block (or the decorated function), operators compute but record nothing.

    Their results are `Constant`s: no inputs, no gradient, no memory of how they came about.
    """
    return recorded(False)


def state_kept() -> _GeneratorContextManager[None]:
    """Within the block, operators use their buffers and leave them as they are: a pass that does
    not count as one.

    Running statistics do not move, and dropout draws the mask of the last pass again.
    """
    return _within(_advancing, False)


def rerun(leaves: Collection[object] | None) -> _GeneratorContextManager[None]:
    """Within the block, graphs are built to run again with other numbers in `leaves`.

    Reading a number that depends on one of them is a `GraphError`: Python code would see that of
    the first run for ever.
    """
    return _within(_changing, leaves)


def inside(module: object) -> _GeneratorContextManager[None]:
    """Within the block, new nodes belong to `module`. Where every microsecond counts, `set_scope`
    does it.
    """
    return _within(_scope, (*scope(), module))


def calling(version: Callable[[Any], Any]) -> _GeneratorContextManager[None]:
    """Within the block, operators call `version(kernel)` where they would call a kernel."""
    return _within(_version, version)
