"""The cache of downloaded files: where it is, how files get there, and how they are checked."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from ..errors import DataError
from ..files import write_atomically

LOG = logging.getLogger("minigrad")
CONNECT_SECONDS = 10
CLIENT_SECONDS = 300


def cache_dir() -> Path:
    """The folder for downloads, which may not exist yet: `$MINIGRAD_DATA`, or the user's cache.

    >>> mg.data.cache_dir().is_absolute()
    True
    """
    chosen = os.environ.get("MINIGRAD_DATA") or platformdirs.user_cache_dir("minigrad")
    return Path(chosen).expanduser().absolute()


@dataclass(frozen=True)
class KnownFile:
    """A file whose size and SHA-256 are known, so that it may come from anywhere.

    `name` is its path below the cache folder, with forward slashes, or an absolute path.
    """

    name: str
    size: int
    sha256: str

    @property
    def path(self) -> Path:
        return cache_dir() / self.name

    def check(self, data: bytes) -> None:
        """Raise `DataError` unless `data` is the content of this file."""
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            expected = f"expected {self.size:,} bytes with {self.sha256}"
            raise DataError(f"{self.path}: {len(data):,} bytes with SHA-256 {found}, {expected}")

    def read(self) -> bytes:
        """The content of the cached file. Raises `DataError` where it is missing or damaged."""
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise DataError(
                f"{self.path} is missing or cannot be read ({error.strerror})"
            ) from error
        self.check(data)
        return data

    def problem(self) -> str | None:
        """Why the cached file cannot be used, or None when it is there and intact."""
        try:
            self.read()
        except DataError as error:
            return str(error)
        return None

    def store(self, data: bytes) -> None:
        """Write `data` to the cache.

        Raises
        ------
        DataError : size or SHA-256 is wrong, or the cache folder cannot be written to
        """
        self.check(data)
        try:
            write_atomically(self.path, data)
        except OSError as error:
            remedy = "set MINIGRAD_DATA to a folder that you may write to"
            raise DataError(f"cannot write {self.path} ({error}); {remedy}") from error


#: puts the given files into the cache, and returns where they came from, in words
Source = Callable[[Sequence[KnownFile]], str]


def fetch(title: str, files: Sequence[KnownFile], sources: Iterable[Source]) -> str:
    """Make sure that files are in the cache, intact; returns where they were found, in words.

    Raises
    ------
    DataError : no source has them; the message lists what was tried
    """
    tried = [problem for file in files if (problem := file.problem())]
    if not tried:
        return f"the cache {files[0].path.parent}"
    for source in sources:
        try:
            return source([file for file in files if file.problem()])
        except DataError as error:
            tried.append(str(error))
    head = f"{title}: not complete in the cache, and could not be fetched:"
    raise DataError("\n  ".join([head, *tried]))


def download(url: str) -> bytes:
    """The bytes at `url`, with a progress bar.

    Raises
    ------
    DataError : no connection within seconds, or an answer other than success
    """
    import io

    import pooch

    buffer = io.BytesIO()
    try:
        pooch.HTTPDownloader(progressbar=True, timeout=CONNECT_SECONDS)(url, buffer, None)
    except OSError as error:  # those of requests, too
        raise DataError(f"{url}: {type(error).__name__}: {str(error)[:100]}") from error
    return buffer.getvalue()


def from_package(
    package: str, command: Sequence[str], folder: str, files: Sequence[KnownFile]
) -> str:
    """Let a package manager unpack a package in a temporary folder, and store files of it.

    The last argument of `command` names the temporary folder, and is added here; `folder` is that
    of the files in the package as it is unpacked. Nothing of the package is imported or run.

    Raises
    ------
    DataError : the package manager fails, or the package does not hold these files
    """
    import tempfile

    with tempfile.TemporaryDirectory() as temporary:
        run_client([*command, temporary])
        for file in files:
            try:
                data = Path(temporary, folder, file.path.name).read_bytes()
            except OSError as error:
                raise DataError(f"{package} does not hold what was expected: {error}") from error
            file.store(data)
    return package


def run_client(command: Sequence[str]) -> None:
    """Run a package manager's client, quietly.

    Raises
    ------
    DataError : the client is missing, takes too long or fails; the message quotes its error
    """
    import subprocess

    try:
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            timeout=CLIENT_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        raise DataError(f"{command[0]}: {error.stderr.strip() or error}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"{command[0]} could not run: {error}") from error
