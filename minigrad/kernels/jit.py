"""How minigrad calls Numba: one decorator, and a disk cache that cannot go stale."""
from __future__ import annotations

import hashlib
import importlib
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

# OpenMP's threads spin for milliseconds while they wait for each other. Beside other busy programs, where one of them
# does not get a core at once, that made training ten times slower; with a short spin they sleep instead. The setting is
# read when Numba loads OpenMP, so it comes before that; a user's own setting stays.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import numba
import numpy as np
import platformdirs
from numba import get_num_threads, prange, set_num_threads
from numba.core import cgutils
from numba.core.caching import CompileResultCacheImpl, FunctionCache, NullCache
from numba.core.ccallback import CFunc

__all__ = ["jit", "prange", "shard", "threads"]

# Of "fast math" only what leaves NaN and infinity as they are. The error model is NumPy's: a division that
# might raise Python's ZeroDivisionError keeps LLVM from vectorising the loop around it.
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz", "arcp", "reassoc"},
}


def _without_linear_algebra() -> None:
    """Load Numba's NumPy functions without scipy.linalg, a quarter of a second that no kernel needs.

    They only look whether SciPy's BLAS is there. Who compiles a function with `np.dot` gets it when that is compiled.
    """
    blas = "scipy.linalg.cython_blas"
    if blas in sys.modules:
        return
    sys.modules[blas] = ModuleType(blas)
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        del sys.modules[blas]


_without_linear_algebra()


def _cache_folder() -> str:
    """A folder named after all kernel sources, versions, and the processor that Numba is told to compile for.

    Numba's own cache looks at the file of the outer function only: a change in a function that it calls from
    another file would leave old machine code in place.
    """
    versions = f"{numba.__version__} {np.__version__} {platform.python_version()}"
    digest = hashlib.sha256(f"{versions} {numba.config.CPU_NAME} {numba.config.CPU_FEATURES}".encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    base = os.environ.get("NUMBA_CACHE_DIR") or platformdirs.user_cache_dir("minigrad")
    return str(Path(base) / f"kernels-{digest.hexdigest()[:16]}")


class _Locator(CompileResultCacheImpl._locator_classes[0]):  # type: ignore[misc]
    """Where a function is kept: in the folder that Numba is told, whether it can be written to or only read."""

    def ensure_cache_path(self) -> None:
        with suppress(OSError):
            Path(self.get_cache_path()).mkdir(parents=True, exist_ok=True)


class _Files(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_Locator,)  # never a folder beside the source, where machine code would go stale


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache on disk; what cannot be read counts as not there, what cannot be written is not kept."""

    _impl_class = _Files

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        _declare_for(getattr(sig, "args", sig))
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # damaged: pickle raises whatever comes first
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)


class _NoCache(NullCache):  # type: ignore[misc]
    def load_overload(self, sig: Any, target_context: Any) -> None:
        _declare_for(getattr(sig, "args", sig))


def _cached(function: Callable[..., Any], folder: str) -> Any:
    """The cache of one function; none where there is no source file to know it by."""
    with _one_at_a_time:  # the setting is every thread's
        before = numba.config.CACHE_DIR
        try:
            numba.config.CACHE_DIR = folder
            return _Cache(function)
        except RuntimeError:
            return _NoCache()
        finally:
            numba.config.CACHE_DIR = before


_one_at_a_time = Lock()
_FOLDER = _cache_folder()
_serial: dict[Any, Any] = {}
_kept: list[Any] = []  # compiled functions that only the linker knows
_undeclared: dict[Any, list[Callable[[], None]]] = {}  # dtype -> what its kernels call by symbol and nobody needed yet


def jit(
    function: Callable[..., Any] | None = None, *, parallel: bool = False, reassociate: bool = True
) -> Any:
    """Compile with Numba at the first call, cached on disk; where no cache can be written, without one.

    `parallel=True` is for thin wrappers that share work out with `prange`: it makes compiling slow.
    `reassociate=False` adds in the order that is written, for formulas that rely on it: a - (b - c) with b close to c.
    """
    if function is None:
        return lambda f: jit(f, parallel=parallel, reassociate=reassociate)
    options = _OPTIONS if reassociate else {**_OPTIONS, "fastmath": _OPTIONS["fastmath"] - {"reassoc"}}
    return _njit(function, _FOLDER, {**options, "parallel": parallel})


def _njit(function: Callable[..., Any], folder: str, options: dict[str, Any]) -> Any:
    made = numba.njit(function, **options)
    if numba.config.DISABLE_JIT:
        made.py_func = made  # it is the function itself, but callers need not know
    else:
        made._cache = _cached(function, folder)
    return made


def compiled_symbol(name: str, signature: Any, function: Callable[..., Any], dtype: Any) -> Any:
    """What other kernels call a function of pointers and numbers by: a symbol for the linker.

    It must be there before any kernel that calls it is compiled or loaded from the disk: the function is compiled before the
    first kernel with an array of that dtype.
    """
    from llvmlite import binding

    def declare() -> None:
        made = CFunc(function, (signature.args, signature.return_type), {}, _OPTIONS)
        made._cache = _cached(function, _FOLDER)
        made.compile()
        binding.add_symbol(name, made.address)
        _kept.append(made)

    _undeclared.setdefault(dtype, []).append(declare)
    return numba.types.ExternalFunction(name, signature)


def _declare_for(types: Any) -> None:
    """Compile the symbols of all dtypes among the arrays that a kernel takes."""
    for dtype in {t.dtype for t in types if isinstance(t, numba.types.Array)} & set(_undeclared):
        symbols = _undeclared.pop(dtype)  # at once: these functions are kernels themselves
        try:
            for declare in symbols:
                declare()
        except BaseException:  # Ctrl-C, too
            _undeclared[dtype] = symbols
            raise


def apart(function: Callable[..., Any]) -> Any:
    """Compile a function of arrays with Numba by itself: who calls it does so by a symbol, and is not optimised together
    with it, which would take as long again.

    `prepare` must have compiled it, or loaded it, before a kernel that calls it runs.
    """
    if numba.config.DISABLE_JIT:
        return function
    made = jit(function)

    @numba.extending.intrinsic
    def call(typing: Any, *args: Any) -> Any:
        types = tuple(map(numba.types.unliteral, args))
        compiled = made.overloads[types]

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            convention = context.call_conv
            shape = convention.get_function_type(compiled.signature.return_type, types)
            callee = cgutils.get_or_insert_function(builder.module, shape, _symbol(made, types))
            unpacked = cgutils.unpack_tuple(builder, values[0])
            status, result = convention.call_function(builder, callee, compiled.signature.return_type, types, unpacked)
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            return result

        return compiled.signature.return_type(numba.types.StarArgTuple(args)), generate

    call.prepare = lambda *arguments: _publish(made, tuple(map(numba.typeof, arguments)))
    return call


def prepare(function: Any, *arguments: Any) -> None:
    """Compile what `apart` made for such arguments, or load it from the disk."""
    if not numba.config.DISABLE_JIT:
        function.prepare(*arguments)


def _symbol(made: Any, types: Any) -> str:
    return f"{made.py_func.__module__}.{made.py_func.__name__}{types}"


def _publish(made: Any, types: Any) -> None:
    from llvmlite import binding

    made.compile(types)
    compiled = made.overloads[types]
    binding.add_symbol(_symbol(made, types), compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


def steps_folder() -> str:
    """Where the source of compiled steps is kept."""
    return str(Path(_FOLDER) / "steps")


def serial(kernel: Any) -> Any:
    """A kernel without its threads, for use where every thread has work of its own already."""
    if not getattr(kernel, "targetoptions", {}).get("parallel"):
        return kernel
    if kernel not in _serial:
        options = {key: value for key, value in kernel.targetoptions.items() if key not in ("parallel", "nopython")}
        _serial[kernel] = _njit(kernel.py_func, str(Path(_FOLDER) / "serial"), options)
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
