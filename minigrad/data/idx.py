"""The IDX file format, in which MNIST is published.

A file is two zero bytes, one byte for the element type, one for the number of axes, then every axis
length as a 4-byte integer and the elements themselves, all big-endian.
"""

from __future__ import annotations

import math
import os
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..files import as_path

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"
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

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "three.idx")
    ...     with open(path, "wb") as file:
    ...         _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 6, 7]))
    ...     mg.data.read_idx(path)
    array([5, 6, 7], dtype=uint8)
    """
    path = as_path("read_idx", path)
    content = path.read_bytes()
    try:
        return _parse(content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except zlib.error as error:
        raise DataError(f"{path}: damaged gzip data ({error})") from error


def _parse(content: bytes) -> npt.NDArray[Any]:
    head = _first(content, 4)
    if len(head) < 4 or head[:2] != b"\0\0":
        found = head.hex(" ") or "nothing"
        raise DataError(f"not an IDX file, expected two zero bytes and two more, found {found}")
    code, axes = head[2:]
    if code not in DTYPES:
        known = ", ".join(f"0x{known:02x}" for known in DTYPES)
        raise DataError(f"unknown element type 0x{code:02x}, expected one of {known}")
    start = 4 + 4 * axes
    lengths = _first(content, start)[4:]
    if len(lengths) < 4 * axes:
        raise DataError(f"expected {4 * axes} bytes of axis lengths, found only {len(lengths)}")
    shape, dtype = tuple(np.frombuffer(lengths, ">i4").tolist()), np.dtype(DTYPES[code])
    if min(shape, default=0) < 0:
        raise DataError(f"expected axis lengths of at least 0, found shape {shape}")
    size = math.prod(shape) * dtype.itemsize
    data = _first(content, start + size + 1)  # one byte more shows that there is too much
    if len(data) != start + size:
        found = f"only {len(data) - start:,}" if len(data) < start + size else "more"
        raise DataError(f"expected {size:,} bytes of {dtype.name} for shape {shape}, found {found}")
    try:
        array = np.frombuffer(data, dtype, offset=start).reshape(shape)
    except ValueError as error:  # too many axes, or an empty array with axes too long for NumPy
        raise DataError(f"shape {shape} is more than NumPy can hold") from error
    return array.astype(dtype.newbyteorder("="))


def _first(content: bytes, size: int) -> bytes:
    """The first bytes of the content, unpacked if it is compressed."""
    if not content.startswith(GZIP_MAGIC):
        return content[:size]
    data = zlib.decompressobj(wbits=31).decompress(content, min(size, MOST_UNPACKED + 1))
    if len(data) > MOST_UNPACKED:
        raise DataError(
            f"the compressed file holds more than {MOST_UNPACKED:,} bytes; unpack it first"
        )
    return data
