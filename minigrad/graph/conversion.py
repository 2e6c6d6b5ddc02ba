"""Conversion of user data into arrays of a graph, and of cotangents to the shapes of inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from . import settings

Array = np.ndarray[tuple[int, ...], np.dtype[Any]]


def sum_to(array: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: sum over the axes that were added or stretched from `shape`.

    `array` is an array or a node. A smaller one is broadcast to `shape`, as NumPy would do.
    """
    if array.shape == shape:
        return array
    if array.ndim < len(shape) or any(
        n not in (1, m) for n, m in zip(shape[::-1], array.shape[::-1], strict=False)
    ):
        wide = np.broadcast_to(array, shape)
        return wide.copy() if isinstance(wide, np.ndarray) else wide
    added = array.ndim - len(shape)
    stretched = tuple(i + added for i, n in enumerate(shape) if n == 1 != array.shape[i + added])
    total = array.sum(axis=(*range(added), *stretched))
    return (np.asarray(total) if isinstance(array, np.ndarray | np.generic) else total).reshape(
        shape
    )


def as_array(kind: str, value: Any, dtype: Any = None, integers: bool = False) -> Array:
    """A C-contiguous copy of `value` as float32 or float64, by default the default dtype.

    `integers` allows integer and boolean dtypes, too; `kind` names the result in messages.
    """
    wanted = settings.native(dtype) if integers and dtype else settings.float_dtype(dtype)
    if wanted not in settings.FLOATS and wanted.kind not in "biu":
        raise DTypeError(
            f"dtype {dtype!r}: a Constant holds float32, float64, integers or booleans"
        )
    try:
        array = np.asarray(value)
    except ValueError:
        got = type(value).__name__
        raise ShapeError(
            f"cannot make a {kind} of {got}; rows of equal lengths are expected"
        ) from None
    if array.dtype == wanted:
        return np.array(array, order="C")
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"cannot make a {kind} of {array.dtype} values; numbers are expected")
    whole = array.dtype.kind != "f" or (np.isfinite(array) & (array == np.rint(array))).all()
    if wanted.kind in "iu" and not whole:
        raise DTypeError(
            f"{array.dtype} values are not whole numbers; use .astype to say how to round them"
        )
    check_exact(array, wanted)
    return np.array(array, dtype=wanted, order="C")


def check_exact(array: Array, wanted: np.dtype[Any]) -> None:
    """Raise `DTypeError` for integers that `wanted` cannot hold.

    NumPy would round them to floats, or wrap them around.
    """
    if not array.size or array.dtype == wanted:
        return
    if wanted.kind in "iu":
        for value in (array.min(), array.max()):
            if not np.iinfo(wanted).min <= value <= np.iinfo(wanted).max:
                raise DTypeError(f"{value} does not fit into {wanted}")
    if wanted.kind != "f" or array.dtype.kind not in "iu" or array.itemsize < wanted.itemsize:
        return
    exact = 2 ** (np.finfo(wanted).nmant + 1)  # every integer up to this one is a float
    if array.max() > exact or array.min() < -exact:
        rounded = array.astype(wanted)
        convertible = np.abs(rounded) < float(np.iinfo(array.dtype).max)
        back = np.where(convertible, rounded, 0).astype(array.dtype)
        wrong = array[~convertible | (back != array)]
        if wrong.size:
            raise DTypeError(
                f"{wrong.flat[0]} has more digits than {wanted}; dtype=np.int64 or np.float64 "
                "keeps it, .astype says that it may be rounded"
            )


def assignable(node: Any, new: Any, what: str = "a value") -> Array:
    """`new` as an array that may be assigned to the node; else `ShapeError` or `DTypeError`."""
    array = np.asarray(getattr(new, "_data", new))
    if array.shape != node.shape:
        raise ShapeError(
            f"{node.brief} cannot take {what} of shape {array.shape}; a node keeps its shape"
        )
    if array.dtype.kind not in "biuf" or (node.dtype.kind != "f" and array.dtype.kind == "f"):
        raise DTypeError(f"{node.brief} cannot take {what} of dtype {array.dtype}")
    check_exact(array, node.dtype)
    return array
