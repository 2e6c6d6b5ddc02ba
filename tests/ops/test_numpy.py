"""NumPy's own functions on nodes: the same operators, and an error with the function's name where there is none."""
import numpy as np
import pytest

import minigrad as mg

A, B = np.arange(1.0, 7).reshape(2, 3), np.arange(1.0, 4)

FUNCTIONS = [
    (np.add, A, B), (np.subtract, A, B), (np.multiply, A, B), (np.divide, A, B), (np.true_divide, A, B),
    (np.power, A, B), (np.maximum, A, B), (np.minimum, A, B), (np.negative, A), (np.positive, A), (np.exp, A),
    (np.log, A), (np.sqrt, A), (np.sin, A), (np.cos, A), (np.tanh, A), (np.abs, A), (np.absolute, A), (np.fabs, A),
    (np.matmul, A, B), (np.dot, A, B), (np.dot, B, np.float64(2)), (np.less, A, B), (np.equal, A, B), (np.sign, A),
    (np.sum, A), (np.mean, A), (np.max, A), (np.min, A), (np.amax, A), (np.amin, A), (np.transpose, A),
]  # fmt: skip
CALLS = [
    lambda x: np.sum(x, axis=0), lambda x: np.sum(x, axis=(0, 1), keepdims=True), lambda x: np.mean(x, 1),
    lambda x: np.max(x, axis=-1), lambda x: np.min(x, axis=0),
    lambda x: np.reshape(x, (3, 2)), lambda x: np.transpose(x, (1, 0)), lambda x: np.stack([x, A]),
    lambda x: np.concatenate([x, x], axis=1), lambda x: np.concatenate([np.ones((1, 3)), x]),
    lambda x: np.where(A > 2, x, 0), lambda x: np.clip(x, 2, 4), lambda x: np.pad(x, ((0, 1), (2, 0))),
    lambda x: np.pad(x, 1),
    lambda x: np.pad(x, 1, mode="constant", constant_values=5), lambda x: np.broadcast_to(x, (2, 2, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("function", "operands"), [(f, xs) for f, *xs in FUNCTIONS])
def test_function(function, operands):
    x, *rest = operands
    y = function(mg.Variable(x, dtype=np.float64), *rest)
    assert isinstance(y, mg.GraphNode)
    np.testing.assert_array_equal(y.value, function(*operands))


@pytest.mark.parametrize("call", CALLS)
def test_call_with_options(call):
    y = call(mg.Variable(A, dtype=np.float64))
    assert isinstance(y, mg.GraphNode) and y.requires_grad
    np.testing.assert_array_equal(y.value, call(A))


REFUSED = [
    (lambda x: np.cumsum(x), "np.cumsum"),
    (lambda x: np.linalg.norm(x), "np.norm"),
    (lambda x: np.arctan2(x, 1), "np.arctan2"),
    (lambda x: x // 2, "np.floor_divide"),
    (lambda x: x % 2, "np.remainder"),
    (lambda x: np.add(x, 1, out=np.zeros(3)), "np.add with out="),
    (lambda x: np.add.reduce(x), "np.add.reduce"),
    (lambda x: np.add.at(np.zeros(3), [0], x[:1]), "np.add.at"),
    (lambda x: np.add(np.zeros(3), x, where=np.array([True, False, True])), "np.add with where="),
    (lambda x: np.dot(x.reshape(1, 1, 3), x), r"np.dot: shapes \(1, 1, 3\) and \(3,\)"),
    (lambda x: np.pad(x, 1, mode="edge"), "np.pad: mode 'edge'"),
]


@pytest.mark.parametrize(("call", "name"), REFUSED, ids=[name for _, name in REFUSED])
def test_unsupported_is_named(call, name):
    with pytest.raises(mg.GraphError, match=name):
        call(mg.Variable([1.0, 2.0, 3.0]))


def test_array_on_the_left_does_not_become_an_object_array():
    x = mg.Variable([1.0, 2.0])
    for y in (np.ones(2) + x, np.ones((2, 2)) @ x, np.ones(2) > x, np.float32(3) ** x):
        assert isinstance(y, mg.GraphNode) and y.dtype != object


def test_in_place_into_an_array_is_refused():
    array = np.ones(2)
    with pytest.raises(mg.GraphError, match=r"np\.add with out="):
        array += mg.Variable([1.0, 2.0])
    np.testing.assert_array_equal(array, 1)


def test_a_node_becomes_an_array_as_a_copy():
    x = mg.Variable([1.0, 2.0])
    array = np.asarray(x)
    array[0] = 7
    assert x.value[0] == 1 and np.array(x, dtype=np.float64).dtype == np.float64
    assert list(map(float, x)) == [1, 2] and len(x) == 2
