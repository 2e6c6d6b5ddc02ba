"""Norm, variance, products and running totals where they have kinks; the places of extremes."""

import numpy as np
import pytest
from oracle import gradients

import minigrad as mg

NAN = np.nan


def test_at_zero_and_of_constant_data_the_slope_is_zero():
    for fn in (mg.norm, mg.std, lambda x: mg.std(x, ddof=1), np.linalg.norm):
        (grad,) = gradients(fn, np.zeros(3))
        np.testing.assert_array_equal(grad, 0)
    (grad,) = gradients(lambda x: mg.norm(x, axis=1).sum(), [[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(grad, [[0.6, 0.8], [0, 0]])


@pytest.mark.parametrize("fn", [mg.var, mg.std])
def test_of_as_few_entries_as_it_takes_nothing_is_known(fn):
    """Without a warning, value and gradient are not numbers."""
    x = mg.Variable(np.ones((1, 2)))
    y = fn(x, axis=0, ddof=1)
    y.backward([1, 1])
    np.testing.assert_array_equal(y.value, [NAN, NAN])
    np.testing.assert_array_equal(x.grad, [[NAN, NAN]])


@pytest.mark.parametrize(
    "options", [{}, {"axis": 0}, {"axis": (0, 2), "keepdims": True}, {"axis": -1, "ddof": 1}]
)
def test_variance_is_numpys(options):
    x = np.random.default_rng(0).normal(size=(3, 2, 4))
    for ours, theirs in ((mg.var, np.var), (mg.std, np.std)):
        np.testing.assert_allclose(
            ours(mg.Constant(x, dtype=np.float64), **options).value, theirs(x, **options)
        )
        np.testing.assert_allclose(
            theirs(mg.Constant(x, dtype=np.float64), **options).value, theirs(x, **options)
        )
        assert mg.gradcheck(lambda x, ours=ours: ours(x, **options), [x])


@pytest.mark.parametrize(
    ("x", "grad"),
    [([0.0, 2, 3], [6, 0, 0]), ([0.0, 0, 3], [0, 0, 0]), ([4.0], [1]), ([], [])],
    ids=str,
)
def test_products_are_exact_at_zeros(x, grad):
    np.testing.assert_array_equal(gradients(mg.prod, x)[0], grad)


def test_running_products_are_exact_at_zeros():
    (grad,) = gradients(mg.cumprod, [2.0, 0.0, 3.0, 5.0], seed=[1.0, 1, 1, 1])
    np.testing.assert_array_equal(grad, [1, 2 + 2 * 3 + 2 * 3 * 5, 0, 0])
    np.testing.assert_array_equal(mg.cumprod(mg.Constant([[1.0, 2], [3, 4]])).value, [1, 2, 6, 24])


def test_places_are_integers_and_pass_no_gradient():
    x = mg.Variable([[1.0, 5.0, 5.0], [NAN, 2.0, 9.0]])
    assert mg.argmax(x[0]).item() == 1 and mg.argmax(x).item() == 3 and mg.argmin(x[0]).item() == 0
    best = mg.argmax(x, axis=1)
    assert best.dtype == np.int64 and best.value.tolist() == [1, 0] and not best.requires_grad
    (x[:1] * 2)[0, mg.argmax(x[0])].backward()  # as an index it picks where the gradient goes
    np.testing.assert_array_equal(x.grad, [[0, 2, 0], [0, 0, 0]])
    with pytest.raises(mg.ShapeError, match="argmax: .*one axis or None"):
        mg.argmax(x, axis=(0, 1))


@pytest.mark.parametrize(
    "step", [mg.floor, mg.ceil, mg.trunc, mg.rint, mg.sign, lambda x: x > 1, mg.argmax, mg.isnan]
)
def test_steps_pass_no_gradient_and_break_no_backward_pass(step):
    x = mg.Variable([0.5, 1.5, -2.5])
    (x * 3 + step(x) * 1.0).sum().backward() if step is not mg.argmax else (
        x[step(x)] * 3 + x.sum() * 0
    ).backward()
    assert np.isfinite(x.grad).all() and x.grad.max() == 3
    with pytest.raises(mg.GraphError, match="depends on no Variable"):
        step(x).backward(np.ones(step(x).shape))


def test_masks_combine():
    x = mg.Variable([-1.0, 2.0, 3.0])
    np.testing.assert_array_equal(((x > 0) & (x < 3)).value, [False, True, False])
    np.testing.assert_array_equal(((x < 0) | ~(x < 3)).value, [True, False, True])
    np.testing.assert_array_equal(
        (np.array([True, True, False]) & (x > 0)).value, [False, True, False]
    )
    np.testing.assert_array_equal(np.logical_not(x).value, [False] * 3)
    with pytest.raises(mg.DTypeError, match=r"logical_and: dtypes float32 and bool; masks"):
        x & (x > 0)


@pytest.mark.parametrize("ord", [1, np.inf, "nuc", -2])
def test_other_norms_are_named(ord):
    with pytest.raises(mg.GraphError, match=r"np\.linalg\.norm: ord="):
        np.linalg.norm(mg.Variable(np.ones((2, 2))), ord)


@pytest.mark.parametrize(
    ("subscripts", "shapes", "words"),
    [
        (
            "ij,jk",
            [(2, 3), (4, 5)],
            r"^einsum: shapes \(2, 3\) and \(4, 5\); 'ij,jk': Size of label 'j' .*does not match",
        ),
        ("ij", [(2, 3), (3,)], "must be equal to the number of operands"),
        ("ijk", [(2, 3)], "subscript i does not contain the correct number of indices"),
        ("i", [(2, 3)], "subscript i does not contain the correct number of indices"),
        ("ij->ik", [(2, 3)], "k did not appear in the input"),
        ("ij->ii", [(2, 3)], "i appeared more than once"),
        ("i1->i", [(2, 3)], "1 is not a valid symbol"),
    ],
)
def test_subscripts_that_do_not_fit(subscripts, shapes, words):
    with pytest.raises(mg.ShapeError, match=words):
        mg.einsum(subscripts, *(mg.Variable(np.ones(shape)) for shape in shapes))
