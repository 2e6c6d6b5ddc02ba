"""Damaged files: an error of ours that names the file, or all of it read; never half, nor more
memory than there is file.
"""

import gzip
import hashlib
import importlib
import itertools
import json
import struct
import tracemalloc

import numpy as np
import pytest
from misuse.use import FIT, Use, X, Y
from safetensors.numpy import load_file, save_file
from systems import little_memory

import minigrad as mg
from minigrad import data
from minigrad.errors import DataError

ARRAY = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
IDX = bytes([0, 0, 0x0C, 3]) + struct.pack(">3I", 2, 3, 4) + ARRAY.astype(">i4").tobytes()


def cuts(content, stride=1):
    """The beginnings of the content: every one up to 120 bytes, then some."""
    return [
        content[:n] for n in (*range(min(120, len(content))), *range(120, len(content), stride))
    ]


def flips(content, stride=1, seed=0):
    """The content with one bit turned, a random one of every `stride`-th byte."""
    rng = np.random.default_rng(seed)
    for i in range(0, len(content), stride):
        damaged = bytearray(content)
        damaged[i] ^= 1 << int(rng.integers(8))
        yield bytes(damaged)


def noise(count, seed=1):
    """Bytes that mean nothing, of many lengths, some of which begin as IDX files do."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        yield (IDX[: 4 * (i % 3)] if i % 2 else b"") + rng.bytes(int(rng.integers(200)))


# ---------------- IDX
@pytest.mark.parametrize(
    "pack", [bytes, lambda content: gzip.compress(content, mtime=0)], ids=["plain", "gzip"]
)
def test_damaged_idx_files_are_refused_or_read_whole(pack, tmp_path):
    path, refused, read = tmp_path / "some-idx", 0, 0
    before, after = [*cuts(IDX), *flips(IDX), *noise(100)], [*cuts(pack(IDX)), *flips(pack(IDX))]
    tracemalloc.start()
    for content in (*map(pack, before), *after):
        path.write_bytes(content)
        try:
            array = data.read_idx(path)
        except DataError as error:
            assert str(error).startswith(f"{path}: ")
            refused += 1
        else:
            assert array.nbytes <= len(IDX) and array.dtype.kind in "iuf"
            read += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (
        refused > 250 and read > 50
    )  # a bit of a number is no damage that can be seen, but in a gzip file
    assert peak < 4 << 20


@pytest.mark.parametrize(
    "shape", [(2**31 - 1,), (2**31 - 1,) * 3, (2**16, 2**15), (1,) * 31 + (2**31 - 1,)], ids=len
)
def test_absurd_lengths_of_idx_files_take_no_memory(shape, tmp_path):
    path = tmp_path / "some-idx"
    head = bytes([0, 0, 0x0E, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    for content in (head + bytes(500), gzip.compress(head + bytes(500))):
        path.write_bytes(content)
        tracemalloc.start()
        with pytest.raises(DataError, match="found only"):
            data.read_idx(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16 << 20


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("minigrad.data.idx.MOST_UNPACKED", 1_000_000)
    path = tmp_path / "some-idx"
    path.write_bytes(
        gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 20_000_000) + bytes(20_000_000))
    )
    tracemalloc.start()
    with pytest.raises(
        DataError, match="the compressed file holds more than 1,000,000 bytes; unpack it first"
    ):
        data.read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


# ---------------- CSV
@pytest.mark.parametrize(
    "columns", list(itertools.permutations(["text", "label", "source"])), ids="-".join
)
def test_damaged_csv_files_are_refused(columns, tmp_path, monkeypatch):
    imdb = importlib.import_module("minigrad.data.imdb")  # the function of this name hides it
    rows = [
        {"text": f'"A ""film"", no. {i},\nand long"', "label": str(i % 2), "source": "imdb"}
        for i in range(4)
    ]
    lines = [",".join(columns), *(",".join(row[name] for name in columns) for row in rows)]
    content = "\r\n".join([*lines, ""]).encode()
    path, digest = tmp_path / "reviews.csv", hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(imdb, "CSV", imdb.KnownFile(str(path), len(content), digest))
    odd = [
        b"",
        b"\0" * 50,
        b"text,label,source\r\n" + b"x" * 200_000,
        content + b"\xff\xfe",
        *noise(20),
    ]
    for damaged in (*cuts(content), *flips(content), *odd):
        if damaged != content:
            path.write_bytes(damaged)
            with pytest.raises(DataError, match=r"expected"):
                imdb._read_csv()
    path.write_bytes(content)
    texts, labels = imdb._read_csv()
    assert texts == [f'A "film", no. {i},\nand long' for i in range(4)]
    assert labels.tolist() == [0, 1, 0, 1]


# ---------------- safetensors
def entry(dtype="F32", shape=(2,), offsets=(0, 8), name="0.weight"):
    return {name: {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}


def tensors(header, body=bytes(8), length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


ABSURD = [
    tensors(entry(), length=2**64 - 1),
    tensors(entry(), length=2**63),
    tensors(entry(), length=2**40),
    tensors(entry(), length=100_000_000),
    tensors(entry(), length=0),
    tensors(b""),
    tensors(b"null"),
    tensors(b"[]"),
    tensors(b"{}", b""),
    tensors(b"[" * 100_000),
    tensors(b'{"a":' * 50_000),
    tensors(b'{"0.weight":1}'),
    tensors(b"\xff" * 9),
    tensors(entry(shape=(2**62, 2**62))),
    tensors(entry(shape=(2**40,))),
    tensors(entry(shape=(-1,))),
    tensors(entry(shape=(3,))),
    tensors(entry(offsets=(0, 2**60))),
    tensors(entry(offsets=(8, 0))),
    tensors(entry(offsets=(4, 12))),
    tensors(entry(), b""),
    tensors(entry("F4")),
    tensors(entry("BF16", (4,))),
    tensors(entry("F8_E4M3", (8,))),
    tensors(entry("I64", (1,))),
    tensors(entry("C64", (1,))),
    tensors({**entry(), **entry(name="0.bias")}),
    tensors({**entry(), "__metadata__": 3}),
    tensors(entry(name="a" * 100_000)),
    tensors(entry(name="\0\n")),
    tensors(entry(name="optimizer.steps")),
]


@pytest.mark.parametrize("whole", [False, True], ids=["model", "trainer"])
def test_damaged_checkpoints_load_whole_or_change_nothing(whole, tmp_path):
    use = Use(tmp_path)
    goal, path = (use.trainer if whole else use.model), tmp_path / "damaged"
    mg.save(goal, path)
    content, refused, loaded = path.read_bytes(), 0, 0
    with little_memory(64 << 20):
        for damaged in (*cuts(content, 11), *flips(content, 3), *noise(50), *ABSURD):
            path.write_bytes(damaged)
            before = use.state()["arrays"]
            try:
                mg.load(goal, path)
            except (DataError, mg.GraphError, mg.ShapeError, mg.DTypeError) as error:
                assert str(path) in "\n".join([str(error), *error.__notes__])
                assert use.state()["arrays"] == before
                refused += 1
            else:
                found = load_file(path)
                assert all(
                    np.array_equal(array, found["model." * whole + name], equal_nan=True)
                    for name, array in use.model.state_dict().items()
                )
                loaded += 1
    assert refused > 400 and loaded > 30  # what is turned in a number cannot be seen


def test_a_state_that_fails_at_the_last_array_changes_nothing(tmp_path):
    """The optimiser's memory comes last; by then the model was filled."""
    use, path = Use(tmp_path), tmp_path / "t.safetensors"
    mg.save(use.trainer, path)
    state = load_file(path)
    for name, wrong in (
        ("optimizer.steps", np.array([-1])),
        ("optimizer.5.v", np.ones(1, np.complex64)),
        ("buffers.2.stream", np.ones(2)),
        ("model.1.num_batches_tracked", np.array(0.5)),
    ):
        changed = {key: array + 1 for key, array in state.items() if key.startswith("model.0")}
        save_file({**state, **changed, name: wrong}, path)
        before = use.state()["arrays"]
        with pytest.raises((mg.GraphError, mg.DTypeError), match=name.partition(".")[2]):
            mg.load(use.trainer, path)
        assert use.state()["arrays"] == before
    use.trainer.fit(X, Y, **FIT)
