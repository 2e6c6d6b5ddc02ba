"""Rules: one place per operator, found by name, usable by everybody who reads the graph."""

import numba
import numpy as np
import pytest
from operators import TABLE
from oracle import cases

import minigrad as mg
from minigrad import kernels
from minigrad.graph.registry import all_rules, by_name
from minigrad.graph.rule import Elementwise, Rule, elementwise, register
from minigrad.ops.kernel import flops


@pytest.fixture
def registry(monkeypatch):
    """Rules that a test makes are forgotten after it."""
    import minigrad.graph.registry as module

    monkeypatch.setattr(module, "_by_name", dict(module._by_name))
    monkeypatch.setattr(module, "_by_numpy", dict(module._by_numpy))


@pytest.mark.parametrize("name", sorted(all_rules()))
def test_every_rule_says_what_it_is(name):
    rule = by_name(name)
    assert rule.name == name and rule.symbol and isinstance(rule, Rule)
    assert not isinstance(rule, Elementwise) or rule.__doc__  # the operator itself


@pytest.mark.parametrize(
    "case", [next(iter(cases([row]))) for row in TABLE], ids=lambda case: case.row.name
)
def test_every_rule_counts_its_work(case):
    node = case.ours(*case.operands)
    count = flops(node)
    assert isinstance(count, int) and count >= 0


def test_a_new_operator_is_one_definition(registry):
    """Eager, by NumPy's name, replayed, copied and checked: from its two formulas alone."""

    @elementwise("cbrt", np.cbrt, backward=(lambda g, y, x: g / (3 * y * y),))
    def cube_root(x):
        """Cube root."""
        return np.cbrt(x)

    x = mg.Variable([8.0, 27.0])
    y = np.cbrt(x)
    np.testing.assert_allclose(y.value, [2, 3])
    y.backward([1, 1])
    np.testing.assert_allclose(x.grad, [1 / 12, 1 / 27], rtol=1e-6)
    assert y.rule is cube_root is by_name("cube_root") and cube_root.__doc__.strip() == "Cube root."
    assert mg.gradcheck(cube_root, [np.array([8.0, 1.5])])


def test_a_heavy_operator_writes_into_given_arrays(registry):
    class Double(Rule):
        name, symbol = "double", "2×"

        def shape(self, node):
            return node.inputs[0].shape

        def forward(self, node, out, x):
            np.multiply(x, 2, out=out)

        def backward(self, node, grads, g, y, x):
            np.multiply(g, 2, out=grads[0])

    x = mg.Variable([1.0, 2.0])
    double = register(Double())
    assert by_name("double") is double
    y = double(x)
    y.backward([1, 10])
    np.testing.assert_array_equal(x.grad, [2, 20])
    y.backward([1, 10])  # into a gradient that is there already
    np.testing.assert_array_equal(x.grad, [4, 40])


def test_a_derivative_may_be_smaller_than_its_input(registry):
    """What NumPy would broadcast, the graph broadcasts."""

    @elementwise("c", backward=(lambda g, y, x: np.float32(3.0),))
    def constant_slope(x):
        return 3 * x

    x = mg.Variable([[1.0, 2.0]])
    constant_slope(x).backward([[1, 1]])
    np.testing.assert_array_equal(x.grad, [[3, 3]])


def test_signatures_show_in_help():
    import inspect

    assert str(inspect.signature(mg.clip)).startswith("(x: 'Any', low: 'float | None' = None")
    assert mg.clip.__name__ == "clip" and "limited" in mg.clip.__doc__


def test_a_backward_pass_that_breaks_off_leaves_no_gradient_that_is_not_written():
    x, w = mg.Variable(np.ones((2, 3))), mg.Variable(np.ones((4, 3)))
    y = mg.sum(mg.ops.linear(x, w))
    rule = y.inputs[0].rule
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(rule), "backward", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            y.backward()
    assert x.grad is None and w.grad is None
    y.backward()
    np.testing.assert_array_equal(w.grad, np.full((4, 3), 2))


@pytest.mark.skipif(
    numba.config.DISABLE_JIT or numba.config.NUMBA_NUM_THREADS < 2, reason="there is one thread"
)
def test_threads_are_called_where_they_are_worth_waking(monkeypatch):
    called, serial = [], kernels.jit.serial
    monkeypatch.setattr(
        kernels.jit, "serial", lambda kernel: called.append(kernel.__name__) or serial(kernel)
    )
    w = mg.Variable(np.ones((8, 3, 3, 3)))
    for size, alone in ((8, ["forward", "backward"]), (200, [])):  # 17 kflop and 17 Mflop
        y = mg.conv2d(np.ones((1, 3, size, size)), w)
        y.backward(np.ones(y.shape))
        assert called == alone
        assert len(y.work["scratch"]) == 1  # one sample is one shard, however large
        called.clear()
    assert len(mg.conv2d(np.ones((4, 3, 200, 200)), w).work["scratch"]) == min(
        4, numba.get_num_threads()
    )
    assert len(mg.conv2d(np.ones((4, 3, 8, 8)), w).work["scratch"]) == 1
