"""Winners of pooling windows: where the graph's gradient goes is what is marked."""

from __future__ import annotations

import numpy as np
import pytest
from viz.views.models import cnn, find, images, values

import minigrad as mg
from minigrad.viz import pooling_winners

RNG = np.random.default_rng(0)


def marks(ax):
    """marker -> the places (column, row) that bear it"""
    return {line.get_marker(): line.get_xydata() for line in ax.lines}


@pytest.mark.parametrize("options", [(2,), (3, 2, 1), (2, 3), ((3, 2), 1)], ids=str)
def test_the_winners_are_where_the_gradient_goes(options):
    x = mg.Variable(RNG.normal(size=(2, 3, 8, 7)))
    node = mg.max_pool2d(x, *options)
    before = values(node)
    made = pooling_winners(node, 1, 2)
    n = made.numbers
    assert np.array_equal(n["input"][n["rows"], n["columns"]], n["pooled"])
    assert np.array_equal(n["pooled"], node.value[1, 2])
    assert values(node) == before
    seed = np.zeros(node.shape)
    seed[1, 2] = 1
    node.backward(seed)
    expected = np.zeros((8, 7))
    np.add.at(expected, (n["rows"], n["columns"]), 1)
    assert np.array_equal(x.grad[1, 2], expected)


def test_the_marks_lie_on_the_winners():
    node = mg.max_pool2d(mg.Variable([[[[0.0, 9.0, 0.0, 0.0], [1.0, 2.0, 0.0, 0.0]]]]), 2)
    made = pooling_winners(node)
    page = made.axes[0]
    left, right, _, top = page.images[0].get_extent()
    assert (left, right, top) == (0, 4, 0)
    places = {kind: xy.tolist() for kind, xy in marks(page).items()}
    assert places == {
        "o": [[pytest.approx(1.5), pytest.approx(0.5)]],
        ".": [[pytest.approx(2.5), pytest.approx(0.5)]],
    }
    assert made.numbers["tied"].tolist() == [[False, True]]
    assert "in 1 window it is only the first of equals" in made.description


def test_a_sequence():
    values = np.array([1.0, 5.0, 0.0, 0.0, 2.0, -1.0])
    made = pooling_winners(mg.max_pool1d(mg.Variable(values[None, None]), 2))
    upper, lower = made.axes
    assert marks(upper)["v"][:, 0].tolist() == [1, 4] and marks(upper)["."][:, 0].tolist() == [2]
    assert [bar.get_height() for bar in upper.patches if bar.get_width() == 0.8][
        :6
    ] == values.tolist()
    assert made.numbers["pooled"].tolist() == [[5.0, 0.0, 2.0]]
    assert [bar.get_height() for bar in lower.patches] == [5.0, 0.0, 2.0]


def test_wrong_nodes():
    head = cnn()(images())
    with pytest.raises(ValueError, match="a node of max_pool1d, max_pool2d was expected"):
        pooling_winners(mg.avg_pool2d(mg.Variable(np.ones((1, 1, 4, 4))), 2))
    with pytest.raises(ValueError, match="channel=4; 0 to 3"):
        pooling_winners(find(head, "max_pool2d"), 0, 4)
    with pytest.raises(TypeError, match="pooling_winners: a NoneType"):
        pooling_winners(None)
