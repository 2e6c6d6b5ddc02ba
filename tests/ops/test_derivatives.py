"""Every operator, generated from the one table: forward mode and gradients of gradients."""

import numpy as np
import pytest
from operators import KINKED, SMOOTH
from oracle import assert_close, cases, few, jax

import minigrad as mg


def has_entries(case):
    """The mean of nothing is not a number, and neither is its slope."""
    return case.row.name != "mean" or sum(x.size for x in case.operands)


ROWS = [*SMOOTH, *KINKED]
CASES = list(filter(has_entries, cases(ROWS)))
# at ties the slope jumps
TWICE = [case for case in CASES if few not in case.row.domains]
LARGEST = [
    max(TWICE, key=lambda case: (case.row is row, sum(x.size for x in case.operands)))
    for row in ROWS
    if few not in row.domains
]


def floats_of(case):
    return [x for x in case.operands if x.dtype.kind == "f"]


def with_floats(case, call):
    """The operator as a function of its float operands only."""

    def of_floats(*given):
        left = iter(given)
        return call(*(next(left) if x.dtype.kind == "f" else x for x in case.operands))

    return of_floats


def directions(case, seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=x.shape) for x in floats_of(case)]


def nodes_of(arrays):
    return [mg.Variable(x, dtype=np.float64) for x in arrays]


def cotangent(case):
    shape = with_floats(case, case.ours)(*nodes_of(floats_of(case))).shape
    return np.random.default_rng(0).uniform(0.5, 1.5, shape)


def gradients(case, arrays, create_graph=False):
    """The variables, and the gradients of the operator on them, from a fixed cotangent."""
    xs = nodes_of(arrays)
    return xs, mg.grad(
        with_floats(case, case.ours)(*xs), xs, cotangent(case), create_graph=create_graph
    )


def along(grads, vs):
    """⟨grads, vs⟩ as a node."""
    return sum(
        ((grad * v).sum() for grad, v in zip(grads, vs, strict=True)),
        start=mg.Constant(0, dtype=np.float64),
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_mode_agrees_with_reverse_mode(case):
    """⟨g, J v⟩ = ⟨Jᵀ g, v⟩, and the gradient as a graph is the gradient."""
    floats, v = floats_of(case), directions(case, 1)
    with mg.default_dtype(np.float64):
        y, tangent = mg.jvp(with_floats(case, case.ours), floats, v)
    assert tangent.shape == y.shape and tangent.dtype == np.float64
    xs, grads = gradients(case, floats)
    assert_close(
        (cotangent(case) * tangent).sum(),
        sum((grad.value * x).sum() for grad, x in zip(grads, v, strict=True)),
    )
    for graph, grad in zip(gradients(case, floats, create_graph=True)[1], grads, strict=True):
        assert graph.dtype == np.float64
        assert_close(graph.value, grad.value)
    assert all(x.grad is None for x in xs)


@pytest.mark.parametrize("case", TWICE, ids=str)
def test_gradient_of_the_gradient_agrees_with_central_differences(case):
    """Along random directions; and the third derivative, forward over reverse over reverse against
    thrice reverse.
    """
    floats, v, u = floats_of(case), directions(case, 1), directions(case, 2)
    xs, grads = gradients(case, floats, create_graph=True)
    slope = along(grads, v)
    second = mg.grad(slope, xs, create_graph=True)
    h = 1e-5
    ahead, behind = (
        sum((grad.value * x).sum() for grad, x in zip(gradients(case, moved)[1], v, strict=True))
        for moved in ([x + s * h * d for x, d in zip(floats, u, strict=True)] for s in (1, -1))
    )
    measured, found = (ahead - behind) / (2 * h), along(second, u)
    np.testing.assert_allclose(
        found.value, measured, rtol=1e-5, atol=1e-5 * max(1, sum(x.size for x in floats))
    )

    def twice(*nodes):
        grads = mg.grad(
            with_floats(case, case.ours)(*nodes), nodes, cotangent(case), create_graph=True
        )
        return along(mg.grad(along(grads, v), nodes, create_graph=True), u)

    with mg.default_dtype(np.float64):
        value, tangent = mg.jvp(twice, floats, v)
    assert_close(value, found.value)
    assert_close(tangent, along(mg.grad(found, xs), v).value)


@pytest.mark.parametrize("case", LARGEST, ids=lambda case: case.row.name)
def test_both_agree_with_jax(case):
    floats, v, g = floats_of(case), directions(case, 1), cotangent(case)
    theirs = with_floats(case, lambda *xs: case.row.theirs(*xs, **case.options))

    def pulled_back(*xs):
        return jax.vjp(theirs, *xs)[1](g)

    with mg.default_dtype(np.float64):
        value, tangent = mg.jvp(with_floats(case, case.ours), floats, v)
    for ours, expected in zip(
        (value, tangent), jax.jvp(theirs, tuple(floats), tuple(v)), strict=True
    ):
        assert_close(ours, expected)
    xs, grads = gradients(case, floats, create_graph=True)
    # the Hessian of ⟨g, y⟩ is symmetric: moving its gradient along v is pulling ⟨gradient, v⟩ back
    _, moved = jax.jvp(pulled_back, tuple(floats), tuple(v))
    for ours, expected in zip(mg.grad(along(grads, v), xs), moved, strict=True):
        assert_close(ours.value, expected)
