"""Ranks under a real `mpiexec`: messages, measurements, the end; and the message without MPI."""

import importlib.util
import sys
from pathlib import Path

import pytest
from bench.tasks import small_task

from minigrad.bench import process as starting
from minigrad.bench import ranks as module
from minigrad.bench import scale, sections
from minigrad.bench.process import Failed, Process
from minigrad.bench.session import Session, Settings
from minigrad.distribution import install_hint


def quiet(line):
    pass


def there():
    try:
        return bool(starting._mpiexec())
    except Failed:
        return False


needs_mpi = pytest.mark.skipif(
    not there(), reason=f"no mpi4py or no mpiexec: {install_hint('distributed')}"
)


@pytest.fixture(scope="module")
def two():
    with Process("ranks", ranks=2, patience=240) as group:
        yield group


@pytest.fixture
def folder(tmp_path):
    small_task(samples=64, batch=8).save(tmp_path / "task")
    return str(tmp_path / "task")


@needs_mpi
def test_two_ranks_train_as_one_and_say_where_the_time_went(two, folder):
    two.load(folder, "ranks compiled")
    found = two.ask("measure", batch=8, steps=20, seed=3)
    assert found["steps"] == 24  # three epochs of eight
    lines = sum(
        -(-array.size // 16) for array in small_task().parameters.values()
    )  # each parameter fills cache lines
    assert found["bytes"] == 4 * (16 * lines + 2)
    assert found["computing"] > 0 and found["waiting"] >= 0 and found["talking"] > 0
    with Process("ranks", ranks=1, patience=240) as one:
        one.load(folder, "ranks compiled")
        alone = one.ask("measure", batch=8, steps=20, seed=3)
        assert not {"computing", "bytes"} & set(alone)
        assert alone["loss"] == pytest.approx(found["loss"], rel=1e-4) and alone["steps"] == 24
    assert not one.alive
    again = two.ask("measure", batch=8, steps=20, seed=3)
    assert again["loss"] == found["loss"]  # from the initial weights


@needs_mpi
def test_an_all_reduce_takes_time_and_errors_are_answers(two):
    assert two.ask("all_reduce", size=64, steps=5)["seconds"] > 0
    with pytest.raises(Failed, match="ValueError: worker: do='dance' is unknown"):
        two.ask("dance")
    assert two.ask("peak_memory") > 1e6 and "MPI" in two.versions


@needs_mpi
def test_the_whole_section(tmp_path, monkeypatch):
    """One small model with few sizes: the measurements can be fitted."""
    small_task(samples=64, batch=8).save(tmp_path / "small")
    monkeypatch.setattr(module, "MODELS", ("J4b",))
    monkeypatch.setattr(module, "BATCH", 16)
    monkeypatch.setattr(module, "FITTED", (8, 32))
    monkeypatch.setattr(module, "HELD_OUT", (16,))
    monkeypatch.setattr(module, "SIZES", (64, 4096))
    monkeypatch.setattr(module, "_grid", lambda session: {"fits": 8})
    small = str(tmp_path / "small")
    monkeypatch.setattr(
        Session, "task", lambda self, found, key, job: (found.setdefault(key, {}), small, None)
    )
    session, found = Session(Settings(threads=1, rounds=2, unit=0.01), tmp_path, quiet), {}
    sections.SECTIONS["distributed"](session, found)
    job = found["jobs"]["J4b"]
    assert {(p["ranks"], p["batch"]) for p in job["points"]} == {
        (r, b) for r in (1, 2) for b in (8, 16, 32)
    }
    assert [(p["ranks"], p["threads"], p["batch"]) for p in job["rows"]] == [(1, 1, 16), (2, 1, 16)]
    assert job["agree"] and all(len(p["rounds"]) == 2 and p["seconds"] > 0 for p in job["points"])
    assert job["scatter"] >= 0 and found["grid"] == {"fits": 8}
    assert scale.cost_of(job, scale.network_of(found)).sample >= 0
    assert {"minigrad", "mpi4py"} <= set(session.versions)


def test_where_mpi_is_missing_the_section_says_what_to_install(tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "mpi4py" else real(name, *a)
    )
    monkeypatch.setattr(starting.shutil, "which", lambda *a, **k: None)
    found = {}
    sections.SECTIONS["distributed"](Session(Settings(), tmp_path, quiet), found)
    assert found == {
        "reason": 'no mpi4py and no mpiexec: pip install "minigrad-numba[distributed]"'
    }


def test_the_launcher_beside_this_python_is_taken_first(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(starting.shutil, "which", lambda name, path: path)
    monkeypatch.setenv("PATH", "/elsewhere")
    assert starting._mpiexec() == f"{Path(sys.executable).parent}:/elsewhere"
