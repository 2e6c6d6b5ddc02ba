"""Where downloaded files live, how they get there, and how we know that they are the right ones."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from ..files import write_atomically

LOG = logging.getLogger("minigrad")
CONNECT_SECONDS = 10
CLIENT_SECONDS = 300


def cache_dir() -> Path:
    """Folder for downloads: `$MINIGRAD_DATA`, or else this user's cache folder; it may not exist
    yet.
    """
    chosen = os.environ.get("MINIGRAD_DATA")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("minigrad"))


@dataclass(frozen=True)
class KnownFile:
    """A file whose content is known in advance, by size and SHA-256, wherever it comes from.

    `name` is its path below the cache folder, with forward slashes; an absolute path stands for
    itself.
    """

    name: str
    size: int
    sha256: str

    @property
    def path(self) -> Path:
        return cache_dir() / self.name

    def problem(self) -> str | None:
        """What keeps the cached file from being used, or None when it is there and intact."""
        if not self.path.is_file():
            return f"{self.path} is missing"
        try:
            found = self.path.stat().st_size
            if found != self.size:
                return f"{self.path} has {found:,} bytes, expected {self.size:,}"
            return _wrong_digest(str(self.path), file_sha256(self.path), self.sha256)
        except OSError as error:
            return f"{self.path} cannot be read ({error})"

    def store(self, data: bytes) -> None:
        """Put `data` into the cache, if it is what this file should hold.

        Raises
        ------
        DataError : other content, or a cache folder that cannot be written to
        """
        if len(data) != self.size:
            found = f"{len(data):,} bytes" if len(data) < self.size else "more"
            raise DataError(f"{self.name}: expected {self.size:,} bytes, found {found}")
        wrong = _wrong_digest(self.name, hashlib.sha256(data).hexdigest(), self.sha256)
        if wrong:
            raise DataError(wrong)
        try:
            write_atomically(self.path, data)
        except OSError as error:
            remedy = "set MINIGRAD_DATA to a folder that you may write to"
            raise DataError(f"cannot write {self.path} ({error}); {remedy}") from error


def _wrong_digest(name: str, found: str, expected: str) -> str | None:
    return None if found == expected else f"{name} has SHA-256 {found}, expected {expected}"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(url: str) -> bytes:
    """The bytes at `url`, with a progress bar; a server that does not answer is given up within
    seconds.

    Raises
    ------
    DataError : no connection, or an answer other than success
    """
    import tempfile

    import pooch
    import requests

    bring = pooch.HTTPDownloader(progressbar=True, timeout=CONNECT_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "download"
        try:
            bring(url, str(target), None)
        except (requests.RequestException, OSError) as error:
            raise DataError(f"{url}: {type(error).__name__}: {str(error)[:100]}") from error
        return target.read_bytes()


def gunzip(data: bytes, size: int) -> bytes:
    """Decompress gzip `data`, stopping one byte after `size`: enough to tell that it holds too
    much.

    Raises
    ------
    DataError : not gzip, cut short or damaged
    """
    import gzip
    import io
    import zlib

    try:
        with gzip.open(io.BytesIO(data)) as file:
            return file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"damaged gzip data ({error})") from error


def run_client(command: Sequence[str]) -> None:
    """Run a package manager's client, quietly.

    Raises
    ------
    DataError : it is not there, takes too long or fails; the message holds its own complaint
    """
    import subprocess

    try:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            timeout=CLIENT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"{command[0]} could not run: {error}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        complaint = next(
            (line for line in lines if line.lower().startswith(("error", "npm error"))), lines[-1]
        )
        raise DataError(f"{' '.join(command[:3])}: {complaint}")
