"""Every test of this folder gets an empty cache of its own, and no way to the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from minigrad.data import cache
from minigrad.errors import DataError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder that this test sees, not yet made."""
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let every download fail; the list fills with what was asked for, in order."""
    asked: list[str] = []

    def download(url: str) -> bytes:
        asked.append(url)
        raise DataError(f"{url}: no network in tests")

    def run_client(command: Sequence[str]) -> None:
        asked.append(" ".join(command))
        raise DataError("no network in tests")

    monkeypatch.setattr(cache, "download", download)
    monkeypatch.setattr(cache, "run_client", run_client)
    return asked
