"""`draw` and `Drawing` as a user meets them; files; curves of training runs."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import types
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from viz.examples import mlp, sine

import minigrad as mg
from minigrad.viz import draw, save_figure, style, training_curves


def test_a_drawing_shows_itself():
    drawing = draw(sine())
    assert repr(drawing) == "<Drawing of 4 nodes, 3 edges>"
    shown = drawing._repr_mimebundle_()
    assert shown["text/plain"] == repr(drawing)
    assert shown["image/svg+xml"] == drawing._repr_svg_() == drawing.svg
    assert drawing.source.startswith("digraph")


def test_html_holds_the_very_svg_as_an_image_with_words():
    drawing = draw(sine(), title='"<Sine>" & more')
    (image,) = re.findall("<img [^>]+>", drawing.html)
    found = ET.fromstring(image.removesuffix(">") + "/>")
    assert found.get("alt") == '"<Sine>" & more. 4 nodes, 3 edges.'
    assert base64.b64decode(found.get("src").partition("base64,")[2]).decode() == drawing.svg
    assert "http" not in drawing.html


def test_a_computed_node_shows_its_graph_and_a_leaf_its_line():
    y = sine()
    x = y.inputs[0].inputs[0]
    assert y._repr_mimebundle_() == {**draw(y)._repr_mimebundle_(), "text/plain": repr(y)}
    assert x._repr_mimebundle_() == {"text/plain": repr(x)}


def test_what_a_model_gave_can_be_drawn():
    x = mg.Variable(2.0, name="x")
    pair = (x * x, mg.sin(x))
    picture = draw(pair).picture
    assert [box.lines[0] for box in picture.boxes if box.head] == ["×", "sin"]
    assert picture.title == "Computation graph of × and sin"


def test_a_graph_is_drawn_as_its_head():
    head = mlp()
    assert draw(mg.Graph(head)).svg == draw(head).svg


def test_a_single_node():
    assert repr(draw(mg.Variable([1.0], name="w"))) == "<Drawing of 1 node, 0 edges>"
    assert draw(mg.Constant(3.0)).svg


def test_a_drawing_keeps_what_was_drawn():
    x = mg.Variable(2.0, name="x")
    drawing = draw(x * 3.0)
    x.value = 777.5
    assert "value 2" in drawing.describe() and "777.5" not in drawing.svg


def test_in_words():
    assert draw(sine(), title="Sine").describe().splitlines() == [
        "Sine. 4 nodes, 3 edges.",
        "  n0, variable x; shape (), float32; value 2; gradient -2.61",
        "  n1, constant 2; shape (), float32; value 2",
        "  n2, operator ^ (power); shape (), float32; value 4; gradient -0.654",
        "    n0 (x) to n2 (^), input 1: value 2; gradient -2.61",
        "    n1 (2) to n2 (^), input 2: value 2",
        "  n3, operator sin (sin); shape (), float32; value -0.757; gradient 1",
        "    n2 (^) to n3 (sin), input 1: value 4; gradient -0.654",
    ]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"values": 1}, TypeError, "values=1; bool or None was expected"),
        ({"grads": "yes"}, TypeError, "grads='yes'; bool or None"),
        ({"depth": 1.0}, ValueError, "depth=1.0; an integer ≥ 0 was expected"),
        ({"depth": -1}, ValueError, "depth=-1"),
        ({"depth": True}, ValueError, "depth=True"),
        (
            {"theme": "pink"},
            ValueError,
            "theme='pink'; 'light', 'dark', 'print' or None was expected",
        ),
        ({"title": 3}, TypeError, "title=3; str or None"),
    ],
)
def test_wrong_options(options, error, message):
    with pytest.raises(error, match=message):
        draw(sine(), **options)


@pytest.mark.parametrize("thing", [3, "x", None, [1.0], lambda x: x])
def test_wrong_things(thing):
    expected = "a node, a Graph or a tuple of nodes was expected"
    with pytest.raises(TypeError, match=f"draw: a {type(thing).__name__}; {expected}"):
        draw(thing)


@pytest.mark.parametrize(
    ("suffix", "start"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("PDF", b"%PDF")]
)
@pytest.mark.parametrize("theme", [None, "dark"])
def test_saving(suffix, start, theme, tmp_path):
    drawing = draw(mlp(), theme=theme)
    path = tmp_path / f"drawing.{suffix}"
    drawing.save(path)
    first = path.read_bytes()
    assert first.startswith(start) and len(first) > 2000
    drawing.save(str(path))
    assert path.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_png_has_the_colours_of_its_theme(tmp_path):
    from matplotlib.image import imread

    for theme, colour in (("light", (255, 255, 255)), ("dark", (0x11, 0x15, 0x1C))):
        draw(sine(), theme=theme).save(tmp_path / "x.png")
        pixel = imread(tmp_path / "x.png")[40, 8, :3] * 255
        assert tuple(round(float(c)) for c in pixel) == colour


@pytest.mark.parametrize("name", ["x.gif", "x", "svg"])
def test_an_unknown_format_is_refused_before_anything_is_written(name, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.svg, \.png, \.pdf"):
        draw(sine()).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.svg"
    path.write_text("old", encoding="utf-8")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        draw(sine()).save(path)
    assert path.read_text(encoding="utf-8") == "old" and [p.name for p in tmp_path.iterdir()] == [
        "x.svg"
    ]


def test_importing_is_light():
    script = """
import sys, minigrad.viz
heavy = "matplotlib pygraphviz graphviz resvg_py svglib reportlab numba scipy sklearn IPython tqdm"
heavy = [*heavy.split(), "asyncio"]
print(*(m for m in heavy if m in sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, encoding="utf-8"
    )
    assert done.stdout.strip() == ""


def history(**lists):
    return types.SimpleNamespace(**lists)


def test_training_curves(tmp_path):
    runs = {
        "mlp": history(batch_loss=[4.0, 3.0, 2.0, 1.0], epoch_loss=[3.5, 1.5], accuracy=[0.5, 0.9]),
        "cnn": history(batch_loss=[], epoch_loss=[2.5, 0.5], accuracy=[None, 0.95]),
    }
    figure = training_curves(runs, "Two runs")
    loss, accuracy = figure.axes
    assert [list(line.get_ydata()) for line in loss.lines] == [
        [3.5, 1.5],
        [4.0, 3.0, 2.0, 1.0],
        [2.5, 0.5],
    ]
    assert list(loss.lines[1].get_xdata()) == [0.5, 1.0, 1.5, 2.0]
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == ["mlp", "cnn"]
    for suffix in ("svg", "png", "pdf"):
        written = []
        for _ in range(2):
            save_figure(training_curves(runs, "Two runs"), tmp_path / f"x.{suffix}")
            written.append((tmp_path / f"x.{suffix}").read_bytes())
        assert written[0] == written[1]


def test_a_run_without_accuracy_has_one_plot():
    assert (
        len(training_curves({"": history(batch_loss=[1.0], epoch_loss=[1.0], accuracy=[])}).axes)
        == 1
    )


def test_wrong_histories(tmp_path):
    with pytest.raises(TypeError, match="a list; a dict"):
        training_curves([1.0])
    with pytest.raises(ValueError, match="no histories"):
        training_curves({})
    figure = training_curves({"a": history(epoch_loss=[1.0])})
    with pytest.raises(ValueError, match=r"ends in \.svg, \.png, \.pdf"):
        save_figure(figure, tmp_path / "x.bmp")


def test_the_style_is_known_to_matplotlib():
    import matplotlib

    with matplotlib.rc_context(style()):
        assert matplotlib.rcParams["svg.hashsalt"] == "minigrad"


def test_a_picture_without_values_and_gradients_is_the_same_for_all_of_them():
    def picture(scale):
        x = mg.Variable(np.linspace(-1, 1, 6).reshape(2, 3) * scale, name="x")
        y = mg.relu(x).sum()
        y.backward(scale)
        return draw(y, values=False, grads=False).svg

    assert picture(1.0) == picture(-7.0) == picture(np.nan)


def test_curves_show_themselves_as_png():
    history = types.SimpleNamespace(batch_loss=[1.0, 0.5], epoch_loss=[0.7], accuracy=[0.9])
    assert training_curves({"": history})._repr_png_().startswith(b"\x89PNG")
