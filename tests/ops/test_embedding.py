"""Embedding: which ids are ids."""

import numpy as np
import pytest
from oracle import gradients

import minigrad as mg
from minigrad import nn
from minigrad.ops.kernel import is_small

TABLE = np.arange(12.0).reshape(4, 3)


def test_repeated_ids_collect():
    (grad,) = gradients(lambda w: mg.embedding([[1, 1], [3, 1]], w), TABLE)
    np.testing.assert_array_equal(grad, np.repeat([[0], [3], [0], [1]], 3, 1))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, ">i8", ">u2"])
def test_any_integer_dtype(dtype):
    ids = np.array([2, 0], dtype)
    np.testing.assert_array_equal(mg.embedding(ids, TABLE).value, TABLE[ids])
    np.testing.assert_array_equal(
        mg.embedding(mg.Constant(ids, dtype=dtype), TABLE).value, TABLE[ids]
    )


@pytest.mark.parametrize("ids", [[], np.zeros((0, 2), int), 3, [[1, 2], [3, 0]]])
def test_any_shape_of_ids(ids):
    assert mg.embedding(ids, TABLE).shape == (*np.shape(ids), 3)


@pytest.mark.parametrize("wrong", [4, -1])
def test_ids_out_of_range(wrong):
    """NumPy would count -1 from the end; a graph that runs again looks at its new ids, too."""
    with pytest.raises(
        IndexError, match=rf"embedding: shapes \(2,\) and \(4, 3\); id {wrong} is out of range"
    ):
        mg.embedding([0, wrong], TABLE)
    ids = mg.Constant([0, 1], dtype=np.int64)
    graph = mg.Graph(mg.embedding(ids, TABLE))
    ids.value = [0, wrong]
    with pytest.raises(IndexError, match=f"id {wrong}"):
        graph.forward()
    ids.value = [0, 3]
    np.testing.assert_array_equal(graph.forward(), TABLE[[0, 3]])


def test_the_row_for_padding_stays_as_it_is():
    layer = nn.Embedding(4, 2, padding_idx=-3, seed=0)
    assert (
        not layer.weight.value[1].any()
        and layer.weight.value[0].all()
        and "padding_idx=-3" in repr(layer)
    )
    layer(np.array([0, 1, 1, 3])).backward(np.ones((4, 2)))
    np.testing.assert_array_equal(layer.weight.grad, [[1, 1], [0, 0], [0, 0], [1, 1]])
    for make in (
        lambda: nn.Embedding(4, 2, padding_idx=4),
        lambda: mg.embedding([0], np.ones((4, 2)), padding_idx=4),
    ):
        with pytest.raises(ValueError, match="mbedding: .*padding_idx=4"):
            make()


@pytest.mark.parametrize("count", [10, 6_000])
def test_threads_are_called_for_many_ids_and_not_for_a_large_table(count):
    weight = np.random.default_rng(0).normal(size=(6_000, 50))
    ids = np.arange(count)[::-1]
    y = mg.embedding(ids, weight)
    assert is_small(y) == (count == 10)
    np.testing.assert_array_equal(y.value, weight[ids].astype(y.dtype))
