"""Coordinates: from the engine, without it, and from one that does not answer."""
from __future__ import annotations

import os
import subprocess
import sys

import pytest
from viz.examples import EXAMPLES, diamonds, mlp, shared, sine

from minigrad.viz import draw
from minigrad.viz.page import layout
from minigrad.viz.page.geometry import footprint


def rectangles(drawing):
    for box in drawing.picture.boxes:
        (x, y), size = drawing.layout.places[box.id], footprint(box)
        yield box.id, (x - size.width / 2, y - size.height / 2, x + size.width / 2, y + size.height / 2)


@pytest.mark.parametrize("engine", ["graphviz", "layers"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_boxes_keep_apart_and_lines_run_to_the_right(name, engine, monkeypatch):
    if engine == "layers":
        monkeypatch.setattr(layout, "engines", lambda: [])
    drawing = draw(EXAMPLES[name](), width=None)
    assert drawing.layout.engine == engine
    placed = dict(rectangles(drawing))
    for i, a in enumerate(placed.values()):
        for b in list(placed.values())[:i]:
            assert a[2] <= b[0] + 0.1 or b[2] <= a[0] + 0.1 or a[3] <= b[1] + 0.1 or b[3] <= a[1] + 0.1
    for edge in drawing.picture.edges:
        assert placed[edge.source][2] <= placed[edge.target][0]
        assert len(drawing.layout.curves[edge.id]) % 3 == 1
    frames = drawing.layout.frames
    assert engine == "layers" or set(frames) == {cluster.id for cluster in drawing.picture.clusters}
    for box in drawing.picture.boxes:
        if box.cluster in frames:
            (a, b, c, d), (left, top, right, bottom) = placed[box.id], frames[box.cluster]
            assert left < a and top < b and c < right and d < bottom


@pytest.mark.parametrize(
    "command",
    [["/no/such/program"], [sys.executable, "-c", "raise SystemExit(3)"], [sys.executable, "-c", "pass"]],
)
def test_an_engine_that_does_not_work_is_done_without(command, monkeypatch):
    monkeypatch.setattr(layout, "engines", lambda: [command])
    drawing = draw(sine())
    assert drawing.layout.engine == "layers" and drawing.svg


def test_the_next_engine_is_asked(monkeypatch):
    engines = layout.engines()
    monkeypatch.setattr(layout, "engines", lambda: [["/no/such/program"], *engines])
    assert draw(sine()).layout.engine == "graphviz"


def test_an_engine_that_takes_too_long_is_stopped(monkeypatch):
    monkeypatch.setattr(layout, "engines", lambda: [[sys.executable, "-c", "import time; time.sleep(60)"]] * 2)
    monkeypatch.setattr(layout, "TIME_LIMIT", 0.3)
    assert draw(shared()).layout.engine == "layers"


def test_the_engine_is_silent(capfd):
    layout._run.cache_clear()
    assert draw(mlp()).layout.engine == "graphviz"
    assert capfd.readouterr() == ("", "")


def test_the_own_layout_is_linear(monkeypatch):
    monkeypatch.setattr(layout, "engines", lambda: [])
    drawing = draw(diamonds(130))
    assert len(drawing.layout.places) == 392


def test_modules_that_feed_each_other_do_not_stop_the_own_layout(monkeypatch):
    """Two modules, each called twice and taken for one: collapsed they form a loop."""
    monkeypatch.setattr(layout, "engines", lambda: [])
    import minigrad as mg
    from minigrad.graph.settings import inside

    a, b, x = type("A", (), {})(), type("B", (), {})(), mg.Variable(1.0, name="x")
    with inside(a):
        one, two = mg.sin(x), mg.cos(x)
    with inside(b):
        three, four = mg.exp(one), mg.exp(x)
    with inside(a):
        five = mg.tanh(four)
    y = two + three + five
    drawing = draw(y, depth=0)
    assert {(e.source, e.target) for e in drawing.picture.edges} >= {("m0", "m1"), ("m1", "m0")}
    assert drawing.svg


SCRIPT = """
import sys
from viz.examples import EXAMPLES
from minigrad.viz import draw
for make in EXAMPLES.values():
    sys.stdout.buffer.write(draw(make()).svg.encode())
"""


def test_the_same_bytes_in_every_process():
    here = os.path.dirname(__file__)
    paths = os.pathsep.join([os.path.dirname(here), os.path.dirname(os.path.dirname(here))])
    runs = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert runs[0] == runs[1] != b""
