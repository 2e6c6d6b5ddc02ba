"""Arrays on their way into a graph, and cotangents on their way back through broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from . import settings

Array = np.ndarray[tuple[int, ...], np.dtype[Any]]


def sum_to(array: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: sum an array or node over the axes that were added or stretched to get
    from `shape` to its own.
    """
    if array.shape == shape:
        return array
    if array.ndim < len(shape) or any(
        n not in (1, m) for n, m in zip(shape[::-1], array.shape[::-1], strict=False)
    ):
        wide = np.broadcast_to(
            array, shape
        )  # a rule may return a smaller array, as NumPy would broadcast it
        return wide.copy() if isinstance(wide, np.ndarray) else wide
    added = array.ndim - len(shape)
    stretched = tuple(
        i + added for i, n in enumerate(shape) if n == 1 and array.shape[i + added] != 1
    )
    total = array.sum(axis=(*range(added), *stretched))
    return (np.asarray(total) if isinstance(array, np.ndarray | np.generic) else total).reshape(
        shape
    )


def as_array(kind: str, value: Any, dtype: Any = None, integers: bool = False) -> Array:
    """A C-contiguous copy of `value` as float32 or float64, the default one unless given
    (`integers`: or whole).

    `kind` says in messages what it is for.
    """
    whole = integers and dtype is not None
    wanted = settings.native(dtype) if whole else settings.float_dtype(dtype)
    if wanted not in settings.FLOATS and wanted.kind not in "biu":
        raise DTypeError(
            f"dtype {dtype!r}: a Constant holds float32, float64, integers or booleans"
        )
    if isinstance(value, np.ndarray) and value.dtype == wanted:
        return np.array(value, order="C")
    try:
        array = np.asarray(value)
    except ValueError:
        raise ShapeError(
            f"cannot make a {kind} of {type(value).__name__}; rows of equal lengths are expected"
        ) from None
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"cannot make a {kind} of {array.dtype} values; numbers are expected")
    if (
        wanted.kind in "iu"
        and array.dtype.kind == "f"
        and not (np.isfinite(array) & (array == np.rint(array))).all()
    ):
        raise DTypeError(
            f"{array.dtype} values are not whole numbers; use .astype to say how to round them"
        )
    need_room(array, wanted)
    need_digits(array, wanted)
    return np.array(array, dtype=wanted, order="C")


def need_digits(array: Array, wanted: np.dtype[Any]) -> None:
    """Raise `DTypeError` for integers that a float dtype would round."""
    if wanted.kind != "f" or array.dtype.kind not in "iu" or array.dtype.itemsize < wanted.itemsize:
        return
    exact = 2 ** (np.finfo(wanted).nmant + 1)  # every integer up to this one is a float
    if array.size and (array.max() > exact or array.min() < -exact):
        rounded = array.astype(wanted)
        inside = np.abs(rounded) < float(np.iinfo(array.dtype).max)  # of what can be turned back
        wrong = array[~inside | (np.where(inside, rounded, 0).astype(array.dtype) != array)]
        if wrong.size:
            ways = "dtype=np.int64 or np.float64 keeps it, .astype says that it may be rounded"
            raise DTypeError(f"{wrong.flat[0]} has more digits than {wanted}; {ways}")


def need_room(array: Array, wanted: np.dtype[Any]) -> None:
    """Raise `DTypeError` for whole numbers that an integer dtype does not reach: NumPy would let
    them wrap around.
    """
    if wanted.kind in "iu" and array.dtype != wanted and array.size:
        for value in (array.min(), array.max()):
            if not np.iinfo(wanted).min <= value <= np.iinfo(wanted).max:
                raise DTypeError(f"{value} does not fit into {wanted}")
