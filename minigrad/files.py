"""Writing files whole or not at all."""
from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any


def as_path(function: str, path: Any) -> Path:
    """The path that somebody gave to a function. Raises `TypeError`, with the function's name, for what is none."""
    try:
        return Path(path)
    except TypeError:
        raise TypeError(f"{function}: path is a {type(path).__name__}; the name of a file was expected") from None


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that readers find the old file or the whole new one, never a part.

    Missing folders are made. When anything fails, the temporary file is removed and `path` is as before; the `OSError` names
    it. What a process that was killed has left behind is removed by the next one that writes to `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because a rename is atomic only within one file system.
    temporary = path.with_name(f"{_start(path)}{uuid.uuid4().hex}.part")
    with _sweeping(path):
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # or after a power failure the new name may stand on an empty file
            os.replace(temporary, path)
        except OSError as error:
            if error.errno is None:
                raise
            # a full disk names no file, and other failures the temporary one
            raise OSError(error.errno, error.strerror, str(path)) from None
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _start(path: Path) -> str:
    """How the names of temporary files of `path` begin: the longest name that a folder takes must have room for more."""
    return f".{path.name[:50]}."


@contextmanager
def _sweeping(path: Path) -> Iterator[None]:
    """Remove temporary files of `path` that nobody is writing to, and keep others from removing ours within the block.

    Who writes shares a lock on the folder, which ends with the process; who gets it alone knows that nobody writes. Where
    there are no such locks, nothing is removed.
    """
    try:
        import fcntl

        folder = os.open(path.parent, os.O_RDONLY)
    except (ImportError, OSError):  # not on Windows; a folder that may be written to, not read
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in path.parent.glob(f"{escape(_start(path))}*.part"):
                left.unlink(missing_ok=True)
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_SH)
        yield
    finally:
        os.close(folder)
