"""Pictures from given numbers: they are drawn, nothing covers anything, and they say what they
show.
"""

import pytest
from bench import given
from matplotlib.text import Text

from minigrad.bench import charts
from minigrad.bench.jobs import OPERATORS
from minigrad.bench.records import rows_of


def boxes(figure, texts):
    """Where words stand, without the lines that tie them to something."""
    renderer = figure.canvas.get_renderer()
    return [Text.get_window_extent(text, renderer) for text in texts]


def overlapping(found):
    return [(a, b) for i, a in enumerate(found) for b in found[i + 1 :] if a.overlaps(b)]


def test_every_kernel_has_a_mark_of_its_own():
    report = given.report()
    made = charts.roofline(report)
    made.draw_without_rendering()
    lines = [line for line in made.axes[0].get_lines() if line.get_marker() not in ("None", "")]
    names = {line.get_label(): line.get_marker() for line in lines if line.get_label()[0] != "_"}
    assert set(names) == {operator.title.partition(":")[0] for operator in OPERATORS}
    assert len(set(names.values())) == len(OPERATORS)
    fills = [line.get_fillstyle() for line in lines]
    assert fills == ["full", "none"] * len(OPERATORS)  # forward, backward
    found = boxes(made, made.legends[0].get_texts())
    assert not overlapping(found)
    assert all(made.bbox.contains(*corner) for box in found for corner in box.corners())


def test_what_computes_nothing_is_not_below_the_roof():
    report = given.report()
    rows = rows_of(report["records"], "kernels")
    embedding, lstm = (
        next(row for job, row in rows.items() if job.startswith(name) and "forward" in job)
        for name in ("embedding", "LSTM")
    )
    embedding["floor"]["flops"] = 0
    del lstm["minigrad replay"]["rounds"]
    made = charts.roofline(report)
    assert "embedding forward" not in made.description and "embedding backward" in made.description
    assert "LSTM forward" not in made.description


def test_the_race_at_a_glance():
    made = charts.jobs(given.report())
    ax = made.axes[0]
    labels = ["J1a CNN, is it a five?, batch 100", "J4b MLP on a circle, batch 32"]
    assert [label.get_text() for label in ax.get_yticklabels()] == labels
    shown = {line.get_label(): line.get_xdata() for line in ax.get_lines()}
    assert set(shown) == {"minigrad", "torch", "jax", "floor"}
    assert list(shown["torch"]) == pytest.approx([600e-6, 60e-6])


def test_growth_has_a_panel_for_each_axis():
    made = charts.scaling(given.report())
    assert [ax.get_title(loc="left") for ax in made.axes] == [
        "batch",
        "steps",
        "channels",
        "threads",
    ]
    made.draw_without_rendering()
    for ax in made.axes:
        assert {line.get_label() for line in ax.get_lines()} == {
            "minigrad compiled",
            "torch fused",
            "jax step",
            "floor",
        }
        assert not overlapping(boxes(made, ax.get_xticklabels()))


def test_only_what_was_measured_is_drawn(tmp_path):
    report = {"records": [*given.job("jobs", "J1a"), *given.point("batch", 1)]}
    assert [path.name for path in charts.draw(report, tmp_path)] == [
        "bench-jobs.svg",
        "bench-scaling.svg",
    ]
    assert all(path.stat().st_size > 1000 for path in tmp_path.iterdir())
    assert [ax.get_title(loc="left") for ax in charts.scaling(report).axes] == ["batch"]
