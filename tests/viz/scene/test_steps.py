"""A fused recurrent layer opened for display has the graph and the numbers of the layer that was
built step by step.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

import minigrad as mg
from minigrad import models, nn
from minigrad.graph.node import GraphNode
from minigrad.graph.registry import by_name
from minigrad.viz import draw
from minigrad.viz.scene.steps import Opened

STEPS = 7


def classifier(unroll: bool, steps: int = STEPS, nonlinearity: str = "tanh") -> GraphNode:
    mg.manual_seed(0)
    model = models.RowRNN(5, 3)
    model.rnn = nn.RNN(5, 3, nonlinearity=nonlinearity, unroll=unroll, seed=1)
    x = mg.Constant(np.random.default_rng(0).normal(size=(2, steps, 5)), name="x", dtype="float32")
    loss = mg.cross_entropy(model(x), mg.Constant([1, 2], name="y", dtype="int64"))
    loss.backward()
    return loss


def stacked(unroll: bool) -> GraphNode:
    """Two layers, a first state of their own, a gradient for the data; double precision."""
    rng = np.random.default_rng(0)
    x = mg.Variable(rng.normal(size=(4, 2, 3)), name="x", dtype="float64")
    h0 = mg.Variable(rng.normal(size=(2, 2, 3)), name="start", dtype="float64")
    states, last = nn.RNN(3, 3, num_layers=2, unroll=unroll, dtype="float64", seed=1)(x, h0)
    loss = mg.mean(states**2) + mg.sum(last)
    loss.backward()
    return loss


def gated(kind, unroll: bool, cells: bool = True) -> GraphNode:
    """Two layers with several gates, first states of their own; for an LSTM with the last cells in
    the loss, or without.
    """
    rng = np.random.default_rng(0)
    x = mg.Variable(rng.normal(size=(4, 2, 3)), name="x", dtype="float64")
    start = [
        mg.Variable(rng.normal(size=(2, 2, 3)), name=name, dtype="float64")
        for name in ("start", "cells")
    ]
    layer = kind(3, 3, num_layers=2, unroll=unroll, dtype="float64", seed=1)
    states, last = layer(x, tuple(start) if kind is nn.LSTM else start[0])
    ends = last if kind is nn.LSTM else (last,)
    loss = mg.mean(states**2) + sum(mg.sum(end) for end in ends[: 1 + cells])
    loss.backward()
    return loss


MADE = {
    "classifier": classifier,
    "relu": lambda unroll: classifier(unroll, nonlinearity="relu"),
    "one step": lambda unroll: classifier(unroll, 1),
    "stacked": stacked,
    "lstm": lambda unroll: gated(nn.LSTM, unroll),
    "lstm, states only": lambda unroll: gated(nn.LSTM, unroll, cells=False),
    "gru": lambda unroll: gated(nn.GRU, unroll),
}


def close(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-4, atol=1e-6)


def kind(node: GraphNode) -> tuple[object, ...]:
    rule = node.rule.name if node.inputs else type(node).__name__  # type: ignore[attr-defined]
    return rule, node.shape, node.name


# ---------------- the graph
@pytest.mark.parametrize("name", MADE)
def test_the_opened_graph_is_the_unrolled_one(name):
    opened = Opened(mg.topological_sort(MADE[name](False)), rolled=False).order
    ours, theirs = mg.topological_sort(opened[-1]), mg.topological_sort(MADE[name](True))
    assert [kind(node) for node in ours] == [kind(node) for node in theirs]
    index, other = ({id(node): i for i, node in enumerate(order)} for order in (ours, theirs))
    for node, twin in zip(ours, theirs, strict=True):
        assert [index[id(x)] for x in node.inputs] == [other[id(x)] for x in twin.inputs]
        assert close(node._data, twin._data), kind(node)
        assert close(node.grad, twin.grad), kind(node)
        assert [type(module) for module in node.scope] == [type(module) for module in twin.scope]


def test_a_node_with_two_states_that_is_read_whole():
    """Nobody but `mg.lstm` reads the operator's own result; opened, it is the states of all steps
    and joins them again.
    """
    layer = nn.LSTM(3, 4, seed=0)
    x, zeros = mg.Constant(np.ones((3, 2, 3))), mg.Constant(np.zeros((2, 4)))
    both = by_name("lstm")(x, zeros, zeros, *layer.parameters())
    mg.sum(both**2).backward()
    opened = Opened(mg.topological_sort(both), rolled=False)
    joined = opened.twins[id(both)]
    assert (
        joined is opened.order[-1]
        and [x.rule.name for x in (joined, *joined.inputs)] == ["stack"] * 3
    )
    for whole, part in zip(both.value, joined.inputs, strict=True):
        np.testing.assert_array_equal(part.value, whole)
        np.testing.assert_allclose(
            np.stack([state.value for state in part.inputs]), whole, rtol=1e-5
        )
    assert len(Opened(mg.topological_sort(both), rolled=True).loops) == 2  # h and c come back


def test_rolled_up_an_lstm_has_both_states():
    layer = nn.LSTM(3, 4, seed=0)
    states, (_, cells) = layer(np.ones((5, 2, 3)))
    loss = mg.sum(states) + mg.sum(cells)
    loss.backward()
    opened = Opened(mg.topological_sort(loss), rolled=True)
    node = states.inputs[0]
    found = [n for n in opened.order if n.shape == (5, 2, 4)]
    for value, grad in zip(node.value, node.work["dh"], strict=True):
        assert any(close(n._data, value) and close(n.grad, grad) for n in found)
    assert {source.name for source, _ in opened.loops} == {"h", "c"}
    (closed,) = (box for box in draw(loss).picture.boxes if box.lines[0] == "LSTM")
    assert closed.lines[1] == "×5 (2, 5, 2, 4)"


# ---------------- the drawing
def numbers(text: str) -> tuple[str, list[float]]:
    """A text without its numbers, and them."""
    pattern = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
    return re.sub(pattern, "#", text), [float(x) for x in re.findall(pattern, text)]


def told(text: str) -> str:
    """Without the glyph of a gradient that is zero but for rounding."""
    return re.sub("[∅▽] |vanished|exactly zero", "", text)


def alike(one: str, other: str) -> bool:
    (words, found), (same, expected) = numbers(told(one)), numbers(told(other))
    return words == same and np.allclose(found, expected, rtol=0.02, atol=1e-6)


def canonical(picture, order: list[GraphNode]) -> tuple[dict, dict, set]:
    """Boxes, flows and edges of a picture of `order`, by names that do not depend on the order of
    execution.
    """
    rank = {id(node): i for i, node in enumerate(mg.topological_sort(order[-1]))}
    labels = {cluster.id: cluster.label for cluster in picture.clusters}

    def renamed(text: str) -> str:
        return re.sub(
            r"(?<![A-Za-z_])([ng])(\d+)", lambda m: f"{m[1]}{rank[id(order[int(m[2])])]}", text
        )

    def about(box) -> tuple[str, str, str | None, str]:
        return (
            box.kind,
            box.lines[0],
            labels.get(box.cluster),
            "" if box.kind == "module" else renamed(box.title),
        )

    faces = [cluster.face for cluster in picture.clusters]
    names = {
        box.id: renamed(box.id) if box.kind != "module" else box.lines[0]
        for box in (*picture.boxes, *faces)
    } | {"": ""}
    boxes = {names[box.id]: about(box) for box in picture.boxes}
    flows = {(names[box.id], i): flow for box in picture.boxes for i, flow in enumerate(box.flows)}
    return (
        boxes,
        flows,
        {(names[edge.source], edge.port, names[edge.target]) for edge in picture.edges},
    )


@pytest.mark.parametrize("steps", [1, 2, 3, "all"])
def test_the_drawing_of_a_fused_layer_is_that_of_the_unrolled_one(steps):
    options = {"unroll": steps, "values": True, "grads": True}
    fused, unrolled = classifier(False), classifier(True)
    ours, theirs = draw(fused, **options).picture, draw(unrolled, **options).picture
    boxes, flows, edges = canonical(ours, Opened(mg.topological_sort(fused), rolled=False).order)
    others, twins, same = canonical(theirs, mg.topological_sort(unrolled))
    assert edges == same and boxes.keys() == others.keys() and flows.keys() == twins.keys()
    for key, (*kinds, title) in boxes.items():
        *expected, other = others[key]
        assert kinds == expected and alike(title, other), (title, other)
    for key, flow in flows.items():
        twin = twins[key]
        assert len(flow.above) == len(twin.above) and all(map(alike, flow.above, twin.above)), key
        assert alike(flow.below, twin.below) and (flow.state, flow.step) == (
            twin.state,
            twin.step,
        ), key


@pytest.mark.parametrize("steps", [1, 2, 3, "all"])
@pytest.mark.parametrize("depth", [None, 9])
def test_so_many_steps_are_drawn(steps, depth):
    """Each is a box that opens; what is between them never does in a static picture."""
    picture = draw(classifier(False), unroll=steps, depth=depth).picture
    boxes = {box.id: box for box in picture.boxes}
    shown = [box.lines[0] for box in boxes.values() if box.lines[0].startswith("step")]
    opened = [cluster.label for cluster in picture.clusters if cluster.label.startswith("step")]
    ends = STEPS if steps in (3, "all") else steps
    first, last = range(1, ends + 1), range(STEPS - ends + 1, STEPS + 1)
    each = [f"step {t}" for t in (first if ends == STEPS else (*first, *last))]
    middle = [] if ends == STEPS else [f"steps {ends + 1} to {STEPS - ends}"]
    if depth:
        assert (opened, shown) == (each, middle)
    else:
        assert not opened and shown == [*each[:ends], *middle, *each[ends:]]


def test_what_is_left_out_is_told_as_one_array():
    head = classifier(True)
    tanh = [node for node in mg.topological_sort(head) if node.inputs and node.rule.name == "tanh"]
    (box,) = (
        box
        for box in draw(classifier(False), unroll=2, values=True).picture.boxes
        if box.lines[0] == "steps 3 to 5"
    )
    last, all_of_them = sorted(box.flows, key=lambda flow: len(flow.above[0]))
    value = np.stack([node.value for node in tanh[2:5]])
    (stack,) = (
        node
        for node in mg.topological_sort(head)
        if node.inputs and node.inputs[0] is tanh[0] and node.rule.name == "stack"
    )
    onward = tanh[4].grad - stack.grad[4]
    assert all_of_them.above == ("(3, 2, 3)", f"{value.mean():.2g}±{value.std():.2g}")
    gradients = stack.grad[2:5].astype(float)
    assert not gradients.any() and all_of_them.below == "∅ 0"  # only the last step is read
    assert last.above == ("(2, 3)", f"{tanh[4].value.mean():.2g}±{tanh[4].value.std():.2g}")
    assert last.below == f"rms {np.sqrt(np.mean(onward.astype(float) ** 2)):.3g}"


def test_rolled_up_the_cell_says_the_numbers_of_all_steps():
    order = [node for node in mg.topological_sort(classifier(True)) if node.inputs]
    by_rule: dict[str, list[GraphNode]] = {}
    for node in order:
        if node.shape == (2, 3):
            by_rule.setdefault(node.rule.name, []).append(node)
    opened = Opened(mg.topological_sort(classifier(False)), rolled=True)
    cell = [node for node in opened.order if node.inputs and node.shape == (STEPS, 2, 3)]
    assert [node.rule.name for node in cell] == ["linear", "linear", "add", "tanh"]
    taken: dict[str, int] = {}
    for node in cell:
        same = by_rule[node.rule.name]
        per_step = len([other for other in cell if other.rule is node.rule])
        mine = same[taken.get(node.rule.name, 0) :: per_step][:STEPS]
        taken[node.rule.name] = taken.get(node.rule.name, 0) + 1
        assert close(node._data, np.stack([one._data for one in mine]))
        assert close(node.grad, np.stack([one.grad for one in mine]))
    picture = draw(classifier(False), unroll="rolled").picture
    (back,) = (edge for edge in picture.edges if edge.back)
    labels = {box.id: box.lines[0] for box in picture.boxes}
    assert (labels[back.source], labels[back.target]) == (
        "tanh",
        "x Wᵀ + b",
    ) and "of the next step" in back.title
    assert [c.label for c in picture.clusters if "×" in c.label] == [f"× {STEPS} steps"]


def test_without_gradients_there_are_none():
    model = nn.RNN(5, 3, seed=0)
    states, _ = model(np.ones((4, 2, 5)))
    picture = draw(states, unroll="all").picture
    assert not any(flow.below for box in picture.boxes for flow in box.flows)


# ---------------- looking changes nothing
def everything(order: list[GraphNode]) -> list[object]:
    """All that a graph holds, bytes and identities."""
    return [
        (
            id(node),
            node._data.tobytes(),
            node._data.__array_interface__["data"][0],
            id(node.grad),
            None if node.grad is None else node.grad.tobytes(),
            node.name,
            tuple(map(id, node.inputs)),
            tuple(map(id, node.scope)),
            id(node.hooks),
            {key: (id(work), work.tobytes()) for key, work in getattr(node, "work", {}).items()},
            id(getattr(node, "plan", None)),
            dict(getattr(node, "attributes", {})),
        )
        for node in order
    ]


@pytest.mark.parametrize("name", MADE)
def test_the_graph_stays_as_it_was(name):
    head = MADE[name](False)
    order = mg.topological_sort(head)
    before = everything(order)
    assert any(item[-3] for item in before)  # work buffers of the kernel
    for unroll in ("rolled", 1, 2, "all", None):
        drawing = draw(head, unroll=unroll)
        assert drawing.svg and drawing.describe()
    assert everything(order) == before
    assert [id(node) for node in mg.topological_sort(head)] == [id(node) for node in order]


def test_training_goes_on_as_if_nothing_had_been_drawn():
    def trained(look: bool) -> list[bytes]:
        head = classifier(False)
        graph = mg.Graph(head)
        for _ in range(3):
            if look:
                assert draw(graph, unroll=2).svg
            graph.zero_grad()
            graph.forward()
            graph.backward()
            for node in graph.order:
                if isinstance(node, mg.Variable):
                    node.value = node.value - 0.1 * node.grad
        return [node.value.tobytes() for node in graph.order]

    assert trained(True) == trained(False)


def test_a_drawing_of_the_opened_graph_is_kept_as_it_was():
    head = classifier(False)
    drawing, svg = draw(head, unroll="all", values=True), draw(head, unroll="all", values=True).svg
    words = drawing.describe()
    for node in mg.topological_sort(head):
        if isinstance(node, mg.Variable):
            node.value = node.value * 0 + 777
            node.grad[...] = 777
    assert drawing.describe() == words and drawing.svg == svg
