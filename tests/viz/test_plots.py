"""The figures that all views are made with: they show themselves, describe themselves, and give the
same bytes.
"""

from __future__ import annotations

import types
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from minigrad.viz import save_figure, training_curves
from minigrad.viz.plots import colours, figure, plain

SVG = "{http://www.w3.org/2000/svg}"


def small(description="A line from 1 to 2.", title=None):
    with figure(3.0, 2.0, title) as made:
        made.subplots().plot([1.0, 2.0])
        made.description = description
        made.numbers = {"line": np.array([1.0, 2.0])}
    return made


def test_a_figure_brings_its_alt_text_into_the_notebook():
    from IPython.core.formatters import DisplayFormatter

    data, about = DisplayFormatter().format(small('Two <points> & a "line".'))
    assert data["image/png"].startswith("iVBORw0KGgo")
    assert about["image/png"] == {"alt": 'Two <points> & a "line".'}
    assert data["text/plain"] == "<Figure size 300x200 with 1 Axes>"


def test_the_alt_text_stays_where_pyplot_has_taken_figures_over():
    from IPython.core.formatters import DisplayFormatter
    from IPython.core.pylabtools import print_figure
    from matplotlib.figure import Figure

    formatter = DisplayFormatter()
    formatter.formatters["image/png"].for_type(Figure, lambda fig: print_figure(fig, base64=True))
    assert formatter.format(small())[1]["image/png"]["alt"] == "A line from 1 to 2."


def test_files_keep_the_description(tmp_path):
    from PIL import Image

    for kind in ("svg", "png", "pdf"):
        save_figure(small("Größe ∂L/∂x <\x00 & >"), tmp_path / f"x.{kind}")
    assert ET.parse(tmp_path / "x.svg").getroot().find(f"{SVG}title").text == "Größe ∂L/∂x < & >"
    assert Image.open(tmp_path / "x.png").text["Description"] == "Größe ∂L/∂x < & >"
    assert b"/Subject" in (tmp_path / "x.pdf").read_bytes()


def test_without_a_description_nothing_is_claimed(tmp_path):
    save_figure(small(""), tmp_path / "x.svg")
    assert ET.parse(tmp_path / "x.svg").getroot().find(f"{SVG}title") is None


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_the_same_figure_gives_the_same_bytes(kind, tmp_path):
    written = []
    for _ in range(2):
        save_figure(small(), tmp_path / f"x.{kind}")
        written.append((tmp_path / f"x.{kind}").read_bytes())
    assert written[0] == written[1]
    small().save(tmp_path / f"x.{kind}")
    assert (tmp_path / f"x.{kind}").read_bytes() == written[0]


def test_matplotlibs_settings_are_left_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    small()._repr_png_()
    with pytest.raises(ZeroDivisionError), figure(1, 1):
        raise ZeroDivisionError
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("text", ["$x$", r"$\frac", "5 $ and 7 $", "a\nb\x07", "x" * 90])
def test_any_text_is_shown_as_it_is(text):
    made = small(title=text)
    assert made._repr_png_()
    shown = made._suptitle
    assert shown._preprocess_math(shown.get_text()) == (
        " ".join(text.split()).replace("\x07", "")[:100].strip(),
        False,
    )


def test_plain_text_is_short_enough():
    assert plain("x" * 90) == "x" * 39 + "…"


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("kind", ["diverging", "gradient", "plain"])
def test_lightness_alone_tells_how_large_a_number_is(kind):
    light = np.array(
        [
            luminance(colours(kind)(x))
            for x in np.linspace(0.5 if kind == "diverging" else 0.0, 1.0, 40)
        ]
    )
    assert light[0] == 1.0 and (np.diff(light) < 0).all()
    if kind == "diverging":
        other = np.array([luminance(colours(kind)(x)) for x in np.linspace(0.5, 0.0, 40)])
        assert (np.diff(other) < 0).all() and other[-1] < 0.05


def test_curves_describe_themselves():
    run = types.SimpleNamespace(batch_loss=[2.0, 1.0], epoch_loss=[1.5, 0.25], accuracy=[0.5, 0.9])
    made = training_curves({"mlp": run, "empty": types.SimpleNamespace()})
    assert made.description == (
        "Training curves. mlp: loss from 1.5 to 0.25 in 2 epochs, final accuracy 0.9. empty: "
        "nothing was measured."
    )
    assert made.numbers["mlp"]["epoch_loss"].tolist() == [1.5, 0.25]


def test_names_of_runs_may_hold_dollars():
    run = types.SimpleNamespace(epoch_loss=[1.5, 0.25])
    assert training_curves({r"$\frac": run, "$": run})._repr_png_()
