"""Gradients as values, forward mode and Jacobians: what they give, what they leave alone, what they
refuse.
"""

import numpy as np
import pytest
from oracle import assert_close, jax

import minigrad as mg

jnp = jax.numpy
RNG = np.random.default_rng(0)
X = RNG.normal(size=4)
W = RNG.normal(size=(3, 4))


def variable(value, **options):
    return mg.Variable(value, dtype=np.float64, **options)


def network(np_, w, x):
    """Three numbers from four, through a bit of everything; the same text for minigrad and JAX."""
    return np_.tanh(w @ x) * np_.sin(x).sum() + np_.exp(x[:3] * 0.5)


# ---------------- grad
def test_gradient_is_that_of_backward_and_leaves_every_grad_alone():
    w, x = variable(W), variable(X)
    h = mg.tanh(w @ x)
    y = (h * h).sum()
    x.grad = np.ones(4)
    found = mg.grad(y, (w, x, h))
    assert w.grad is None and h.grad is None and y.grad is None
    np.testing.assert_array_equal(x.grad, 1)
    x.zero_grad()
    y.backward()
    for node, grad in zip((w, x, h), found, strict=True):
        assert isinstance(grad, mg.Constant) and grad.dtype == np.float64
        np.testing.assert_array_equal(grad.value, node.grad)
    for node, grad in zip((w, x, h), mg.grad(y, [w, x, h], create_graph=True), strict=True):
        assert_close(grad.value, node.grad)


def test_one_node_gives_one_node_and_a_list_a_tuple():
    x = mg.Variable(3.0)
    assert mg.grad(x * x, x).item() == 6
    (dx,) = mg.grad(x * x, [x])
    assert dx.item() == 6
    assert dx.dtype == np.float32


def test_grad_of_the_output_may_be_a_node_to_differentiate_in():
    x, v = variable(X), variable(np.ones(4))
    pulled = mg.grad(x**3, x, v, create_graph=True)
    assert_close(pulled.value, 3 * X**2)
    assert_close(
        mg.grad(pulled, v, np.ones(4)).value, 3 * X**2
    )  # J v from the gradient of Jᵀ v: double backward


def test_inputs_inside_the_graph_and_the_output_itself():
    x = variable(2.0)
    h = x * x
    y = h * h
    dy, dh, dx = mg.grad(y, (y, h, x), create_graph=True)
    assert (dy.item(), dh.item(), dx.item()) == (1, 8, 32)
    assert mg.grad(dx, x).item() == 48
    assert mg.grad(dh, h).item() == 2


@pytest.mark.parametrize("create_graph", [False, True])
def test_identity_has_slope_1_and_no_further_slope(create_graph):
    x = variable(2.0)
    dx = mg.grad(x, x, create_graph=create_graph)
    assert dx.item() == 1
    assert mg.grad(dx, x).item() == 0


def test_what_the_output_does_not_depend_on_has_gradient_0():
    x, unused = variable(X), variable(W)
    for create_graph in (False, True):
        (zero,) = mg.grad((x * x).sum(), (unused,), create_graph=create_graph)
        np.testing.assert_array_equal(zero.value, np.zeros((3, 4)))
    slope = mg.grad(3 * x, x, np.ones(4), create_graph=True)
    np.testing.assert_array_equal(mg.grad(slope.sum(), x).value, np.zeros(4))


def test_derivatives_of_every_order():
    x = variable(0.7)
    y = mg.sin(x) * mg.exp(x)
    f = lambda t: jnp.sin(t) * jnp.exp(t)  # noqa: E731
    for _ in range(5):
        f = jax.grad(f)
        y = mg.grad(y, x, create_graph=True)
        assert_close(y.value, f(0.7))


def test_gradient_of_a_function_that_contains_one():
    """And its inner variable is the outer one too: nothing is confused."""

    def inner(x):
        return mg.grad((x**3 * mg.cos(x)).sum(), x, create_graph=True)

    x = variable(X)
    found = mg.grad((x * inner(x) * mg.sigmoid(inner(x))).sum(), x)
    d = jax.grad(lambda t: (t**3 * jnp.cos(t)).sum())
    assert_close(found.value, jax.grad(lambda t: (t * d(t) * jax.nn.sigmoid(d(t))).sum())(X))


def test_hessian_agrees_with_jax():
    def hessian(x):
        return mg.grad((network(np, W, x) ** 2).sum(), x, create_graph=True)

    expected = jax.hessian(lambda x: (network(jnp, W, x) ** 2).sum())(X)
    with mg.default_dtype(np.float64):
        for mode in ("reverse", "forward"):
            assert_close(mg.jacobian(hessian, X, mode), expected)


def test_gradient_penalty_trains_the_weights():
    """The gradient of |∂y/∂x|² in the weights, eager and replayed on new numbers, where x is in the
    graph twice.
    """
    w, x = variable(W), variable(X)

    def penalty(w, x):
        dx = mg.grad(network(np, w, x).sum(), x, create_graph=True)
        return (dx * dx).sum()

    def theirs(w, x):
        return (jax.grad(lambda x: network(jnp, w, x).sum())(x) ** 2).sum()

    loss = penalty(w, x)
    loss.backward()
    assert_close(loss.value, theirs(W, X))
    for node, expected in zip((w, x), jax.grad(theirs, (0, 1))(W, X), strict=True):
        assert_close(node.grad, expected)
    graph = mg.Graph(loss)
    x.value = X[::-1].copy()
    graph.zero_grad()
    assert_close(graph.forward(), theirs(W, X[::-1]))
    graph.backward()
    assert_close(w.grad, jax.grad(theirs)(W, X[::-1]))


@pytest.mark.parametrize(
    "slope, found",
    [
        (lambda x: mg.abs(x), [-1, 0, 1]),
        (lambda x: mg.relu(x), [0, 0, 1]),
        (lambda x: mg.maximum(x, 0), [0, 0.5, 1]),
        (lambda x: mg.clip(x, -1, 1), [1, 1, 1]),
        (lambda x: mg.where(x > 0, x, 2 * x), [2, 2, 1]),
        (lambda x: x * mg.sign(x), [-1, 0, 1]),
        (lambda x: x * (x == 0), [0, 1, 0]),
    ],
)
def test_steps_have_slope_0_and_kinks_keep_their_convention(slope, found):
    with mg.default_dtype(np.float64):
        x = mg.Variable([-1.0, 0.0, 1.0])
        dx = mg.grad(slope(x).sum(), x, create_graph=True)
        np.testing.assert_array_equal(dx.value, found)
        np.testing.assert_array_equal(mg.grad(dx.sum(), x).value, np.zeros(3))
        np.testing.assert_array_equal(mg.jvp(slope, [x], [np.ones(3)])[1], found)


def test_smooth_functions_are_smooth_at_0():
    """softplus'' = σ' = 1/4 at 0, though σ is computed from |x|; and gelu''(0) = 2 φ(0)."""
    x = variable(0.0)
    for y, expected in (
        (mg.softplus(x), 0.25),
        (mg.gelu(x), 2 / np.sqrt(2 * np.pi)),
        (x**2, 2),
        (x**1, 0),
    ):
        assert mg.grad(mg.grad(y, x, create_graph=True), x).item() == pytest.approx(
            expected, abs=1e-15
        )


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_chain_of_ten_thousand_and_sixty_diamonds(create_graph):
    x = variable(1.0)
    y = x
    for _ in range(10_000):
        y = y + 1
    assert mg.grad(y, x, create_graph=create_graph).item() == 1
    for _ in range(60):
        y = y + y
    assert mg.grad(y, x, create_graph=create_graph).item() == 2.0**60


def test_gradients_survive_an_error_and_constants_are_refused():
    x = variable(X)
    x.grad = np.ones(4)
    x.register_backward_hook(lambda node, grad: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mg.grad((x * x).sum(), x)
    np.testing.assert_array_equal(x.grad, 1)
    with pytest.raises(
        mg.GraphError, match="no gradient is recorded for it; a Variable was expected"
    ):
        mg.grad((x * x).sum(), mg.Constant(1.0))
    with pytest.raises(TypeError, match="grad: got a float where a node was expected"):
        mg.grad(1.0, x)
    with pytest.raises(mg.GraphError, match=r"shape \(4,\) is not a single number"):
        mg.grad(x * x, x, create_graph=True)
    with pytest.raises(mg.ShapeError, match=r"grad has shape \(3,\), \(4,\) was expected"):
        mg.grad(x * x, x, np.ones(3), create_graph=True)
    with mg.no_grad(), pytest.raises(mg.GraphError, match="within no_grad nothing is recorded"):
        mg.grad((x * x).sum(), x)


def test_gradcheck_finds_a_wrong_second_derivative():
    """By 0.1 %: first derivative right, second one wrong."""
    wrong = mg.operator(np.square, lambda g, y, x: g * slope(x), name="square")
    slope = mg.operator(lambda x: 2 * x, lambda g, y, x: g * 2.002, name="slope")
    assert mg.gradcheck(wrong, [X])
    with pytest.raises(mg.GradientError):
        mg.gradcheck(lambda x: mg.grad(wrong(x), x, np.ones(4), create_graph=True), [X])
    assert mg.gradcheck(lambda x: mg.grad(mg.sin(x), x, np.ones(4), create_graph=True), [X])


# ---------------- forward mode
def test_forward_mode_agrees_with_jax():
    v = RNG.normal(size=4), RNG.normal(size=(3, 4))
    with mg.default_dtype(np.float64):
        found = mg.jvp(lambda x, w: network(np, w, x), [X, W], v)
        assert all(isinstance(array, np.ndarray) for array in found)
        for ours, theirs in zip(
            found, jax.jvp(lambda x, w: network(jnp, w, x), (X, W), v), strict=True
        ):
            assert_close(ours, theirs)


def test_forward_over_reverse_multiplies_by_the_hessian():
    def gradient(x):
        return mg.grad((network(np, W, x) ** 2).sum(), x, create_graph=True)

    v = RNG.normal(size=4)
    with mg.default_dtype(np.float64):
        _, found = mg.jvp(gradient, [X], [v])
    assert_close(found, jax.hessian(lambda x: (network(jnp, W, x) ** 2).sum())(X) @ v)


def test_forward_mode_keeps_dtype_and_touches_nothing():
    w = variable(W)
    v = np.ones(4)
    y, tangent = mg.jvp(lambda x: w @ x, [variable(X)], [v])
    assert y.dtype == tangent.dtype == np.float64 and w.grad is None
    assert_close(tangent, W @ v)
    y, tangent = mg.jvp(mg.sin, [2], [1])
    assert y.dtype == tangent.dtype == np.float32 and y.shape == tangent.shape == ()
    with mg.no_grad():
        assert mg.jvp(mg.sin, [0.0], [1.0])[1] == 1


def test_what_does_not_move_has_tangent_0():
    for fn in (lambda x: mg.Constant([1.0, 2.0]), lambda x: x > 0, lambda x: mg.sign(x)):
        y, tangent = mg.jvp(fn, [np.ones(2)], [np.ones(2)])
        np.testing.assert_array_equal(tangent, np.zeros(2))
        assert tangent.dtype == y.dtype
    np.testing.assert_array_equal(mg.jvp(lambda x: x, [np.ones(2)], [[3, 4]])[1], [3, 4])


def test_forward_mode_says_what_does_not_fit():
    with pytest.raises(mg.ShapeError, match=r"jvp: tangent has shape \(3,\), \(4,\) was expected"):
        mg.jvp(mg.sin, [X], [np.ones(3)])
    with pytest.raises(mg.ShapeError, match="2 tangents for 1 inputs"):
        mg.jvp(mg.sin, [X], [X, X])
    with pytest.raises(mg.DTypeError, match="complex128, numbers were expected"):
        mg.jvp(mg.sin, [X], [X * 1j])
    with pytest.raises(TypeError, match="inputs is a ndarray"):
        mg.jvp(mg.sin, X, X)
    with pytest.raises(mg.GraphError, match="fn returned a tuple"):
        mg.jvp(lambda x: (x, x), [X], [X])


# ---------------- Jacobians
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_jacobian_agrees_with_jax_and_counts_its_passes(mode):
    with mg.default_dtype(np.float64):
        found, passes = mg.jacobian(
            lambda w, x: network(np, w, x), (W, X), mode, return_passes=True
        )
    assert passes == (
        3 if mode == "reverse" else 16
    )  # entries of the result; entries of the inputs
    for ours, theirs in zip(
        found, jax.jacrev(lambda w, x: network(jnp, w, x), (0, 1))(W, X), strict=True
    ):
        assert_close(ours, theirs)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_jacobian_has_the_shape_of_result_and_input(mode):
    w = variable(W)
    assert mg.jacobian(lambda x: mg.reshape(x, (3, 2)), np.ones((2, 1, 3)), mode).shape == (
        3,
        2,
        2,
        1,
        3,
    )
    assert mg.jacobian(mg.sin, 0.0, mode) == 1
    np.testing.assert_array_equal(
        mg.jacobian(lambda x: mg.Constant(W), X, mode), np.zeros((3, 4, 4))
    )
    assert_close(mg.jacobian(lambda x: w @ x, variable(X), mode), W)
    assert w.grad is None
    assert mg.jacobian(lambda x: x[:0], np.ones(3), mode).shape == (0, 3)


def test_jacobian_knows_two_modes():
    with pytest.raises(ValueError, match="mode='sideways'"):
        mg.jacobian(mg.sin, X, "sideways")
