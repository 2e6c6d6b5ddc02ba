"""Normalisation and dropout beyond the table: running statistics, modes, masks, and that looking
changes nothing.
"""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.kernels.random import mask_reference

RNG = np.random.default_rng(0)
X = RNG.normal(2, 3, size=(6, 3, 4, 5)).astype(np.float32)


def statistics(dtype=np.float32):
    return (
        nn.Buffer(np.zeros(3), dtype=dtype),
        nn.Buffer(np.ones(3), dtype=dtype),
        nn.Buffer(0, dtype=np.int64),
    )


def test_running_statistics_move_once_for_each_pass_of_training():
    mean, var, batches = statistics()
    x = mg.Constant(X)
    y = mg.batch_norm(x, mean, var, training=True, momentum=0.25, num_batches_tracked=batches)
    graph = mg.Graph(y)
    expected_mean, expected_var = np.zeros(3), np.ones(3)
    for i in range(3):
        flat = x.value.transpose(1, 0, 2, 3).reshape(3, -1).astype(np.float64)
        expected_mean += 0.25 * (flat.mean(1) - expected_mean)
        expected_var += 0.25 * (flat.var(1, ddof=1) - expected_var)
        np.testing.assert_allclose(mean.value, expected_mean, rtol=1e-5)
        np.testing.assert_allclose(var.value, expected_var, rtol=1e-5)
        assert batches.value == i + 1
        x.value = X * (i + 2)
        graph.forward()


def test_evaluation_reads_the_running_statistics_of_the_moment():
    mean, var, _ = statistics()
    graph = mg.Graph(mg.batch_norm(X, mean, var, eps=0))
    np.testing.assert_array_equal(graph.head.value, X)
    mean.value, var.value = [1, 2, 3], [4, 4, 4]
    expected = (X - np.array([1, 2, 3]).reshape(1, 3, 1, 1)) / 2
    np.testing.assert_allclose(graph.forward(), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(mean.value, [1, 2, 3])


def test_no_gradients_and_looking_do_not_count():
    mean, var, batches = statistics()
    w = mg.Variable(np.ones(3))
    drop = nn.Dropout(seed=0)
    with mg.no_grad():
        mg.batch_norm(X, mean, var, w, training=True, num_batches_tracked=batches)
    assert batches.value == 1
    y = mg.mean(
        drop(mg.batch_norm(X, mean, var, w, training=True, num_batches_tracked=batches)) ** 2
    )
    told = []
    y.inputs[0].register_forward_hook(lambda node, value: told.append(node))
    y.backward()
    y.backward()
    kept = mean.value.copy(), var.value.copy()
    assert (
        mg.draw(y).svg
        and str(mg.viz.trace(y))
        and mg.viz.play(y)
        and mg.viz.profile(y, repeats=1).rows
    )
    assert mg.Graph(y).snapshot() and mg.kernel_info(y.inputs[0].inputs[0])["kept"]
    assert batches.value == 2 and drop.stream.value[1] == 1 and not told
    np.testing.assert_array_equal(mean.value, kept[0])
    np.testing.assert_array_equal(var.value, kept[1])


@pytest.mark.parametrize("training", [True, False])
def test_operations_are_counted(training):
    mean, var, _ = statistics()
    node = mg.batch_norm(X, mean, var, training=training)
    assert mg.kernel_info(node)["flops"] == (7 if training else 3) * X.size
    node = mg.layer_norm(X, (4, 5), np.ones((4, 5)), np.ones((4, 5)))
    assert mg.kernel_info(node)["flops"] == 8 * X.size
    np.testing.assert_allclose(node.work["mean"].reshape(6, 3), X.mean((2, 3)), rtol=1e-5)
    np.testing.assert_allclose(node.work["var"].reshape(6, 3), X.var((2, 3)), rtol=1e-5)


def test_a_bias_without_a_weight():
    bias = mg.Variable([1.0, 2.0, 3.0])
    y = mg.batch_norm(X, None, None, None, bias, True)
    np.testing.assert_allclose(y.value.mean((0, 2, 3)), [1, 2, 3], atol=1e-5)
    np.testing.assert_allclose(
        mg.layer_norm(X, 5, bias=np.arange(5.0)).value.mean(axis=-1), 2, atol=1e-5
    )


# ---------------- dropout
def test_a_mask_is_decided_by_its_seed_and_scaled():
    x = mg.Variable(np.full((50, 40), 3.0))
    y = mg.dropout(x, 0.2, seed=5)
    mask = mask_reference(2000, 5, 1, 0.2).reshape(50, 40)
    np.testing.assert_allclose(y.value, 3 * mask, rtol=1e-6)
    assert set(np.unique(y.value)) == {0.0, 3.75}
    kept = mg.kernel_info(y)["kept"]
    assert kept == np.count_nonzero(mask) / 2000 and abs(kept - 0.8) < 0.05
    assert (
        f"kept {100 * kept:.0f} %" in mg.draw(y).svg and "kept" not in mg.draw(y, values=False).svg
    )
    np.testing.assert_array_equal(mg.dropout(x, 0.2, seed=5).value, y.value)
    assert (mg.dropout(x, 0.2, seed=6).value != y.value).any()
    assert np.isnan(mg.kernel_info(mg.dropout(np.zeros((0, 2))))["kept"])


def test_a_graph_that_runs_again_draws_again_and_goes_back_through_the_same_mask():
    x = mg.Variable(np.ones((30, 30)))
    graph = mg.Graph(mg.sum(mg.dropout(x, 0.5, seed=1)))
    for draw in (1, 2, 3):
        if draw > 1:
            graph.zero_grad()
            graph.forward()
        graph.backward()
        np.testing.assert_array_equal(x.grad, mask_reference(900, 1, draw, 0.5).reshape(30, 30))


def test_evaluation_is_x_itself():
    x = mg.Variable([1.0, 2.0])
    assert mg.dropout(x, training=False) is x and mg.dropout(x, 0.5, False) is x
    np.testing.assert_array_equal(mg.dropout([1.0, 2.0], training=False).value, [1, 2])


def test_nothing_and_everything_dropped():
    x = mg.Variable([1.0, -2.0, 3.0])
    np.testing.assert_array_equal(mg.dropout(x, 0).value, x.value)
    y = mg.sum(mg.dropout(x, 1.0))
    y.backward()
    assert y == 0 and not x.grad.any()


def test_without_a_seed_the_librarys_generator_decides():
    x = np.ones(200)
    mg.manual_seed(3)
    first, second = mg.dropout(x).value, mg.dropout(x).value
    assert (first != second).any()
    mg.manual_seed(3)
    np.testing.assert_array_equal(mg.dropout(x).value, first)
    given = [mg.dropout(x, seed=np.random.default_rng(4)).value for _ in range(2)]
    np.testing.assert_array_equal(*given)


def test_nan_and_inf_stay_to_be_seen():
    with np.errstate(invalid="ignore"):
        y = mg.dropout([np.nan, np.inf] * 50, seed=0).value
    assert np.isnan(y[::2]).all() and not np.isfinite(y[1::2]).any()
