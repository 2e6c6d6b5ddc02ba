"""Ranks under a real `mpiexec`: messages, measurements, the end; and the message without MPI."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bench.tasks import small_task

from minigrad.bench import disturbance, jobs, scale, tables
from minigrad.bench import process as starting
from minigrad.bench import sections as module
from minigrad.bench.jobs import prepared
from minigrad.bench.peers.task import Task
from minigrad.bench.process import Failed, Process
from minigrad.bench.records import agree, rows_of
from minigrad.bench.session import Session
from minigrad.distribution import install_hint

ROOT = Path(__file__).parents[2]


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
    with Process("ranks", ranks=2) as group:
        yield group


@pytest.fixture
def path(tmp_path):
    small_task(samples=64, batch=8).save(str(tmp_path / "task.npz"))
    return str(tmp_path / "task.npz")


@needs_mpi
def test_two_ranks_train_as_one_and_say_where_the_time_went(two, path):
    found = two.measure(path, "ranks", 200, seed=3)
    assert found["steps"] == 200  # of eight an epoch; fewer would run in replay
    lines = sum(
        -(-array.size // 16) for array in small_task().parameters.values()
    )  # each parameter fills cache lines
    assert found["bytes"] == 4 * (16 * lines + 2)
    assert found["computing"] > 0 and found["waiting"] >= 0 and found["talking"] > 0
    with Process("ranks", ranks=1) as one:
        alone = one.measure(path, "ranks", 200, seed=3)
        assert not {"computing", "bytes"} & set(alone)
        assert alone["loss"] == pytest.approx(found["loss"], rel=1e-4) and alone["steps"] == 200
    assert not one.alive
    again = two.measure(path, "ranks", 200, seed=3)
    assert again["loss"] == found["loss"]  # from the initial weights


@needs_mpi
def test_an_all_reduce_takes_time_and_errors_are_answers(two, tmp_path):
    job = Task("64 B", "all_reduce", (64,), direction="all_reduce")
    path = str(tmp_path / "all-reduce.npz")
    prepared(job).save(path)
    found = two.measure(path, "ranks", 5)
    assert found["seconds"] > 0 and found["bytes"] == 64
    with pytest.raises(Failed, match="ValueError: worker: do='dance' is unknown"):
        two.ask("dance")
    assert two.ask("peak_memory") > 1e6 and "MPI" in two.versions


@needs_mpi
def test_the_whole_section(monkeypatch):
    """One small model with few sizes: the measurements can be fitted."""
    monkeypatch.setattr(module, "BATCHES", (8, 16, 32))
    monkeypatch.setattr(scale, "BATCHES", (8, 16, 32))
    monkeypatch.setattr(scale, "HELD_OUT", (16,))
    monkeypatch.setattr(module, "SIZES", (64, 4096))
    monkeypatch.setattr(module, "_grid", lambda session: session.add("grid", "8 fits", ""))
    task = replace(small_task(samples=64), arrays={})
    arrays = small_task(samples=64).arrays
    job = replace(task, source=lambda: (arrays["x"], arrays["y"][:, None]))
    monkeypatch.setitem(jobs.JOBS, "J4b", job)
    session = Session(jobs=("J4b",), rounds=2, unit=0.01, say=quiet)
    module.SECTIONS["distributed"](session)
    session.end()
    assert [record["section"] for record in session.records[:2]] == ["all-reduce"] * 2
    rows = rows_of(session.records, "distributed")
    assert list(rows) == ["small, batch 8", "small, batch 16", "small, batch 32"]
    for row in rows.values():
        assert list(row) == ["ranks 1 × 1", "ranks 2 × 1"] and agree(row)
        assert all(len(r["rounds"]) == 2 and min(r["rounds"]) > 0 for r in row.values())
    assert session.records[-1]["section"] == "grid"
    (measured,) = scale.jobs_of(session.records).values()
    cost = scale.cost_of(measured, scale.network_of(session.records))
    assert cost.sample >= 0 and cost.scatter >= 0
    assert {"minigrad", "mpi4py"} <= set(session.versions)


# ---------------- first fits and changed numbers
@pytest.fixture
def fits(fake, path, tmp_path):
    """First fits of a fake library, each started as often as it is wanted; the caches before it."""
    seen, caches = [], tmp_path / "caches"

    def start(session, contender, **options):
        seen.append(sorted(str(each.relative_to(caches)) for each in caches.rglob("*")))
        for name in ("kernels-1/plain", "kernels-1/steps", "kernels-1/steps_5f", "fx"):
            (caches / name).mkdir(parents=True, exist_ok=True)
        return real(session, contender, **options)

    real = Session.start
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Session, "start", start)
        patched.setattr(disturbance, "others", lambda: None)

        def run(contender, rounds=1, paths=("a", "b")):
            session = Session(rounds=rounds, say=quiet)
            module._starts(session, contender, dict.fromkeys(paths, path), str(caches))
            return session.records, seen

        yield run


def test_a_first_fit_and_what_follows_it_in_one_process(fits):
    records, seen = fits("fake steady", rounds=7)
    assert [(r["section"], r["job"]) for r in records] == [("first fit", "a"), ("changed", "b")]
    first, second = (record["rounds"] for record in records)
    assert len(first) == len(second) == 2 and min(first) > max(second) > 0
    assert seen == [[], ["fx", "kernels-1", "kernels-1/plain"]]  # compiled steps are forgotten


def test_minigrad_starts_with_empty_caches_first(fits, monkeypatch):
    monkeypatch.setattr(module, "OURS", ("fake steady",))
    records, seen = fits("fake steady")
    assert [(r["section"], r["contender"]) for r in records] == [
        ("first fit", "minigrad, empty caches"),
        ("first fit", "fake steady"),
        ("changed", "fake steady"),
    ]
    assert seen == [[], ["fx", "kernels-1", "kernels-1/plain"]]
    fits("fake steady", paths=("a",))
    assert seen[2:] == [[], ["fx", "kernels-1", "kernels-1/plain"]]


def test_a_first_fit_that_fails(fits):
    records, _ = fits("fake unmade")
    assert [(r["section"], r["reason"]) for r in records] == [
        ("first fit", "RuntimeError: needs a compiler")
    ]


@pytest.mark.processes
def test_kernels_are_kept_where_compiled_steps_are_forgotten(tmp_path, path):
    """The names of minigrad's folders, which `_starts` relies on."""
    caches = str(tmp_path / "caches")
    with Process("minigrad", extra={"NUMBA_CACHE_DIR": caches}) as process:
        process.measure(path, "minigrad compiled", 300)  # fewer would run in replay
    kept = [each.relative_to(caches).parts[1] for each in Path(caches).rglob("*.nbi")]
    assert any(name.startswith("steps") for name in kept)
    assert any(not name.startswith("steps") for name in kept)


def test_changes_are_other_numbers_of_the_same_model():
    for name in jobs.NETWORKS:
        job = jobs.few(jobs.JOBS[name], 2)
        assert len(job.source()[0]) == 2 * job.batch
        changed = jobs.changed(job)
        assert ("another number of steps" in changed) == (name in ("J7", "J8", "J10"))
        for what, other in changed.items():
            task = prepared(other)
            assert set(task.parameters) == set(prepared(job).parameters)
            assert task != prepared(job), what


def test_images_are_raced_in_both_layouts(monkeypatch):
    """PyTorch's fastest mode counts."""
    asked = {}
    monkeypatch.setattr(Session, "race", lambda self, name, job, names: asked.update({name: names}))
    session = Session(jobs=("J6",), peers=("torch",), say=quiet)
    for section, names in (("jobs", ["eager", "fused", "compile"]), ("looking", ["eager"])):
        module.SECTIONS[section](session)
        expected = ["minigrad compiled", *(f"torch {name}" for name in [*names, "channels-last"])]
        assert asked[section] == expected


@pytest.mark.parametrize("section", ["looking", "starting"])
def test_sections_ask_each_contender(section, monkeypatch):
    """Looking is a race each way, starting a first fit of each kind of model."""
    asked = []
    monkeypatch.setattr(
        Session, "race", lambda self, name, job, names: asked.append((job.label, *names))
    )
    monkeypatch.setattr(
        module, "_starts", lambda session, name, paths, caches: asked.append((name, *paths))
    )
    session = Session(jobs=("J4a", "J4b", "J9"), peers=("torch",), say=quiet)
    module.SECTIONS[section](session)
    pairs = ("minigrad compiled", "torch eager")
    titles = [jobs.JOBS[name].title for name in session.jobs]
    if section == "looking":
        assert asked == [
            (f"{title}, {way}", *pairs) for title in titles for way in ("evaluate", "predict")
        ]
        return
    changes = ("another width", "another batch size", "another learning rate")
    contenders = ("minigrad compiled", "minigrad replay", "torch eager", "torch compile")
    assert asked == [
        *((name, jobs.JOBS["J4a"].label) for name in contenders[:3]),
        *(
            (name, jobs.JOBS["J9"].label, *(f"{titles[2]}, {change}" for change in changes))
            for name in contenders
        ),
    ]


# ---------------- processes of joblib
def test_a_grid_search_in_one_process_and_two(monkeypatch):
    searched = []
    monkeypatch.setattr(module, "grid_search", lambda *args, **how: searched.append(how["n_jobs"]))
    session = Session(rounds=2, unit=1e-9, say=quiet)
    module._grid(session)
    assert [record["contender"] for record in session.records] == ["one process", "two processes"]
    assert all(len(record["rounds"]) == 2 for record in session.records)
    assert searched.count(1) == searched.count(2) >= 3


def test_where_mpi_is_missing_the_section_says_what_to_install(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "mpi4py" else real(name, *a)
    )
    monkeypatch.setattr(starting.shutil, "which", lambda *a, **k: None)
    session = Session(say=quiet)
    module.SECTIONS["distributed"](session)
    (record,) = session.records
    assert record["reason"] == (
        'no mpi4py and no mpiexec: pip install "minigrad-numba[distributed]"'
    )


def test_the_launcher_beside_this_python_is_taken_first(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(starting.shutil, "which", lambda name, path: path)
    monkeypatch.setenv("PATH", "/elsewhere")
    assert starting._mpiexec() == f"{Path(sys.executable).parent}:/elsewhere"


def test_the_committed_numbers_have_every_model_and_size():
    found = json.loads((ROOT / "figures" / "bench-distributed.json").read_text(encoding="utf-8"))
    sizes = [
        row["ranks 2 × 1"]["bytes"] for row in rows_of(found["records"], "all-reduce").values()
    ]
    assert tuple(sizes) == module.SIZES
    assert len(scale.jobs_of(found["records"])) == 4
    assert all(map(agree, rows_of(found["records"], "distributed").values()))
    assert "all-reduce between two ranks" in tables.everything(found)
