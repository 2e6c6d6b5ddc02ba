"""What operators cost: measured on a copy, told as rows, a table and a drawing."""

from __future__ import annotations

import json
import math
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from viz.examples import Dense, Net, diamonds, mlp, neuron, sine

import minigrad as mg
from minigrad.viz.profile import percent, profile
from minigrad.viz.scene.text import quantity

SVG = "{http://www.w3.org/2000/svg}"


def convolution():
    x = mg.Constant(np.random.default_rng(0).normal(size=(2, 1, 8, 8)), name="x")
    y = mg.relu(mg.conv2d(x, mg.Variable(np.ones((3, 1, 3, 3))), mg.Variable(np.zeros(3))))
    loss = mg.mean(mg.max_pool2d(y, 2) ** 2)
    loss.backward()
    return loss


@pytest.mark.parametrize("make", [sine, neuron, mlp, convolution])
def test_there_is_a_row_for_every_operator(make):
    head = make()
    graph = mg.Graph(head)
    found = profile(graph, repeats=2)
    operators = [(i, node) for i, node in enumerate(graph.order) if node.inputs]
    assert [(row.place, row.rule, row.shape) for row in found.rows] == [
        (i, n.rule.name, n.shape) for i, n in operators
    ]
    for row, (_, node) in zip(found.rows, operators, strict=True):
        assert row.forward > 0 and (row.backward > 0) == node.requires_grad
        assert {"flops": row.flops, "bytes": row.bytes}.items() <= mg.kernel_info(node).items()
        assert row.seconds == row.forward + row.backward
        assert (
            row.flops_per_second == row.flops / row.forward
            and row.bytes_per_second == row.bytes / row.forward
        )
    for by in ("seconds", "forward", "backward", "flops", "bytes"):
        assert sum(found.share(row, by) for row in found.rows) == pytest.approx(1)
    assert found.seconds == pytest.approx(sum(row.forward + row.backward for row in found.rows))
    assert found.repeats == 2


def state(head):
    order = mg.topological_sort(head)
    return [
        (
            id(n),
            id(n.value.base),
            n.value.tobytes(),
            n.grad is not None and (id(n.grad), n.grad.tobytes()),
            n.hooks,
            n.scope,
            n.name,
            n.requires_grad,
            *(
                (id(n.rule), n.inputs, sorted((k, a.tobytes()) for k, a in n.work.items()))
                if n.inputs
                else ()
            ),
        )
        for n in order
    ]


@pytest.mark.parametrize("make", [sine, mlp, convolution])
def test_the_graph_stays_as_it_is_bit_for_bit(make):
    head, told = make(), []
    for node in mg.topological_sort(head):
        if isinstance(node, mg.Variable):
            node.value = (
                node.value + 1
            )  # operators hold what they computed from the old value, and go on doing so
        node.register_forward_hook(lambda *_: told.append(1))
        node.register_backward_hook(lambda *_: told.append(1))
    before = state(head)
    found = profile(head)
    found.draw().svg  # noqa: B018
    assert str(found) and found.to_dict() and not told
    after = state(head)
    assert str(before) == str(after)


def test_no_kernel_is_timed_but_the_graphs_own():
    """A rule that counts its calls sees one pass for the copy, one to warm up and one for each
    repeat.
    """
    calls = []

    def slow(x):
        calls.append("forward")
        return x

    def back(g, y, x):
        calls.append("backward")
        return g

    y = mg.operator(slow, back, name="slow")(mg.Variable([1.0]))
    calls.clear()
    profile(y, repeats=3)  # of a head that is no single number, too
    assert calls == ["forward", *["forward", "backward"] * 4]


def test_seconds_are_medians_without_the_first_pass(monkeypatch):
    """By a clock of our own: of one operator, the nanoseconds of its forward and backward call in
    each pass.
    """
    ticks = [0]
    for ahead, back in ((900, 800), (1, 2), (3, 40), (50, 6)):
        for duration in (0, ahead, 0, back):
            ticks.append(ticks[-1] + duration)
    monkeypatch.setattr(
        sys.modules["minigrad.viz.profile"], "perf_counter_ns", iter(ticks[1:]).__next__
    )
    (row,) = profile(mg.tanh(mg.Variable(0.5)), repeats=3).rows
    assert (row.forward, row.backward) == (3e-9, 6e-9)


def test_a_graph_without_a_backward_pass():
    found = profile(mg.Constant([1.0, 2.0]) + 1.0)
    assert found.rows[0].forward > 0 == found.rows[0].backward
    assert found.share(found.rows[0], "backward") == 0
    assert "0 s · 0 %" in found.draw("backward").svg


def test_ready_for_json():
    found = profile(mlp(), repeats=1)
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["repeats"] == 1 and told["seconds"] == found.seconds
    assert [row["name"] for row in told["rows"]] == [row.name for row in found.rows]
    assert sum(row["share"] for row in told["rows"]) == pytest.approx(1)


def test_the_table_has_the_costliest_first():
    found = profile(mlp())
    lines = str(found).splitlines()
    assert lines[0].split()[:6] == ["node", "module", "result", "forward", "backward", "share"]
    ranked = sorted(found.rows, key=lambda row: -row.seconds)
    for line, row in zip(lines[1:-1], ranked, strict=True):
        assert line.startswith(row.name)
        assert quantity(row.forward, "s") in line and quantity(row.bytes, "B") in line
    assert lines[-1].startswith(f"all {len(found.rows)}") and "100 %" in lines[-1]
    assert found.table() == str(found)
    assert (
        repr(found) == f"<Profile of {len(found.rows)} operators: {quantity(found.seconds, 's')}>"
    )


def test_a_long_table_ends_with_what_is_left():
    found = profile(diamonds(20), repeats=1)
    lines = str(found).splitlines()
    assert len(lines) == 1 + 40 + 2 and lines[-2].startswith("20 further operators")
    assert len(found.rows) == 60


def test_the_markdown_table_is_safe():
    net = Net(
        first=Dense(weight=mg.Variable(np.ones((2, 2))), bias=mg.Variable(np.zeros(2))),
        second=lambda x: x,
    )
    vars(net)["named_modules"] = lambda: [("", net), ("a|<b>`*", net.first)]
    same = mg.operator(lambda x: x, lambda g, y, x: g, name="|<x>", symbol="`|<x>_*")
    rows = profile(same(net(mg.Variable([[1.0, 2.0]]))))._repr_markdown_().splitlines()
    assert {row.count("|") for row in rows} == {11} and len(rows) == 2 + 4 + 1
    assert all(c not in "".join(rows) for c in "<>`*_")


@pytest.mark.parametrize("by", ["seconds", "forward", "backward", "flops", "bytes"])
def test_the_drawing_says_what_the_rows_say(by):
    found = profile(mlp())
    drawing = found.draw(by)
    boxes = {box.id: box for box in drawing.picture.boxes}
    whole = sum(getattr(row, by) for row in found.rows)
    unit = {"flops": "flop", "bytes": "B"}.get(by, "s")
    for row in found.rows:
        box, share = boxes[f"n{row.place}"], getattr(row, by) / whole
        assert box.lines[-1] == f"{quantity(getattr(row, by), unit)} · {percent(share)}"
        assert box.bar == pytest.approx(share)
        assert quantity(row.backward, "s") in box.title and quantity(row.flops, "flop") in box.title
    assert {box.bar for box in boxes.values() if box.kind in ("constant", "variable")} == {None}
    assert {flow.step for box in boxes.values() for flow in box.flows} == {-1}, "no ink on edges"
    assert drawing.picture.title.endswith(f"{quantity(whole, unit)} in all")
    texts = [e.text for e in ElementTree.fromstring(drawing.svg).iter(f"{SVG}text")]
    assert all(boxes[f"n{row.place}"].lines[-1] in texts for row in found.rows)
    (entry,) = [text for text in texts if text and text.startswith("share of ")]
    assert entry.removeprefix("share of the ") in drawing.picture.title


def test_the_bars_are_as_long_as_the_shares():
    found = profile(mlp())
    drawing = found.draw("flops")
    root = ElementTree.fromstring(drawing.svg)
    for box in drawing.picture.boxes:
        (group,) = [g for g in root.iter(f"{SVG}g") if g.get("id", "").endswith(f"-{box.id}")]
        bars = {e.get("class"): float(e.get("width")) for e in group.iter(f"{SVG}rect")}
        assert (box.bar is None) == ("track" not in bars)
        if box.bar is not None:
            assert bars["bar"] / bars["track"] == pytest.approx(box.bar, abs=0.01)


def test_of_a_large_graph_the_closed_boxes_have_the_cost_of_all_in_them():
    found = profile(diamonds(200), repeats=1)
    boxes = found.draw(depth=0).picture.boxes
    assert len(boxes) < 60 and sum(box.bar for box in boxes if box.bar) == pytest.approx(1)


def test_drawn_in_a_theme_and_with_modules_closed():
    model = mg.nn.RNN(2, 3, seed=0)
    states, _ = model(np.ones((4, 1, 2)))
    drawing = profile(states).draw(depth=0, theme="dark")
    assert drawing.theme == "dark" and [box.kind for box in drawing.picture.boxes][-1] == "module"


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0, "0 s"),
        (1.234e-9, "1.23 ns"),
        (9.999e-7, "1 µs"),
        (1e-12, "0.001 ns"),
        (0.05, "50 ms"),
        (1, "1 s"),
        (999.4, "999 s"),
        (999.6, "1 ks"),
        (1e6, "1 Ms"),
        (3.2e13, "32 Ts"),
        (2.5e16, "2.5e+04 Ts"),
    ],
)
def test_quantities(x, text):
    assert quantity(x, "s") == text


def test_percent():
    assert [percent(x) for x in (0, 1e-9, 0.006, 0.345, 1)] == [
        "0 %",
        "<1 %",
        "1 %",
        "34 %",
        "100 %",
    ]


def test_a_rate_of_what_took_no_time():
    row = profile(sine()).rows[0]
    still = type(row)(0, "n0", "", "x", (), 0.0, 0.0, 5, 5)
    assert math.isnan(still.flops_per_second) and math.isnan(still.bytes_per_second)


@pytest.mark.parametrize("repeats", [0, -1, 1.5, True, "3", None])
def test_wrong_repeats(repeats):
    with pytest.raises(ValueError, match="profile: repeats=.*integer ≥ 1"):
        profile(sine(), repeats)


def test_a_closed_module_is_read_as_the_sum_of_its_operators():
    found = profile(mlp())
    drawing = found.draw("flops", depth=1)
    rows = [row for row in found.rows if row.module.startswith("first")]
    box = next(box for box in drawing.picture.boxes if box.lines[0].startswith("first"))
    share = sum(found.share(row, "flops") for row in rows)
    assert len(rows) > 1
    flops = quantity(sum(row.flops for row in rows), "flop")
    assert box.lines[-1] == f"{flops} · {percent(share)}" and box.bar == pytest.approx(share)


def test_wrong_things():
    with pytest.raises(TypeError, match="profile: a list; a node or a Graph was expected"):
        profile([1])
    with pytest.raises(ValueError, match="computed from nothing"):
        profile(mg.Variable([1.0]))
    with pytest.raises(ValueError, match="by='time'; 'seconds', 'forward'"):
        profile(sine()).draw("time")
    with pytest.raises(ValueError, match="draw: depth=True; an integer ≥ 0"):
        profile(sine()).draw(depth=True)
    with pytest.raises(ValueError, match="draw: theme='pink'"):
        profile(sine()).draw(theme="pink")
