"""Convolution: what its table of cases cannot say."""

import subprocess
import sys

import numba
import numpy as np
import pytest
from oracle import gradients

import minigrad as mg


def test_tail_that_the_stride_leaves_over_gets_no_gradient():
    (gx, _) = gradients(
        lambda x, w: mg.conv2d(x, w, stride=2), np.ones((1, 1, 4, 6)), np.ones((1, 1, 3, 3))
    )
    assert not gx[:, :, 3:].any() and not gx[..., 5:].any() and gx[:, :, :3, :5].all()


def test_padding_beyond_the_kernel_gives_the_bias():
    y = mg.conv2d(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)), [7.0], padding=3).value[0, 0]
    assert y.shape == (7, 7) and (y[:2] == 7).all() and (y[-2:] == 7).all() and y[3, 3] == 11


def test_empty_batch_leaves_a_weight_gradient_of_zeros():
    gx, gw, gb = gradients(mg.conv2d, np.zeros((0, 2, 4, 4)), np.ones((3, 2, 2, 2)), np.ones(3))
    assert gx.shape == (0, 2, 4, 4) and gw.shape == (3, 2, 2, 2) and not gw.any() and not gb.any()


def test_groups_are_convolutions_side_by_side():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 4, 5, 5)), rng.normal(size=(6, 2, 3, 3))
    whole = mg.conv2d(x, w, groups=2).value
    halves = [mg.conv2d(x[:, 2 * k : 2 * k + 2], w[3 * k : 3 * k + 3]).value for k in (0, 1)]
    np.testing.assert_array_equal(whole, np.concatenate(halves, 1))


def test_conv1d_is_conv2d_of_height_one():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 3, 9)), rng.normal(size=(4, 3, 3))
    one = mg.conv1d(x, w, stride=2, padding=1, dilation=2).value
    two = mg.conv2d(
        x[:, :, None], w[:, :, None], stride=(1, 2), padding=(0, 1), dilation=(1, 2)
    ).value
    np.testing.assert_array_equal(one, two[:, :, 0])


@pytest.mark.parametrize("layout", [lambda g: g.transpose(0, 1, 3, 2), lambda g: g[..., ::-1]])
def test_cotangent_in_any_layout(layout):
    rng = np.random.default_rng(0)
    x, w, g = (
        rng.normal(size=(2, 3, 5, 5)),
        rng.normal(size=(4, 3, 2, 2)),
        layout(rng.normal(size=(2, 4, 4, 4))),
    )
    for one, other in zip(
        gradients(mg.conv2d, x, w, seed=g), gradients(mg.conv2d, x, w, seed=g.copy()), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_nan_and_infinity_stay_where_they_are():
    x = np.ones((1, 1, 3, 9))
    x[0, 0, 1, 1], x[0, 0, 1, 7] = np.nan, np.inf
    y = mg.conv2d(x, np.ones((1, 1, 3, 3))).value[0, 0, 0]
    np.testing.assert_array_equal(y, [np.nan, np.nan, 9, 9, 9, np.inf, np.inf])


STEP = """
import numpy as np, minigrad as mg
from minigrad.kernels.simd import symbols
model = mg.nn.Sequential(mg.nn.Conv2d(1, 2, 3, bias=False), mg.nn.Flatten())
trainer = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1))
trainer.fit(np.ones((4, 1, 5, 5)), np.zeros((4, 18)), epochs=1, batch_size=2, progress=False)
print(*(symbol.partition("(")[0].rpartition(".")[2] for symbol in symbols._known))
"""


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_a_gradient_that_nobody_asks_for_is_not_compiled():
    """Of a first layer that is the picture's, whose code is the longest of the way back."""
    compiled = subprocess.run(
        [sys.executable, "-c", STEP], capture_output=True, encoding="utf-8", check=True
    ).stdout.split()
    assert "_weights_back" in compiled and not {"_picture_back", "_roll", "_turn"} & {*compiled}
