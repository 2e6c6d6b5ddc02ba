"""Fixtures of the benchmark's tests."""

from pathlib import Path

import pytest
from bench.tasks import small_task

from minigrad.bench import process


@pytest.fixture
def path(tmp_path):
    """The file of a saved task."""
    small_task().save(str(tmp_path / "task.npz"))
    return str(tmp_path / "task.npz")


@pytest.fixture
def fake(monkeypatch):
    """Processes find the modules of the libraries `fake` and `nowhere`."""
    here = str(Path(__file__).with_name("fakes"))
    code = process._PEER.replace(
        "from peers", f"import peers; peers.__path__.append({here!r}); from peers"
    )
    monkeypatch.setattr(process, "_PEER", code)
