"""Reductions and the softmax family: ties, nothing to reduce, NaN, and numbers near the end of the
range.
"""

import numpy as np
import pytest
from oracle import gradients

import minigrad as mg

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
@pytest.mark.parametrize("fn", [mg.max, mg.min])
def test_ties_share_the_gradient(fn, axis):
    (grad,) = gradients(lambda x: fn(x, axis=axis), np.zeros((2, 4)))
    np.testing.assert_allclose(grad, np.full((2, 4), 1 / {None: 8, 0: 2, 1: 4, (0, 1): 8}[axis]))


def test_many_ties_in_float32():
    """70,000 winners share: a count kept in a small type once lost them all (tinygrad #12296)."""
    (grad,) = gradients(mg.max, np.ones(70_000), dtype=np.float32)
    np.testing.assert_allclose(grad, 1 / 70_000, rtol=1e-6)


@pytest.mark.parametrize("fn", [mg.max, mg.min])
def test_nan_is_the_extreme(fn):
    x = mg.Variable([1.0, NAN, 3.0])
    y = fn(x)
    y.backward()
    assert np.isnan(y.item()) and np.isnan(x.grad).all()


def test_nothing_to_reduce():
    """As in NumPy: 0, not a number, an error. The mean's NaN comes without a warning."""
    empty = mg.Variable(np.zeros((0, 3)))
    np.testing.assert_array_equal(mg.sum(empty, axis=0).value, [0, 0, 0])
    np.testing.assert_array_equal(mg.mean(empty, axis=0).value, [NAN, NAN, NAN])
    mg.mean(empty).backward()
    assert empty.grad.shape == (0, 3)
    for fn in (mg.max, mg.min, mg.logsumexp):
        assert fn(empty, axis=1).shape == (0,)  # no vector of three is empty
        with pytest.raises(mg.ShapeError, match=r"\(0, 3\); there is no entry"):
            fn(empty, axis=0)


def test_no_axis_is_not_every_axis():
    (grad,) = gradients(lambda x: mg.max(x, axis=()), np.ones((2, 2)))
    np.testing.assert_array_equal(grad, 1)


LONG = [[1, 2, 3000], [-1e5, -1e5, -1e5], [0, -1e4, -2e4]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_of_large_numbers(dtype):
    x = mg.Variable(LONG, dtype=dtype)
    np.testing.assert_allclose(mg.softmax(x).value, [[0, 0, 1], [1 / 3] * 3, [1, 0, 0]], rtol=1e-6)
    logs = mg.log_softmax(x)
    np.testing.assert_allclose(
        logs.value, [[-2999, -2998, 0], [-np.log(3)] * 3, [0, -1e4, -2e4]], rtol=1e-6
    )
    logs.backward(np.random.default_rng(0).normal(size=(3, 3)))
    np.testing.assert_allclose(
        x.grad.sum(1), 0, atol=1e-6
    )  # adding a number to a row changes nothing
    np.testing.assert_allclose(
        mg.logsumexp(x, axis=1).value, [3000, -1e5 + np.log(3), 0], rtol=1e-6
    )


def test_infinities():
    """No warning anywhere; where the limit depends on the way one takes, NaN as in PyTorch and
    JAX.
    """
    for row, expected in (
        ([INF, 0.0], [NAN, NAN]),
        ([-INF, -INF], [NAN, NAN]),
        ([-INF, 0.0], [0, 1]),
    ):
        np.testing.assert_array_equal(mg.softmax(mg.Constant(row)).value, expected)
    for row, value, grad in (
        ([-INF, -INF], -INF, [NAN, NAN]),
        ([-INF, 2.0], 2, [0, 1]),
        ([INF, 1000.0], INF, [NAN, 0]),
    ):
        x = mg.Variable(row)
        y = mg.logsumexp(x)
        y.backward()
        assert y.item() == value
        np.testing.assert_array_equal(x.grad, grad)


def test_methods_are_the_functions():
    x = mg.Variable([[1.0, 2.0], [3.0, 5.0]])
    for name in ("sum", "mean", "max", "min"):
        for options in ({}, {"axis": 1}, {"axis": 0, "keepdims": True}):
            np.testing.assert_array_equal(
                getattr(x, name)(**options).value, getattr(mg, name)(x, **options).value
            )
            np.testing.assert_array_equal(
                getattr(x, name)(**options).value, getattr(x.value, name)(**options)
            )


# ---------------- statistics, products, running totals, places of extremes


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
