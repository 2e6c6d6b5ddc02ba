"""Numbers, widths and escaping, and what is measured of an array."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from minigrad.viz.scene import text
from minigrad.viz.scene.measure import measure


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (2.0, "2"),
        (-0.0, "0"),
        (1 / 3, "0.333"),
        (-2.6145, "-2.61"),
        (1e-9, "1e-09"),
        (float("nan"), "NaN"),
        (1e6, "1e+06"),
    ],
)
def test_a_number_has_three_digits(x, expected):
    assert text.number(x) == expected


def test_arrays_show_shape_and_spread():
    stats = measure(np.array([[1.0, 3.0]], np.float32))
    assert text.value_lines(stats) == ("(1, 2)", "2±1")
    assert text.gradient_line(stats) == "rms 2.24"
    assert text.value_lines(measure(np.array([3, 7]))) == ("(2,)", "3…7")
    assert text.value_lines(measure(np.zeros((0, 3)))) == ("(0, 3)", "empty")


@pytest.mark.parametrize(
    ("values", "state", "line"),
    [
        ([0.0, 0.0], "zero", "∅ 0"),
        ([1e-8, 1e-8], "normal", "rms 1e-08"),
        ([3e4, 3e4], "normal", "rms 3e+04"),
        ([1.0, np.nan], "nan", "✖ NaN"),
        ([1.0, np.inf], "inf", "▲ inf"),
        ([1.0, -np.inf], "inf", "▲ -inf"),
        ([np.inf, np.nan], "nan", "✖ NaN"),
    ],
)
def test_what_is_wrong_has_a_glyph(values, state, line):
    stats = measure(np.array(values))
    assert (stats.state, text.gradient_line(stats)) == (state, line)


def test_the_statistics_are_numpys():
    x = np.random.default_rng(0).normal(2, 3, (40, 50))
    stats = measure(x)
    expected = (x.mean(), x.std(), np.sqrt((x**2).mean()), x.min(), x.max())
    np.testing.assert_allclose(
        (stats.mean, stats.std, stats.rms, stats.low, stats.high), expected, rtol=1e-12
    )


def test_statistics_hold_at_the_ends_of_the_range():
    assert measure(np.array([1e200, -1e200])).rms == pytest.approx(1e200)
    assert measure(np.array([1e-200, -1e-200])).rms == pytest.approx(1e-200)


def test_six_inks_from_weak_to_strong():
    steps = [measure(np.array([x, x])).step for x in (1e-7, 1e-5, 1e-4, 1e-3, 0.1, 1, 50, 1e9)]
    assert steps == sorted(steps)
    assert set(steps) == set(range(6))


def test_widths():
    assert text.width("ii", 10) < text.width("WW", 10)
    assert text.width("W", 20) == 2 * text.width("W", 10)
    assert text.width("e\u0301", 10) == text.width("e", 10)
    assert text.width("漢", 10) == 10


def test_long_and_broken_names_become_one_short_line():
    assert text.shorten("a\n\tb\x00c") == "a b c"
    long = text.shorten("x" * 300)
    assert len(long) == 24 and long.endswith("…")


def test_whatever_is_escaped_is_xml():
    hostile = "<script>&\"'\x00\x1b\ud800\uffff ∅ 漢 é"
    element = ET.fromstring(f'<a b="{text.escape(hostile)}">{text.escape(hostile)}</a>')
    assert element.text == element.get("b") == "<script>&\"' ∅ 漢 é"
