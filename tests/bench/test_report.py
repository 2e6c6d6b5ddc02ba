"""A whole run: sections in order, Ctrl-C, files, and the page's tables."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from bench import given
from pages import SITE

from minigrad import cli
from minigrad.bench import report as module
from minigrad.bench import sections, tables
from minigrad.bench.disturbance import Disturbed
from minigrad.bench.jobs import AXES, JOBS
from minigrad.bench.records import agree, middle, rows_of
from minigrad.bench.report import bench, measure, update_page
from minigrad.bench.session import Session
from minigrad.errors import DataError

ROOT = Path(__file__).parents[2]


class NoProcess:
    """In the place of minigrad's process, which is asked for ceilings only."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def ask(self, what):
        return given.report()[what]


@pytest.fixture
def sectioned(monkeypatch):
    """Two sections that need no processes, the second of which is interrupted."""

    def first(session):
        session.records += given.report()["records"]

    def second(session):
        session.records += given.modes()
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "SECTIONS", {"jobs": first, "modes": second})
    monkeypatch.setattr(Session, "start", lambda self, library: NoProcess())


def quiet(line):
    pass


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_ctrl_c_leaves_and_tells_what_was_measured(sectioned, tmp_path, capsys):
    page = tmp_path / "speed.md"
    page.write_text(f"before {module.BEGIN} {module.END} after", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        paths = {"json_path": tmp_path / "b.json", "plots": tmp_path, "page": page}
        bench(["jobs", "modes"], Session(say=quiet), **paths)
    found, said = read(tmp_path / "b.json"), capsys.readouterr().out
    assert found["interrupted"]
    assert {record["section"] for record in found["records"]} > {"jobs", "modes"}
    assert "interrupted" in said and "60 µs" in said and (tmp_path / "bench-jobs.svg").exists()
    assert page.read_text(encoding="utf-8") == f"before {module.BEGIN} {module.END} after"


def test_a_run_writes_what_was_asked_for(sectioned, tmp_path):
    page = tmp_path / "speed.md"
    page.write_text(f"before\n\n{module.BEGIN}\nold\n{module.END}\n\nafter\n", encoding="utf-8")
    paths = {"json_path": tmp_path / "b.json", "page": page}
    bench(["jobs"], Session(say=quiet), **paths)
    found = read(tmp_path / "b.json")
    expected = f"before\n\n{module.BEGIN}\n\n{tables.page(found)}\n\n{module.END}\n\nafter\n"
    assert page.read_text(encoding="utf-8") == expected
    assert {path.name for path in tmp_path.iterdir()} == {"speed.md", "b.json"}


def test_a_page_does_not_lose_a_table(tmp_path):
    (tmp_path / "speed.md").write_text(f"{module.BEGIN}old{module.END}", encoding="utf-8")
    report = given.report() | {"records": [*given.job("jobs", "J1a"), *given.looking("J5")]}
    with pytest.raises(ValueError, match="no numbers for first fit, changed, which the page"):
        update_page(report, tmp_path / "speed.md")
    assert "old" in (tmp_path / "speed.md").read_text(encoding="utf-8")


def test_a_page_without_a_place_for_it_stays(tmp_path):
    (tmp_path / "speed.md").write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="has no place for the tables"):
        update_page(given.report(), tmp_path / "speed.md")


def test_disturbed_numbers_do_not_get_onto_a_page(sectioned, tmp_path, monkeypatch):
    """The numbers are written, so that what was measured is not lost, but no figures."""

    def disturbed(session):
        session.add("jobs", "J1a", "torch", rounds=[1.0], others=0.04)
        session.add("jobs", "J9", "minigrad", rounds=[1.0], others=0.345)
        session.add("memory", "J9", "minigrad", rounds=[1.0], others=0.9)

    monkeypatch.setattr(module, "SECTIONS", {"jobs": disturbed})
    page, numbers = tmp_path / "speed.md", tmp_path / "b.json"
    page.write_text(f"{module.BEGIN}{module.END}", encoding="utf-8")
    with pytest.raises(
        Disturbed, match=r"at most 34% of the machine during jobs, J9; less than 5%"
    ):
        bench(["jobs"], Session(say=quiet), json_path=numbers, page=page, plots=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"speed.md", "b.json"}
    assert page.read_text(encoding="utf-8") == f"{module.BEGIN}{module.END}"
    assert len(read(numbers)["records"]) == 3


def test_a_job_is_measured_again_and_the_others_stay(sectioned, tmp_path, monkeypatch):
    """Unless they come from other circumstances, or their run was interrupted."""
    path, seconds = tmp_path / "b.json", [0.5]

    def again(session):
        session.versions["torch"] = "3.0"
        session.add("jobs", "J9", "torch", rounds=seconds)

    def jobs():
        monkeypatch.setattr(module, "SECTIONS", {"jobs": again})
        bench(["jobs"], Session(say=quiet), json_path=path)
        return [(r["job"], r.get("rounds")) for r in read(path)["records"]]

    assert jobs() == [("J9", [0.5])]
    before = read(path)
    records = [given.record("jobs", job, "torch", 1.0) for job in ("J8", "J9", "J10")]
    versions = {"torch": "3.0", "jax": "1.0"}
    path.write_text(
        json.dumps(before | {"records": records, "versions": versions}), encoding="utf-8"
    )
    assert jobs() == [("J8", [1.0]), ("J9", [0.5]), ("J10", [1.0])]
    assert read(path)["versions"] == versions
    for other in ({"machine": {}}, {"versions": {"torch": "2.0"}}, {"interrupted": True}):
        path.write_text(json.dumps(before | {"records": records} | other), encoding="utf-8")
        assert jobs() == [("J9", [0.5])]


def test_numbers_are_written_short_a_record_in_a_line(sectioned, tmp_path, monkeypatch):
    def few(session):
        session.add("jobs", "J1a", "torch", rounds=(1.23456789e-5, 0.5), steps=3, loss=1.0)

    monkeypatch.setattr(module, "SECTIONS", {"jobs": few})
    path = tmp_path / "b.json"
    bench(["jobs"], Session(say=quiet), json_path=path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert (
        '  { "section": "jobs", "job": "J1a", "contender": "torch", '
        '"rounds": [ 1.235e-05, 0.5 ], "steps": 3, "loss": 1.0 }'
    ) in lines
    assert read(path)["records"][0]["rounds"] == [1.235e-5, 0.5]


def test_more_threads_than_cores_are_refused():
    with pytest.raises(ValueError, match="threads=4096"):
        measure([], Session(threads=4096))


def test_a_job_without_data_is_left_out_with_its_reason(monkeypatch):
    def nowhere():
        raise DataError("no reviews here\n  tried this\n  tried that")

    monkeypatch.setitem(JOBS, "J2", replace(JOBS["J2"], source=nowhere))
    for section in ("jobs", "looking", "modes", "memory"):
        session = Session(jobs=("J2",), say=quiet)
        sections.SECTIONS[section](session)
        assert {record["reason"] for record in session.records} == {"no reviews here"}
        assert "left out: no reviews here (J2" in tables.section(session.records, section)


@pytest.mark.parametrize(
    "arguments",
    [
        ["dance"],
        ["jobs", "--only", "J99"],
        ["--rounds", "0"],
        ["--peers", "keras"],
        ["--threads", "4096"],
    ],
)
def test_bad_use_gets_one_line_and_code_2(arguments, capsys):
    try:
        code = cli.main(["bench", *arguments])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_real_run_of_one_job(tmp_path, capsys):
    arguments = [
        "bench",
        "jobs",
        "--only",
        "J4b",
        "--quick",
        "--rounds",
        "2",
        "--threads",
        "1",
        "--peers",
        "jax",
    ]
    assert cli.main([*arguments, "--json", str(tmp_path / "b.json"), "--plots", str(tmp_path)]) == 0
    found = read(tmp_path / "b.json")
    (row,) = rows_of(found["records"], "jobs").values()
    assert agree(row) and len(row["minigrad compiled"]["rounds"]) == 2
    assert set(row) == {"minigrad compiled", "jax step", "jax scan", "floor"}
    assert row["floor"]["flops"] > 250_000 and middle(row["floor"]) > 0
    assert {"minigrad", "numpy", "numba"} <= set(found["versions"])
    assert "J4b MLP on a circle, batch 32" in capsys.readouterr().out
    assert (tmp_path / "bench-jobs.svg").exists()


def test_the_committed_numbers_are_those_of_the_page_and_cover_every_section():
    committed = json.loads((ROOT / "figures" / "bench.json").read_text(encoding="utf-8"))
    found = {record["section"] for record in committed["records"]}
    assert (
        found
        == {*sections.ALL, *AXES, "allocations", "first fit", "changed"} - {"scaling", "starting"}
        and "interrupted" not in committed
    )
    assert list(rows_of(committed["records"], "jobs")) == [job.label for job in JOBS.values()]
    block = (
        (SITE / "speed.md").read_text("utf-8").partition(module.BEGIN)[2].partition(module.END)[0]
    )
    assert block.strip() == tables.page(committed)
    assert all(
        (ROOT / "figures" / f"bench-{name}.svg").exists()
        for name in ("jobs", "scaling", "roofline")
    )
