"""Tables and ratios from given numbers."""

import re

import pytest
from bench import given

from minigrad.bench import scale, tables
from minigrad.bench.jobs import JOBS

COST, NETWORK = scale.StepCost(1e-5, 1e-5, 1e-4, 2e-6, 0.1, 4e6), scale.Network(1e-5, 1e9)


def cells(records, section):
    """The cells of a section's table, line by line; columns stand apart by two spaces or more."""
    text = tables.section(records, section)
    return [re.split(" {2,}", line.strip()) for line in text.splitlines() if "  " in line]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((8.24, 7.9, 8.61), "8.2 (7.9–8.6)"),
        ((190.4, 99.6, 1234.0), "190 (100–1234)"),
        ((0.512, 0.049, 1.0), "0.51 (0.049–1)"),
    ],
)
def test_ratios_in_words(found, said):
    assert tables.spread(*found) == said


def test_jobs_show_medians_ratios_to_the_best_mode_and_the_floor():
    rows = cells(given.report()["records"], "jobs")
    assert rows[0] == [
        "one training step",
        "minigrad compiled",
        "torch eager",
        "torch fused",
        "jax step",
        "torch ÷ minigrad",
        "jax ÷ minigrad",
        "floor",
    ]
    # the best mode of torch is the fused one: 500, 600, 700 over 60, 50, 70
    assert rows[1] == [
        "J1a CNN, is it a five?, batch 100",
        "60 µs",
        "650 µs",
        "600 µs",
        "1.4 ms",
        "10 (8.3–12)",
        "25 (20–25)",
        "20 µs",
    ]
    assert len(rows) == 3


def test_what_is_missing_is_said_with_its_reason():
    records = given.report()["records"]
    next(r for r in records if r["contender"] == "torch eager")["loss"] = 0.75
    said = tables.section(records, "jobs").splitlines()
    assert f"jax scan: not installed ({JOBS['J1a'].label}, {JOBS['J4b'].label})" in said
    assert f"left out: no reviews ({JOBS['J2'].label})" in said
    assert any(
        line.startswith("losses differ: minigrad compiled 0.25, torch eager 0.75") for line in said
    )


def test_columns_without_a_number_are_left_out():
    records = [
        given.record("jobs", "J1a", "minigrad compiled", 1e-6),
        given.record("jobs", "J1a", "torch eager", reason="not installed"),
    ]
    assert cells(records, "jobs") == [["one training step", "minigrad compiled"], ["J1a", "1 µs"]]


def test_the_other_sections():
    records = given.report()["records"]
    assert cells(records, "modes")[1][1:] == [
        "10 µs",
        "100 µs",
        "200 µs",
        "400 µs",
        "40 (40–40)",
        "4 (4–4)",
        "2 (2–2)",
    ]
    assert cells(records, "kernels")[1] == [
        "conv 16→32: 32×16×32², 3×3, padding 1, forward",
        "100 µs",
        "200 µs",
        "150 µs",
        "2 (2–2)",
        "1.5 (1.5–1.5)",
        "33.3 µs",
        "40 Gflop/s",
    ]
    label = JOBS["J1a"].label
    assert cells(records, "memory") == [
        ["peak memory", "minigrad compiled"],
        [label, "200 MB"],
        [f"{label}: data", "6 MB"],
    ]
    assert cells(records, "allocations")[1:] == [
        [label, "2 kB", "30 kB"],
        [f"{label}: arrays a step", "0", "2"],
    ]
    assert "minigrad eager: gone" in tables.section(records, "allocations")
    assert cells(records, "looking")[1:] == [
        [f"{JOBS['J5'].title}, {way}", *found, "3 (3–3)", "2 (2–2)"]
        for way, *found in (
            ("evaluate", "3 ms", "9 ms", "6 ms"),
            ("predict", "1.5 ms", "4.5 ms", "3 ms"),
        )
    ]
    assert cells(records, "first fit")[1:] == [[JOBS["J5"].label, "9 s", "2.25 s", "20 s"]]
    assert "jax step: not installed" in tables.section(records, "first fit")
    assert cells(records, "changed")[1:] == [
        [f"{JOBS['J5'].title}, another width", "450 ms", "5 s"],
        [f"{JOBS['J5'].title}, another learning rate", "500 ms", "7 s"],
    ]
    assert cells(records, "batch")[1] == ["1, batch 1", "1 µs", "2 µs", "3 µs", "100 ns"]


@pytest.mark.parametrize("name", list(tables.TABLES))
def test_a_section_without_numbers_says_why(name):
    records = [given.record(name, "J1a", "minigrad compiled", reason="interrupted")]
    text = tables.everything({**given.report(), "records": records})
    assert text.endswith("minigrad compiled: interrupted (J1a)") and "–" not in text
    records = [given.record(name, "J1a", "", reason="no data")]
    assert tables.section(records, name) == "left out: no data (J1a)"


def test_everything_begins_with_the_circumstances():
    report = given.report()
    text = tables.everything(report)
    assert text.startswith(
        "processor Abacus 3, cores 2, memory 8 GB, vectors AVX2, system Linux 6\n"
        "other programs took at most 2% of the machine\n"
    )
    assert (
        "\nmeasured here: 250 Gflop/s on one core, 500 Gflop/s in all; 300 GB/s in the nearest "
        "cache, 21.4 GB/s" in text
    )
    assert "minigrad 0.1.0, torch 2.0\nthreads 2, rounds 3, unit 0.2; float32" in text
    assert "interrupted" not in text
    report["interrupted"] = True
    assert "\ninterrupted\n" in tables.everything(report)


def test_what_a_system_does_not_say_is_left_out():
    """Windows says neither how much memory there is nor how busy it is."""
    report = given.report()
    for found in report["records"]:
        found.pop("others", None)
    report["machine"] |= {"memory": None}
    text = tables.everything(report)
    assert text.startswith("processor Abacus 3, cores 2, vectors AVX2, system Linux 6\nmeasured")


def test_the_page_has_each_library_once():
    report = given.report()
    text = tables.page(report)
    assert text.endswith(
        "Measured on 2 cores of Abacus 3 (AVX2) with 2 threads, 3 rounds: minigrad 0.1.0, "
        "torch 2.0; other programs took at most 2% of the machine."
    )
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    assert rows[0][1:4] == ["minigrad", "torch", "jax"]
    assert rows[2] == [
        "J1a CNN, is it a five?, batch 100",
        "60 µs",
        "600 µs",
        "1.4 ms",
        "10 (8.3–12)",
        "25 (20–25)",
        "20 µs",
    ]
    headers = [row[1:] for row in rows if row[1].startswith("minigrad")]
    assert headers[1:] == [
        [
            *("minigrad evaluate", "torch evaluate ÷ minigrad evaluate"),
            *("jax evaluate ÷ minigrad evaluate", "minigrad predict"),
            *("torch predict ÷ minigrad predict", "jax predict ÷ minigrad predict"),
        ],
        ["minigrad, empty caches", "minigrad compiled", "torch compile"],
        ["minigrad compiled", "torch compile"],
    ]
    title = JOBS["J5"].title
    looked = ["3 ms", "3 (3–3)", "2 (2–2)", "1.5 ms", "3 (3–3)", "2 (2–2)"]
    assert [title, *looked] in rows
    assert [JOBS["J5"].label, "9 s", "2.25 s", "20 s"] in rows
    assert [title, "500 ms", "7 s"] in rows  # of the two changes, the one that took longer


# ---------------- section `distributed`
def distributed():
    """One model with a given cost; where the batch is 512 it takes twice as long as it should."""

    def point(ranks, threads, batch):
        took = COST.seconds(ranks, batch, NETWORK) * (2 if batch == 512 else 1)
        computing = took / (1 + COST.scatter * scale.slowest(2)) if ranks == 2 else took
        parts = {"computing": computing, "waiting": took - computing, "talking": computing / 3}
        where = {"ranks": ranks, "batch": batch, "threads": 1, "bytes": COST.size}
        label, contender = f"J1a CNN, batch {batch}", f"ranks {ranks} × {threads}"
        found = where | (parts if ranks == 2 else {})
        return given.record("distributed", label, contender, took, loss=0.5, **found)

    def all_reduce(size):
        took = NETWORK.all_reduce(2, size)
        return given.record("all-reduce", f"{size} B", "ranks 2 × 1", took, bytes=size)

    return [
        *(all_reduce(size) for size in (1000, 10**6, 10**7)),
        *(point(ranks, 1, batch) for batch in scale.BATCHES for ranks in (1, 2)),
        given.record("grid", "grid search of 8 fits", "one process", 4.0, 5.0, 4.0),
        given.record("grid", "grid search of 8 fits", "two processes", 2.5, 2.5, 2.0),
    ]


def test_steps_on_ranks_and_what_they_wait_for():
    one, two = (COST.seconds(n, 128, NETWORK) for n in (1, 2))
    rows = {row[0]: row[1:] for row in cells(distributed(), "distributed")}
    step = rows["J1a CNN, batch 128"]
    assert step[:2] == ["1.29 ms", "4.94 ms"] and step[2].startswith(f"{one / two:.2g} (")
    assert rows["J1a CNN, batch 128: talking"][1] == "1.56 ms"
    assert rows["J1a CNN, batch 128: waiting"][1] == "264 µs"
    assert cells(distributed(), "grid")[1][1:] == ["4 s", "2.5 s", "2 (1.6–2)"]
