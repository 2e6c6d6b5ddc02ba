"""Writing files whole or not at all."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any

UNMAPPED = 65534  # owns, in containers, what belongs to users of the machine around


def as_path(function: str, path: Any) -> Path:
    """The path that somebody gave to a function. Raises `TypeError`, with the function's name, for
    what is none.
    """
    try:
        return Path(path)
    except TypeError:
        raise TypeError(
            f"{function}: path is a {type(path).__name__}; the name of a file was expected"
        ) from None


def write_atomically(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write `data` to `path` so that readers find the old file or the whole new one, never a part.

    As when a file is opened for writing, an existing one keeps its mode, a new one gets what the
    umask leaves, a symbolic link stays, and what it points to is written. `private` gives the file,
    and folders that are made, to this user alone, whatever the umask. Missing folders are made.
    When anything fails, the temporary file is removed and `path` is as before; the `OSError` names
    it. What a process that was killed has left behind is removed by the next one that writes to
    `path`.
    """
    target = Path(os.path.realpath(path))
    if private:
        make_private(target.parent)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
    before = _mode(path)
    if before is not None and not stat.S_ISREG(before) and not stat.S_ISDIR(before):
        path.write_bytes(data)  # a pipe or a device: it must not be replaced by a file
        return
    mode = 0o600 if private else None if before is None else before & 0o777
    # In the same folder, because a rename is atomic only within one file system.
    temporary = target.with_name(f"{_start(target)}{uuid.uuid4().hex}.part")
    with _sweeping(target):
        try:
            _write_new(temporary, data, mode)
            os.replace(temporary, target)
        except OSError as error:
            if error.errno is None:
                raise
            # a full disk names no file, and other failures the temporary one
            raise OSError(error.errno, error.strerror, str(path)) from None
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _mode(path: Path) -> int | None:
    """Kind and permissions of what is at a path, behind all links; None where there is nothing.

    Raises `OSError` for links that lead to each other.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def _write_new(path: Path, data: bytes, mode: int | None) -> None:
    """Write a file that does not exist yet, with these permissions, or those that the umask
    leaves.
    """
    if mode is not None:  # nobody else may open it before it has its final permissions
        path.touch(0o600, exist_ok=False)
        _set_mode(path, 0o600)
    with path.open("xb" if mode is None else "wb") as file:
        file.write(data)
        file.flush()
        if mode is not None:
            _set_mode(path, mode)
        os.fsync(file.fileno())  # or after a power failure the new name may stand on an empty file


def _set_mode(path: Path, mode: int) -> None:
    with suppress(OSError):  # a file system that has no permissions
        path.chmod(mode)


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        with suppress(FileExistsError):  # another process was quicker
            place.mkdir(mode=0o700)
            place.chmod(0o700)  # the umask may have taken more away


def who_may_write(folder: Path, base: Path) -> str:
    """In words, why another user could put files into a folder; "" where none can, and on Windows.

    Every folder from `folder` up to `base` must belong to this user or to root, and only its owner
    may write to it. Of those above, where families of users share more, only the plainly open ones
    count. `base` may be sticky, as /tmp is: there others can make folders, but not replace ours.
    """
    if not hasattr(os, "getuid"):
        return ""
    for start, top in (
        (folder, base),
        (Path(os.path.realpath(folder)), Path(os.path.realpath(base))),
    ):
        for place in (start, *start.parents):
            try:
                found = place.stat()
            except OSError:
                continue  # not there; one that this user cannot look into leads nowhere
            inside = place == start or place.is_relative_to(top)
            owners = {0, os.getuid()} if inside else {0, os.getuid(), UNMAPPED}
            others = found.st_mode & (0o022 if inside else 0o002)
            sticky = found.st_mode & stat.S_ISVTX and place != start and top not in place.parents
            if found.st_uid not in owners:
                return f"{place} belongs to another user ({found.st_uid})"
            if others and not sticky:
                return f"other users may write to {place} (mode {stat.S_IMODE(found.st_mode):o})"
    return ""


def _start(path: Path) -> str:
    """How the names of temporary files of `path` begin: the longest name that a folder takes must
    have room for more.
    """
    return f".{path.name[:50]}."


@contextmanager
def _sweeping(path: Path) -> Iterator[None]:
    """Remove temporary files of `path` that nobody is writing to, and keep others from removing
    ours within the block.

    Who writes shares a lock on the folder, which ends with the process; who gets it alone knows
    that nobody writes. Where there are no such locks, nothing is removed.
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
