"""Buffers: constants that belong to a model and may change."""

import copy
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.graph.settings import state_kept


def test_it_is_a_constant_with_a_name_of_its_own():
    table = nn.Buffer([1.0, 2.0], "table")
    assert isinstance(table, mg.Constant) and not table.requires_grad and table.persistent
    assert repr(table) == "<Buffer 'table' (2,) float32: [1., 2.]>"
    x = mg.Variable([3.0, 4.0])
    y = mg.sum(x * table)
    y.backward()
    np.testing.assert_array_equal(x.grad, [1, 2])
    assert table.grad is None
    table.value = [5.0, 6.0]
    assert mg.Graph(y).forward() == 39
    with pytest.raises(mg.ShapeError):
        table.value = [1.0]
    assert "buffer table" in mg.draw(y).describe()


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda node: pickle.loads(pickle.dumps(node))]
)
def test_copies_of_a_graph_have_its_numbers_and_buffers_of_their_own(duplicate):
    """Also where a layer was used twice and has moved on since: running it again would give another
    mask.
    """
    drop, norm = nn.Dropout(seed=1), nn.BatchNorm1d(4)
    x = mg.Variable(np.random.default_rng(0).normal(size=(6, 4)))
    y = mg.sum(drop(drop(norm(x))))
    drop(x), norm(x)
    before, stream = norm.state_dict(), drop.stream.value.copy()
    twin = duplicate(y)
    order, twins = mg.topological_sort(y), mg.topological_sort(twin)
    for node, other in zip(order, twins, strict=True):
        np.testing.assert_array_equal(node.value, other.value)
    y.backward()
    twin.backward()
    np.testing.assert_array_equal(next(n for n in twins if n.shape == (6, 4)).grad, x.grad)
    mg.Graph(twin).forward()
    assert all((norm.state_dict()[name] == array).all() for name, array in before.items())
    assert (drop.stream.value == stream).all()
    streams = [n.attributes["stream"] for n in twins if n.inputs and n.rule.name == "dropout"]
    assert streams[0] is streams[1] and streams[0].value[1] == stream[1] + 2


def test_a_pass_that_does_not_count_leaves_them_as_they_are():
    drop, norm = nn.Dropout(seed=1), nn.BatchNorm1d(3)
    y = drop(norm(np.random.default_rng(0).normal(size=(5, 3))))
    value, before, stream = y.value.copy(), norm.state_dict(), drop.stream.value.copy()
    with state_kept():
        np.testing.assert_array_equal(mg.Graph(y).forward(), value)
    assert all((norm.state_dict()[name] == array).all() for name, array in before.items())
    assert (drop.stream.value == stream).all()
    assert (mg.Graph(y).forward() != value).any() and drop.stream.value[1] == stream[1] + 1
