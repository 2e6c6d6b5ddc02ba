"""The module of a compiled step: the frame of its source, its imports, and loading it."""

from __future__ import annotations

import hashlib
import keyword
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import GraphError
from ..interrupts import interrupts_deferred
from .fingerprint import fingerprint

KEPT = 64  # modules of compiled steps that stay in memory
_recent: dict[str, None] = {}  # their names, the one used last at the end

TEMPLATE = '''\
"""{title}

Written by minigrad from the rules of the graph's operators; a comment names the node of the lines
below it. P holds the parameters, G the gradients (a row per part of the batch), S buffers such as
running statistics, V all other values. `shaped` and `flat` view the same numbers in another shape.
Sizes are written out here; what is compiled reads them from an array, so that models which differ
in sizes alone share the machine code.
"""
import numpy as np
{imports}

f = np.{dtype}


@compiled_separately
def part({numbers}P, G, {arenas}x, y):
    """Forward and backward for one part of the batch; returns its loss."""
{part}


@jit(parallel={parallel})
def steps({numbers}P, G, T, {arenas}{memories}X, Y, x, y, order, H, each, losses):
    """Make as many steps as there are `losses`, up to the first loss that is not finite.

    Returns how many were made. X and Y hold all samples, `order` their order; H has the numbers of
    the optimiser, a row per step. T is where gradients are summed, `each` has the loss of each part
    of a batch.
    """
{steps}
'''
_ALWAYS = [
    "from minigrad.kernels.jit import compiled_separately, jit, prange, serial, shard",
    "from minigrad.kernels.mathfn import erf, exp, largest, maximum, minimum, plus, power",
    "from minigrad.kernels.mathfn import sign, smallest, square, tanh, times",
    "from minigrad.kernels.rows import turn",
    "from minigrad.kernels.simd import flat, shaped",
    "from minigrad.kernels.update import add_up, clip_norm, gather_rows",
    "gather_rows = compiled_separately(gather_rows)",
    "turn = compiled_separately(turn)",
]


def imports(kernels: dict[str, Any]) -> list[str]:
    """The lines that import what the source calls, by the names that it uses; see `Emitter`."""
    lines = [*_ALWAYS]
    for name, thing in sorted(kernels.items()):
        if thing is None:
            lines.append(f"from minigrad.kernels.gemm import {name}")
            lines.append(f"{name} = compiled_separately({name})")
            continue
        if not (name.isidentifier() and importable(thing)):
            raise GraphError(
                f"{thing.__module__}.{thing.__name__} cannot be imported by that name; rename it"
            )
        line = f"from {thing.__module__} import {thing.__name__} as {name}"
        if isinstance(thing, type):
            line = line.removesuffix(f" as {name}")
        elif thing.__module__.startswith("minigrad.kernels."):
            lines.append(f"{name} = compiled_separately(serial({name}))")
        else:  # a user's function may change, in its file or in this process
            line += f"  # as it is now: {fingerprint(thing)}"
        lines.append(line)
    return sorted(lines, key=lambda line: not line.startswith("from"))


def importable(thing: Any) -> bool:
    """Can an import name the function's module? Of a script called train-2.py it cannot."""
    parts = (*thing.__module__.split("."), thing.__name__)
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)


def load(source: str) -> ModuleType:
    """The source as a module, from a file in the cache, by which Numba finds its machine code."""
    from ..files import write_atomically
    from ..kernels.cache import steps_folder, usable

    name = f"step_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
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
