"""The IDX reader: every element type, plain and compressed, and every way in which a file can be
wrong.
"""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad.data import read_idx
from minigrad.errors import DataError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def header(code: int, shape: tuple[int, ...]) -> bytes:
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def idx(array: np.ndarray[Any, Any]) -> bytes:
    swapped = array.astype(array.dtype.newbyteorder(">"))
    return header(CODES[array.dtype.str[1:]], array.shape) + swapped.tobytes()


GOOD = idx(np.arange(24, dtype=np.int32).reshape(2, 3, 4))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some-idx-file"


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gz"])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4), (0, 7)], ids=str)
@pytest.mark.parametrize("kind", CODES)
def test_round_trip(file: Path, kind: str, shape: tuple[int, ...], compress: Any) -> None:
    array = np.asarray(np.random.default_rng(0).random(shape) * 100).astype(kind)
    file.write_bytes(compress(idx(array)))
    read = read_idx(file)
    assert read.dtype == np.dtype(kind) and read.dtype.isnative
    assert read.shape == shape and np.array_equal(read, array)
    assert read.flags.writeable
    assert np.array_equal(read_idx(str(file)), array)


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gz"])
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not an IDX file.*found nothing"),
        (GOOD[:3], "not an IDX file"),
        (b"\x01" + GOOD[1:], "not an IDX file.*found 01 00 0c 03"),
        (b"PK\x03\x04" + bytes(40), "not an IDX file.*found 50 4b 03 04"),
        (b"\0\0\x0a\x01" + bytes(8), "unknown element type 0x0a, expected one of 0x08"),
        (b"\0\0\x08\xff" + bytes(2000), "expected 0 bytes of uint8.*found more"),
        (header(0x08, (1,) * 70) + b"x", "more than NumPy can hold"),
        (GOOD[:10], "expected 12 bytes of axis lengths, found only 6"),
        (GOOD[:16], r"expected 96 bytes of int32 for shape \(2, 3, 4\), found only 0"),
        (GOOD[:-1], "expected 96 bytes.*found only 95"),
        (GOOD + b"\0", "expected 96 bytes.*found more"),
        (header(0x08, (2**31,)) + bytes(10), "axis lengths of at least 0"),
        (
            header(0x08, (2**32 - 1, 3)) + bytes(10),
            "axis lengths of at least 0, found shape .-1, 3",
        ),
        (header(0x0E, (2**31 - 1,) * 3) + bytes(10), "found only 10"),
        (header(0x08, (0, *(2**31 - 1,) * 4)), "more than NumPy can hold"),
    ],
)
def test_malformed(file: Path, content: bytes, complaint: str, compress: Any) -> None:
    file.write_bytes(compress(content))
    with pytest.raises(DataError, match=complaint) as caught:
        read_idx(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "checksum", "middle"])
def test_damaged_gzip(file: Path, damage: str) -> None:
    packed = bytearray(
        gzip.compress(idx(np.random.default_rng(0).integers(0, 255, 5000, np.uint8)))
    )
    if damage == "cut":
        del packed[-200:]
    else:
        packed[-6 if damage == "checksum" else len(packed) // 2] ^= 0xFF
    file.write_bytes(packed)
    with pytest.raises(DataError, match=r"gzip|expected"):
        read_idx(file)


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gz"])
def test_header_alone_never_claims_memory(file: Path, compress: Any) -> None:
    file.write_bytes(compress(header(0x08, (2**31 - 1,)) + bytes(1000)))
    tracemalloc.start()
    with pytest.raises(DataError, match="found only 1,000"):
        read_idx(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_decompression_stops_one_byte_after_what_the_header_announced(file: Path) -> None:
    file.write_bytes(gzip.compress(header(0x08, (10,)) + bytes(50_000_000), compresslevel=1))
    tracemalloc.start()
    with pytest.raises(DataError, match="found more"):
        read_idx(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_missing_file_is_the_usual_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "nowhere")
