"""The cache: its place and checks, atomic writes, downloads and clients that fail; and the
catalogue.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pooch
import pytest
import requests

from minigrad.data import cache, catalog
from minigrad.data.cache import KnownFile, cache_dir, download, from_package, run_client
from minigrad.errors import DataError
from minigrad.files import write_atomically

CONTENT = b"seven bytes and then some"
KNOWN = KnownFile("things/thing.bin", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def test_environment_chooses_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.setenv("MINIGRAD_DATA", "~/here")
    assert cache_dir() == Path.home() / "here"
    monkeypatch.setenv("MINIGRAD_DATA", "")
    assert cache_dir() == Path(pooch.os_cache("minigrad"))


def test_importing_the_data_package_loads_nothing_heavy() -> None:
    heavy = ["pooch", "tqdm", "requests", "zipfile", "tarfile", "csv", "subprocess"]
    # Only what the data modules add counts: minigrad itself or NumPy may bring some of these along.
    code = (
        "import sys, importlib, numpy, minigrad\n"
        "for name in [n for n in sys.modules if n.startswith('minigrad.data')]: del "
        "sys.modules[name]\n"
        f"heavy = {heavy}\n"
        "for name in heavy: sys.modules.pop(name, None)\n"
        "importlib.import_module('minigrad.data')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.strip() == "[]"


def test_store_then_intact(folder: Path) -> None:
    assert str(KNOWN.problem()).startswith(f"{folder / 'things' / 'thing.bin'} is missing")
    KNOWN.store(CONTENT)
    assert KNOWN.problem() is None
    assert (folder / "things" / "thing.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (CONTENT[:-1], "24 bytes with SHA-256 [0-9a-f]{64}, expected 25 bytes"),
        (CONTENT + b"!", "26 bytes with SHA-256"),
        (CONTENT[:-1] + b"!", "SHA-256 [0-9a-f]{64}, expected 25 bytes with " + KNOWN.sha256),
    ],
)
def test_store_refuses_other_content(folder: Path, data: bytes, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        KNOWN.store(data)
    assert not folder.exists()


def test_damage_on_disk_is_noticed() -> None:
    KNOWN.store(CONTENT)
    KNOWN.path.write_bytes(CONTENT[:-1] + b"!")
    assert "SHA-256" in str(KNOWN.problem())
    KNOWN.path.write_bytes(CONTENT[:3])
    assert "3 bytes with SHA-256" in str(KNOWN.problem())


def test_folder_that_cannot_be_written(folder: Path) -> None:
    folder.write_text("a file where a folder should be", encoding="utf-8")
    with pytest.raises(DataError, match=r"cannot write .* set MINIGRAD_DATA"):
        KNOWN.store(CONTENT)


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    "reason", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "interrupt"]
)
def test_interrupted_write_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, reason: BaseException
) -> None:
    def break_off(*args: Any) -> None:
        raise reason

    target = tmp_path / "kept"
    target.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, step, break_off)
        with pytest.raises(type(reason)):
            write_atomically(target, b"new and longer")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["kept"]
    write_atomically(target, b"new and longer")
    assert target.read_bytes() == b"new and longer"
    assert os.listdir(tmp_path) == ["kept"]


def test_download_returns_bytes_and_turns_failures_into_data_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def deliver(self: Any, url: str, target: io.BytesIO, pooch: Any) -> None:
        if "gone" in url:
            raise requests.ConnectionError("no such host")
        target.write(url.encode())

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", deliver)
    assert download("https://example.invalid/file") == b"https://example.invalid/file"
    with pytest.raises(DataError, match=r"gone: ConnectionError: no such host"):
        download("https://example.invalid/gone")


def test_client_that_works_fails_or_is_not_there() -> None:
    run_client([sys.executable, "-c", ""])
    with pytest.raises(DataError, match="ERROR: no matching thing\nbye"):
        run_client([sys.executable, "-c", "raise SystemExit('ERROR: no matching thing\\nbye')"])
    with pytest.raises(DataError, match="exit status 3"):
        run_client([sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(DataError, match="could not run"):
        run_client(["no-such-program-anywhere"])


def test_client_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "CLIENT_SECONDS", 0.2)
    with pytest.raises(DataError, match="timed out"):
        run_client([sys.executable, "-c", "import time; time.sleep(20)"])


def test_package_is_unpacked_elsewhere_and_its_files_are_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache, "run_client", run_client)
    write = "import pathlib, sys; pathlib.Path(sys.argv[1], 'thing.bin').write_bytes(%r)"
    command = [sys.executable, "-c", write % CONTENT]
    with pytest.raises(DataError, match="a package does not hold what was expected: .*thing.bin"):
        from_package("a package", command, "elsewhere", [KNOWN])
    assert KNOWN.problem() is not None
    assert from_package("a package", command, "", [KNOWN]) == "a package"
    assert KNOWN.problem() is None


def test_catalogue_lists_without_downloading(folder: Path, offline: list[str]) -> None:
    rows = {name: catalog.status(name) for name in catalog.CATALOG}
    assert list(rows) == ["circle", "imdb", "mnist", "mnist-sample"]
    assert rows["circle"] == ("circle", "generated", 0, True)
    assert rows["mnist"] == ("mnist", f"not in {folder} yet", 0, False)
    assert rows["mnist-sample"].verified and rows["mnist-sample"].size <= 1_000_000
    assert offline == []


def test_catalogue_fetches_and_verifies(monkeypatch: pytest.MonkeyPatch) -> None:
    def bring() -> str:
        KNOWN.store(CONTENT)
        return "a drawer"

    entry = catalog.CatalogEntry((KNOWN,), bring)
    monkeypatch.setitem(catalog.CATALOG, "thing", entry)
    with pytest.raises(DataError, match=r"run `minigrad data fetch thing`(.|\n)*is missing"):
        catalog.verify("thing")
    row = catalog.fetch("thing")
    assert row == ("thing", str(KNOWN.path.parent), 25, True) == catalog.verify("thing")
    KNOWN.path.write_bytes(b"x" * 25)
    with pytest.raises(DataError, match="SHA-256"):
        catalog.verify("thing")
    assert not catalog.status("thing").verified


def test_catalogue_without_network_or_name() -> None:
    assert catalog.fetch("circle") == catalog.verify("circle")
    with pytest.raises(DataError, match="could not be fetched"):
        catalog.fetch("mnist")
    with pytest.raises(
        ValueError, match="data: name='minst'; one of circle, imdb, mnist, mnist-sample was"
    ):
        catalog.verify("minst")
