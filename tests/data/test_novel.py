"""The text that ships: what it is, and that a damaged one is refused."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import pytest

from minigrad.data import novel
from minigrad.errors import DataError

# `minigrad.data.novel` is the function; the module of that name is behind it.
module = importlib.import_module("minigrad.data.novel")


def test_the_first_volume_whole_and_plain() -> None:
    text = novel()
    assert len(text) == 231_161 and len(set(text)) == 74 and text.isascii()
    assert [line for line in text.splitlines() if line.startswith("Chapter ")] == [
        f"Chapter {k}" for k in range(1, 24)
    ]
    assert max(map(len, text.splitlines())) < 80 and "\n\n\n" not in text and "\r" not in text
    assert module.FILE.size == module.FILE.path.stat().st_size < 100_000


def test_a_damaged_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "text.gz"
    broken.write_bytes(module.FILE.path.read_bytes()[:-1])
    monkeypatch.setattr(module, "FILE", dataclasses.replace(module.FILE, name=str(broken)))
    with pytest.raises(DataError, match=r"SHA-256.*reinstall minigrad"):
        novel()
