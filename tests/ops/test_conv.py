"""Convolution: what its table of cases cannot say."""

import subprocess
import sys
from functools import partial

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
    assert "weights_back" in compiled and not {"picture_back", "_flip"} & {*compiled}


# ---------------- Pooling: ties, padding, NaN and overlapping windows
NAN, INF = np.nan, np.inf


def picture(*rows):
    return np.array(rows, float)[None, None]


def test_the_first_of_equals_wins():
    (grad,) = gradients(lambda x: mg.max_pool2d(x, 2), np.ones((1, 1, 4, 4)))
    np.testing.assert_array_equal(grad[0, 0], [[1, 0, 1, 0], [0, 0, 0, 0]] * 2)


def test_overlapping_windows_add_up():
    (grad,) = gradients(
        lambda x: mg.max_pool2d(x, 2, stride=1), picture([0, 0, 0], [0, 9, 0], [0, 0, 0])
    )
    np.testing.assert_array_equal(grad[0, 0], [[0, 0, 0], [0, 4, 0], [0, 0, 0]])


def test_padding_never_wins_a_maximum_but_counts_in_a_mean():
    x = picture([-1, -2], [-3, -4])
    np.testing.assert_array_equal(mg.max_pool2d(x, 2, padding=1).value[0, 0], [[-1, -2], [-3, -4]])
    np.testing.assert_array_equal(
        mg.avg_pool2d(x, 2, padding=1).value[0, 0], [[-0.25, -0.5], [-0.75, -1]]
    )


@pytest.mark.parametrize(
    ("window", "largest", "winner"),
    [
        ([1, NAN, 3, 2], NAN, 1),
        ([NAN, NAN, 3, NAN], NAN, 3),
        ([-INF] * 4, -INF, 0),
        ([1, INF, INF, 2], INF, 1),
    ],
)
def test_nan_and_infinity(window, largest, winner):
    """NaN wins, the last of several, as in PyTorch; a window of -inf has a winner all the same."""
    x = mg.Variable(np.reshape(window, (1, 1, 2, 2)))
    y = mg.max_pool2d(x, 2)
    y.backward(np.ones((1, 1, 1, 1)))
    np.testing.assert_array_equal(y.value.item(), largest)
    np.testing.assert_array_equal(x.grad.ravel(), np.eye(4)[winner])
    assert y.work["winners"].item() == winner


def test_tail_that_the_stride_leaves_over_gets_no_gradient_pool():
    for pool in (mg.max_pool2d, mg.avg_pool2d):
        (grad,) = gradients(lambda x, pool=pool: pool(x, 2), np.ones((1, 1, 3, 5)))
        assert not grad[..., 2:, :].any() and not grad[..., 4:].any() and grad.sum() == 2


def test_cotangent_in_any_layout_pool():
    x, g = (
        np.random.default_rng(0).normal(size=(2, 3, 4, 6)),
        np.random.default_rng(1).normal(size=(2, 3, 3, 2)),
    )
    for pool in (mg.max_pool2d, mg.avg_pool2d):
        turned = gradients(lambda x, pool=pool: pool(x, 2), x, seed=g.transpose(0, 1, 3, 2))
        plain = gradients(lambda x, pool=pool: pool(x, 2), x, seed=g.transpose(0, 1, 3, 2).copy())
        np.testing.assert_array_equal(turned[0], plain[0])


def windows(x, k, s, p, ceil_mode):
    """The entries of each window, with None for padding, by PyTorch's definition."""
    n = len(x)
    count = int((np.ceil if ceil_mode else np.floor)((n + 2 * p - k) / s)) + 1
    count -= ceil_mode and (count - 1) * s >= n + p
    padded = [None] * p + list(x) + [None] * p
    return [padded[i * s : i * s + k] for i in range(count)]


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(
    ("n", "k", "s", "p"),
    [
        (5, 2, 2, 0),
        (6, 3, 2, 1),
        (7, 3, 3, 1),
        (5, 2, 3, 1),
        (8, 4, 3, 2),
        (4, 2, 2, 0),
    ],
)
def test_windows_at_the_edge(n, k, s, p, ceil_mode):
    """A last window that begins before the padding behind, whether or not padding counts in a
    mean.
    """
    x = np.random.default_rng(0).normal(size=n) - 3
    parts = windows(x, k, s, p, ceil_mode)
    kept = [[v for v in part if v is not None] for part in parts]
    for rows in (1, 2):
        pools = (mg.max_pool1d, mg.avg_pool1d) if rows == 1 else (mg.max_pool2d, mg.avg_pool2d)
        size, stride, pad = (k, s, p) if rows == 1 else ((1, k), (1, s), (0, p))
        given = mg.Constant(
            np.stack([x] * rows)[None, None] if rows == 2 else x[None, None], dtype=np.float64
        )
        options = {"stride": stride, "padding": pad, "ceil_mode": ceil_mode}
        for pool, more, expected in (
            (pools[0], {}, [max(part) for part in kept]),
            (pools[1], {}, [sum(v) / len(part) for v, part in zip(kept, parts, strict=True)]),
            (pools[1], {"count_include_pad": False}, [sum(v) / len(v) for v in kept]),
        ):
            call = partial(pool, kernel_size=size, **options, **more)
            y = call(given)
            np.testing.assert_allclose(y.value[0, 0].reshape(-1, len(parts)), [expected] * rows)
            assert mg.gradcheck(call, [given.value])
