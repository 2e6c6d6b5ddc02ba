"""What every loader returns: four arrays, and a sentence that says where they came from."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any, NamedTuple

import numpy.typing as npt

Array = npt.NDArray[Any]


def whole(function: str, name: str, value: Any, least: int, why: str = "") -> int:
    """The value as an integer of at least `least`. Raises `TypeError` or `ValueError` that names
    function and argument.
    """
    try:
        number = index(value)
    except TypeError:
        raise TypeError(
            f"{function}: {name}={value!r}; an integer ≥ {least} was expected"
        ) from None
    if number < least:
        raise ValueError(f"{function}: {name}={value!r}; an integer ≥ {least} was expected{why}")
    return number


class _Arrays(NamedTuple):
    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array


class Dataset(_Arrays):
    """Training and test arrays under names, which also unpack in the order of the fields.

    Attributes
    ----------
    x_train, x_test : inputs, first axis N (samples)
    y_train, y_test : labels, shape (N,)
    source : one sentence for people: what this is and where it came from
    sample : True when only the small part shipped with minigrad was at hand
    vocabulary : for text, the word of each id (`vocabulary[id]`); otherwise empty
    """

    # Defaults on the class, because a named tuple also makes instances (`_replace`) without calling
    # __new__.
    source: str = ""
    sample: bool = False
    vocabulary: Sequence[str] = ()

    def __new__(
        cls,
        x_train: Array,
        y_train: Array,
        x_test: Array,
        y_test: Array,
        *,
        source: str = "",
        sample: bool = False,
        vocabulary: Sequence[str] = (),
    ) -> Dataset:
        self = super().__new__(cls, x_train, y_train, x_test, y_test)
        self.source, self.sample, self.vocabulary = source, sample, vocabulary
        return self

    def with_arrays(self, x_train: Array, y_train: Array, x_test: Array, y_test: Array) -> Dataset:
        """Other arrays made from the same source: reshaped, cut or relabelled."""
        words = self.vocabulary
        return Dataset(
            x_train,
            y_train,
            x_test,
            y_test,
            source=self.source,
            sample=self.sample,
            vocabulary=words,
        )

    def __repr__(self) -> str:
        arrays = ", ".join(
            f"{name} {array.dtype} {array.shape}" for name, array in self._asdict().items()
        )
        return f"Dataset({arrays})\n  {self.source}" if self.source else f"Dataset({arrays})"
