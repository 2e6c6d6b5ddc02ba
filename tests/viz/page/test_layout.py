"""Coordinates: from the engine, without it, and from one that does not answer."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise

import pytest
from viz.examples import EXAMPLES, diamonds, mlp, shared, sine

from minigrad.viz import draw
from minigrad.viz.page import layout
from minigrad.viz.page.geometry import footprint


def rectangles(drawing):
    for box in drawing.picture.boxes:
        (x, y), size = drawing.layout.places[box.id], footprint(box)
        yield (
            box.id,
            (x - size.width / 2, y - size.height / 2, x + size.width / 2, y + size.height / 2),
        )


@pytest.mark.parametrize("engine", ["graphviz", "simple"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_boxes_keep_apart_and_lines_run_to_the_right(name, engine, monkeypatch):
    if engine == "simple":
        monkeypatch.setattr(layout, "engines", lambda: [])
    drawing = draw(EXAMPLES[name](), width=None)
    assert drawing.layout.engine == engine
    placed = dict(rectangles(drawing))
    for i, a in enumerate(placed.values()):
        for b in list(placed.values())[:i]:
            assert (
                a[2] <= b[0] + 0.1 or b[2] <= a[0] + 0.1 or a[3] <= b[1] + 0.1 or b[3] <= a[1] + 0.1
            )
    for edge in drawing.picture.edges:
        curve = drawing.layout.curves[edge.id]
        assert len(curve) % 3 == 1
        assert all(x0 <= x1 for (x0, _), (x1, _) in pairwise(curve))
    frames = drawing.layout.frames
    assert set(frames) == {cluster.id for cluster in drawing.picture.clusters}
    for box in drawing.picture.boxes:
        if box.cluster in frames:
            (a, b, c, d), (left, top, right, bottom) = placed[box.id], frames[box.cluster]
            assert left < a and top < b and c <= right and d < bottom


@pytest.mark.parametrize(
    "command",
    [
        ["/no/such/program"],
        [sys.executable, "-c", "raise SystemExit(3)"],
        [sys.executable, "-c", "pass"],
    ],
)
def test_an_engine_that_does_not_work_is_done_without(command, monkeypatch):
    monkeypatch.setattr(layout, "engines", lambda: [command])
    drawing = draw(sine())
    assert drawing.layout.engine == "simple" and drawing.svg


def test_the_next_engine_is_asked(monkeypatch):
    engines = layout.engines()
    monkeypatch.setattr(layout, "engines", lambda: [["/no/such/program"], *engines])
    assert draw(sine()).layout.engine == "graphviz"


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Makes pygraphviz fail to load, with a message; no other engine is there."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    layout._run.cache_clear()
    layout._warn_of_plain_layouts.cache_clear()
    yield lambda message: (tmp_path / "pygraphviz.py").write_text(
        f"raise ImportError({message!r})", encoding="utf-8"
    )
    layout._run.cache_clear()
    layout._warn_of_plain_layouts.cache_clear()


def test_a_missing_system_library_is_warned_of_once_with_the_packages(broken):
    """As on a bare Linux, where once all drawings were plainer and nothing said so."""
    message = "libglib-2.0.so.0: cannot open shared object file: No such file or directory"
    broken(message)
    with pytest.warns(UserWarning) as told:
        layouts = [draw(make()).layout.engine for make in (sine, shared)]
    assert layouts == ["simple", "simple"]
    (warning,) = (str(each.message) for each in told)
    assert f"plainer layout, because pygraphviz does not load ({message})" in warning
    assert "apt-get install" in warning and "libglib2.0-0 libx11-6 libxext6 libxrender1" in warning


def test_another_reason_for_plain_layouts_names_no_packages(broken):
    broken("DLL load failed while importing _graphviz")
    with pytest.warns(UserWarning, match="DLL load failed.*Graphviz helps") as told:
        draw(sine()).svg  # noqa: B018 (which lays it out)
    assert "apt-get" not in str(told[0].message)


def test_where_another_engine_answers_nothing_is_said_of_pygraphviz(broken, monkeypatch):
    broken("libX11.so.6: cannot open shared object file: No such file or directory")
    (own,) = layout.engines()
    assert layout._run(tuple(own), "digraph {}", 8.0)[1].startswith("libX11.so.6")
    program = f"""
import os, subprocess, sys
del os.environ["PYTHONPATH"]
sys.exit(subprocess.run({own!r}).returncode)
"""
    monkeypatch.setattr(layout, "engines", lambda: [own, [sys.executable, "-c", program]])
    assert draw(sine()).layout.engine == "graphviz"


def test_an_engine_that_takes_too_long_is_stopped(monkeypatch):
    monkeypatch.setattr(
        layout, "engines", lambda: [[sys.executable, "-c", "import time; time.sleep(60)"]] * 2
    )
    monkeypatch.setattr(layout, "TIME_LIMIT", 0.3)
    assert draw(shared()).layout.engine == "simple"


def test_the_engine_is_silent(capfd):
    layout._run.cache_clear()
    assert draw(mlp()).layout.engine == "graphviz"
    assert capfd.readouterr() == ("", "")


def test_a_plan_of_our_own_is_made_for_what_the_page_takes(monkeypatch):
    monkeypatch.setattr(layout, "engines", lambda: [])
    drawing = draw(diamonds(130), depth=9)
    assert drawing.layout.places.keys() == {
        *(box.id for box in drawing.picture.boxes),
        *(cluster.face.id for cluster in drawing.picture.clusters),
    }


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
            [sys.executable, "-c", SCRIPT],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] != b""
