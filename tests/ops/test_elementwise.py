"""Elementwise operators where functions have kinks, poles and limits, and how Python's and NumPy's
numbers mix in.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from oracle import gradients

import minigrad as mg

INF, NAN = np.inf, np.nan


def slopes(fn, *numbers):
    """The value and the slopes of fn at some numbers; divisions by zero belong to the question."""
    with np.errstate(all="ignore"):
        xs = [mg.Variable(x, dtype=np.float64) for x in numbers]
        y = fn(*xs)
        y.backward()
        return y.item(), *(x.grad.item() for x in xs)


KINKS = [  # (function, at, value, slopes), as PyTorch has them
    (mg.relu, (0,), 0, (0,)),
    (mg.leaky_relu, (0,), 0, (0.01,)),
    (mg.abs, (0,), 0, (0,)),
    (lambda x: mg.maximum(x, 0), (0,), 0, (0.5,)),
    (lambda x: mg.maximum(x, x), (3,), 3, (1,)),
    (mg.maximum, (2, 2), 2, (0.5, 0.5)),
    (mg.minimum, (2, 2), 2, (0.5, 0.5)),
    (lambda x: mg.clip(x, 1, 2), (1,), 1, (1,)),  # on the limit the slope is 1
    (lambda x: mg.clip(x, 1, 2), (2,), 2, (1,)),
    (lambda x: mg.clip(x, 1, 2), (2.5,), 2, (0,)),
    (lambda x: mg.clip(x, 2, 1), (1.5,), 1, (0,)),  # crossed limits: the upper one wins
    (lambda x: mg.clip(x), (7,), 7, (1,)),
    (mg.sqrt, (0,), 0, (INF,)),
    (lambda x: x * mg.sqrt(x), (0,), 0, (NAN,)),
    (lambda x: x / x, (0,), NAN, (NAN,)),
    (lambda x: mg.where(x > 0, mg.log(x), 0), (0,), 0, (NAN,)),  # 0 · inf leaks …
    (
        lambda x: mg.where(x > 0, mg.log(mg.where(x > 0, x, 1)), 0),
        (0,),
        0,
        (0,),
    ),  # … the double where stops it
    (mg.power, (0, 0), 1, (0, 0)),
    (mg.power, (0, 0.3), 0, (INF, 0)),
    (mg.power, (0, -0.3), INF, (-INF, -INF)),
    (mg.power, (-30, 3), -27000, (2700, NAN)),
    (mg.power, (-30, 0.2), NAN, (NAN, NAN)),
    (lambda x: x**0, (-3,), 1, (0,)),
    (lambda x: x**2, (-3,), 9, (-6,)),
    (lambda x: 2**x, (3,), 8, (8 * np.log(2),)),
]


@pytest.mark.parametrize(("fn", "at", "value", "grads"), KINKS)
def test_kinks_and_poles(fn, at, value, grads):
    np.testing.assert_allclose(slopes(fn, *at), (value, *grads), rtol=1e-14)


FAR = [  # (function, far left: value, slope; far right: value, slope)
    (mg.sigmoid, (0, 0), (1, 0)),
    (mg.tanh, (-1, 0), (1, 0)),
    (mg.softplus, (0, 0), (400, 1)),
    (mg.relu, (0, 0), (400, 1)),
    (mg.leaky_relu, (-4, 0.01), (400, 1)),
    (mg.gelu, (0, 0), (400, 1)),
]


@pytest.mark.parametrize(("fn", "left", "right"), FAR, ids=lambda f: getattr(f, "name", ""))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_far_out_do_not_overflow(fn, left, right, dtype):
    """Without a RuntimeWarning, too: pytest turns warnings into errors."""
    x = mg.Variable([-400, 400], dtype=dtype)
    y = fn(x)
    y.backward([1, 1])
    np.testing.assert_allclose(y.value, [left[0], right[0]], rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(x.grad, [left[1], right[1]], rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("fn", [f for f, *_ in FAR], ids=lambda f: f.__name__)
def test_activations_keep_nan_and_bear_infinity(fn):
    with np.errstate(invalid="ignore"):
        y = fn(mg.Constant([NAN, INF, 1.0])).value
    assert np.isnan(y[0]) and not np.isnan(y[1:]).any()


@pytest.mark.parametrize(
    "fn", [mg.relu, mg.leaky_relu, mg.maximum, mg.clip, mg.abs], ids=lambda f: f.__name__
)
def test_nan_is_not_swallowed(fn):
    assert np.isnan(fn(mg.Constant(NAN), *([0.0] if fn is mg.maximum else [])).item())


def test_comparisons_and_sign_pass_no_gradient():
    """They compute, but nothing flows through them; what stands beside them gets its gradient as
    ever.
    """
    x = mg.Variable([-2.0, 3.0])
    (x * mg.sign(x) + mg.where(x > 0, x, 0)).sum().backward()
    np.testing.assert_array_equal(x.grad, [-1, 2])
    assert not mg.sign(x).requires_grad and (x > 0).dtype == bool


# ---------------- numbers and arrays that are not nodes
MIXED = [
    (lambda x: x + 1, [2, 3]),
    (lambda x: 1 + x, [2, 3]),
    (lambda x: x - 1, [0, 1]),
    (lambda x: 1 - x, [0, -1]),
    (lambda x: x * 2.0, [2, 4]),
    (lambda x: 6 / x, [6, 3]),
    (lambda x: x**2, [1, 4]),
    (lambda x: 2**x, [2, 4]),
    (lambda x: np.array([1.0, 2.0]) * x, [1, 4]),
    (lambda x: x * np.array([1, 2]), [1, 4]),
    (lambda x: np.float64(2) * x, [2, 4]),
    (lambda x: np.array(2.0) * x, [2, 4]),
    (lambda x: x * np.int64(2), [2, 4]),
    (lambda x: [1, 2] * x, [1, 4]),
    (lambda x: np.array([True, False]) * x, [1, 0]),
    (lambda x: x ** np.array([2, 3]), [1, 8]),
    (lambda x: np.array([[3.0, 4.0]]) @ x, [11]),
    (lambda x: np.float32(1) - x, [0, -1]),
    (lambda x: +x, [1, 2]),
    (lambda x: -x, [-1, -2]),
    (lambda x: abs(-x), [1, 2]),
    (lambda x: mg.clip(x, np.float64(1.5)), [1.5, 2]),
    (lambda x: mg.leaky_relu(-x, np.float64(0.5)), [-0.5, -1]),
    (lambda x: x > np.float64(1), [False, True]),
]


@pytest.mark.parametrize(("fn", "value"), MIXED)
def test_numbers_take_the_dtype_of_the_node(fn, value):
    """On either side, also NumPy's 0-d float64, which by NumPy's rules would make float64 of
    everything.
    """
    y = fn(mg.Variable([1, 2]))
    assert isinstance(y, mg.GraphNode)
    assert y.dtype in (np.float32, bool)
    np.testing.assert_array_equal(y.value, value)


def test_in_place_operators_make_a_new_node():
    x = before = mg.Variable([1.0, 2.0]) + 0
    x += 1
    x *= 2
    assert x is not before and before.value.tolist() == [1, 2] and x.value.tolist() == [4, 6]


@settings(derandomize=True, max_examples=60, deadline=None)
@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3, min_side=0))
def test_broadcasting_is_undone(shapes):
    """Addition is linear: what g weighs in the sum is what the two gradients weigh in the
    operands.
    """
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-9, 9, shape).astype(float) for shape in shapes.input_shapes)
    g = rng.integers(-9, 9, shapes.result_shape).astype(float)
    ga, gb = gradients(mg.add, a, b, seed=g)
    assert (ga.shape, gb.shape) == (a.shape, b.shape)
    assert (g * (a + b)).sum() == (ga * a).sum() + (gb * b).sum()
    ga, gb = gradients(mg.multiply, a, b, seed=g)
    assert (g * a * b).sum() == (ga * a).sum() == (gb * b).sum()


def test_a_mask_is_a_factor_of_zeros_and_ones():
    x = mg.Variable([-1.0, 2.0, 3.0])
    y = x * (x > 0) + (x > 2)
    y.sum().backward()
    assert np.array_equal(y.value, [0, 2, 4]) and y.dtype == np.float32
    assert np.array_equal(x.grad, [0, 1, 1])
    with pytest.raises(mg.DTypeError, match="add: .*bool and bool"):
        (x > 0) + (x > 1)
