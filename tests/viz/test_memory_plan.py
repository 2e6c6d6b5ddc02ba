"""The plan of a compiled step's memory: a box where and when each array lives, names only where
there is room.
"""

import re
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from minigrad import models, nn
from minigrad.run.memory import LiveRange, Memory
from minigrad.viz.memory_plan import _ticks, label
from minigrad.viz.scene.text import width

SVG = "{http://www.w3.org/2000/svg}"


def step_of(model, x, y, loss):
    return mg.Trainer(model, loss, mg.optim.SGD(model.parameters(), lr=0.1)).compile(
        x, y, batch_size=len(x)
    )


STEPS = {
    "line": lambda: step_of(
        nn.Sequential(nn.Linear(2, 1)), np.zeros((4, 2)), np.zeros((4, 1)), mg.mse_loss
    ),
    "cnn": lambda: step_of(
        models.cnn(), np.zeros((8, 1, 28, 28)), np.zeros(8, int), mg.cross_entropy
    ),
    "unrolled": lambda: step_of(
        models.RowRNN(9, 8, unroll=True), np.zeros((8, 12, 9)), np.zeros(8, int), mg.cross_entropy
    ),
}


def numbers(element, *names):
    return [float(element.get(name)) for name in names]


def boxes(svg):
    """(x, y, width, height) of each array's box, and its text, if it has one."""
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        if group.find(f"{SVG}title") is not None:
            yield (
                group.find(f"{SVG}title").text,
                numbers(group.find(f"{SVG}rect"), "x", "y", "width", "height"),
                group.find(f"{SVG}text"),
            )


@pytest.mark.parametrize("name", STEPS)
def test_every_array_has_its_box_and_every_name_lies_in_its_own(name):
    step = STEPS[name]()
    plan = mg.viz.memory_plan(step)
    found = list(boxes(plan.svg))
    assert len(found) == len(step.memory.rows)
    named = 0
    for title, (x, y, wide, tall), text in found:
        assert re.search(r"statements \d+ to \d+$", title)
        if text is None:
            continue
        named += 1
        long, high = width(text.text, 10), 10
        turned = re.match(
            r"translate\(([\d.]+),([\d.]+)\) rotate\(-90\)", text.get("transform") or ""
        )
        if turned:
            middle, across = (float(turned[1]) - 3.5, float(turned[2])), (high, long)
        else:
            middle, across = (float(text.get("x")), float(text.get("y")) - 3.5), (long, high)
        assert x <= middle[0] - across[0] / 2 and middle[0] + across[0] / 2 <= x + wide
        assert y <= middle[1] - across[1] / 2 and middle[1] + across[1] / 2 <= y + tall
    assert named >= min(2, len(found))
    for i, (_, (x, y, wide, tall), _) in enumerate(
        found
    ):  # boxes lie apart, to the rounding of coordinates
        for _, (a, b, w, h), _ in found[:i]:
            assert (
                x + wide <= a + 0.15
                or a + w <= x + 0.15
                or y + tall <= b + 0.15
                or b + h <= y + 0.15
            )


def test_both_passes_are_marked_and_the_largest_are_named_in_words():
    step = STEPS["cnn"]()
    plan = mg.viz.memory_plan(step)
    texts = [text.text for text in ET.fromstring(plan.svg).iter(f"{SVG}text")]
    assert {"forward", "backward", "value", "gradient (∂)", "scratch"} <= set(texts)
    largest = max(step.memory.rows, key=lambda row: row.bytes)
    assert label(largest) in plan.description and plan.description in plan.describe().replace(
        "\n", " "
    )
    assert str(step.memory) in plan.describe()
    assert plan.svg == mg.viz.memory_plan(STEPS["cnn"]()).svg


def test_themes_and_files(tmp_path):
    plan = mg.viz.memory_plan(STEPS["line"](), theme="dark")
    assert 'class="mg mg-dark"' in plan.svg and "#11151c" in plan.svg
    for kind, head in (("svg", b"<svg"), ("png", b"\x89PNG"), ("pdf", b"%PDF")):
        plan.save(tmp_path / f"plan.{kind}")
        assert (tmp_path / f"plan.{kind}").read_bytes().startswith(head)
    assert {"image/svg+xml", "text/html"} <= set(
        plan._repr_mimebundle_()
    ) and plan._repr_svg_() == plan.svg


def test_a_name_of_the_users_is_escaped_and_cut():
    row = LiveRange(f"n1 tanh '<b>&{'x' * 50}' (2, 3)", "n1_tanh", "value", "V", 0, 1 << 20, 0, 9)
    step = SimpleNamespace(memory=Memory((row,), {"V": 1 << 20}, {}, 1, 10, 5))
    svg = mg.viz.memory_plan(step).svg
    assert (
        "n1 tanh &#39;&lt;b&gt;&amp;x" in svg
        and "x" * 30 not in svg
        and ET.fromstring(svg) is not None
    )


def test_ticks_are_round_and_few():
    for size in (1, 3, 40, 99, 448, 1000, 18_880, 1_781_120, 9_999_999):
        ticks = _ticks(size)
        assert (
            2 <= len(ticks) <= 6
            and ticks[0] == 0
            and ticks[-1] <= size
            and str(ticks[1])[0] in "1245"
        )


def test_what_is_no_step_is_refused():
    with pytest.raises(TypeError, match="memory_plan: a Variable; a compiled step was expected"):
        mg.viz.memory_plan(mg.Variable(1.0))
    with pytest.raises(ValueError, match="memory_plan: theme='blue'"):
        mg.viz.memory_plan(STEPS["line"](), theme="blue")
