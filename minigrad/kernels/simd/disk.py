"""Numba's disk cache, made to know functions that are called by symbol.

With each compiled function the cache keeps the symbols that its machine code calls, and loads them
first. Files are private and written atomically; damaged ones count as missing. Numba's own start,
which compiles a few functions in every process, is kept there, too.
"""

import hashlib
import importlib
import sys
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from types import ModuleType

import numba
import numpy as np
from numba.core import event
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile
from numba.core.runtime import nrtdynmod, rtsys

from ...files import write_atomically
from ...interrupts import interrupts_deferred
from .. import cache as folders
from .symbols import symbol_of, symbols_in


class _Locator(CompileResultCacheImpl._locator_classes[0]):  # type: ignore[misc]
    """The folder that Numba is told, whether it can be written to or only read."""

    def ensure_cache_path(self):
        folders.usable(self.get_cache_path())


class _PrivateFiles(IndexDataCacheFile):  # type: ignore[misc]
    """Numba's files, which only their owner may read or write."""

    @contextmanager
    def _open_for_write(self, filepath):
        file = BytesIO()
        yield file
        write_atomically(Path(filepath), file.getvalue(), private=True)


class _Files(CompileResultCacheImpl):  # type: ignore[misc]
    # never a folder beside the source, where machine code would go stale
    _locator_classes = (_Locator,)

    def reduce(self, compiled):
        return symbols_in(compiled.library), super().reduce(compiled)

    def rebuild(self, target_context, payload):
        called, compiled = payload
        for name, argument_types in called:
            symbol_of(name, argument_types)
        return super().rebuild(target_context, compiled)


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache on disk; a file that cannot be read counts as missing, one that cannot be
    written is not kept. Ctrl-C waits: Numba registers declarations in steps, none of which may be
    left out.
    """

    _impl_class = _Files

    def __init__(self, function):
        super().__init__(function)
        locator = self._impl.locator
        self._cache_file = _PrivateFiles(
            self.cache_path, self._impl.filename_base, locator.get_source_stamp()
        )

    def load_overload(self, sig, target_context):
        """As Numba's own, which begins by loading all declarations that compiling may need.
        Compiling loads them itself.
        """
        try:
            with interrupts_deferred(), _without_linear_algebra():
                start_runtime(target_context)
                return self._load_overload(sig, target_context)
        except Exception:  # damaged: pickle raises whatever comes first
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig, data):
        with suppress(OSError), interrupts_deferred():
            super().save_overload(sig, data)


def compiled(function, below="", **options):
    """`plain.compiled` with this cache. There is none for functions without a source file, or
    where others could write to the folder.
    """
    dispatcher = numba.njit(function, **options)
    with folders.numba_keeps_in(below), suppress(RuntimeError):
        made = _Cache(function)
        if folders.usable(made.cache_path):
            dispatcher._cache = made
    return dispatcher


@contextmanager
def _without_linear_algebra():
    """Within the block Numba's NumPy functions may be loaded without scipy.linalg: a quarter of a
    second and 20 MB that no kernel needs.

    They only look whether SciPy's BLAS is there. A function with `np.dot` gets it when that is
    compiled.
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


class _BeforeCompiling(event.Listener):  # type: ignore[misc]
    """Loads the declarations that compiling needs, before Numba does with linear algebra."""

    def on_start(self, event):
        with _without_linear_algebra():
            importlib.import_module("numba.np.arraymath")

    def on_end(self, event):
        pass


event.register("numba:compile", _BeforeCompiling())


@cache
def start_runtime(context):
    """Start Numba's counting of references: a few functions, which it compiles in every process.
    They are kept on disk like all others, so that a start with a filled cache needs nothing of
    LLVM's optimiser, which takes 20 MB.
    """
    codegen, own = context.codegen(), getattr(nrtdynmod, "compile_nrt_functions", None)
    processor = hashlib.sha256(repr(codegen.magic_tuple()).encode()).hexdigest()
    path = Path(folders.FOLDER) / f"runtime-{processor[:16]}.npz"

    def load_or_compile(context):
        with suppress(Exception), np.load(path) as kept:  # missing, or damaged
            code = kept["code"].tobytes(), kept["bitcode"].tobytes()
            return codegen.unserialize_library(("nrt", "object", code))
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
        if own is not None and folders.usable(folders.FOLDER):
            nrtdynmod.compile_nrt_functions = load_or_compile
        rtsys.initialize(context)
    finally:
        if own is not None:
            nrtdynmod.compile_nrt_functions = own
