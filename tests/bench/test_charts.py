"""Pictures from given numbers: they are drawn, nothing covers anything, and they say what they
show.
"""

import pytest
from bench import given
from matplotlib.text import Text

from minigrad.bench import charts
from minigrad.bench.jobs import OPERATORS


def boxes(figure, texts):
    """Where words stand, without the lines that tie them to something."""
    renderer = figure.canvas.get_renderer()
    return [Text.get_window_extent(text, renderer) for text in texts]


def overlapping(found):
    return [(a, b) for i, a in enumerate(found) for b in found[i + 1 :] if a.overlaps(b)]


def test_the_names_of_kernels_stand_apart_and_within_the_picture():
    report = given.report()
    for name in ("RNN", "LSTM", "linear", "max-pool"):  # these four at one place
        report["kernels"][name]["forward"] = given.way(1e-4, 4 * 10**6)
    made = charts.roofline(report["kernels"], report["ceilings"])
    made.draw_without_rendering()
    names = made.axes[0].texts
    assert {text.get_text() for text in names} == set(OPERATORS)
    found = boxes(made, names)
    assert not overlapping(found)
    assert all(made.bbox.contains(*corner) for box in found for corner in box.corners())


def test_what_computes_nothing_is_not_below_the_roof():
    report = given.report()
    report["kernels"]["embedding"]["forward"]["work"]["flops"] = 0
    report["kernels"]["LSTM"]["forward"]["rows"]["minigrad replay"] = {"reason": "no LSTM"}
    made = charts.roofline(report["kernels"], report["ceilings"])
    assert "embedding forward" not in made.description and "embedding backward" in made.description
    assert "LSTM forward" not in made.description


def test_the_race_at_a_glance():
    made = charts.jobs(given.report()["jobs"])
    ax = made.axes[0]
    labels = ["J1a CNN, is it a five?, batch 100", "J4b MLP on a circle, batch 32"]
    assert [label.get_text() for label in ax.get_yticklabels()] == labels
    shown = {line.get_label(): line.get_xdata() for line in ax.get_lines()}
    assert set(shown) == {"minigrad", "torch", "jax", "floor"}
    assert list(shown["torch"]) == pytest.approx([600e-6, 60e-6])


def test_growth_has_a_panel_for_each_axis():
    made = charts.scaling(given.report()["scaling"])
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
    report = {**given.report(), "scaling": {"batch": {"1": given.point(1)}}, "kernels": {}}
    assert [path.name for path in charts.draw(report, tmp_path)] == [
        "bench-jobs.svg",
        "bench-scaling.svg",
    ]
    assert all(path.stat().st_size > 1000 for path in tmp_path.iterdir())
    assert [ax.get_title(loc="left") for ax in charts.scaling(report["scaling"]).axes] == ["batch"]
