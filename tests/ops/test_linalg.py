"""Matrix products: what the table does not say."""

import numpy as np
import pytest
from oracle import gradients

import minigrad as mg
from minigrad.ops.kernel import flops
from minigrad.ops.kinds import MEAN, NotSeparable
from minigrad.run.batch import batch_axis

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


# ---------------- Einstein sums: which of them leave the samples of a batch apart
SIZES = {"n": 4, "i": 3, "j": 5, "k": 2}


def build(text):
    rng, terms = np.random.default_rng(0), text.split("->")[0].split(",")
    return mg.einsum(
        text, *(mg.Variable(rng.normal(size=[SIZES[c] for c in term])) for term in terms)
    )


@pytest.mark.parametrize(
    ("text", "axes", "expected"),
    [
        ("nij,jk->nik", (0, None), 0),
        ("ni,nj->nij", (0, 0), 0),
        ("ij,nj->in", (None, 0), 1),
        ("ij->ji", (None,), None),
        ("ij,jn,nk->nik", (None, 1, 0), 0),
    ],
)
def test_samples_that_keep_apart(text, axes, expected):
    """A sample of the result is computed from that sample of the inputs alone."""
    node = build(text)
    assert batch_axis(node, axes) == expected
    if expected is not None:
        third = [
            x.value if axis is None else np.take(x.value, [2], axis)
            for x, axis in zip(node.inputs, axes, strict=True)
        ]
        np.testing.assert_allclose(
            np.take(node.value, [2], expected), np.einsum(text, *third), rtol=1e-6
        )


@pytest.mark.parametrize(
    ("text", "axes"),
    [
        ("ni,nj->ij", (0, 0)),
        ("nn->n", (0,)),
        ("ni,nj->nij", (0, None)),
        ("ni,ij->nj", (1, None)),
        ("ni,ij->nj", (0, 0)),
        ("ni,ij->nj", (MEAN, None)),
    ],
)
def test_samples_that_meet(text, axes):
    node = build(text)
    with pytest.raises(NotSeparable):
        batch_axis(node, axes)
