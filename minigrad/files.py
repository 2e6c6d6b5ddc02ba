"""Writing files atomically, and checks of folders."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from glob import escape
from pathlib import Path
from typing import Any

UNMAPPED = 65534  # in containers, the owner of files that belong to users of the host


def as_path(function: str, path: Any) -> Path:
    """The argument `path` of a function. Raises `TypeError` for what is not a path."""
    try:
        return Path(path)
    except TypeError:
        raise TypeError(
            f"{function}: path is a {type(path).__name__}; the name of a file was expected"
        ) from None


def write_atomically(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write `data` to `path` so that readers find the old file or the whole new one, never a part.

    As when a file is opened for writing, an existing file keeps its mode, a new one gets the mode
    that the umask leaves, and a symbolic link stays while its target is written. Missing folders
    are made. `private` gives the file and new folders to this user alone, whatever the umask. When
    anything fails, the temporary file is removed and `path` is unchanged; the `OSError` names it.
    Temporary files of killed processes are removed by the next process that writes to `path`.
    """
    target = Path(os.path.realpath(path))
    if private:
        make_private(target.parent)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
    try:
        before = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        before = None
    if before is not None and not stat.S_ISREG(before) and not stat.S_ISDIR(before):
        path.write_bytes(data)  # a pipe or a device must not be replaced by a file
        return
    mode = 0o600 if private else None if before is None else before & 0o777
    # In the same folder, because a rename is atomic only within a file system.
    temporary = target.with_name(f"{_start(target)}{uuid.uuid4().hex}.part")
    with _sweeping(target):
        try:
            _write_new(temporary, data, mode)
            os.replace(temporary, target)
        except OSError as error:
            if error.errno is None:
                raise
            # The error of a full disk names no file, others name the temporary one.
            raise OSError(error.errno, error.strerror, str(path)) from None
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _write_new(path: Path, data: bytes, mode: int | None) -> None:
    """Write a new file, with these permissions, or those that the umask leaves."""
    # Others must not open it before it has its final permissions.
    opener = partial(os.open, mode=0o666 if mode is None else 0o600)
    with open(path, "xb", opener=opener) as file:
        file.write(data)
        file.flush()
        if mode is not None:
            with suppress(OSError):  # a file system without permissions
                path.chmod(mode)
        os.fsync(file.fileno())  # otherwise a power failure can leave an empty file


def make_private(folder: Path) -> None:
    """Make a folder, and missing ones above it, for this user alone."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        with suppress(FileExistsError):  # another process was faster
            place.mkdir(mode=0o700)
            place.chmod(0o700)  # the umask may have removed more


def who_may_write(folder: Path, base: Path) -> str:
    """Why another user could put files into a folder; "" where none can, and on Windows.

    Every folder from `folder` up to `base` must belong to this user or to root, and only its owner
    may write to it. Folders above `base` count only where everybody may write, since groups share
    them. `base` may be sticky, as /tmp is: there others can make folders, but not replace ours.
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
                continue  # missing, or unreadable and therefore unusable
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
    """The beginning of names of temporary files for `path`, shortened to leave room for more."""
    return f".{path.name[:50]}."


@contextmanager
def _sweeping(path: Path) -> Iterator[None]:
    """Remove stale temporary files of `path`, and protect ours from removal within the block.

    Each writer holds a shared lock on the folder, which ends with the process; a process that gets
    the exclusive lock knows that nobody writes. Without such locks nothing is removed.
    """
    try:
        import fcntl

        folder = os.open(path.parent, os.O_RDONLY)
    except (ImportError, OSError):  # Windows; a folder that is not readable
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
