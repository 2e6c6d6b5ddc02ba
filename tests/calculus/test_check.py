"""The gradient checker is checked: what it must let pass, and what it must find."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.calculus.check import GradientError
from minigrad.graph.registry import by_name

X = np.array([[0.3, -0.7, 1.9], [2.1, 0.4, -1.2]])


def wrong(rule, monkeypatch, change):
    """The operator with derivatives that were changed."""
    changed = tuple(lambda *args, d=d, **kw: change(d(*args, **kw)) for d in rule.derivatives)
    monkeypatch.setattr(rule, "derivatives", changed)


def test_right_gradients_pass():
    assert mg.gradcheck(lambda a, b: mg.tanh(a @ b).sum(axis=0) * mg.exp(b[0, 0]), [X, X.T]) is True
    assert mg.gradcheck(lambda x: x, [X])
    assert mg.gradcheck(lambda x: mg.Constant(X) * 2, [X])  # depends on nothing: zero is right
    assert mg.gradcheck(mg.relu, [np.zeros((0, 3))])


CHANGES = [
    lambda g: g * 1.001,
    lambda g: g * 0.999,
    lambda g: -g,
    lambda g: g + 1e-3,
    lambda g: g * np.nan,
]


@pytest.mark.parametrize("change", CHANGES)
def test_an_error_of_a_thousandth_is_found(monkeypatch, change):
    wrong(mg.exp, monkeypatch, change)
    with pytest.raises(GradientError):
        mg.gradcheck(mg.exp, [X])


def test_one_wrong_entry_is_found_and_named(monkeypatch):
    def spoil(g):
        g = g.copy()
        g[1, 0] *= 1.001
        return g

    wrong(mg.exp, monkeypatch, spoil)
    message = r"input 0\[1, 0\]: gradient 4\.22.*, central difference 4\.218.*1 of 6 entries"
    with pytest.raises(GradientError, match=message):
        mg.gradcheck(mg.exp, [X])


def test_the_input_is_named(monkeypatch):
    monkeypatch.setattr(
        mg.divide, "derivatives", (mg.divide.derivatives[0], lambda g, y, a, b: g * y / b)
    )
    with pytest.raises(GradientError, match=r"input 1: gradient .* central difference"):
        mg.gradcheck(lambda a, b: a / b, [1.5, 2.5])


def test_an_error_that_cancels_under_ones_is_found(monkeypatch):
    """Rows of a softmax add up to 1: with a cotangent of ones every gradient is 0, right or
    wrong.
    """
    softmax = by_name("softmax")
    right = type(softmax).backward

    def without_the_sum(self, node, grads, g, y, x):
        np.multiply(y, g - g.mean(node.plan, keepdims=True), out=grads[0])

    monkeypatch.setattr(type(softmax), "backward", without_the_sum)
    x = mg.Variable(X, dtype=np.float64)
    mg.softmax(x).backward(np.ones_like(X))
    np.testing.assert_allclose(x.grad, 0, atol=1e-15)  # nothing to see here …
    with pytest.raises(GradientError):
        mg.gradcheck(mg.softmax, [X])  # … but it is wrong
    monkeypatch.setattr(type(softmax), "backward", right)
    assert mg.gradcheck(mg.softmax, [X])


def test_it_works_in_float64_whatever_the_default():
    seen = []

    def fn(x):
        seen.append(x.dtype)
        return mg.exp(x)

    assert mg.gradcheck(fn, [mg.Variable(X, dtype=np.float32)])
    assert {*seen} == {np.dtype(np.float64)}


def test_large_and_small_numbers():
    assert mg.gradcheck(lambda x: x * x, [np.array([1e4, 1e-4, -3e3])])
    assert mg.gradcheck(lambda x: mg.sigmoid(x) * 1e-6, [X])


def test_inputs_keep_their_values():
    x, node = X.copy(), mg.Variable(X)
    before = node.value.copy()
    mg.gradcheck(lambda a, b: a * b, [x, node])
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(node.value, before)
    assert node.grad is None


def test_a_function_must_return_a_node():
    with pytest.raises(mg.GraphError, match="fn returned a float"):
        mg.gradcheck(lambda x: 1.0, [X])
