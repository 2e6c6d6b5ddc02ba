"""What becomes a box, what is written on it, what is collapsed and who gets a ghost."""

from __future__ import annotations

import sys
import weakref

import numpy as np
import pytest
from viz.examples import EXAMPLES, Layer, broken, dense, diamonds, mlp, neuron, shared, sine

import minigrad as mg
from minigrad.graph.settings import inside
from minigrad.viz import draw
from minigrad.viz.scene.measure import measure
from minigrad.viz.scene.text import gradient_line, number, value_lines


def boxes(picture):
    return {box.id: box for box in picture.boxes}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_node_edge_value_and_gradient_is_there(name):
    head = EXAMPLES[name]()
    order = mg.topological_sort(head)
    picture = draw(head).picture
    found = boxes(picture)
    for i, node in enumerate(order):
        flow = found[f"n{i}"].flows[0]
        assert flow.above == value_lines(measure(node.value), False)
        assert not node.shape or str(node.shape) in " ".join(found[f"n{i}"].lines)
        told = "" if node.grad is None else gradient_line(measure(node.grad))
        meet = sum(x is node for user in order for x in user.inputs) > 1 and told
        assert (found[f"n{i}"].lines[-1] if meet else flow.below) == f"{'∇ ' * bool(meet)}{told}"
    index = {id(node): i for i, node in enumerate(order)}
    expected = sorted((index[id(x)], index[id(node)]) for node in order for x in node.inputs)
    assert lines_of(picture) == expected
    assert (picture.nodes, picture.links) == (len(order), len(expected))


def lines_of(picture):
    """(from, to) by the numbers of nodes, of every line, whatever borders it crosses."""
    own = {box.id for box in picture.boxes}
    return sorted(
        (int(piece.source.rpartition("n")[2]), int(edge.target.rpartition("n")[2]))
        for edge in picture.edges
        if edge.ends
        for piece in picture.pieces(edge)
        if piece.source in own
    )


def test_sine_of_a_square():
    picture = draw(sine()).picture
    assert [(box.id, box.kind, box.lines) for box in picture.boxes] == [
        ("n0", "variable", ("x", "2")),
        ("n1", "constant", ("2",)),
        ("n2", "scalar", ("^", "4")),
        ("n3", "scalar", ("sin", "-0.757")),
    ]
    edges = [(edge.source, edge.target) for edge in picture.edges]
    assert edges == [("n0", "n2"), ("n1", "n2"), ("n2", "n3")]
    assert picture.boxes[0].flows[0].below == number(4 * np.cos(4))
    assert [box.head for box in picture.boxes] == [False, False, False, True]


def test_kinds_of_operators_and_the_bar_of_a_dead_relu():
    found = boxes(draw(neuron()).picture)
    kinds = {box.lines[0]: box.kind for box in found.values()}
    assert (kinds["@"], kinds["W"], kinds["x"]) == ("broadcasted", "variable", "constant")
    assert [box.bar for box in found.values() if box.lines[0] == "relu"] == [1.0]
    assert all(box.bar is None for box in found.values() if box.lines[0] != "relu")
    assert draw(neuron()).alarms[0] == "Dead ReLU: n5 (relu), 100 %."


def test_a_variable_used_again_has_ghosts_and_its_summed_gradient():
    picture = draw(shared()).picture
    ghosts = [box for box in picture.boxes if box.kind == "ghost"]
    assert [box.lines for box in ghosts] == [("↗ x",), ("↗ x",)]
    assert [e.source for e in picture.edges].count("n0") == 2  # x * x
    x = boxes(picture)["n0"]
    assert x.title.endswith("gradient 3.24, summed over 4 lines") and x.lines[-1] == "∇ 3.24"
    parts = [flow.below for box in (x, *ghosts) for flow in box.flows]
    assert parts == ["0.5", "0.5", "0.79", "1.45"]


def test_the_first_bad_node_is_marked_and_named():
    picture = draw(broken()).picture
    assert [box.lines[0] for box in picture.boxes if box.bad] == ["log"]
    assert "First bad node: n4 (log), value ▲ -inf." in picture.note


def test_a_bad_gradient_is_found_where_it_arises():
    x = mg.Variable([0.0, 4.0], name="x")
    y = mg.sum(mg.sqrt(x) * 2.0)
    with np.errstate(divide="ignore"):
        y.backward()
    picture = draw(y).picture
    assert [box.lines[0] for box in picture.boxes if box.bad] == ["x"]
    assert "n0 (x), gradient ▲ inf" in picture.note


def test_values_and_gradients_on_request():
    head = sine()
    assert all(
        not flow.above for box in draw(head, values=False).picture.boxes for flow in box.flows
    )
    assert all(
        not flow.below for box in draw(head, grads=False).picture.boxes for flow in box.flows
    )
    y = mg.sin(mg.Variable(1.0, name="x"))
    assert [flow.below for box in draw(y).picture.boxes for flow in box.flows] == ["", ""]
    assert [flow.below for box in draw(y, grads=True).picture.boxes for flow in box.flows] == [
        "no gradient"
    ] * 2


def test_modules_are_frames_and_collapse():
    head = mlp()
    opened = draw(head).picture
    assert [cluster.label for cluster in opened.clusters] == [
        "Net · 33 parameters",
        "first · Dense · 24 parameters",
        "second · Dense · 9 parameters",
    ]
    assert [cluster.parent for cluster in opened.clusters] == [None, "c0", "c0"]
    frames = {cluster.id: cluster.label for cluster in opened.clusters}
    places = {box.lines[0]: frames.get(box.cluster, "") for box in opened.boxes}
    assert places["weight"].startswith("second") and places["tanh"].startswith("Net")
    assert places["x"] == places["MSE"] == ""

    halves = draw(head, depth=1).picture
    assert [box.lines[0] for box in halves.boxes] == [
        "x",
        "first · Dense",
        "tanh",
        "second · Dense",
        "y",
        "MSE",
    ]
    whole = draw(head, depth=0).picture
    assert [box.lines[0] for box in whole.boxes] == ["x", "Net", "y", "MSE"]
    assert not whole.clusters
    parameters = [v.grad for v in mg.topological_sort(head) if isinstance(v, mg.Variable)]
    rms = np.sqrt(sum((g.astype(float) ** 2).sum() for g in parameters) / 33)
    assert boxes(whole)["m0"].lines == ("Net", "33 parameters", f"∇ rms {number(rms)}")


def test_two_calls_of_one_module_are_two_boxes():
    layer = dense(2, 2, 0)
    y = mg.sum(layer(mg.tanh(layer(mg.Constant(np.ones((3, 2)), name="x")))))
    picture = draw(y, depth=0).picture
    assert [box.lines[0] for box in picture.boxes] == [
        "x",
        "Dense",
        "tanh",
        "Dense",
        "Σ",
    ]
    ghosts = [box.lines[0] for box in draw(y).picture.boxes if box.kind == "ghost"]
    assert ghosts == ["↗ weight", "↗ bias"]


def test_a_module_that_says_nothing_of_itself():
    class Odd:
        pass

    with inside(Odd()):
        y = mg.sin(mg.Variable(1.0, name="x"))
    assert draw(y, depth=0).picture.boxes[-1].lines == ("Odd",)


def test_middle_sized_graphs_collapse_by_themselves():
    x = mg.Constant(np.ones((1, 2)), name="x")
    net = Layer(**{f"d{i}": dense(2, 2, i) for i in range(20)})
    y = x
    with inside(net):
        for layer in vars(net).values():
            y = mg.tanh(layer(y))
    assert len(mg.topological_sort(y)) > 60
    assert [box.lines[0] for box in draw(y, depth=0).picture.boxes] == ["x", "Layer"]
    assert len(draw(y).picture.boxes) < 41
    assert len(draw(y, depth=9).picture.boxes) == 101


def calls(function):
    """How many calls of Python functions it takes."""
    count = 0

    def see(frame, event, argument):
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


def test_diamonds_take_no_more_visits_than_their_nodes():
    picture = draw(diamonds(60)).picture
    assert picture.nodes == 181 and len(picture.boxes) <= 61
    few, many = (calls(lambda n=n: draw(diamonds(n)).picture) for n in (30, 60))
    assert few < many < 2.2 * few


def test_a_huge_graph_is_a_few_boxes():
    drawing = draw(diamonds(6667))
    assert "20,002 nodes" in drawing.picture.note and "depth=" in drawing.picture.note
    assert 1 <= len(drawing.picture.boxes) <= 60 and drawing.svg and drawing.describe()
    few, many = (calls(lambda n=n: draw(diamonds(n)).svg) for n in (1000, 2000))
    assert few < many < 2.5 * few


def test_a_chain_of_100_000_nodes_is_drawn_as_a_summary_and_freed(no_gc):
    y = mg.Variable(1.0)
    for _ in range(100_000):
        y = -y
    drawing = draw(y)
    assert "100,001 nodes" in drawing.picture.note and "100,001 nodes" in drawing.describe()
    assert len(drawing.svg) < 50_000
    first = weakref.ref(mg.topological_sort(y)[0])
    del y, drawing
    assert first() is None


def test_drawing_changes_nothing():
    head = mlp()
    before = [
        (n.value.copy(), None if n.grad is None else n.grad.copy())
        for n in mg.topological_sort(head)
    ]
    draw(head).svg  # noqa: B018
    for node, (value, grad) in zip(mg.topological_sort(head), before, strict=True):
        np.testing.assert_array_equal(node.value, value)
        assert (node.grad is None and grad is None) or np.array_equal(node.grad, grad)
