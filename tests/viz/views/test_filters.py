"""Filters and feature maps: the numbers that are drawn are those of the layer and of the graph."""

from __future__ import annotations

import numpy as np
import pytest
from viz.views.models import cnn, find, images, text_model, values

import minigrad as mg
from minigrad import nn
from minigrad.viz import feature_maps, filters


def drawn(figure):
    """The arrays of all images."""
    return [np.asarray(image.get_array()) for ax in figure.axes for image in ax.images]


def texts(figure):
    """All texts and titles, without line ends."""
    found = [text.get_text() for ax in figure.axes for text in ax.texts]
    return [text.strip() for text in found + [ax.get_title("left") for ax in figure.axes]]


def test_one_channel_is_drawn_filter_by_filter_with_its_numbers():
    layer = nn.Conv2d(1, 4, 3, seed=0)
    made = filters(layer)
    assert np.array_equal(drawn(made), layer.weight.value[:, 0])
    images = made.axes[0].images
    limits = {(image.norm.vmin, image.norm.vmax) for image in images}
    largest = float(np.abs(layer.weight.value).max())
    assert limits == {(-largest, largest)}
    assert set(texts(made)) >= {f"{abs(x):.2f}"[1:] for x in layer.weight.value.ravel() if x > 0}
    assert np.array_equal(made.numbers["weight"], layer.weight.value)
    assert made.description.startswith("4 filters of 1 × 3 × 3. Weights from -0.")


def test_several_channels_are_rows():
    weight = mg.Variable(np.random.default_rng(0).normal(size=(5, 3, 2, 2)))
    made = filters(weight)
    assert np.array_equal(drawn(made), weight.value.swapaxes(0, 1).reshape(15, 2, 2))


def test_a_text_filter_is_a_map():
    model = text_model()
    assert np.array_equal(drawn(filters(model.conv)), model.conv.weight.value)


def test_negative_cells_bear_a_sign_where_there_is_no_room_for_numbers():
    weight = np.random.default_rng(0).normal(size=(16, 9, 9))[:, None]
    signs = sum(len(marks.get_offsets()) for marks in filters(weight).axes[0].collections)
    assert signs == (weight < -0.04 * np.abs(weight).max()).sum() > 100


def test_of_many_filters_the_first_are_drawn_and_it_is_said():
    weight = np.random.default_rng(0).normal(size=(40, 20, 3, 3))
    made = filters(weight)
    assert len(drawn(made)) == 32 * 16
    assert "the first 32 × 16 shown" in made.description
    assert made.numbers["weight"].shape == weight.shape


@pytest.mark.parametrize(
    "weight", [np.zeros((2, 1, 3, 3)), np.full((1, 1, 1), np.nan), np.full((2, 1, 3, 3), 1e30)]
)
def test_odd_weights_are_drawn(weight):
    assert filters(weight)._repr_png_()


def test_what_has_no_filters():
    with pytest.raises(TypeError, match=r"filters: a Sequential; .* such as its '0' or '3'"):
        filters(cnn())
    with pytest.raises(TypeError, match="filters: a str; a convolution or its weight was expected"):
        filters("x")
    with pytest.raises(mg.ShapeError, match=r"a weight of shape \(2, 3\); \(out, C, KH, KW\)"):
        filters(nn.Linear(3, 2))
    with pytest.raises(mg.ShapeError, match=r"shape \(0, 1, 3, 3\)"):
        filters(np.zeros((0, 1, 3, 3)))


def test_feature_maps_are_the_graphs_numbers():
    model, x = cnn(), images()
    head = model(x)
    before = values(head)
    for rule, which in (("conv2d", 0), ("relu", 1), ("max_pool2d", 0)):
        node = find(head, rule, which)
        made = feature_maps(node, 1)
        assert np.array_equal(drawn(made)[0], x[1, 0])
        assert np.array_equal(drawn(made)[1:], node.value[1])
        assert np.array_equal(made.numbers["maps"], node.value[1])
        assert np.array_equal(made.numbers["input"], x[1])
    assert values(head) == before


def test_feature_maps_of_a_text():
    model = text_model()
    node = find(model(np.array([[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]])), "max_pool1d")
    given, maps = drawn(feature_maps(node))
    assert np.array_equal(maps, node.value[0])
    assert given.shape == (6, 12)


def test_a_dead_channel_is_marked():
    x = np.stack([np.zeros((4, 4)), np.ones((4, 4))])[None]
    made = feature_maps(mg.relu(mg.Variable(x)))
    assert {"0 ∅", "1"} <= set(texts(made))
    assert "1 channel zero everywhere" in made.description


def test_of_many_maps_the_first_are_drawn_and_it_is_said():
    x = np.random.default_rng(0).random((1, 40, 3, 3))
    made = feature_maps(mg.relu(mg.Variable(x)))
    assert len(drawn(made)) == 4 + 32
    said = set(texts(made))
    assert {"relu: 40 × 3 × 3, the first 32 shown", "input, the first 4 of 40 channels"} <= said


def test_what_has_no_maps():
    x = mg.Variable(np.ones((2, 3)))
    with pytest.raises(TypeError, match="is no operator; a node of conv1d, conv2d, relu"):
        feature_maps(x)
    with pytest.raises(TypeError, match="feature_maps: a list; a node of conv1d"):
        feature_maps([1])
    with pytest.raises(ValueError, match="Operator sum"):
        feature_maps(x.sum())
    with pytest.raises(mg.ShapeError, match=r"\(N, C, H, W\) or \(N, C, L\) was expected"):
        feature_maps(mg.relu(x))
    with pytest.raises(ValueError, match="sample=3; 0 to 2 was expected"):
        feature_maps(find(cnn()(images()), "relu"), 3)
    with pytest.raises(TypeError, match="sample=True; an integer was expected"):
        feature_maps(find(cnn()(images()), "relu"), True)
