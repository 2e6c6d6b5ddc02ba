"""The player as data: its steps, its numbers, its one piece of HTML. How it behaves is tested in a
browser.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from viz.examples import EXAMPLES, diamonds, mlp, neuron, shared, sine

import minigrad as mg
from minigrad.viz import draw, play

VOID = {"input", "meta", "path", "br", "link"}


def alive(html):
    """The fragment as it is once its script has put the drawing in the place of its image."""
    image = r'<img class="mgx-still" alt="[^"]+" src="data:image/svg\+xml;base64,([^"]*)">'
    assert len(re.findall(image, html)) == 1
    return re.sub(image, lambda found: base64.b64decode(found[1]).decode(), html)


class Fragment(HTMLParser):
    """Elements with their attributes, texts by class; fails on tags that do not close."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.texts = [], [], {}
        self.feed(alive(html))
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for key in self.open[-1][1].get("class", "").split() if self.open else ():
            self.texts[key] = self.texts.get(key, "") + data

    def having(self, name):
        return [
            (tag, attrs) for tag, attrs in self.elements if name in attrs.get("class", "").split()
        ]


def data(player):
    code = Fragment(player.html).texts["mgx-data"]
    return json.loads(gzip.decompress(base64.b64decode(code)))


def test_the_steps_are_the_forward_pass_and_the_way_back_line_by_line():
    assert [(step.box, step.phase, step.text) for step in play(sine()).steps] == [
        ("n0", "forward", "Variable x = 2"),
        ("n1", "forward", "Constant v₁ = 2"),
        ("n2", "forward", "v₂ = x² = 4"),
        ("n3", "forward", "v₃ = sin(v₂) = -0.757"),
        ("n3", "backward", "Begin with v̄₃ = 1"),
        ("n3", "backward", "v̄₂ gets v̄₃·cos(v₂) = 1 × -0.654 = -0.654"),
        ("n2", "backward", "x̄ gets 2·v̄₂·x = -0.654 × 4 = -2.61"),
    ]


def test_contributions_add_up_where_lines_meet():
    texts = [step.text for step in play(shared()).steps if step.text.startswith("x̄ gets")]
    assert [text.rpartition(" = ")[2] for text in texts] == [
        "1.45",
        "0.79",
        "0.5",
        "0.5. All 4 together: 3.24",
    ]


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_each_line_with_a_gradient_is_pulled_once(example):
    player = play(example())
    picture, scene = player.drawing.picture, player.drawing.scene
    pulled = [step.lines[0] for step in player.steps if step.phase == "backward" and step.lines]
    with_gradient = [e.id for e in picture.edges if e.ends and scene.given(e.uses) is not None]
    assert sorted(pulled) == sorted(with_gradient)


def test_the_lines_of_a_step_lead_to_its_box():
    edges = {edge.id: edge for edge in draw(shared()).picture.edges}
    for step in play(shared()).steps:
        assert all(edges[line].target == step.box for line in step.lines if line in edges)


def test_a_number_waits_for_its_step():
    told = data(play(sine()))
    assert [told["known"][f"n{i}f0"] for i in range(4)] == [1, 2, 3, 4]
    assert [told["reached"][f"n{i}f0"] for i in (3, 2, 0)] == [5, 6, 7]


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_everything_the_script_looks_for_is_in_the_fragment(example):
    player = play(example())
    fragment, told = Fragment(player.html), data(player)
    ids = {attrs["id"].rpartition("-")[2] for _, attrs in fragment.elements if "id" in attrs}
    assert {step[0] for step in told["steps"]} <= ids
    assert {line for step in player.steps for line in step.lines if line[0] == "e"} <= ids
    for name in (
        "stage",
        "controls",
        "slider",
        "status",
        "count",
        "first",
        "back",
        "play",
        "forward",
        "last",
    ):
        assert len(fragment.having(f"mgx-{name}")) == 1
    (_, slider), (_, status) = fragment.having("mgx-slider")[0], fragment.having("mgx-status")[0]
    assert slider["aria-label"]
    assert status["aria-live"] == "polite"
    assert all(
        attrs["aria-label"] and attrs["type"] == "button"
        for tag, attrs in fragment.elements
        if tag == "button"
    )


def test_without_the_script_the_whole_drawing_is_there():
    player = play(neuron())
    assert player.drawing.svg in alive(player.html)
    assert player.drawing.svg == draw(neuron()).svg
    (_, controls), *_ = Fragment(player.html).having("mgx-controls")
    assert "hidden" in controls


def test_nothing_is_fetched_and_nothing_can_leave_a_script():
    html = play(mlp()).html
    outside = r"https?:(?!//www\.w3\.org/2000/svg)|@import|url\(|\bimport\b|fetch\(|src=\"(?!data:)"
    assert not re.search(outside, html + alive(html))
    assert html.count("<script") == html.count("</script>") == 2


@pytest.mark.parametrize(
    "name", ["</script><script>alert(1)</script>", "a & b", "'\"", "]]>", "EXPLORER_ID", "\ud800"]
)
def test_a_name_is_harmless(name):
    y = mg.sin(mg.Variable(2.0, name=name))
    y.backward()
    player = play(y)
    fragment = Fragment(player.html)
    assert [tag for tag, _ in fragment.elements].count("script") == 2
    assert re.fullmatch("[A-Za-z0-9+/=]+", fragment.texts["mgx-data"])
    assert data(player)["steps"][0][3] == player.steps[0].text
    scripts = re.findall(r"<script>(.*?)</script>", player.html, re.S)
    assert len(scripts) == 1 and "EXPLORER_ID" not in scripts[0]


def test_a_graph_without_gradients_is_walked_forward():
    x = mg.Variable(2.0, name="x")
    assert {step.phase for step in play(mg.exp(x) * x).steps} == {"forward"}


def test_collapsed_modules_are_one_step_each():
    steps = [step for step in play(mlp(), depth=1).steps if step.box.startswith("m")]
    assert [step.phase for step in steps] == ["forward", "forward", "backward"]
    assert steps[0].text.startswith(
        "Module first · Dense · 24 parameters: 4 nodes, n1 to n4. Its result: (10, 8)"
    )
    assert steps[-1].text == "Out of n5 (tanh) to n7 (@), input 1 come rms 0.255"


def test_a_focus_keeps_the_numbers_of_the_whole_graph():
    head = neuron()
    relu = next(
        node for node in mg.topological_sort(head) if node.inputs and node.rule.name == "relu"
    )
    steps = play(head, focus=relu, radius=1).steps
    assert ("n5", "v₅ = max(v₄, 0) = [0]") in [(step.box, step.text) for step in steps]
    assert len(steps) < len(play(head).steps)


def test_a_long_graph_is_walked_box_by_box():
    assert len(play(diamonds(1000)).steps) < 100


def test_an_alarm_waits_for_its_step():
    player = play(EXAMPLES["broken"]())
    bad = next(box for box in player.drawing.picture.boxes if box.bad)
    first = next(i for i, step in enumerate(player.steps, 1) if step.box == bad.id)
    assert data(player)["alarms"] == {bad.id: first}  # a value that is infinite
    x = mg.Variable(0.0, name="x")
    with np.errstate(all="ignore"):
        y = mg.sqrt(x)
        y.backward()
    assert data(play(y))["alarms"] == {"n0": 4}  # a gradient that is: the last step


def test_showing_and_saving(tmp_path, monkeypatch):
    player = play(sine(), title="A <sine>", theme="dark")
    assert repr(player) == "<Player of 4 nodes, 7 steps>"
    assert player._repr_mimebundle_() == {"text/plain": repr(player), "text/html": player.html}
    assert player._repr_html_() == player.html
    path = tmp_path / "sine.HTML"
    player.save(path)
    page = path.read_text(encoding="utf-8")
    assert (
        player.html in page
        and page.startswith("<!DOCTYPE html>")
        and "<title>A &lt;sine&gt;</title>" in page
    )
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        player.save(path)
    assert path.read_text(encoding="utf-8") == page and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["x.svg", "x", "x.htm"])
def test_another_kind_of_file_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match=r"save: .*ends in \.html was expected"):
        play(sine()).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_wrong_things_and_options():
    with pytest.raises(
        TypeError, match="play: a int; a node, a Graph or a tuple of nodes was expected"
    ):
        play(3)
    with pytest.raises(ValueError, match="theme='pink'"):
        play(sine(), theme="pink")


def test_the_same_graph_gives_the_same_bytes_and_another_one_another_id():
    script = (
        "import sys; sys.path.insert(0, 'tests'); from viz.examples import mlp; from minigrad.viz "
        "import play; "
        "import hashlib; print(hashlib.sha256(play(mlp()).html.encode()).hexdigest())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    ids = [Fragment(play(graph()).html).having("mgx")[0][1]["id"] for graph in EXAMPLES.values()]
    assert len(set(ids)) == len(ids)


def test_looking_changes_nothing():
    head = neuron()
    before = [
        (node.value.copy(), None if node.grad is None else node.grad.copy())
        for node in mg.topological_sort(head)
    ]
    assert play(head).html == play(mg.Graph(head)).html
    for node, (value, grad) in zip(mg.topological_sort(head), before, strict=True):
        np.testing.assert_array_equal(node.value, value)
        assert (node.grad is None and grad is None) or np.array_equal(node.grad, grad)
