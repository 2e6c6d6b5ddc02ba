"""How minigrad calls Numba: its decorators, and how many threads there are."""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import RLock
from typing import Any

# OpenMP's threads spin for milliseconds while they wait for each other. Beside other busy programs,
# where one of them does not get a core at once, that made training ten times slower; with a short
# spin they sleep instead. The setting is read when Numba loads OpenMP, so it comes before that; a
# user's own setting stays.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import numba
from numba import get_num_threads, prange, set_num_threads
from numba.core import cgutils, event
from numba.core.ccallback import CFunc
from numba.core.cpu_options import ParallelOptions
from numba.core.dispatcher import Dispatcher
from numba.core.registry import CPUDispatcher

from ..interrupts import interrupts_deferred
from .cache import by_symbol, cached, symbol_of, without_linear_algebra

__all__ = ["jit", "prange", "shard", "threads"]

# Of "fast math" only what changes nothing but the rounding. Not "arcp": with it LLVM takes an
# estimate for 1 / sqrt(x), which is NaN at 0 and inf, and multiplies by 1 / x, which is inf for a
# subnormal x. Not "reassoc": it makes sqrt(x) of x / sqrt(x), x of log(exp(x)) and y of
# x - (x - y), so that NaN and inf get lost; only sums need it (see `jit`).
# The error model is NumPy's: a division that might raise Python's ZeroDivisionError keeps LLVM from
# vectorising the loop around it.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}

# Only loops over `prange` have threads. By itself Numba would give them to sums and copies of a few
# numbers, too.
_ALSO = "comprehension", "fusion", "inplace_binop", "numpy", "reduction", "setitem", "stencil"
_THREADS = ParallelOptions(dict.fromkeys(_ALSO, False))


class _Compiling(event.Listener):  # type: ignore[misc]
    """What is other than usual while Numba compiles: garbage is looked for less often. Compiling
    makes millions of objects, most of which stay; looking through them as often as Python does
    takes a tenth of the time.
    """

    depth, usual = 0, (0, 0, 0)

    def on_start(self, event: Any) -> None:
        if self.depth == 0:
            with without_linear_algebra():  # before Numba loads it without
                importlib.import_module("numba.np.arraymath")
            self.usual = gc.get_threshold()
            gc.set_threshold(*(100 * n for n in self.usual))
        self.depth += 1

    def on_end(self, event: Any) -> None:
        self.depth -= 1
        if self.depth == 0:
            gc.set_threshold(*self.usual)


event.register("numba:compile", _Compiling())
_serial: dict[Any, Any] = {}


class _Kernel(CPUDispatcher):  # type: ignore[misc]
    """Numba's dispatcher, whose compiling and loading Ctrl-C does not cut short.

    LLVM calls back into Python, where an exception is lost and leaves a function without its
    machine code; and Numba registers declarations in steps, of which none may be left out.
    """

    def compile(self, sig: Any) -> Any:
        with interrupts_deferred():
            return super().compile(sig)


class _ThreadedKernel(_Kernel):
    """A kernel with threads.

    Numba's "workqueue" threads end the process if two Python threads use them at once, so there
    kernels run one after the other. A forked process has none of the threads that its parent had
    started (GNU's OpenMP ends it for trying), so there kernels run without. Otherwise nothing is in
    the way: then the class has no `__call__` of its own, and a call costs what it costs in Numba.
    """

    def __call__(self, *args: Any) -> Any:
        """The first call of any kernel: which threads there are is known when they have started."""
        get_num_threads()  # starts them
        if numba.threading_layer() == "workqueue":
            _ThreadedKernel.__call__ = _in_turn  # type: ignore[method-assign]
        else:
            with suppress(AttributeError):  # another thread was first
                del _ThreadedKernel.__call__
        return self(*args)


_turn = RLock()  # a finalizer or a signal handler may call kernels while one is being compiled


def _in_turn(kernel: Any, *args: Any) -> Any:
    with _turn:
        return CPUDispatcher.__call__(kernel, *args)


def _without_threads(kernel: Any, *args: Any) -> Any:
    return serial(kernel)(*args)


def _after_fork() -> None:
    """In a forked process: no kernel is running, and threads that the parent had are not there."""
    global _turn
    _turn = RLock()
    with suppress(ValueError):  # none had been started
        numba.threading_layer()
        _ThreadedKernel.__call__ = _without_threads  # type: ignore[method-assign]


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork)


def jit(
    function: Callable[..., Any] | None = None, *, parallel: bool = False, reassociate: bool = False
) -> Any:
    """Compile with Numba at the first call, cached on disk; where no cache can be written, without
    one.

    `parallel=True` is for thin wrappers that share work out with `prange`: it makes compiling slow.
    `reassociate=True` is for kernels that sum a row: LLVM then adds several numbers at once, in
    another order than written. Such a kernel has no formula that relies on its order, or on NaN and
    inf.
    """
    if function is None:
        return lambda f: jit(f, parallel=parallel, reassociate=reassociate)
    allowed = _OPTIONS["fastmath"] | ({"reassoc"} if reassociate else set())
    options = {**_OPTIONS, "fastmath": allowed, "parallel": _THREADS if parallel else False}
    made = _njit(function, options)
    made.threaded = parallel
    return made


def _njit(function: Callable[..., Any], options: dict[str, Any], below: str = "") -> Any:
    made = numba.njit(function, **options)
    if numba.config.DISABLE_JIT:
        made.py_func = made  # it is the function itself, but callers need not know
    else:
        made.__class__ = _ThreadedKernel if options.get("parallel") else _Kernel
        made._cache = cached(function, below)
    return made


def apart(function: Callable[..., Any]) -> Any:
    """Compile a function of arrays and numbers by itself: kernels call it by a symbol, and are not
    optimised together with it, which would take as long again in each of them. Whole numbers are
    taken as int64.

    It is not for Python to call, unless it is a kernel, which stays as it is; as Python it is
    `py_func`.
    """
    if numba.config.DISABLE_JIT:
        return function if hasattr(function, "py_func") else _njit(function, {})
    alone = {**_OPTIONS, "no_cpython_wrapper": True}
    made = function if isinstance(function, Dispatcher) else _njit(function, alone)
    name = f"{made.py_func.__module__}.{made.py_func.__name__}"

    def compile_for(types: Any) -> int:
        made.compile(types)
        compiled = made.overloads[types]
        return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))

    @numba.extending.intrinsic
    def call(typing: Any, *args: Any) -> Any:
        types = tuple(
            numba.types.intp if isinstance(t, numba.types.Integer) else numba.types.unliteral(t)
            for t in args
        )
        symbol = symbol_of(name, types)
        result = made.overloads[types].signature.return_type

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            convention, given = context.call_conv, cgutils.unpack_tuple(builder, values[0])
            callee = cgutils.get_or_insert_function(
                builder.module, convention.get_function_type(result, types), symbol
            )
            cast = [context.cast(builder, *each) for each in zip(given, args, types, strict=True)]
            status, returned = convention.call_function(builder, callee, result, types, cast)
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            return returned

        return result(numba.types.StarArgTuple(args)), generate

    by_symbol(name, compile_for)
    call.py_func = made.py_func
    return call


def of_pointers(name: str, signature: Any, function: Callable[..., Any]) -> Callable[[], Any]:
    """Compile a function of pointers and numbers by itself, in C's calling convention; what is
    returned gives the function that other kernels call.
    """
    kept = []  # what the linker knows must not go

    def compile_for(types: Any) -> int:
        made = CFunc(function, (signature.args, signature.return_type), {}, _OPTIONS)
        made._cache = cached(function)
        made.compile()
        kept.append(made)
        return int(made.address)

    by_symbol(name, compile_for)
    return lambda: numba.types.ExternalFunction(symbol_of(name, signature.args), signature)


def serial(kernel: Any) -> Any:
    """A kernel without its threads, for use where every thread has work of its own already."""
    if numba.config.DISABLE_JIT or not getattr(kernel, "threaded", False):
        return kernel
    if kernel not in _serial:
        options = {
            key: value
            for key, value in kernel.targetoptions.items()
            if key not in ("parallel", "nopython")
        }
        _serial[kernel] = _njit(kernel.py_func, options, "serial")
    return _serial[kernel]


def threads(items: int) -> int:
    """Into how many shards to cut `items` pieces of work: one per thread, at least one."""
    return max(1, min(items, int(get_num_threads())))


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the block work is cut into one shard only."""
    before = get_num_threads()
    try:
        set_num_threads(1)
        yield
    finally:
        set_num_threads(before)


@jit
def shard(s: int, shards: int, items: int) -> tuple[int, int]:
    """The half-open range of items that shard number s works on."""
    return items * s // shards, items * (s + 1) // shards
