"""Losses: certainty that is wrong, logits far out, targets of the wrong kind."""

import numpy as np
import pytest
from oracle import gradients

import minigrad as mg


def test_cross_entropy_of_far_logits():
    x = mg.Variable([[1000.0, 0.0], [0.0, -1000.0]])
    loss = mg.cross_entropy(x, [1, 0])
    loss.backward()
    assert loss.item() == 500
    np.testing.assert_array_equal(x.grad, [[0.5, -0.5], [0, 0]])


def test_cross_entropy_is_the_mean_of_the_log_softmax():
    x, ids = np.random.default_rng(0).normal(size=(5, 4)), np.array([0, 3, 3, 1, 2])
    fused = gradients(lambda x: mg.cross_entropy(x, ids), x)
    composed = gradients(lambda x: -mg.log_softmax(x)[np.arange(5), ids].mean(), x)
    np.testing.assert_allclose(fused[0], composed[0], atol=1e-15)


def test_nan_and_infinite_logits():
    for row, loss in (
        ([np.nan, 0.0], np.nan),
        ([np.inf, 0.0], np.nan),
        ([-np.inf, 0.0], np.inf),
        ([0.0, -np.inf], 0),
    ):
        np.testing.assert_array_equal(mg.cross_entropy(mg.Constant([row]), [0]).item(), loss)


def test_wrong_certainty_costs_100():
    p = mg.Variable([0.0, 1.0, 0.0, 1.0])
    loss = mg.binary_cross_entropy(p, [1.0, 0.0, 0.0, 1.0])
    loss.backward()
    assert loss.item() == 50
    assert np.isfinite(p.grad).all() and p.grad[0] < 0 < p.grad[1] and not p.grad[2:].any()


def test_logits_far_out():
    x = mg.Variable([-400.0, 400.0, -400.0, 400.0])
    loss = mg.binary_cross_entropy_with_logits(x, [0.0, 1.0, 1.0, 0.0])
    loss.backward()
    assert loss.item() == 200
    np.testing.assert_array_equal(x.grad, [0, 0, -0.25, 0.25])


def test_mean_over_nothing_is_not_a_number():
    for loss in (
        mg.mse_loss(np.zeros(0), np.zeros(0)),
        mg.cross_entropy(np.zeros((0, 3)), []),
        mg.binary_cross_entropy(np.zeros(0), np.zeros(0)),
    ):
        assert np.isnan(loss.item())


def test_a_column_against_a_row_is_refused():
    """Broadcast to (3, 3) it would be a number that means nothing."""
    with pytest.raises(mg.ShapeError, match=r"mse_loss: shapes \(3, 1\) and \(3,\); equal shapes"):
        mg.mse_loss(np.zeros((3, 1)), np.zeros(3))


@pytest.mark.parametrize("ids", [[[0], [1]], np.eye(2)], ids=["column", "one-hot"])
def test_class_ids_are_one_number_each(ids):
    with pytest.raises(mg.ShapeError, match="cross_entropy"):
        mg.cross_entropy(np.zeros((2, 2)), ids)


@pytest.mark.parametrize("wrong", [2, -1])
def test_class_ids_out_of_range(wrong):
    with pytest.raises(
        IndexError, match=rf"cross_entropy: shapes \(2, 2\) and \(2,\); class id {wrong}"
    ):
        mg.cross_entropy(np.zeros((2, 2)), [0, wrong])


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_label_smoothing_is_the_loss_against_softened_targets(share):
    x, ids = np.random.default_rng(0).normal(size=(5, 4)), np.array([0, 3, 3, 1, 2])
    targets = np.eye(4)[ids] * (1 - share) + share / 4
    smoothed = gradients(lambda x: mg.cross_entropy(x, ids, label_smoothing=share), x)
    composed = gradients(lambda x: -(mg.log_softmax(x) * targets).sum(axis=1).mean(), x)
    np.testing.assert_allclose(smoothed[0], composed[0], atol=1e-15)
    with pytest.raises(ValueError, match="cross_entropy: .*; label_smoothing=2"):
        mg.cross_entropy(x, ids, label_smoothing=2)


def test_ids_to_ignore_are_left_out_before_the_loss():
    """PyTorch's ignore_index is not offered: the id is refused; a mask leaves rows out, and of none
    the mean is NaN.
    """
    x, ids = mg.Variable(np.random.default_rng(0).normal(size=(4, 3))), np.array([0, -100, 2, -100])
    with pytest.raises(IndexError, match="class id -100 is out of range"):
        mg.cross_entropy(x, ids)
    mg.cross_entropy(x[ids >= 0], ids[ids >= 0]).backward()
    assert not x.grad[[1, 3]].any() and x.grad[[0, 2]].any()
    assert np.isnan(mg.cross_entropy(x[ids > 5], ids[ids > 5]).item())
