"""Alarms in drawings: sick networks have them, healthy ones have none, and words say why."""

from __future__ import annotations

import numpy as np
import pytest
from viz.examples import diamonds, neuron

import minigrad as mg
from minigrad import nn
from minigrad.teach.clinic import ill, layers
from minigrad.viz import draw

CIRCLE = mg.data.circle()
X, Y = CIRCLE.x_train[:64], CIRCLE.y_train[:64, None]


def pulled(model, x=X, y=Y, loss=mg.mse_loss):
    with np.errstate(all="ignore"):
        head = loss(
            model(mg.Constant(x, name="x")),
            mg.Constant(y, name="target", dtype="int64" if y.ndim == 1 else None),
        )
        head.backward()
    return head


@pytest.mark.parametrize(
    ("disease", "kinds"),
    [
        ("saturation", ["Saturated"]),
        ("exploding gradient", ["Gradients have exploded"]),
        ("NaN or inf", ["First bad node"]),
        ("vanishing gradient", ["Gradients have vanished"]),
        ("dead ReLU", ["Dead ReLU", "Dead ReLU", "12 gradients exactly zero, behind dead ReLUs."]),
    ],
)
def test_the_patients_of_the_clinic(disease, kinds):
    model, scale = ill()[disease]
    for depth in (None, 1):
        drawing = draw(pulled(model, scale * X), depth=depth)
        assert [alarm.partition(":")[0] for alarm in drawing.alarms] == kinds
        assert all(alarm in drawing.picture.note for alarm in drawing.alarms)
        model.zero_grad()


def test_healthy_networks_have_none():
    for model in (layers(nn.Tanh, 3), layers(nn.ReLU, 3)):
        assert draw(pulled(model)).alarms == []


def test_a_converged_network_is_not_sick():
    model = layers(nn.Tanh, 3)
    target = np.tanh(X.sum(1, keepdims=True)) / 2
    optimizer = mg.optim.Adam(model.parameters(), lr=3e-3)
    graph = mg.Graph(
        mg.mse_loss(model(mg.Constant(X, name="x")), mg.Constant(target, name="target"))
    )
    for _ in range(1500):
        graph.zero_grad()
        graph.forward()
        graph.backward()
        optimizer.step()
    drawing = draw(graph)
    assert drawing.alarms == [] and "Converged: the loss is" in drawing.picture.note


def test_a_perfect_fit_has_zeros_and_no_alarm():
    w = mg.Variable([[1.0]], name="w")
    assert draw(pulled(lambda x: x @ w, np.ones((4, 1)), np.ones((4, 1)))).alarms == []


def test_a_bias_before_a_batch_norm_is_explained():
    mg.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)
    )
    x = np.random.default_rng(0).normal(size=(16, 1, 8, 8)).astype("f4")
    drawing = draw(pulled(model, x, np.arange(16) % 3, mg.cross_entropy))
    assert drawing.alarms == []
    assert "Cancelled by the batch norm behind it: the gradient of n" in drawing.picture.note


def test_a_diamond_with_a_gradient_of_128_has_not_exploded():
    y = mg.Variable(1.0, name="x")
    for _ in range(7):
        y = y + y
    y.backward()
    assert draw(y).alarms == [] and "∇ 128" in draw(y).picture.boxes[0].lines
    y = diamonds(100)
    y.backward()
    assert draw(y).alarms == []


def test_two_layers_are_no_trend():
    model = layers(nn.Sigmoid, 1)
    model[0].weight.value *= 1e-3
    model[-1].weight.value *= 1e-9
    assert draw(pulled(model)).alarms == []


def test_marks_follow_the_trend_and_not_a_size():
    """What is small everywhere is well; D fades towards the input and is marked there."""
    head = pulled(layers(nn.Tanh, 3), loss=lambda a, b: mg.mse_loss(a, b) * 1e-6)
    assert {edge.state for edge in draw(head).picture.edges} == {"normal", "none"}
    picture = draw(pulled(ill()["vanishing gradient"][0]), depth=9).picture
    faded = {edge.title.partition(" ")[0] for edge in picture.edges if edge.state == "vanished"}
    assert faded == {"n1", "n2", "n3"}  # the first layer's parameters and its result
    assert any("▽" in flow.below for box in picture.boxes for flow in box.flows)


def test_nan_is_followed_along_values_and_gradients():
    x = mg.Variable([-1.0, 2.0], name="x")
    with np.errstate(all="ignore"):
        y = mg.sum(mg.log(x) * 2.0)
    states = {edge.target: edge.state for edge in draw(y).picture.edges if edge.source != "n2"}
    assert states == {"n1": "none", "n3": "nan", "n4": "nan"}
    (last,) = draw(y).picture.boxes[-1].flows
    assert last.state == "nan"


def test_an_infinite_mask_is_meant():
    mask = mg.Constant([[0.0, -np.inf]], name="mask")
    w = mg.Variable([[1.0, 2.0]], name="w")
    y = mg.sum(mg.softmax(w + mask) * np.array([[2.0, 3.0]]))
    y.backward()
    assert not any("bad" in alarm for alarm in draw(y).alarms)


def test_a_dead_neuron_is_named_with_its_share():
    assert draw(neuron()).alarms == [
        "Dead ReLU: n5 (relu), 100 %.",
        "4 gradients exactly zero, behind dead ReLUs.",
    ]
