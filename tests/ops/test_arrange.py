"""NumPy's functions that copy, turn, pick and order: what NumPy's give, with gradients."""

import numpy as np
import pytest
from arranged import CALLS, PLACES

import minigrad as mg
from minigrad.run.batch import separable

X = np.random.default_rng(0).normal(size=(2, 3, 4))


@pytest.mark.parametrize("call", CALLS)
def test_as_numpy_does(call):
    expected, x = call(np, X), mg.Variable(X, dtype=np.float64)
    for module in (mg, np):  # by our name and by NumPy's
        y = call(module, x)
        assert isinstance(y, mg.GraphNode) and y.requires_grad and y.dtype == np.float64
        np.testing.assert_array_equal(y.value, expected)
    assert mg.gradcheck(lambda x: call(mg, x), [X])


@pytest.mark.parametrize("call", CALLS)
def test_nothing_of_it_is_fixed_when_the_graph_runs_again(call):
    x = mg.Variable(X, dtype=np.float64)
    graph = mg.Graph(call(mg, x))
    x.value = -X[:, ::-1]
    np.testing.assert_array_equal(graph.forward(), call(np, -X[:, ::-1]))


def test_ties_and_nan_are_ordered_as_numpys_stable_sort_does():
    x = np.array([[1.0, 0.0, np.nan, 0.0, -np.inf], [2.0, 2.0, 2.0, 1.0, 1.0]])
    np.testing.assert_array_equal(mg.argsort(x).value, np.argsort(x, kind="stable"))
    np.testing.assert_array_equal(mg.argsort(x, None).value, np.argsort(x, None, kind="stable"))
    np.testing.assert_array_equal(np.sort(mg.Constant(x)).value, np.sort(x))


def test_indices_that_are_nodes_pick_anew_in_each_run():
    x, ids = mg.Variable(X[0], dtype=np.float64), mg.Constant(PLACES[0], dtype=np.int64)
    graph = mg.Graph(np.take_along_axis(x, ids, axis=0))
    ids.value = [[1, 1, 1, 0]]
    np.testing.assert_array_equal(
        graph.forward(), np.take_along_axis(X[0], np.array([[1, 1, 1, 0]]), 0)
    )
    graph = mg.Graph(np.take(x, ids, axis=1))
    np.testing.assert_array_equal(graph.forward(), np.take(X[0], [[1, 1, 1, 0]], axis=1))


def test_what_depends_on_the_shape_only_is_constant():
    x = mg.Variable(X, dtype=np.float64)
    for y, expected in (
        (np.zeros_like(x), np.zeros_like(X)),
        (np.ones_like(x, dtype=np.float32), np.ones_like(X, np.float32)),
        (np.full_like(x, 7), np.full_like(X, 7)),
    ):
        assert isinstance(y, mg.Constant) and y.dtype == expected.dtype
        np.testing.assert_array_equal(y.value, expected)
    filled = mg.full_like(x, mg.Variable(3.0, dtype=np.float64))
    assert filled.requires_grad and (filled.value == 3).all()


def test_remainders_and_whole_quotients():
    a, b = np.array([5.5, -5.5, 1.0, 7.0]), np.array([2.0, 2.0, 0.1, -3.0])
    x, y = mg.Variable(a, dtype=np.float64), mg.Variable(b, dtype=np.float64)
    np.testing.assert_array_equal((x % y).value, a % b)
    np.testing.assert_array_equal((x // y).value, a // b)
    np.testing.assert_array_equal(np.mod(7, y).value, 7 % b)
    assert not (x // y).requires_grad
    (x % y).backward(np.ones(4))
    np.testing.assert_array_equal(x.grad, np.ones(4))
    np.testing.assert_array_equal(y.grad, -(a // b))
    ids = mg.Constant([5, 6], dtype=np.int64)
    assert (ids // 2).dtype == np.int64 and (ids // 2).value.tolist() == [2, 3]


# ---------------- samples of a batch
@pytest.mark.parametrize(
    ("call", "apart"),
    [
        (lambda x: mg.repeat(x, 2, axis=1), True),
        (lambda x: mg.repeat(x, 2, axis=0), False),
        (lambda x: mg.tile(x, (2, 1)), True),
        (lambda x: mg.tile(x, (3, 1, 1)), False),
        (lambda x: mg.roll(x, 1, axis=(1, 2)), True),
        (lambda x: mg.roll(x, 1, axis=0), False),
        (lambda x: mg.flip(x, (1, 2)), True),
        (lambda x: mg.flip(x), False),
        (lambda x: mg.take(x, [2, 0], axis=1), True),
        (lambda x: mg.take(x, [0, 0, 1, 2, 3], axis=0), False),
        (lambda x: mg.sort(x, axis=2), True),
        (lambda x: mg.sort(x, axis=0), False),
        (lambda x: mg.tril(x), True),
        (lambda x: x.detach() * x, True),
    ],
)
def test_samples_stay_apart_along_other_axes(call, apart):
    x = mg.Constant(np.ones((5, 3, 4)))
    assert separable(mg.topological_sort(mg.mean(call(x))), [x]) == apart


# ---------------- methods
def test_methods_are_the_operators():
    x = mg.Variable(np.abs(X), dtype=np.float64)
    for y, expected in (
        (x.exp(), np.exp(x.value)),
        (x.log(), np.log(x.value)),
        (x.tanh(), np.tanh(x.value)),
        ((-x).abs(), x.value),
        (x.var(axis=1, ddof=1), x.value.var(axis=1, ddof=1)),
        (x.std(axis=(0, 2), keepdims=True), x.value.std(axis=(0, 2), keepdims=True)),
    ):
        assert y.requires_grad
        np.testing.assert_allclose(y.value, expected, rtol=1e-14)


def test_a_detached_node_is_recomputed_and_passes_no_gradient():
    x = mg.Variable([2.0, 3.0])
    y = mg.sum(x * (x * 2).detach())
    graph = mg.Graph(y)
    x.value = [4.0, 5.0]
    assert graph.forward() == 82
    graph.backward()
    np.testing.assert_array_equal(x.grad, [8, 10])
    with mg.no_grad():
        assert isinstance(x.detach(), mg.Constant)


def test_dtypes_change_both_ways():
    x = mg.Variable([1.0, 2.0])
    y = x.astype(np.float64) * np.array([3.0, 4.0])
    assert y.dtype == np.float64 and x.astype("float32") is x
    y.backward([1.0, 1 + 1e-12])
    assert x.grad.dtype == np.float32 and x.grad.tolist() == [3, 4]
    if hasattr(np, "astype"):  # since NumPy 2.1
        assert np.astype(x, np.float64).dtype == np.float64
    mask = (x > 1).astype(np.float32)
    assert mask.dtype == np.float32 and mask.value.tolist() == [0, 1]
    gradient = mg.grad(mg.sum(x.astype(np.float64) ** 3), x, create_graph=True)
    np.testing.assert_allclose(mg.grad(mg.sum(gradient), x).value, 6 * x.value)
    with pytest.raises(mg.DTypeError, match=r"minigrad computes in float32 or float64"):
        x.astype(np.int64)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: mg.repeat(x, [1, 2], axis=1), mg.ShapeError, r"^repeat: shapes \(2, 3, 4\)"),
        (lambda x: mg.repeat(x, -1), mg.ShapeError, r"^repeat: .*negative"),
        (lambda x: mg.repeat(x, 2, axis=3), mg.ShapeError, r"^repeat: .*axis 3 does not fit"),
        (lambda x: mg.tile(x, -1), mg.ShapeError, r"^tile: shapes \(2, 3, 4\)"),
        (lambda x: mg.diag(x), mg.ShapeError, r"^diag: shapes \(2, 3, 4\)"),
        (lambda x: mg.tril(x[0, 0, 0]), mg.ShapeError, r"^tril: shapes \(\)"),
        (lambda x: mg.flip(x, 3), mg.ShapeError, r"^flip: shapes \(2, 3, 4\); axis 3"),
        (lambda x: mg.roll(x, 1, axis=3), mg.ShapeError, r"^roll: shapes \(2, 3, 4\)"),
        (lambda x: mg.take(x, 3, axis=1), IndexError, "getitem: .*index 3"),
        (
            lambda x: mg.take_along_axis(x, PLACES[0], 1),
            mg.ShapeError,
            r"^take_along_axis: shapes \(2, 3, 4\) and \(1, 4\); indices with 3 axes",
        ),
        (lambda x: np.sort(x, kind="stable"), mg.GraphError, r"^np\.sort: .*x, axis"),
    ],
)
def test_what_does_not_fit_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call(mg.Constant(X))
