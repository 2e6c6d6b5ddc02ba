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
        mg.cross_entropy(np.zeros((0, 3)), [], weight=[1.0, 2.0, 3.0]),
        mg.binary_cross_entropy(np.zeros(0), np.zeros(0)),
    ):
        assert np.isnan(loss.item())


def test_a_column_against_a_row_is_refused():
    """Broadcast to (3, 3) it would be a number that means nothing."""
    with pytest.raises(mg.ShapeError, match=r"mse_loss: shapes \(3, 1\) and \(3,\); equal shapes"):
        mg.mse_loss(np.zeros((3, 1)), np.zeros(3))


@pytest.mark.parametrize("options", [{}, {"weight": [1.0, 2.0]}])
@pytest.mark.parametrize("ids", [[[0], [1]], np.eye(2, dtype=int)], ids=["column", "one-hot"])
def test_class_ids_are_one_number_each(ids, options):
    with pytest.raises(mg.ShapeError, match=r"cross_entropy: shapes \(2, 2\) and \(2, [12]\); "):
        mg.cross_entropy(np.zeros((2, 2)), ids, **options)


def test_options_that_do_not_fit_are_named():
    x, ids = np.zeros((2, 3)), [0, 1]
    with pytest.raises(mg.ShapeError, match=r"nll_loss: shapes \(2, 3\) and \(2,\); .*3 classes"):
        mg.nll_loss(x, ids, weight=[1.0, 2.0])
    for loss in (mg.cross_entropy, mg.nll_loss):
        with pytest.raises(ValueError, match=r"reduction='average'; one of mean, sum, none"):
            loss(x, ids, reduction="average")
    with pytest.raises(ValueError, match="kl_div: reduction='batch'; one of mean, .*, batchmean"):
        mg.kl_div(x, x, reduction="batch")
    with pytest.raises(mg.DTypeError, match=r"nll_loss: shapes \(2, 3\); .*int64, floats"):
        mg.nll_loss(mg.Constant(x, dtype=int), ids)
    with pytest.raises(ValueError, match="smooth_l1_loss: beta=-1; a number ≥ 0"):
        mg.smooth_l1_loss(x, x, beta=-1)
    with pytest.raises(mg.ShapeError, match=r"hinge_loss: shapes \(2, 3\) and \(2,\); equal"):
        mg.hinge_loss(x, ids)
    with pytest.raises(mg.ShapeError, match=r"^log_softmax: shapes \(\); an array and one axis"):
        mg.cross_entropy(0.0, 0, reduction="sum")


def test_hinge_loss_is_0_beyond_the_margin():
    x = mg.Variable([2.0, 0.5, -1.0])
    loss = mg.hinge_loss(x, [1.0, 1.0, 1.0])
    loss.backward()
    assert loss.item() == pytest.approx(2.5 / 3)
    np.testing.assert_allclose(x.grad, [0, -1 / 3, -1 / 3], rtol=1e-6)
    assert mg.hinge_loss([-2.0], [-1.0]).item() == 0


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


def test_ids_to_ignore_do_not_count_and_of_none_the_mean_is_not_a_number():
    x, ids = mg.Variable(np.random.default_rng(0).normal(size=(4, 3))), np.array([0, -100, 2, -100])
    loss = mg.cross_entropy(x, ids)
    loss.backward()
    assert not x.grad[[1, 3]].any() and x.grad[[0, 2]].any()
    kept = mg.cross_entropy(x[ids >= 0], ids[ids >= 0])
    assert loss.item() == pytest.approx(kept.item(), rel=1e-6)
    assert np.isnan(mg.cross_entropy(x, [7, 7, 7, 7], ignore_index=7).item())


@pytest.mark.parametrize("wrong", [3, -1, -100])
def test_other_ids_of_no_class_are_refused(wrong):
    with pytest.raises(IndexError, match=rf"class id {wrong} is out of range, 0 to 2"):
        mg.cross_entropy(np.zeros((2, 3)), [7, wrong], ignore_index=7)


def test_classes_that_do_not_count_may_have_no_probability():
    """A class that is masked out has the logit -inf, which is 0 · inf in a sum over all classes."""
    x = mg.Variable([[0.0, -np.inf, 0.0], [0.0, 0.0, -np.inf]])
    with np.errstate(invalid="ignore"):
        loss = mg.cross_entropy(x, [0, 1], weight=[1.0, 2.0, 3.0])
    assert loss.item() == pytest.approx(np.log(2))
