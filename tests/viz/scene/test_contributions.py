"""An edge carries what flowed back along it: upstream times local; a node shows the sum."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.viz import draw
from minigrad.viz.scene.flowed import Flowed
from minigrad.viz.scene.steps import Opened


def below(head, **options):
    """By box: what stands at its lines, and its last line."""
    boxes = draw(head, **options).picture.boxes
    return {box.id: ([flow.below for flow in box.flows], box.lines[-1]) for box in boxes}


def test_two_and_five_meet_and_make_seven():
    a, b = mg.Variable(2.0, name="a"), mg.Variable(3.0, name="b")
    y = (a + b) * a
    y.backward()
    assert below(y) == {
        "n0": (["2"], "∇ 7"),
        "n1": (["2"], "3"),
        "n2": (["2"], "5"),
        "g3n0": (["5"], "↗ a"),
        "n3": (["1"], "10"),
    }
    edges = {edge.title: edge for edge in draw(y).picture.edges}
    assert "n0 (a) to n3 (×), input 2: value 2; gradient 5" in edges
    assert "n0 (a) to n2 (+), input 1: value 2; gradient 2" in edges
    assert "gradient 7, summed over 2 lines" in draw(y).describe()


def test_both_inputs_of_a_product_with_itself():
    h = mg.sin(mg.Variable(0.5, name="x"))
    y = h * h
    y.backward()
    part = f"{np.sin(0.5):.3g}"
    assert below(y)["n1"] == ([part, part], f"∇ {2 * np.sin(0.5):.3g}")


def test_a_skip_and_its_branch():
    x = mg.Variable([1.0, -2.0], name="x")
    h = mg.tanh(x)
    y = mg.sum(h + 3.0 * h)
    y.backward()
    assert below(y)["n1"] == (["rms 3", "rms 1"], "∇ rms 4")


def test_what_others_than_the_drawn_head_gave_is_not_on_its_edges():
    h = mg.tanh(mg.Variable(0.5, name="w"))
    inner = h * 2
    (inner + h).backward()
    assert below(inner)["n1"] == (["2"], "∇ 3")


def test_another_graphs_pass_does_not_show():
    w = mg.Variable(2.0, name="w")
    (w * 3).backward()
    b = w * 2
    assert all(told == [""] for told, _ in below(b).values())
    b.backward()
    assert below(b)["n0"] == (["2"], "2")


@pytest.mark.parametrize("change", [lambda w: w.refill(w.value * 2), lambda w: w.value.fill(4.0)])
def test_after_a_change_of_values_only_the_gradients_of_nodes_are_told(change):
    """Also where it was made in place, as optimisers do, which no version tells."""
    w, v = mg.Variable(2.0, name="w"), mg.Variable(5.0, name="v")
    y = (w * v) * w
    y.backward()
    change(w)
    told = below(y)
    assert told["n0"] == ([""], "∇ 20") and told["n1"] == (["∇ 4"], "5")
    assert told["n2"] == (["∇ 2"], "10")  # the product would now be another
    assert told["n3"] == (["1"], "20") and told["g3n0"] == ([""], "↗ w")
    assert "Along some lines gradients are not known" in draw(y).picture.note


def test_contributions_add_up_to_the_gradients_of_all_nodes():
    mg.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.ReLU())
    h = model(np.random.default_rng(0).normal(size=(6, 3)))
    loss = mg.mean((h + mg.tanh(h)) ** 2)
    loss.backward()
    order = mg.topological_sort(loss)
    flow, sums = Flowed(order, [loss]), {}
    for user in order:
        for x, part in zip(user.inputs, flow.along(user) if user.inputs else (), strict=True):
            if part is not None:
                sums[id(x)] = sums.get(id(x), 0) + part
    for node in order[:-1]:
        if node.grad is not None:
            np.testing.assert_allclose(sums[id(node)], node.grad, rtol=1e-6)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_of_an_opened_layer_the_steps_add_up_to_the_gradient_of_a_weight(kind):
    layer = kind(2, 3, seed=0, dtype="float64")
    loss = mg.sum(layer(np.random.default_rng(0).normal(size=(5, 4, 2)))[0] ** 2)
    loss.backward()
    order = mg.topological_sort(loss)
    opened = Opened(order, rolled=False)
    head = opened.twins[id(loss)]
    flow = Flowed(opened.order, [head], Flowed(order, [loss]).nodes)
    for weight in layer.parameters():
        parts = [
            part
            for user in opened.order
            if user.inputs
            for x, part in zip(user.inputs, flow.along(user), strict=True)
            if x is weight
        ]
        assert len(parts) == 5
        np.testing.assert_allclose(sum(parts), weight.grad, rtol=1e-9)


def test_more_lines_than_there_is_room_for_share_a_place():
    h = mg.tanh(mg.Variable(0.1, name="x"))
    y = mg.sum(mg.stack([h * float(i) for i in range(1, 7)]))
    y.backward()
    assert below(y)["n1"][0] == ["∇ 21"]
    edges = [edge for edge in draw(y).picture.edges if edge.source == "n1"]
    assert [edge.title.rpartition(" ")[2] for edge in edges] == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("mode", ["replay", "compiled"])
def test_in_every_mode(mode):
    model = nn.Sequential(nn.Linear(2, 4, seed=0), nn.Tanh(), nn.Linear(4, 1, seed=1))
    x, y = np.linspace(-1, 1, 16).reshape(8, 2), np.linspace(0, 1, 8).reshape(8, 1)
    trainer = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), 0.1), mode=mode)
    trainer.fit(x, y, epochs=1, batch_size=8, progress=False)
    loss = mg.mse_loss(model(x), y)
    model.zero_grad()
    loss.backward()
    told = [text for lines, _ in below(loss).values() for text in lines if text]
    assert len(told) == 8 and not any(text.startswith("∇") for text in told)
    stepped = trainer.graph if hasattr(trainer, "graph") else loss
    assert draw(stepped).svg
