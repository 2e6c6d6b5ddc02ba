"""Copies and pickles: the same numbers, nothing shared with the original, at any depth."""

import copy
import pickle

import numpy as np
import pytest

import minigrad as mg


def pickled(node):
    return pickle.loads(pickle.dumps(node))


COPIES = pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled], ids=["deepcopy", "pickle"])


def network():
    x = mg.Constant(np.arange(12.0).reshape(2, 6), "x")
    w = mg.Variable(np.linspace(-1, 1, 18).reshape(6, 3), "w")
    h = mg.tanh(x @ w)
    h.name = "hidden"
    return mg.cross_entropy(
        mg.leaky_relu(h[:, ::-1], negative_slope=0.3) + h.mean(axis=0, keepdims=True), [0, 2]
    )


def leaf(node, name):
    return next(n for n in mg.topological_sort(node) if n.name == name)


@COPIES
def test_a_copy_computes_the_same_apart(duplicate):
    loss = network()
    loss.backward()
    twin = duplicate(loss)
    order, twins = mg.topological_sort(loss), mg.topological_sort(twin)
    assert [repr(n) for n in order] == [repr(n) for n in twins]
    for node, other in zip(order, twins, strict=True):
        assert node is not other and not np.shares_memory(node.value, other.value)
        np.testing.assert_array_equal(node.value, other.value)
    w, v = leaf(loss, "w"), leaf(twin, "w")
    np.testing.assert_array_equal(v.grad, w.grad)
    assert not np.shares_memory(v.grad, w.grad)
    twin.backward()
    np.testing.assert_array_equal(v.grad, 2 * w.grad)
    leaf(twin, "x").value = np.zeros((2, 6))
    assert mg.Graph(twin).forward() != mg.Graph(loss).forward()


@COPIES
@pytest.mark.parametrize(
    "leaf", [mg.Variable([1.0, 2.0], "w", np.float64), mg.Constant([1, 2], "ids", np.int64)]
)
def test_leaves(leaf, duplicate):
    twin = duplicate(leaf)
    assert repr(twin) == repr(leaf) and twin.requires_grad == leaf.requires_grad
    assert not np.shares_memory(twin.value, leaf.value)


@COPIES
def test_sharing_stays_sharing(duplicate):
    x = mg.Variable(3.0)
    x.requires_grad = True
    h = x * x
    y, z = duplicate([h + 1, x])
    y.backward()
    assert z.grad == 6 and x.grad is None


@COPIES
def test_a_chain_of_100_000_nodes(duplicate):
    y = mg.Variable(1.0)
    for _ in range(100_000):
        y = -y
    twin = duplicate(y)
    twin.backward()
    assert twin.item() == 1 and mg.topological_sort(twin)[0].grad == 1


@COPIES
def test_sixty_diamonds(duplicate):
    """Linear: each node is copied once, though there are 2^60 ways to it."""
    y = mg.Variable(1.0)
    for _ in range(60):
        y = y + y
    assert duplicate(y).item() == 2.0**60


def third(x):
    return x**3


def third_back(g, y, x):
    return g * 3 * x**2


@COPIES
def test_an_operator_of_the_users_own(duplicate):
    """Also where it bears the name of another one."""
    own = mg.operator(third, third_back, name="exp")
    twin = duplicate(own(mg.Variable([1.0, 2.0])))
    np.testing.assert_array_equal(twin.value, [1, 8])
    twin.backward([1, 1])
    np.testing.assert_array_equal(twin.inputs[0].grad, [3, 12])


@COPIES
def test_hooks_and_modules_stay_with_the_original(duplicate):
    linear, seen = mg.nn.Linear(3, 3, bias=False), []
    y = linear(np.ones((2, 3))).sum()
    mg.Graph(y).register_forward_hook(lambda node, value: seen.append(node))
    twin = duplicate(y)
    mg.Graph(twin).forward()
    assert not seen and not any(node.hooks or node.scope for node in mg.topological_sort(twin))


def test_copying_a_rule_is_the_rule():
    assert copy.deepcopy(mg.exp) is pickle.loads(pickle.dumps(mg.exp)) is mg.exp
