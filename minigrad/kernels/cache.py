"""The disk cache of compiled kernels: it cannot go stale, and knows what machine code calls by
symbol.

Numba compiles a kernel together with every function that it calls, again in each caller. What
`jit.apart` makes is compiled once and called by a symbol instead, which must be there when the
caller's machine code is linked. So the cache keeps with each kernel which symbols it calls, and
loads them first.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any
from zipfile import BadZipFile

import numba
import numpy as np
import platformdirs
from llvmlite import binding
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile, NullCache
from numba.core.runtime import nrtdynmod, rtsys

from ..files import make_private, who_may_write, write_atomically


def _folder() -> str:
    """A folder named after all kernel sources, versions, and the processor that Numba is told to
    compile for.

    Numba's own cache looks at the file of the outer function only: a change in a function that it
    calls from another file would leave old machine code in place.
    """
    versions = f"{numba.__version__} {np.__version__} {platform.python_version()}"
    digest = hashlib.sha256(
        f"{versions} {numba.config.CPU_NAME} {numba.config.CPU_FEATURES}".encode()
    )
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    base = os.environ.get("NUMBA_CACHE_DIR") or platformdirs.user_cache_dir("minigrad")
    return str(Path(base) / f"kernels-{digest.hexdigest()[:16]}")


class _Locator(CompileResultCacheImpl._locator_classes[0]):  # type: ignore[misc]
    """Where a function is kept: in the folder that Numba is told, whether it can be written to or
    only read.
    """

    def ensure_cache_path(self) -> None:
        usable(self.get_cache_path())


class _PrivateFiles(IndexDataCacheFile):  # type: ignore[misc]
    """Numba's files, which only their owner may read or write."""

    @contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[BytesIO]:
        file = BytesIO()
        yield file
        write_atomically(Path(filepath), file.getvalue(), private=True)


class _Files(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (
        _Locator,
    )  # never a folder beside the source, where machine code would go stale

    def reduce(self, compiled: Any) -> Any:
        return _called(compiled.library), super().reduce(compiled)

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        called, compiled = payload
        for function, types in called:
            symbol_of(function, types)
        return super().rebuild(target_context, compiled)


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache on disk; what cannot be read counts as not there, what cannot be written is not
    kept.
    """

    _impl_class = _Files

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        locator = self._impl.locator
        self._cache_file = _PrivateFiles(
            self.cache_path, self._impl.filename_base, locator.get_source_stamp()
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """As Numba's own, which begins by loading all declarations that compiling may need.
        Compiling loads them itself.
        """
        try:
            _start_runtime(target_context)
            with without_linear_algebra():
                return self._load_overload(sig, target_context)
        except Exception:  # damaged: pickle raises whatever comes first
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)


@contextmanager
def without_linear_algebra() -> Iterator[None]:
    """Within the block Numba's NumPy functions may be loaded without scipy.linalg: a quarter of a
    second and 20 MB that no kernel needs.

    They only look whether SciPy's BLAS is there. Who compiles a function with `np.dot` gets it when
    that is compiled.
    """
    blas = "scipy.linalg.cython_blas"
    if blas in sys.modules or "numba.np.linalg" in sys.modules:
        yield
        return
    sys.modules[blas] = ModuleType(blas)
    try:
        yield
    finally:
        del sys.modules[blas]


@cache
def _start_runtime(context: Any) -> None:
    """Start Numba's counting of references: a few functions, which it compiles anew in every
    process. They are kept here like all others, so that a start with a filled cache needs nothing
    of LLVM's optimiser, which takes 20 MB.
    """
    codegen, own = context.codegen(), getattr(nrtdynmod, "compile_nrt_functions", None)
    digest = hashlib.sha256(
        repr(codegen.magic_tuple()).encode()
    ).hexdigest()  # the processor, as Numba sees it
    path = Path(FOLDER) / f"runtime-{digest[:16]}.npz"

    def load_or_compile(context: Any) -> Any:
        with (
            suppress(OSError, EOFError, ValueError, KeyError, BadZipFile),
            np.load(path) as kept,
        ):  # not there, or damaged
            return codegen.unserialize_library(
                ("nrt", "object", (kept["code"].tobytes(), kept["bitcode"].tobytes()))
            )
        module, library = nrtdynmod.create_nrt_module(context)
        library.enable_object_caching()
        library.add_ir_module(module)
        library.finalize()
        _, _, (code, bitcode) = library.serialize_using_object_code()
        file = BytesIO()
        np.savez(file, code=np.frombuffer(code, np.uint8), bitcode=np.frombuffer(bitcode, np.uint8))
        with suppress(OSError):
            write_atomically(path, file.getvalue(), private=True)
        return library

    try:
        if own is not None and usable(FOLDER):  # else Numba does as it does: it may be another one
            nrtdynmod.compile_nrt_functions = load_or_compile
        rtsys.initialize(context)
    finally:
        if own is not None:
            nrtdynmod.compile_nrt_functions = own


_one_at_a_time = Lock()
FOLDER = _folder()


with suppress(OSError):  # not there yet, or only to be read
    os.utime(FOLDER)


@cache
def usable(folder: str) -> bool:
    """May machine code be loaded from a folder, and kept there? Missing folders are made.

    Loading is running: what is loaded are pickles and machine code. So a folder that others could
    have put files into is not looked at; the first one is warned of.
    """
    place, base = Path(folder), Path(FOLDER).parent
    if not os.environ.get("NUMBA_CACHE_DIR"):
        _close(base)
    danger = who_may_write(place, base)
    if not danger:
        with suppress(OSError):  # only to be read
            make_private(place)
        danger = who_may_write(place, base)  # what is there now: another user may have been quicker
    if danger:
        _warn_once(danger)
    return not danger


def _close(folder: Path) -> None:
    """Let nobody else write to this user's cache folder, which data sets share with machine code.

    Where the umask is 002, as in many distributions, a download has made it writable to the group.
    """
    with suppress(OSError, AttributeError):
        found = folder.stat()
        if found.st_uid == os.getuid() and found.st_mode & 0o022:
            folder.chmod(found.st_mode & 0o7755)


def _warn_once(danger: str) -> None:
    _warned.append(danger)
    if len(_warned) == 1:
        warnings.warn(
            f"minigrad: the cache of compiled code is not used, because {danger} and what they put "
            f"there would run. "
            "Everything is compiled anew in each process. Set NUMBA_CACHE_DIR to a folder of "
            "your own, "
            "or make this one yours alone (chown, chmod go-w).",
            stacklevel=2,
        )


_warned: list[str] = []


def forget_old(days: float = 30) -> list[str]:
    """Delete what other versions have compiled and no process has used for so many days; returns
    their folders.
    """
    old = [folder for folder in Path(FOLDER).parent.glob("kernels-*") if folder != Path(FOLDER)]
    old = [folder for folder in old if time.time() - folder.stat().st_mtime > 86_400 * days]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return [str(folder) for folder in old if not folder.exists()]


def steps_folder() -> str:
    """Where the source of compiled steps is kept."""
    return str(Path(FOLDER) / "steps")


def cached(function: Callable[..., Any], below: str = "") -> Any:
    """The cache of one function, in a folder below the others' if that is named.

    There is none where there is no source file to know the function by, or where others could
    write to the folder.
    """
    with _one_at_a_time:  # the setting is every thread's
        before = numba.config.CACHE_DIR
        try:
            numba.config.CACHE_DIR = str(Path(FOLDER) / below)
            made = _Cache(function)
            return made if usable(made.cache_path) else NullCache()
        except RuntimeError:
            return NullCache()
        finally:
            numba.config.CACHE_DIR = before


# ---------------- symbols
_compile: dict[
    str, Callable[[Any], int]
] = {}  # function called by symbol -> compiles it for such types; where it is
_known: dict[str, tuple[str, Any]] = {}  # symbol -> its function and types


def by_symbol(function: str, compile_for: Callable[[Any], int]) -> None:
    """Let a function be called by symbols, one for each types of arguments; `compile_for` compiles
    it for such, or loads it from the disk, and returns the address.
    """
    _compile[function] = compile_for


def symbol_of(function: str, types: Any) -> str:
    """The symbol of a function for arguments of some types, which the linker knows by now."""
    symbol = f"{function}{types}"
    if symbol not in _known:
        binding.add_symbol(symbol, _compile[function](types))
        _known[symbol] = function, types
    return symbol


def _called(library: Any) -> list[tuple[str, Any]]:
    """What some machine code calls by symbol, itself or in what has been compiled into it."""
    declared = (f.name for f in library._final_module.functions if f.is_declaration)
    return [_known[name] for name in declared if name in _known]
