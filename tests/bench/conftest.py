"""What the tests of the benchmark share."""

from pathlib import Path

import pytest
from bench.tasks import small_task

from minigrad.bench import process


@pytest.fixture
def folder(tmp_path):
    """The folder of a saved task."""
    small_task().save(tmp_path / "task")
    return str(tmp_path / "task")


@pytest.fixture
def fake(monkeypatch):
    """Processes run the library `fake`, whatever its name is."""
    here = str(Path(__file__).with_name("fakes"))
    run = process._RUN.replace(
        "from peers", f"import peers; peers.__path__.append({here!r}); from peers"
    )
    monkeypatch.setattr(process, "_RUN", run)
    monkeypatch.setattr(
        process, "find", lambda library, python: Path(here) if library == "fake" else None
    )
