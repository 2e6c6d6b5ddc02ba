"""How minigrad calls Numba: its decorators, and how many threads there are."""

# mypy: allow-untyped-defs, allow-untyped-calls
# (Numba infers the types of what it compiles from each call)

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property, update_wrapper
from threading import RLock
from typing import Any

# OpenMP's threads spin for milliseconds while they wait for each other. Beside other busy programs,
# where one of them does not get a core at once, training became ten times slower; with a short
# spin they sleep instead. The setting is read when Numba loads OpenMP, so it comes before that; a
# user's own setting stays.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import numba
from numba import get_num_threads, prange, set_num_threads
from numba.core import event

from ..interrupts import interrupts_deferred
from . import simd
from .options import FORMULAS, SUMS, config
from .simd import compiled, compiled_separately

__all__ = ["compiled_separately", "jit", "prange", "shard", "threads"]
__all__ += ["get_num_threads", "set_num_threads"]

# Only loops over `prange` have threads. By itself Numba would give them to sums and copies of a few
# numbers, too.
_ALSO = "comprehension", "fusion", "inplace_binop", "numpy", "reduction", "setitem", "stencil"
_PRANGE_ONLY = dict.fromkeys(_ALSO, False)


threading_layer: Any = vars(numba)["threading_layer"]  # which Numba's annotations leave out


class _Compiling(event.Listener):
    """What is different while Numba compiles: Ctrl-C waits, and garbage is collected less often.

    LLVM calls back into Python, where an exception is lost and leaves a function without its
    machine code. Compiling makes millions of objects, most of which stay; looking through them as
    often as Python does takes a tenth of the time.
    """

    def __init__(self):
        self.usual, self.begun = gc.get_threshold(), []

    def on_start(self, event):
        if not self.begun:
            self.usual = gc.get_threshold()
            gc.set_threshold(*(100 * n for n in self.usual))
            self.waiting = interrupts_deferred()
            self.waiting.__enter__()
        self.begun.append(event.data)

    def on_end(self, event):
        # Numba announces the end, but not the start, if another listener raised at the start
        if self.begun and self.begun[-1] is event.data:
            self.begun.pop()
            if not self.begun:
                gc.set_threshold(*self.usual)
                self.waiting.__exit__(None, None, None)


event.register("numba:compile", _Compiling())


class ThreadedKernel:
    """A kernel with threads, to be called from Python.

    Numba's "workqueue" threads end the process if two Python threads use them at once, so there
    kernels run one after the other. A forked process has none of the threads that its parent had
    started (GNU's OpenMP ends it for trying), so there kernels run without.
    """

    threads_of_parent = False  # is this a forked process whose parent had started threads?

    def __init__(self, function, options):
        update_wrapper(self, function)
        self.py_func, self._options = function, options
        parallel = _PRANGE_ONLY if simd.ON else True
        self.dispatcher = compiled(function, parallel=parallel, **options)

    @cached_property
    def serial(self) -> Any:
        """The same kernel without threads."""
        return compiled(self.py_func, "serial", **self._options)

    @cached_property
    def _in_turn(self):
        get_num_threads()  # starts the threads, after which it is known which ones there are
        return threading_layer() == "workqueue"

    def __call__(self, *args):
        if ThreadedKernel.threads_of_parent:
            return self.serial(*args)
        if self._in_turn:
            with _turn:
                return self.dispatcher(*args)
        return self.dispatcher(*args)

    def __getattr__(self, name):
        """Numba's own attributes: `signatures`, `stats` and so on."""
        return getattr(self.__dict__["dispatcher"], name)


_turn = RLock()  # a finalizer or a signal handler may call kernels while one is being compiled


def _after_fork():
    """In a forked process: no kernel is running, and threads that the parent had are not there."""
    global _turn
    _turn = RLock()
    with suppress(ValueError):  # none had been started
        threading_layer()
        ThreadedKernel.threads_of_parent = True


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
    options = {"nogil": True, **(SUMS if reassociate else FORMULAS)}
    if config.DISABLE_JIT:
        made: Any = function
        made.py_func = function  # it is the function itself, but callers need not know
        return made
    return ThreadedKernel(function, options) if parallel else compiled(function, **options)


def serial(kernel: Any) -> Any:
    """A kernel without its threads, for callers that have a thread for each part already."""
    return kernel.serial if isinstance(kernel, ThreadedKernel) else kernel


def threads(items: int) -> int:
    """The number of shards for `items` pieces of work: one per thread, at least one."""
    return max(1, min(items, int(get_num_threads())))


@contextmanager
def one_thread() -> Iterator[None]:
    """Cut work into one shard only within the block."""
    before = get_num_threads()
    try:
        set_num_threads(1)
        yield
    finally:
        set_num_threads(before)


@jit
def shard(s, shards, items):
    """The half-open range of items that shard number s works on."""
    return items * s // shards, items * (s + 1) // shards
