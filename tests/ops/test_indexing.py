"""Indices of every kind, and who owns them."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices, integer_array_indices
from oracle import gradients

import minigrad as mg
from minigrad import nn
from minigrad.ops.kernel import is_small

keys = array_shapes(max_dims=3, max_side=4).flatmap(
    lambda shape: st.tuples(
        st.just(shape),
        basic_indices(shape, allow_newaxis=True) | integer_array_indices(shape, dtype=np.int64),
    )
)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(keys)
def test_any_index(shape_and_key):
    """x[key] is NumPy's; each entry's gradient is the sum of the cotangents of the places it was
    copied to.
    """
    shape, key = shape_and_key
    x = np.arange(np.prod(shape), dtype=float).reshape(shape)
    y = np.asarray(x[key])
    g = np.arange(1.0, y.size + 1).reshape(y.shape)
    node = mg.Variable(x, dtype=np.float64)
    picked = node[key]
    picked.backward(g)
    np.testing.assert_array_equal(picked.value, y)
    np.testing.assert_array_equal(
        node.grad.ravel(), np.bincount(y.astype(int).ravel(), g.ravel(), minlength=x.size)
    )


KINDS = [[0, 0, 1], (0, 0, 1), np.int64(1), True, mg.Constant([0, 1], dtype=np.int64), []]


@pytest.mark.parametrize("key", KINDS, ids=str)
def test_index_kinds(key):
    """Lists, tuples, NumPy integers, booleans, integer nodes, nothing."""
    x = np.arange(8.0).reshape(2, 2, 2)
    same = (
        key.value
        if isinstance(key, mg.GraphNode)
        else np.array(key, int)
        if isinstance(key, list)
        else key
    )
    np.testing.assert_array_equal(mg.Constant(x)[key].value, x[same])


def test_repeated_index_accumulates():
    (grad,) = gradients(lambda x: x[[0, 0, 1]], np.ones(3))
    np.testing.assert_array_equal(grad, [2, 1, 0])


def test_index_by_a_comparison():
    (grad,) = gradients(lambda x: x[x > 1], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(grad, [0, 1, 1])


def test_slices_add_into_one_gradient():
    """A thousand slices of one array need the gradient once, not a thousand arrays of its size."""
    x = mg.Variable(np.ones((1000, 50)))
    total = sum((x[t] * t for t in range(1000)), start=mg.Constant(0.0)).sum()
    tracemalloc.start()
    total.backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(x.grad, np.repeat(np.arange(1000.0)[:, None], 50, 1))
    assert peak < 20 * x.value.nbytes


def test_index_belongs_to_the_graph():
    x, key = mg.Variable([1.0, 2.0, 3.0]), np.array([0, 1])
    y = x[key]
    key[:] = 2
    y.backward([1, 1])
    np.testing.assert_array_equal(x.grad, [1, 1, 0])
    np.testing.assert_array_equal(mg.Graph(y).forward(), [1, 2])


def test_an_index_that_is_a_node_is_read_anew_in_every_run():
    x, ids = mg.Variable(np.arange(6.0).reshape(3, 2)), mg.Constant([0, 2], dtype=np.int64)
    graph = mg.Graph(x[ids, 1:])
    np.testing.assert_array_equal(graph.forward(), [[1], [5]])
    ids.value = [1, 1]
    np.testing.assert_array_equal(graph.forward(), [[3], [3]])
    graph.backward(np.ones((2, 1)))
    np.testing.assert_array_equal(x.grad, [[0, 0], [0, 2], [0, 0]])
    ids.value = [1, 3]
    with pytest.raises(
        IndexError, match=r"getitem: shapes \(3, 2\) and \(2,\); .*3 is out of range"
    ):
        graph.forward()


@pytest.mark.parametrize(
    "look",
    [
        lambda x, i: x[..., i],
        lambda x, i: x[None, :, :, i],
        lambda x, i: x[:, :, i],
        lambda x, i: x[..., i, None],
    ],
)
def test_an_index_that_is_a_node_belongs_to_its_axis(look):
    x, ids = np.arange(8.0).reshape(2, 1, 4), np.array([3, -4, 1])
    found = look(mg.Variable(x), mg.Constant(ids, dtype=np.int64))
    np.testing.assert_array_equal(found.value, look(x, ids))
    with pytest.raises(
        IndexError,
        match=r"getitem: shapes \(2, 1, 4\).* index 4 is out of bounds for axis 2 with size 4",
    ):
        look(mg.Variable(x), mg.Constant([4], dtype=np.int64))


def test_a_mask_that_picks_another_shape_in_a_later_run_is_refused():
    x = mg.Variable([1.0, 2.0, 3.0])
    graph = mg.Graph(x[x > 1])
    x.value = [3.0, 0.0, 2.0]
    np.testing.assert_array_equal(graph.forward(), [3, 2])
    x.value = [0.0, 0.0, 2.0]
    with pytest.raises(
        mg.ShapeError, match=r"getitem: .*picks shape \(1,\), \(2,\) when the graph was built"
    ):
        graph.forward()


@pytest.mark.parametrize("dtype", [">i8", ">i4", ">u2"])
def test_whole_numbers_in_the_other_byte_order(dtype):
    """As they come out of files; nodes hold them in this machine's."""
    ids, x = np.array([2, 0, 2], dtype), mg.Variable(np.eye(3))
    for index in (ids, mg.Constant(ids, dtype=dtype)):
        picked = x[index]
        np.testing.assert_array_equal(picked.value, np.eye(3)[ids])
        assert all(node.dtype.isnative for node in picked.inputs)
    assert mg.Constant(ids, dtype=dtype).dtype == np.dtype(dtype).newbyteorder("=")
    assert mg.Variable([1.0], dtype=">f8").dtype == np.float64
    np.testing.assert_allclose(mg.cross_entropy(np.zeros((3, 4)), ids).value, np.log(4), rtol=1e-6)


# ---------------- Embedding: which ids are ids
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
