"""The folder of compiled kernels, which cannot go stale, and who may write to it."""

import hashlib
import os
import platform
import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Lock

import numba
import numpy as np
import platformdirs

from ..files import make_private, who_may_write
from .options import config


def _folder() -> str:
    """A folder named after all kernel sources, versions, and the processor that Numba is told to
    compile for.

    Numba's own cache looks at the file of the outer function only: a change in a function that it
    calls from another file would leave old machine code in place.
    """
    versions = f"{numba.__version__} {np.__version__} {platform.python_version()}"
    digest = hashlib.sha256(f"{versions} {config.CPU_NAME} {config.CPU_FEATURES}".encode())
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    base = os.environ.get("NUMBA_CACHE_DIR") or platformdirs.user_cache_dir("minigrad")
    return str(Path(base) / f"kernels-{digest.hexdigest()[:16]}")


_one_at_a_time = Lock()
FOLDER = _folder()


with suppress(OSError):  # not there yet, or only to be read
    os.utime(FOLDER)


_warned: list[str] = []


@cache
def usable(folder: str) -> bool:
    """May machine code be loaded from a folder, and kept there? Missing folders are made.

    Loading runs pickles and machine code, so a folder that others could have put files into is not
    read; a warning names the first one.
    """
    place, base = Path(folder), Path(FOLDER).parent
    if not os.environ.get("NUMBA_CACHE_DIR"):
        _close(base)
    danger = who_may_write(place, base)
    if not danger:
        with suppress(OSError):  # only to be read
            make_private(place)
        danger = who_may_write(place, base)  # another user may have been quicker
    if danger and not _warned:
        _warned.append(danger)
        warnings.warn(
            f"minigrad: the cache of compiled code is not used, because {danger} and what they put "
            "there would run. Everything is compiled again in each process. Set NUMBA_CACHE_DIR to "
            "a folder of your own, or make this one yours alone (chown, chmod go-w).",
            stacklevel=2,
        )
    return not danger


def _close(folder: Path) -> None:
    """Let nobody else write to this user's cache folder, which data sets share with machine code.

    Where the umask is 002, as in many distributions, a download has made it writable to the group.
    """
    with suppress(OSError, AttributeError):
        found = folder.stat()
        if found.st_uid == os.getuid() and found.st_mode & 0o022:
            folder.chmod(found.st_mode & 0o7755)


def forget_old(days: float = 30) -> list[str]:
    """Delete the folders of other versions that no process has used for `days`; returns them."""
    latest = time.time() - 86_400 * days
    found = set(Path(FOLDER).parent.glob("kernels-*")) - {Path(FOLDER)}
    old = [folder for folder in sorted(found) if folder.stat().st_mtime < latest]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return [str(folder) for folder in old if not folder.exists()]


def steps_folder() -> str:
    """Where the source of compiled steps is kept."""
    return str(Path(FOLDER) / "steps")


@contextmanager
def numba_keeps_in(below: str = "") -> Iterator[str]:
    """Within the block functions get a cache in a folder of ours, below the others' if that is
    named.
    """
    with _one_at_a_time:  # the setting is every thread's
        before, folder = config.CACHE_DIR, str(Path(FOLDER) / below)
        try:
            config.CACHE_DIR = folder
            yield folder
        finally:
            config.CACHE_DIR = before
