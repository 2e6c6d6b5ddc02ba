"""The commands of `minigrad data`: list the data sets, fetch them, verify the files on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..checks import one_of
from ..errors import DataError
from .cache import KnownFile, cache_dir
from .imdb import CSV
from .imdb import fetch as fetch_imdb
from .mnist import FILES, SAMPLE
from .mnist import fetch as fetch_mnist


class CatalogEntry(NamedTuple):
    """The files of a data set; `fetch` is None when nothing is downloaded."""

    files: tuple[KnownFile, ...] = ()
    fetch: Callable[[], str] | None = None


class Status(NamedTuple):
    """One line of the list: where the files are, their bytes, and whether all are intact."""

    name: str
    where: str
    size: int
    verified: bool


CATALOG = {
    "circle": CatalogEntry(),
    "imdb": CatalogEntry((CSV,), fetch_imdb),
    "mnist": CatalogEntry(FILES, fetch_mnist),
    "mnist-sample": CatalogEntry((SAMPLE,)),
}


def status(name: str) -> Status:
    """The state of a data set on this disk; nothing is downloaded.

    Raises
    ------
    ValueError : no data set of that name
    """
    files = _entry(name).files
    found = [file.path for file in files if file.path.is_file()]
    where = str(found[0].parent) if found else f"not in {cache_dir()} yet"
    size = sum(path.stat().st_size for path in found)
    intact = not any(file.problem() for file in files)
    return Status(name, where if files else "generated", size, intact)


def fetch(name: str) -> Status:
    """Download a data set, unless it is in the cache.

    Raises
    ------
    ValueError : no data set of that name
    DataError : it is not available
    """
    if download := _entry(name).fetch:
        download()
    return status(name)


def verify(name: str) -> Status:
    """Check every file of a data set against its size and SHA-256.

    Raises
    ------
    ValueError : no data set of that name
    DataError : files are missing or damaged; the message lists each and says what to do
    """
    entry = _entry(name)
    if problems := [problem for file in entry.files if (problem := file.problem())]:
        remedy = f"run `minigrad data fetch {name}`" if entry.fetch else "reinstall minigrad"
        raise DataError("\n  ".join([f"{name} is not complete; {remedy}:", *problems]))
    return status(name)


def _entry(name: str) -> CatalogEntry:
    one_of("data", "name", name, CATALOG)
    return CATALOG[name]
