"""`paths`: shares of the ways of a gradient; they add up to its norm."""

from __future__ import annotations

import numpy as np
import pytest
from viz.examples import mlp

import minigrad as mg
from minigrad import nn
from minigrad.viz import paths


class Residual(nn.Module):
    def __init__(self, seed):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4, seed=seed), nn.Linear(4, 4, seed=seed + 1)

    def forward(self, x):
        return x + self.second(mg.tanh(self.first(x)))


def total(found):
    return sum(share for _, share in found.shares)


def test_two_and_five_make_seven():
    a, b = mg.Variable(2.0, name="a"), mg.Variable(3.0, name="b")
    y = (a + b) * a
    y.backward()
    found = paths(y, a)
    assert found.shares == [
        (("n0 (a)", "n3 (×)"), 5.0),
        (("n0 (a)", "n2 (+)", "n3 (×)"), 2.0),
    ]
    assert found.size == 7 and "The strongest path, 71 %: n0 (a) → n3 (×)." in found.description
    below = {edge.id: edge for edge in found.picture.edges}
    assert sorted(edge.step for edge in below.values()) == [-1, 1, 1, 5]
    texts = [flow.below for box in found.picture.boxes for flow in box.flows]
    assert {"29 %", "71 %"} <= set(texts)


def test_a_path_that_cancels_is_negative():
    x = mg.Variable(1.0, name="x")
    y = 3.0 * x - mg.sin(x)
    y.backward()
    shares = [share for _, share in paths(y, x).shares]
    np.testing.assert_allclose(shares, [3, -np.cos(1)], rtol=1e-6)


def test_the_skip_against_the_branch():
    mg.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(3, 4, seed=9), Residual(1), Residual(5), nn.Linear(4, 1, seed=3)
    )
    loss = mg.mean(model(np.random.default_rng(0).normal(size=(8, 3))) ** 2)
    loss.backward()
    for parameter in model.parameters():
        found = paths(loss, parameter)
        assert found.size == pytest.approx(np.linalg.norm(parameter.grad), rel=1e-5)
        assert total(found) == pytest.approx(found.size, rel=1e-5)
    found = paths(loss, model[0].weight)
    assert len(found.shares) == 3  # the way, and at each of two forks the other one


def test_shares_of_branches_are_those_of_graphs_without_the_other():
    """With one of two branches made constant, the gradient is that of the other alone."""
    w = mg.Variable([[0.3, -0.8], [0.5, 0.1]], name="w", dtype="float64")
    x = np.array([[1.0, 2.0], [0.5, -1.0]])

    def loss(left, right):
        h = mg.Constant(x, dtype="float64") @ w
        one = mg.tanh(h if left else mg.Constant(h.value, dtype="float64"))
        two = mg.exp(h if right else mg.Constant(h.value, dtype="float64"))
        return mg.sum(one * two)

    parts = []
    for ways in ((True, False), (False, True), (True, True)):
        w.zero_grad()
        y = loss(*ways)
        y.backward()
        parts.append(w.grad.copy())
    norm = np.linalg.norm(parts[2])
    expected = [float(np.sum(part * parts[2]) / norm) for part in parts[:2]]
    found = [share for _, share in paths(y, w).shares]
    np.testing.assert_allclose(sorted(found), sorted(expected), rtol=1e-9)


@pytest.mark.parametrize("unroll", [False, True])
def test_a_recurrent_weight_comes_by_time_steps(unroll):
    layer = nn.RNN(2, 3, seed=0, dtype="float64", unroll=unroll)
    x = np.random.default_rng(0).normal(size=(6, 4, 2))
    loss = mg.sum(layer(x)[1] ** 2)
    loss.backward()
    weight = next(iter(layer.parameters()))
    found = paths(loss, weight)
    first = {way[1] for way, _ in found.shares}
    assert len(first) == 6 and total(found) == pytest.approx(np.linalg.norm(weight.grad))
    assert found.svg


def test_numbers_of_paths_are_no_matter():
    x = y = mg.Variable(1.0, name="x")
    for _ in range(60):
        y = y * 0.75 + y * 0.25  # 2 ** 60 paths
    y.backward()
    found = paths(y, x)
    assert total(found) == pytest.approx(1, rel=1e-5) and len(found.shares) == 61
    assert found.shares[0][1] == pytest.approx(0.75**60, rel=1e-4)


def test_nothing_changes():
    loss = mlp()
    order = mg.topological_sort(loss)
    before = [None if node.grad is None else node.grad.tobytes() for node in order]
    drawn = mg.draw(loss).svg
    paths(loss, order[1]).svg  # noqa: B018
    assert before == [None if node.grad is None else node.grad.tobytes() for node in order]
    assert mg.draw(loss).svg == drawn


def test_what_cannot_be_split():
    w, c = mg.Variable(2.0, name="w"), mg.Constant(1.0, name="c")
    y = w * w + c
    with pytest.raises(mg.GraphError, match=r"paths: .*'w'.* has no gradient .*call its backward"):
        paths(y, w)
    y.backward()
    with pytest.raises(mg.GraphError, match="'c'.* has no gradient"):
        paths(y, c)
    with pytest.raises(TypeError, match="paths: a int; a node or a Graph was expected"):
        paths(3, w)
    w.value.fill(5.0)
    with pytest.raises(mg.GraphError, match="values have changed since"):
        paths(y, w)
    flat = mg.relu(mg.Variable(-1.0, name="x"))
    flat.backward()
    with pytest.raises(mg.GraphError, match="has norm 0.0, no direction"):
        paths(flat, flat.inputs[0])
