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
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # damaged: pickle raises whatever comes first
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)


def _cached(function: Callable[..., Any], folder: str) -> Any:
    """The cache of one function; none where there is no source file to know it by."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = folder
    try:
        return _Cache(function)
    except RuntimeError:
        return NullCache()
    finally:
        numba.config.CACHE_DIR = before


_FOLDER = _cache_folder()
_serial: dict[Any, Any] = {}
_kept: list[Any] = []  # compiled functions that only the linker knows


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


def compiled_symbol(name: str, signature: Any, function: Callable[..., Any]) -> Any:
    """Compile a function of pointers and numbers now, and return what other kernels call it by: a symbol for the linker.

    It must be there before any kernel that calls it is loaded from the disk, so this runs when a module is imported.
    """
    from llvmlite import binding

    made = CFunc(function, (signature.args, signature.return_type), {}, _OPTIONS)
    made._cache = _cached(function, _FOLDER)
    made.compile()
    binding.add_symbol(name, made.address)
    _kept.append(made)
    return numba.types.ExternalFunction(name, signature)


def steps_folder() -> str:
    """Where the source of compiled steps is kept."""
    return str(Path(_FOLDER) / "steps")


def serial(kernel: Any) -> Any:
    """A kernel without its threads, for use where every thread has work of its own already."""
    if not kernel.targetoptions.get("parallel"):
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
    set_num_threads(1)
    try:
        yield
    finally:
        set_num_threads(before)


@jit
def shard(s: int, shards: int, items: int) -> tuple[int, int]:
    """The half-open range of items that shard number s works on."""
    return items * s // shards, items * (s + 1) // shards
