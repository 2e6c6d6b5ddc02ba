"""The legend has an entry for every mark that occurs in a drawing, and for no other."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from viz.examples import EXAMPLES, mlp, neuron, sine
from viz.large import LARGE

import minigrad as mg
from minigrad import nn
from minigrad.teach.clinic import patients
from minigrad.viz import draw

SVG = "{http://www.w3.org/2000/svg}"
KINDS = ("constant", "variable", "ghost", "scalar", "broadcasted", "module", "more")
STATES = ("zero", "vanished", "exploded", "nan", "inf")


def sick(letter):
    model, scale = patients()[letter]
    with np.errstate(all="ignore"):
        loss = mg.mse_loss(model(scale * np.linspace(-1, 1, 64).reshape(32, 2)), np.ones((32, 1)))
        loss.backward()
    return loss


def rnn(**options):
    layer = nn.RNN(2, 3, seed=0)
    loss = mg.sum(layer(np.ones((9, 1, 2)))[0] ** 2)
    loss.backward()
    return draw(loss, **options)


def focused():
    head = neuron()
    return draw(head, focus=head.inputs[0], radius=1)


DRAWN = {
    **{name: lambda make=make: draw(make()) for name, make in EXAMPLES.items()},
    **{f"patient {letter}": lambda letter=letter: draw(sick(letter)) for letter in patients()},
    "closed": lambda: draw(mlp(), depth=0),
    "focus": focused,
    "rolled": lambda: rnn(unroll="rolled"),
    "unrolled": lambda: rnn(unroll=2),
    "forward only": lambda: draw(mg.sin(mg.Variable(1.0))),
    **{
        f"large, {name}": lambda make=make, options=options: draw(make(), **options)
        for name, (make, options) in LARGE.items()
    },
    "bare": lambda: draw(sine(), values=False, grads=False),
}


def drawn(svg):
    """The marks that a drawing has, and those that its legend lists, read from the SVG."""
    occurs, listed = set(), []
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        kinds = group.get("class", "").split()
        if kinds == ["foot"]:
            continue
        if kinds and kinds[0] == "key":
            listed.append(group.get("id").split("-", 2)[-1])
            continue
        occurs |= {*KINDS, *STATES, "focus", "back"}.intersection(kinds)
        occurs |= {"ramp"} if any(kind in [f"g{i}" for i in range(6)] for kind in kinds) else set()
        for shape in group:
            occurs |= {shape.get("class")} & {"frame", "inner", "ring", "bar"}
            text = shape.text if shape.tag == f"{SVG}text" else None
            if text and text.startswith("∇ "):
                occurs.add("face" if "module" in kinds else "sum")
            occurs |= {"edge"} if shape.get("class") in ("v", "d") else set()
    return occurs, listed


@pytest.mark.parametrize("name", DRAWN)
def test_every_mark_has_its_entry_and_every_entry_its_mark(name):
    occurs, listed = drawn(DRAWN[name]().svg)
    assert occurs == set(listed) and len(listed) == len(set(listed))


def test_one_worked_edge_and_the_ramp_with_numbers():
    texts = [text.text for text in ET.fromstring(draw(sine()).svg).iter(f"{SVG}text")]
    assert {"value above", "gradient below", "1e-6 … 100"} <= set(texts)
    texts = [text.text for text in ET.fromstring(draw(sine(), grads=False).svg).iter(f"{SVG}text")]
    assert "value above" in texts and "gradient below" not in texts


def test_it_can_be_left_out():
    assert 'class="key' not in draw(sine(), legend=False).svg


def test_what_stands_below_lines_and_what_bars_are_is_named():
    x = mg.Variable(np.ones(3), name="x")
    graph = mg.Graph(mg.sum(x * 2))
    assert "change below" in graph.diff(graph).svg
    assert ">share of the time of both passes<" in mg.viz.profile(graph, repeats=1).draw().svg
    assert ">share of zeros<" in draw(mg.relu(x)).svg


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_it_is_written_in_every_theme(theme, tmp_path):
    draw(neuron(), theme=theme).save(tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 5000
