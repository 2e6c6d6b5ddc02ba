"""Tables and ratios from given numbers."""

import pytest
from bench import given

from minigrad.bench import overview, table


def cells(text):
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]


def test_a_table_is_markdown_with_columns_that_stand_below_each_other():
    text = table.markdown(["a", "long head"], [["x", "1"], ["yyyy", "22"]])
    assert (
        text
        == "| a    | long head |\n| ---- | --------: |\n| x    |         1 |\n| yyyy |        22 |"
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((8.24, 7.9, 8.61), "8.2 (7.9–8.6)"),
        ((190.4, 99.6, 1234.0), "190 (100–1234)"),
        ((0.512, 0.049, 1.0), "0.51 (0.049–1)"),
    ],
)
def test_ratios_in_words(found, said):
    assert table.spread(*found) == said


def test_jobs_show_medians_ratios_to_the_best_mode_and_the_floor():
    rows = cells(overview.jobs(given.report()["jobs"]))
    assert rows[0] == [
        "one training step",
        "minigrad compiled",
        "torch eager",
        "torch fused",
        "jax step",
        "autograd",
        "torch ÷ minigrad",
        "jax ÷ minigrad",
        "floor",
    ]
    # the best mode of torch is the fused one: 500, 600, 700 over 60, 50, 70
    assert rows[2] == [
        "J1a CNN, is it a five?, batch 100",
        "60 µs",
        "650 µs",
        "600 µs",
        "1.4 ms",
        "–",
        "10 (8.3–12)",
        "25 (20–25)",
        "20 µs",
    ]
    assert len(rows) == 4


def test_what_is_missing_is_said_with_its_reason():
    section = given.report()["jobs"]
    section["J1a"]["agree"] = False
    section["J1a"]["rows"]["torch eager"]["loss"] = 0.75
    said = table.notes(section).splitlines()
    assert "autograd: not installed (J1a, J4b)" in said
    assert "left out: no reviews (J2)" in said
    assert any(
        line.startswith("losses differ: minigrad compiled 0.25, torch eager 0.75") for line in said
    )


def test_without_peers_there_are_no_ratios():
    section = {"J1a": given.job("J1a")}
    section["J1a"]["rows"] = {"minigrad compiled": given.row(1e-6)}
    assert cells(overview.jobs(section))[0] == ["one training step", "minigrad compiled", "floor"]


def test_the_other_sections():
    report = given.report()
    modes = cells(overview.modes(report["modes"]))
    assert modes[2][1:] == [
        "10 µs",
        "100 µs",
        "200 µs",
        "400 µs",
        "40 (40–40)",
        "4 (4–4)",
        "2 (2–2)",
    ]
    kernels = cells(overview.kernels(report["kernels"]))
    assert kernels[2] == [
        "conv 16→32 forward: 32×16×32², 3×3, padding 1",
        "100 µs",
        "200 µs",
        "150 µs",
        "2 (2–2)",
        "1.5 (1.5–1.5)",
        "33.3 µs",
        "40 Gflop/s",
    ]
    memory = cells(overview.memory(report["memory"]))
    further = ["2 kB in 10, 0 arrays a step", "30 kB in 10, 2 arrays a step", "–"]
    assert memory[2] == ["J1a", "6 MB", "200 MB", "–", *further]
    assert cells(overview.startup(report["startup"]))[2] == [
        "J1a minigrad compiled",
        "300 ms",
        "500 ms",
        "9 s",
    ]
    assert cells(overview.scaling(report["scaling"]))[2] == ["1", "1 µs", "2 µs", "3 µs", "100 ns"]


@pytest.mark.parametrize("name", list(overview.TOLD))
def test_a_section_that_was_interrupted_is_told_as_far_as_it_goes(name):
    job = {"title": "t", "batch": 1}
    section = {"kernels": {"conv": {"title": "t", "operator": "conv2d", "forward": job}}}
    section |= {"scaling": {"batch": {"1": job}}, "distributed": {"jobs": {"J1a": job}}}
    assert "1.5" not in overview.TOLD[name](section.get(name, {"J1a": job}))


def test_everything_begins_with_the_circumstances():
    report = given.report()
    text = overview.everything(report)
    assert text.startswith(
        "Abacus 3, AVX2, 2 cores, 8 GB of memory, Linux 6; load at the start 0.1\n"
    )
    assert (
        "\nmeasured here: 250 Gflop/s on one core, 500 Gflop/s in all; 300 GB/s in the nearest "
        "cache, 21.4 GB/s" in text
    )
    assert "minigrad 0.1.0, torch 2.0\n2 threads, 3 rounds of 0.2 s; float32" in text
    assert "interrupted" not in text and "reliable" not in text
    report["machine"] |= {"load": 2.5, "unset": {"OPENBLAS_CORETYPE": "Haswell"}}
    report["interrupted"] = True
    text = overview.everything(report)
    assert "not reliable" in text and "interrupted" in text
    assert "unset for all: OPENBLAS_CORETYPE=Haswell" in text


def test_what_a_system_does_not_say_is_unknown():
    """Windows says neither how much memory there is nor how busy it is."""
    report = given.report()
    report["machine"] |= {"memory": None, "load": None}
    text = overview.everything(report)
    assert text.startswith(
        "Abacus 3, AVX2, 2 cores, memory unknown, Linux 6; load at the start unknown\n"
    )
    assert "reliable" not in text and "trusted" not in overview.readme(report)


def test_the_readme_has_each_library_once():
    report = given.report()
    text = overview.readme(report)
    assert text.endswith(
        "Measured on 2 cores of Abacus 3 (AVX2) with 2 threads, 3 rounds: minigrad 0.1.0, "
        "torch 2.0."
    )
    report["machine"]["load"] = 2.0
    assert "cannot be trusted" in overview.readme(report)
    rows = cells(text)
    assert rows[0][1:6] == ["minigrad", "torch", "jax", "autograd", "mygrad"]
    assert rows[2][1:] == [
        "60 µs",
        "600 µs",
        "1.4 ms",
        "–",
        "–",
        "10 (8.3–12)",
        "25 (20–25)",
        "20 µs",
    ]
