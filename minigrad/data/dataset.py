"""`Dataset`, which every loader returns: four arrays and where they came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy.typing as npt

Array = npt.NDArray[Any]


class _Arrays(NamedTuple):
    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array


class Dataset(_Arrays):
    """Named training and test arrays, which also unpack in the order of the fields.

    Attributes
    ----------
    x_train, x_test : inputs, first axis N (samples)
    y_train, y_test : labels, shape (N,)
    source : one sentence: what the data are and where they came from
    sample : True when only the small part shipped with minigrad was available
    vocabulary : for text, the word of each id (`vocabulary[id]`); otherwise empty

    >>> data = mg.data.circle(50)
    >>> x_train, y_train, x_test, y_test = data
    >>> x_train is data.x_train, data.source
    (True, 'circle, 50 points, generated from seed 0')
    """

    # Defaults on the class, because a named tuple's `_replace` does not call __new__.
    source: str = ""
    sample: bool = False
    vocabulary: Sequence[str] = ()

    def __new__(
        cls, *arrays: Array, source: str = "", sample: bool = False, vocabulary: Sequence[str] = ()
    ) -> Dataset:
        self = super().__new__(cls, *arrays)
        self.source, self.sample, self.vocabulary = source, sample, vocabulary
        return self

    def with_arrays(self, *arrays: Array) -> Dataset:
        """Four other arrays from the same source: reshaped, cut or relabelled."""
        return Dataset(*arrays, **vars(self))

    def __repr__(self) -> str:
        arrays = ", ".join(
            f"{name} {array.dtype} {array.shape}" for name, array in self._asdict().items()
        )
        return f"Dataset({arrays})\n  {self.source}" if self.source else f"Dataset({arrays})"
