"""Data to learn from: points around a circle, handwritten digits, film reviews, a novel.

Each loader but `novel` returns a `Dataset`, four named arrays and a sentence about their source:

    x_train, y_train, x_test, y_test = minigrad.data.circle()
    digits = minigrad.data.mnist()
    print(digits.source)

Downloads are kept in `cache_dir()`. Every file is checked against its SHA-256 on each use.
"""

from __future__ import annotations

from .cache import cache_dir
from .circle import circle
from .dataset import Dataset
from .idx import read_idx
from .imdb import decode_review, encode_reviews, imdb, tokenise
from .mnist import mnist, mnist_sample
from .novel import novel

__all__ = [
    "Dataset",
    "cache_dir",
    "circle",
    "decode_review",
    "encode_reviews",
    "imdb",
    "mnist",
    "mnist_sample",
    "novel",
    "read_idx",
    "tokenise",
]
