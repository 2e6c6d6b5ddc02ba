"""An English text to learn from: the first volume of Pride and Prejudice (Jane Austen, 1813).

The novel is in the public domain. Its text ships with minigrad, and was taken from janeaustenr
1.0.0, a package for R that Debian has as r-cran-janeaustenr; of several empty lines one was kept.
"""

from __future__ import annotations

import gzip
from pathlib import Path

from ..errors import DataError
from .cache import KnownFile

FILE = KnownFile(
    str(Path(__file__).with_name("pride_and_prejudice.txt.gz")),
    84_872,
    "f5f84c121bc069405ddc6826461e33d626140936e9b15030a239184003de8da8",
)


def novel() -> str:
    """Load the first volume of Pride and Prejudice (Jane Austen, 1813), which ships with minigrad.

    Returns
    -------
    231,161 characters of 74 kinds: 23 chapters, an empty line after each heading and paragraph

    Raises
    ------
    DataError : the file is missing or damaged

    >>> print(mg.data.novel()[11:128])
    It is a truth universally acknowledged, that a single man in possession
    of a good fortune, must be in want of a wife.
    """
    if problem := FILE.problem():
        raise DataError(f"{problem}; reinstall minigrad")
    return gzip.decompress(FILE.path.read_bytes()).decode()
