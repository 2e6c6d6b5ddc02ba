"""The IDX file format, in which MNIST is published.

A file is two zero bytes, one byte for the element type, one for the number of axes, then every axis
length as a 4-byte integer and the elements themselves, all big-endian.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..files import as_path

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"
MAX_AXES = 32  # the limit of NumPy 1
DEFLATE_RATIO = 1032  # the most bytes that one byte of gzip holds
MOST_UNPACKED = 1 << 30  # a megabyte of gzip can hold a gigabyte of zeros


def read_idx(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """Read an IDX file, plain or compressed with gzip (the content decides, not the name).

    Returns
    -------
    A writable array with the shape and element type of the header (uint8, int8, int16, int32,
    float32 or float64) in native byte order. Memory use follows the size of the file: a header that
    promises more is refused before anything of that size is allocated, and so is a compressed file
    that unpacks to more than 1 GiB.

    Raises
    ------
    DataError : the file is not IDX, cut short, too long or damaged; the message names it
    OSError : the file cannot be opened
    """
    path = as_path("read_idx", path)
    with path.open("rb") as start:
        compressed = start.read(2) == GZIP_MAGIC
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            shape, dtype = _read_header(file, path)
            expected = math.prod(shape) * dtype.itemsize
            most = min(expected, MOST_UNPACKED) if compressed else expected
            # Never more than the file can hold: `read` allocates what it is asked for.
            data = file.read(min(most, DEFLATE_RATIO * path.stat().st_size) + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip data ({error})") from error
    if most < len(data) <= expected:
        raise DataError(
            f"{path}: the compressed file holds more than {most:,} bytes; unpack it first"
        )
    if len(data) != expected:
        found = f"only {len(data):,}" if len(data) < expected else "more"
        wanted = f"{expected:,} bytes of {dtype.name} for shape {shape}"
        raise DataError(f"{path}: expected {wanted}, found {found}")
    try:
        array = np.frombuffer(data, dtype).reshape(shape)
    except ValueError as error:  # an empty array with axes too long for NumPy
        raise DataError(f"{path}: shape {shape} is more than NumPy can hold") from error
    return array.astype(dtype.newbyteorder("="))


def _read_header(file: BufferedIOBase, path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        found = magic.hex(" ") or "nothing"
        raise DataError(
            f"{path}: not an IDX file, expected two zero bytes and two more, found {found}"
        )
    code, axes = magic[2], magic[3]
    if code not in DTYPES:
        known = ", ".join(f"0x{known:02x}" for known in DTYPES)
        raise DataError(f"{path}: unknown element type 0x{code:02x}, expected one of {known}")
    if axes > MAX_AXES:
        raise DataError(f"{path}: the header announces {axes} axes, expected at most {MAX_AXES}")
    lengths = file.read(4 * axes)
    if len(lengths) < 4 * axes:
        raise DataError(
            f"{path}: expected {4 * axes} bytes of axis lengths, found only {len(lengths)}"
        )
    shape = tuple(np.frombuffer(lengths, ">i4").tolist())
    if min(shape, default=0) < 0:
        raise DataError(f"{path}: expected axis lengths of at least 0, found shape {shape}")
    return shape, np.dtype(DTYPES[code])
