"""Modules of generated source: what they import, and loading them."""

from __future__ import annotations

import hashlib
import keyword
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import GraphError
from ..interrupts import interrupts_deferred
from .fingerprint import fingerprint

KEPT = 1024  # modules that stay in memory
_recent: dict[str, None] = {}  # their names, the one used last at the end

#: what the source may call besides the rules' kernels: name -> module in minigrad.kernels
_ALWAYS = {
    **dict.fromkeys(["erf", "exp", "maximum", "minimum", "plus"], "mathfn"),
    **dict.fromkeys(["power", "sign", "square", "tanh", "times"], "mathfn"),
    **dict.fromkeys(["larger", "opened", "row", "shaped", "smaller", "view"], "simd"),
    **dict.fromkeys(["add_up", "clip_norm"], "update"),
    **{"shard": "jit", "turn": "rows"},
    **dict.fromkeys(["product_bias", "product_nn", "product_nt", "product_tn"], "gemm"),
    "sum_rows": "gemm",
}
#: those of them that are not compiled into their callers
_SEPARATE = ("rows", "gemm")


def imports(kernels: dict[str, Any], text: str) -> list[str]:
    """The lines that import what a text calls: `kernels` by the names that it uses."""
    words = set(re.findall(r"\w+", text))
    called = sorted(words & _ALWAYS.keys())
    lines = [f"from minigrad.kernels.{_ALWAYS[name]} import {name}" for name in called]
    apart = [
        f"{name} = compiled_separately({name})" for name in called if _ALWAYS[name] in _SEPARATE
    ]
    for name, thing in sorted(kernels.items()):
        if not (name.isidentifier() and importable(thing)):
            raise GraphError(
                f"{thing.__module__}.{thing.__name__} cannot be imported by that name; rename it"
            )
        line = f"from {thing.__module__} import {thing.__name__} as {name}"
        if isinstance(thing, type):
            line = line.removesuffix(f" as {name}")
        elif thing.__module__.startswith("minigrad.kernels."):
            apart.append(f"{name} = compiled_separately(serial({name}))")
        else:  # a user's function may change, in its file or in this process
            line += f"  # as it is now: {fingerprint(thing)}"
        lines.append(line)
    return ["from minigrad.kernels.jit import compiled_separately, serial", *lines, *apart]


def importable(thing: Any) -> bool:
    """Can an import name the function's module? Of a script called train-2.py it cannot."""
    parts = (*thing.__module__.split("."), thing.__name__)
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)


def load(source: str) -> ModuleType:
    """The source as a module, from a file in the cache, by which Numba finds its machine code."""
    from ..files import write_atomically
    from ..kernels.cache import steps_folder, usable

    name = f"piece_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    _recent[name] = _recent.pop(name, None)  # now the last one
    for old in list(_recent)[:-KEPT]:
        del _recent[old]
        sys.modules.pop(old, None)
    if name not in sys.modules:
        path, text = Path(steps_folder()) / f"{name}.py", source.encode()
        with suppress(OSError):  # nowhere to write: compiled in every process
            if usable(steps_folder()) and not (path.is_file() and path.read_bytes() == text):
                write_atomically(path, text, private=True)
        module = ModuleType(name)
        with interrupts_deferred():  # it may import kernels
            exec(compile(source, str(path), "exec"), vars(module))
        sys.modules[name] = module  # when it is complete, for other threads
    return sys.modules[name]


@contextmanager
def one_process(name: str) -> Iterator[None]:
    """One process of this machine at a time; those that wait find on disk what it has compiled."""
    from ..kernels.cache import steps_folder, usable

    lock = None
    with suppress(ImportError, OSError):  # Windows, or nowhere to write: each compiles for itself
        import fcntl

        if usable(steps_folder()):
            lock = os.open(Path(steps_folder()) / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    if lock is None:
        yield
        return
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)  # which releases it
