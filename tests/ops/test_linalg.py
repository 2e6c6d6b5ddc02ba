"""Matrix products: what the table does not say."""

import numpy as np
import pytest
from oracle import gradients

import minigrad as mg
from minigrad.ops.kernel import flops

EMPTY = [((8, 0), (0, 8)), ((0, 3), (3, 2)), ((2, 0, 3), (3, 2)), ((5, 5, 0), (0, 5))]


@pytest.mark.parametrize(("a", "b"), EMPTY)
def test_nothing_to_multiply(a, b):
    ga, gb = gradients(mg.matmul, np.zeros(a), np.zeros(b))
    assert ga.shape == a and gb.shape == b and not gb.any()
    np.testing.assert_array_equal(
        mg.matmul(np.zeros(a), np.zeros(b)).value, np.zeros(a) @ np.zeros(b)
    )


def test_a_matrix_times_itself():
    (grad,) = gradients(lambda a: a @ a, [[1.0, 2.0], [3.0, 4.0]])
    a, g = np.array([[1.0, 2.0], [3.0, 4.0]]), np.ones((2, 2))
    np.testing.assert_array_equal(grad, g @ a.T + a.T @ g)


def test_linear_is_matmul_and_add():
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(2, 5, 3)), rng.normal(size=(4, 3)), rng.normal(size=4)
    fused, composed = gradients(mg.linear, x, w, b), gradients(lambda x, w, b: x @ w.T + b, x, w, b)
    for one, other in zip(fused, composed, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_flops_count_a_multiply_add_as_two():
    y = mg.matmul(np.ones((2, 3)), np.ones((3, 4)))
    assert flops(y) == 2 * 2 * 3 * 4
