"""The figures that all views are made with: they show themselves, describe themselves, and give the
same bytes.
"""

from __future__ import annotations

import re
import types
import xml.etree.ElementTree as ET
from io import BytesIO

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.colors import to_hex, to_rgb
from matplotlib.image import imread

import minigrad as mg
from minigrad import viz
from minigrad.viz import save_figure, training_curves
from minigrad.viz.figure import STYLE
from minigrad.viz.page.palette import THEMES
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


@pytest.mark.parametrize("theme", [None, "light"])
def test_a_notebook_gets_the_style_and_the_picture(theme, monkeypatch):
    import IPython

    shown = []
    shell = types.SimpleNamespace(
        display_pub=types.SimpleNamespace(publish=lambda *args: shown.append(args))
    )
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    with figure(1.0, 1.0, theme=theme) as made:
        made.description = "Nothing."
    made._ipython_display_()
    *styles, (data, about) = shown
    assert styles == ([({"text/html": STYLE},)] if theme is None else [])
    assert set(data) == {"text/plain", "image/png"} and about["image/png"] == {"alt": "Nothing."}


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


@pytest.mark.parametrize("theme", THEMES)
def test_a_figure_in_a_theme_has_its_colours_and_no_others(theme, tmp_path):
    others = {c.lower() for other in THEMES.values() for c in other.values()}
    ours = {c.lower() for c in THEMES[theme].values()}
    with figure(3.0, 2.0, "A title", theme) as made:
        ax = made.subplots()
        ax.plot([1.0, 2.0])
        ax.imshow(np.eye(3), cmap=colours("plain"))
        ax.set(xlabel="x", title="y")
    made.save(tmp_path / "x.svg")
    found = set(re.findall("#[0-9a-f]{6}", (tmp_path / "x.svg").read_text("utf-8")))
    assert THEMES[theme]["bg"].lower() in found and not found & (others - ours - {"#000000"})
    assert "needs_background" not in made._repr_mimebundle_()[1]
    assert colours("plain")(0.0)[0] == 1.0, "the theme ends with the figure"


def test_every_figure_has_the_backgrounds_of_the_themes():
    x = mg.Constant(np.random.default_rng(0).random((1, 1, 6, 6)))
    w = mg.Variable(np.ones((1, 1, 3, 3)))
    loss = mg.mean(mg.conv2d(x, w))
    loss.backward()
    rnn = mg.nn.RNN(2, 3, seed=0)(np.ones((4, 1, 2)))[0]
    rnn[-1].sum().backward()
    flow = viz.GradientFlow(every=1)
    flow.record(loss)
    flow.settle()
    points, classes = np.random.default_rng(0).random((9, 2)), np.arange(9) % 2
    makers = [
        lambda theme: training_curves({"": mg.train.History(epoch_loss=[2, 1])}, theme=theme),
        lambda theme: viz.confusion_matrix([0, 1], [0, 0], theme=theme),
        lambda theme: viz.decision_map(mg.nn.Linear(2, 1), points, classes, theme=theme),
        lambda theme: viz.filters(w, theme=theme),
        lambda theme: viz.feature_maps(mg.conv2d(x, w), theme=theme),
        lambda theme: viz.feature_maps(mg.relu(x[0, :, :, :]), theme=theme),
        lambda theme: viz.patch_product(mg.conv2d(x, w), (0, 0), theme=theme),
        lambda theme: viz.pooling_winners(mg.max_pool2d(x, 2), theme=theme),
        lambda theme: viz.pooling_winners(mg.max_pool1d(x[0], 2), theme=theme),
        lambda theme: viz.saliency(mg.nn.Linear(2, 2), points, theme=theme),
        lambda theme: viz.gradient_ruler(loss, theme=theme),
        lambda theme: viz.gradient_through_time(rnn, theme=theme),
        lambda theme: flow.heat(theme=theme),
        lambda theme: flow.ratios(theme=theme),
    ]
    for make in makers:
        for theme, palette in THEMES.items():
            with rc_context(viz.style()):
                picture = imread(BytesIO(make(theme)._repr_png_()))
            assert to_hex(picture[0, 0]) == palette["bg"].lower()
        with pytest.raises(ValueError, match="theme='pink'; 'light', 'dark', 'print' or None"):
            make("pink")


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", ["diverging", "gradient", "plain"])
def test_lightness_alone_tells_how_large_a_number_is(kind, theme):
    with figure(1.0, 1.0, theme=theme):
        scale, ground = colours(kind), luminance(to_rgb(THEMES[theme]["bg"]))
    for end in (0.0, 1.0) if kind == "diverging" else (1.0,):
        start = 0.5 if kind == "diverging" else 0.0
        light = np.array([luminance(scale(x)) for x in np.linspace(start, end, 40)])
        away = np.diff(light) * (1 if theme == "dark" else -1)
        assert light[0] == pytest.approx(ground, abs=1e-3) and (away > 0).all()
        assert abs(light[-1] - light[0]) > 0.6


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
