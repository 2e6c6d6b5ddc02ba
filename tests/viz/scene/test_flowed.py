"""Gradients in drawings are those that flowed in the last backward pass of the graph that is
drawn.
"""

import copy
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.viz.flow.diagnose import diagnose
from minigrad.viz.scene.flowed import Flowed


def flowed(order, heads):
    return Flowed(order, heads).nodes


def told(head, **options):
    """By its beginning: the titles of all edges and boxes, and what stands below lines."""
    picture = mg.draw(head, **options).picture
    edges = {
        edge.title.partition(",")[0]: edge.title.partition("gradient ")[2] for edge in picture.edges
    }
    return edges, {box.lines[0]: box.title.partition("gradient ")[2] for box in picture.boxes}


def below(head):
    return [flow.below for box in mg.draw(head).picture.boxes for flow in box.flows if flow.below]


def test_an_edge_carries_what_this_graphs_pass_gave_and_no_other():
    w = mg.Variable(2.0, name="w")
    (w * 3).backward()
    b = w * 2
    b.backward()
    edges, boxes = told(b)
    assert edges["n0 (w) to n2 (×)"] == "2" and boxes["w"] == "2" and w.grad == 5
    assert below(b) == ["2", "1"]


def test_a_second_pass_of_the_same_graph_counts_alone():
    w = mg.Variable(2.0, name="w")
    b = w * 2 + w * w
    b.backward()
    once = {key: array.copy() for key, array in flowed(mg.topological_sort(b), [b]).items()}
    b.backward()
    again = flowed(mg.topological_sort(b), [b])
    assert w.grad == 12 and again.keys() == once.keys()
    assert all((again[key] == once[key]).all() for key in once)


def test_a_graph_that_was_not_pulled_back_shows_no_gradient():
    model = nn.Linear(2, 3, seed=0)
    mg.sum(model(np.eye(2))).backward()
    other = mg.sum(model(np.eye(2)) ** 2)
    for depth in (None, 0):
        assert (
            "gradient" not in mg.draw(other, depth=depth).describe()
            and "∇" not in mg.draw(other, depth=depth).source
        )
    assert mg.viz.trace(other).reverse == () and "no gradients yet" in mg.viz.trace(other).note
    assert {step.phase for step in mg.viz.play(other).steps} == {"forward"}


def test_what_a_later_pass_of_another_graph_has_overwritten_is_not_shown():
    w = mg.Variable(0.5, name="w")
    h = mg.tanh(w)
    first, second = h * 3, h * 5
    first.backward()
    second.backward()
    # h's gradient is the second graph's, but what the first one gave to it is known, of w nothing
    assert below(first) == ["3", "1"]
    slope = 5 * (1 - np.tanh(0.5) ** 2)
    found = flowed(mg.topological_sort(second), [second])
    np.testing.assert_allclose(found[id(w)], slope, rtol=1e-6)
    assert found[id(h)] == 5


def test_nothing_is_computed_with_values_that_have_changed_since():
    w = mg.Variable(2.0, name="w")
    loss = w * w
    loss.backward()
    loss.backward()
    w.value -= 1
    assert id(w) not in flowed(mg.topological_sort(loss), [loss])
    assert below(loss) == ["1"]


def test_a_variable_that_another_pass_has_had_since():
    """Its gradient was cleared, and is now another graph's alone."""
    w = mg.Variable(2.0, name="w")
    b = w * 2
    b.backward()
    w.zero_grad()
    assert below(b) == ["2", "1"]  # w has no gradient any more; what flowed to it is known
    (w * 7).backward()
    assert w.grad == 7 and below(b) == ["2", "1"]


def test_an_inner_node_shows_its_part_of_the_pass():
    w = mg.Variable(2.0, name="w")
    inner = w * 2
    (inner * 3).backward()
    assert below(inner) == ["6", "3"]


@pytest.mark.parametrize("unroll", [None, 1, "rolled"])
def test_recurrent_layers(unroll):
    """Opened cells show the pass of their node; what is shared with another graph's pass is left
    out.
    """
    layer, x = nn.RNN(2, 3, seed=0), np.ones((4, 1, 2))
    one = mg.sum(layer(x)[0])
    one.backward()
    expected = mg.draw(one, unroll=unroll).picture
    weight = next(iter(layer.parameters()))
    gradient = weight.grad.copy()
    one.backward()
    np.testing.assert_array_equal(weight.grad, 2 * gradient)
    picture = mg.draw(one, unroll=unroll).picture
    assert [flow.below for box in picture.boxes for flow in box.flows] == [
        flow.below for box in expected.boxes for flow in box.flows
    ]


def test_looking_changes_nothing():
    """Gradients, work buffers, running statistics, masks and hooks are as they were."""
    model = nn.Sequential(
        nn.Linear(3, 4, seed=0), nn.BatchNorm1d(4), nn.Dropout(0.5, seed=1), nn.Linear(4, 2, seed=2)
    )
    x, calls = np.linspace(-1, 1, 15).reshape(5, 3), []
    loss = mg.mean(model(x) ** 2)
    loss.backward()
    loss.backward()
    order = mg.topological_sort(loss)
    for node in order:
        node.register_backward_hook(lambda *_: calls.append(1))

    def state():
        grads = [node.grad if node.grad is None else node.grad.copy() for node in order]
        work = [
            {name: array.copy() for name, array in getattr(node, "work", {}).items()}
            for node in order
        ]
        return grads, [node.grad_pass for node in order], work, model.state_dict()

    before, arrays = state(), [node.grad for node in order]
    found = flowed(order, [loss])
    np.testing.assert_equal(state(), before)
    assert not calls and all(node.grad is array for node, array in zip(order, arrays, strict=True))
    parameters = list(model.parameters())
    assert all(id(p) in found for p in parameters)
    for p in parameters:
        np.testing.assert_allclose(2 * found[id(p)], p.grad, rtol=1e-5, atol=1e-7)


def test_a_trace_adds_up():
    w = mg.Variable(2.0, name="w")
    (w * 3).backward()
    b = w * 2
    b.backward()
    assert [row.number for row in mg.viz.trace(b).reverse] == ["1", "2"]
    assert [step.text for step in mg.viz.play(b).steps if step.phase == "backward"][-1].endswith(
        "= 2"
    )


def test_what_puts_gradients_back_puts_back_where_they_come_from():
    model, x = nn.Sequential(nn.Linear(2, 2, seed=0), nn.Tanh()), np.eye(2)
    loss = mg.mean(model(x) ** 2)
    loss.backward()
    drawn = mg.draw(loss).svg
    mg.grad(loss, list(model.parameters()))
    assert mg.draw(loss).svg == drawn
    diagnose(model, x, x)
    mg.viz.saliency(model, x[:1])
    assert mg.draw(loss).svg == drawn


@pytest.mark.parametrize("same", [copy.deepcopy, mg.Graph, lambda head: mg.Graph(head).snapshot()])
def test_copies_show_what_the_graph_shows(same):
    w = mg.Variable(2.0, name="w")
    (w * 3).backward()
    b = mg.tanh(w * 2)
    b.backward()
    assert mg.draw(same(b)).describe() == mg.draw(b).describe()


def test_a_pickle_has_not_been_pulled_back():
    w = mg.Variable(2.0, name="w")
    b = w * 2
    b.backward()
    assert below(pickle.loads(pickle.dumps(b))) == []
