"""A number of a convolution, taken apart: what is drawn adds up to what the graph computed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from viz.views.models import cnn, find, images, values

import minigrad as mg
from minigrad.viz import patch_product

RNG = np.random.default_rng(0)
CASES = [
    dict(zip(("stride", "padding", "dilation", "groups"), case, strict=True))
    for case in itertools.product((1, 2), (0, 2), (1, 2), (1, 2))
]


@pytest.mark.parametrize("options", CASES, ids=str)
def test_products_and_bias_add_up_to_the_graphs_number(options):
    x, b = mg.Variable(RNG.normal(size=(2, 4, 9, 8))), mg.Variable(RNG.normal(size=6))
    node = mg.conv2d(
        x, mg.Variable(RNG.normal(size=(6, 4 // options["groups"], 3, 2))), b, **options
    )
    before = values(node)
    rows, columns = node.shape[2:]
    for at in ((0, 0), (rows - 1, columns - 1), (1, 2)):
        made = patch_product(node, at, sample=1, filter=4)
        n = made.numbers
        assert n["output"] == node.value[(1, 4, *at)]
        assert n["sum"] == pytest.approx(n["output"], rel=1e-5, abs=1e-5)
        assert np.array_equal(n["products"], n["patch"] * n["filter"])
        assert n["bias"] + n["products"].sum() == pytest.approx(n["sum"])
        assert np.array_equal(n["filter"], node.inputs[1].value[4].astype(float))
    assert values(node) == before


def test_a_conv1d_without_bias():
    node = mg.conv1d(
        mg.Variable(RNG.normal(size=(1, 20, 9))),
        mg.Variable(RNG.normal(size=(3, 20, 3))),
        padding=1,
    )
    made = patch_product(node, 0, filter=2)
    assert made.numbers["bias"] == 0
    assert made.numbers["sum"] == pytest.approx(node.value[0, 2, 0], rel=1e-5)
    assert (made.numbers["patch"][:, :, 0] == 0).all(), "the first tap lies in the padding"


def test_the_numbers_stand_in_the_picture():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    node = mg.conv2d(
        mg.Variable(x), mg.Variable([[[[0.5, -0.25], [0.0, 2.0]]]]), mg.Variable([0.125])
    )
    made = patch_product(node, (1, 1))
    said = [text.get_text() for text in made.axes[0].texts]
    assert {
        "5.0",
        "6.0",
        "9.0",
        "10",
        ".50",
        "−.25",
        "0",
        "2.0",
        "2.5",
        "−1.5",
        "20",
        "Σ 21",
    } <= set(said)
    assert said[-1] == "sum of the products 21 + bias 0.125 = 21.1 = conv2d[0, 0, 1, 1]"


def test_of_many_channels_the_rest_is_summed_up():
    node = mg.conv2d(
        mg.Variable(RNG.normal(size=(1, 8, 5, 5))), mg.Variable(RNG.normal(size=(2, 8, 5, 5)))
    )
    made = patch_product(node, (0, 0))
    rest = made.numbers["products"].ravel()[75:]
    assert (
        f"the other 125 products {rest.sum():.3g}".replace("-", "−")
        in made.axes[0].texts[-1].get_text()
    )


@pytest.mark.parametrize(("padding", "hatched"), [(0, 0), (1, 2 * 5)])
def test_padding_is_hatched(padding, hatched):
    node = mg.conv2d(
        mg.Variable(np.ones((1, 1, 5, 5))), mg.Variable(np.ones((1, 1, 3, 3))), padding=padding
    )
    made = patch_product(node, (0, 0))
    grid = sum(patch.get_hatch() is not None for patch in made.axes[0].patches)
    assert grid == 3 * hatched // 2  # in the patch, in its row, and in the row of products


def test_a_large_kernel_is_drawn():
    node = mg.conv2d(mg.Variable(np.ones((1, 1, 40, 40))), mg.Variable(np.ones((1, 1, 11, 11))))
    assert patch_product(node, (3, 4)).numbers["sum"] == 121
    assert patch_product(node, (3, 4))._repr_png_()


def test_wrong_places():
    node = find(cnn()(images()), "conv2d")
    for position, error, message in (
        (3, ValueError, r"position=3; \(row, column\) in a result of \(10, 10\) was expected"),
        ((1, 10), ValueError, "position=10; 0 to 9"),
        ((-1, 0), ValueError, "position=-1; 0 to 9"),
        ((1.0, 0), TypeError, "position=1.0; an integer"),
    ):
        with pytest.raises(error, match=message):
            patch_product(node, position)
    with pytest.raises(ValueError, match="filter=4; 0 to 3"):
        patch_product(node, (0, 0), filter=4)
    with pytest.raises(ValueError, match="sample=5; 0 to 2"):
        patch_product(node, (0, 0), sample=5)
    with pytest.raises(ValueError, match="a node of conv1d, conv2d was expected"):
        patch_product(mg.relu(node), (0, 0))


def test_a_stale_result_is_refused():
    node = find(cnn()(images()), "conv2d")
    node.inputs[1].value += 1
    with pytest.raises(mg.GraphError, match="run forward again"):
        patch_product(node, (0, 0))
