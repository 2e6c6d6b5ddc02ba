"""How gradients gather: shared nodes, several losses, repeated passes, and graphs of any depth."""

import copy
import pickle
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import assert_close, jax

import minigrad as mg
from minigrad.graph.registry import by_name


def slope(fn, at):
    x = mg.Variable(at, dtype=np.float64)
    fn(x).backward()
    return x.grad.item()


def stacked(x, times):
    for _ in range(times):
        x = x + x
    return x


def reused(x):
    q = 2 * x
    h = mg.sin(q)
    return h + q + q * x


SHARED = [
    ("the same node twice in a sum", lambda x: x + x, 3, 2),
    ("the same node twice in a product", lambda x: x * x, 3, 6),
    ("a diamond on a diamond", lambda x: stacked(x, 2), 1, 4),
    ("sixty diamonds", lambda x: stacked(x, 60), 1, 2.0**60),
    ("a sum times its part", lambda x: (x + x) * x, 3, 12),
    ("a node used again later", reused, 0.5, 2 * np.cos(1) + 2 + 2),
    ("ten thousand terms", lambda x: sum([x] * 10_000), 3, 10_000),
    ("a constant branch", lambda x: x * mg.exp(mg.Constant(2.0, dtype=np.float64)) * 0 + x, 3, 1),
]


@pytest.mark.parametrize(
    ("fn", "at", "expected"), [s[1:] for s in SHARED], ids=[s[0] for s in SHARED]
)
def test_shared_nodes(fn, at, expected):
    assert slope(fn, at) == pytest.approx(expected, rel=1e-14)


OPERATIONS = {
    "add": (2, lambda a, b: a + b),
    "sub": (2, lambda a, b: a - b),
    "mul": (2, lambda a, b: a * b),
    "div": (2, lambda a, b: a / (b * b + 1)),
    "neg": (1, lambda a: -a),
    "square": (1, lambda a: a**2),
    "half": (1, lambda a: a / 2),
}
STEPS = st.lists(
    st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0, 99), st.integers(0, 99)),
    max_size=12,
)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(STEPS)
def test_random_graphs_agree_with_jax(steps):
    """Each step applies an operation to earlier nodes, whichever; all nodes that came about are
    added up.
    """

    def grow(*leaves):
        nodes = list(leaves)
        for name, i, j in steps:
            arity, operation = OPERATIONS[name]
            nodes.append(operation(*(nodes[k % len(nodes)] for k in (i, j)[:arity])) * 0.5)
        return sum(nodes[1:], start=nodes[0])

    start = np.array([0.5, -1.5, 0.25]), np.array([1.25, 0.75, -0.5])
    g = np.array([1.0, 2.0, -1.0])
    xs = [mg.Variable(x, dtype=np.float64) for x in start]
    y = grow(*xs)
    y.backward(g)
    value, pull = jax.vjp(grow, *start)
    assert_close(y.value, value)
    for x, grad in zip(xs, pull(g), strict=True):
        assert_close(x.grad, grad)


# ---------------- several passes
def test_backward_twice_adds_up_in_leaves_only():
    x = mg.Variable(3.0)
    h = x * x
    y = h * 2
    for times in (1, 2, 3):
        y.backward()
        assert x.grad == 12 * times and h.grad == 2 and y.grad == 1
    x.zero_grad()
    assert x.grad is None
    y.backward()
    assert x.grad == 12


def test_two_losses_share_a_graph():
    x = mg.Variable(3.0)
    h = x * x
    (h + 1).backward()
    (h * 2).backward()
    assert x.grad == 6 + 12


def test_a_variable_that_is_not_used_has_no_gradient():
    x, unused = mg.Variable(1.0), mg.Variable(1.0)
    (2 * x).backward()
    assert unused.grad is None


def test_the_output_is_the_input():
    x = mg.Variable([1.0, 2.0])
    seed = np.array([3.0, 4.0], np.float32)
    x.backward(seed)
    np.testing.assert_array_equal(x.grad, seed)
    assert not np.shares_memory(x.grad, seed)


def test_seed_and_gradients_are_the_graphs_own():
    """Through operators that hand the cotangent on as it is, too."""
    x, y = mg.Variable(np.ones(3)), mg.Variable(np.ones(3))
    seed = np.ones(3, np.float32)
    (x + y - 0 * x).backward(seed)
    x.grad += 100
    seed += 100
    np.testing.assert_array_equal(y.grad, 1)
    (x + y).reshape(3, 1).backward(np.ones((3, 1)))
    np.testing.assert_array_equal(y.grad, 2)


@pytest.mark.parametrize(
    "seed", [[1, 2], np.array([True, False]), np.float64([1, 2]), mg.Constant([1, 2])], ids=str
)
def test_a_seed_takes_the_dtype_of_its_node(seed):
    x = mg.Variable([1.0, 1.0])
    (x * 2).backward(seed)
    assert x.grad.dtype == np.float32


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_a_single_number_with_axes_needs_no_seed(shape):
    x = mg.Variable(np.full(shape, 3.0))
    y = x * x
    y.backward()
    assert x.grad.shape == shape and x.grad.item() == 6
    (slope,) = mg.grad(y, [x], create_graph=True)
    assert slope.shape == shape and slope.item() == 6
    graph = mg.Graph(y)
    graph.zero_grad()
    graph.forward()
    graph.backward()
    assert x.grad.item() == 6


def test_what_cannot_be_pulled():
    x = mg.Variable([1.0, 2.0])
    y = x * 2
    with pytest.raises(mg.GraphError, match=r"shape \(2,\) is not a single number; reduce it"):
        y.backward()
    with pytest.raises(mg.ShapeError, match=r"grad has shape \(3,\), \(2,\) was expected"):
        y.backward(np.ones(3))
    for wrong in ([1j, 2], ["a", "b"]):
        with pytest.raises(mg.DTypeError, match="numbers were expected"):
            y.backward(wrong)
    for independent in (mg.Constant(1.0), mg.exp(mg.Constant(1.0)), mg.sign(x).sum()):
        with pytest.raises(mg.GraphError, match="depends on no Variable"):
            independent.backward()
    assert x.grad is None
    y.backward([1, 1])
    np.testing.assert_array_equal(x.grad, 2)


# ---------------- the order
def test_order_is_inputs_before_users_and_always_the_same():
    x, w = mg.Variable(1.0, "x"), mg.Variable(2.0, "w")
    h = w * x
    y = h + mg.exp(x) * h
    order = mg.topological_sort(y)
    place = {node: i for i, node in enumerate(order)}
    assert len(place) == len(order) == 6 and order[-1] is y
    assert all(place[i] < place[node] for node in order for i in node.inputs)
    assert [*map(id, order)] == [*map(id, mg.topological_sort(y))]
    assert order[0] is w and order[1] is x  # a walk over the inputs from left to right


def test_forward_and_backward_along_an_order():
    x = mg.Variable([1.0, 2.0])
    order = mg.topological_sort((x * x).sum())
    x.value = [3.0, 4.0]
    assert mg.forward(order) == 25
    mg.backward(order)
    np.testing.assert_array_equal(x.grad, [6, 8])
    mg.backward(order, 10)
    np.testing.assert_array_equal(x.grad, [66, 88])


def test_accumulation_is_deterministic():
    def run():
        rng = np.random.default_rng(0)
        x = mg.Variable(rng.normal(size=50))
        parts = [mg.tanh(x * float(k)) for k in rng.normal(size=20)]
        sum(parts).sum().backward()
        return x.grad

    np.testing.assert_array_equal(run(), run())


# ---------------- any depth
def test_a_chain_of_100_000_nodes(no_gc):
    """Built, sorted, run forward and back, printed and freed: nothing on the way recurses."""
    x = y = mg.Variable(1.0, dtype=np.float64)
    for _ in range(100_000):
        y = y + 1e-5
    assert y.item() == pytest.approx(2)
    y.backward()
    assert x.grad == 1 and len(repr(y)) < 100
    order = mg.topological_sort(y)
    assert len(order) == 200_001  # with one constant per step
    x.value = 5.0
    assert mg.forward(order) == pytest.approx(6)
    middle = weakref.ref(order[100_000])
    del order, y
    assert middle() is None


def test_sixty_diamonds_take_as_many_runs_as_they_have_nodes(monkeypatch):
    """Counted: one run for each operator forward, one back, however many ways lead through it."""
    add, seen = by_name("add"), []
    for name in ("run", "vjp"):
        plain = getattr(add, name)
        monkeypatch.setattr(
            add, name, lambda *args, name=name, plain=plain: (seen.append(name), plain(*args))[1]
        )
    graph = mg.Graph(stacked(mg.Variable(1.0), 60))
    assert len(graph.order) == 61 and seen == ["run"] * 60
    seen.clear()
    graph.forward()
    graph.backward()
    assert seen == ["run"] * 60 + ["vjp"] * 60


def test_a_loop_over_time_and_a_left_deep_sum():
    x = mg.Variable(np.ones(10_000))
    total = sum(x[t] for t in range(len(x)))
    total.backward()
    np.testing.assert_array_equal(x.grad, 1)


def test_a_gradient_that_was_kept_is_not_overwritten():
    x = mg.Variable([1.0, 2.0])
    (x * 3).sum().backward()
    kept = x.grad
    x.zero_grad()
    (x * 5).sum().backward()
    assert np.array_equal(kept, [3, 3])
    assert np.array_equal(x.grad, [5, 5])


@pytest.mark.parametrize("leaf", [mg.Variable, mg.Constant])
def test_a_leaf_that_changes_between_the_passes_is_named(leaf):
    """The gradient would be that of neither value (PyTorch counts versions for the same reason)."""
    x, other = mg.Variable([1.0, 2.0]), leaf([3.0, 4.0], name="other")
    y = (x * other).sum()
    graph = mg.Graph(y)
    other.value = [5.0, 6.0]
    with pytest.raises(
        mg.GraphError, match=r"'other' .*has been given another value since; run forward again"
    ):
        y.backward()
    assert x.grad is None
    graph.forward()
    y.backward()
    np.testing.assert_array_equal(x.grad, [5, 6])


def test_a_step_in_place_is_a_change_and_a_copy_starts_anew():
    w = mg.Variable([1.0, 2.0])
    loss = (w * w).sum()
    loss.backward()
    w.value -= 0.1 * w.grad
    with pytest.raises(mg.GraphError, match="another value"):
        loss.backward()
    for twin in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        twin.backward()
    (w * w).sum().backward()  # built anew
    first = w[0] * 1  # an inner node of a graph that has run again is as fresh as its head
    second = first * 2
    w.value = [7.0, 8.0]
    mg.Graph(second).forward()
    first.backward()
