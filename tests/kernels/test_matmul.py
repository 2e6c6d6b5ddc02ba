"""Products of stacks of matrices: every layout of operands, broadcasting, any number of shards."""

import numpy as np
import pytest

from minigrad.kernels import matmul


def stacks(*shape, dtype=np.float64, turned=False):
    """Normal numbers; with `turned` the last two axes lie in memory the other way round."""
    rng = np.random.default_rng(len(shape) + shape[-1])
    if turned:
        return rng.normal(size=(*shape[:-2], shape[-1], shape[-2])).astype(dtype).swapaxes(-1, -2)
    return rng.normal(size=shape).astype(dtype)


def product(a, b, shards=1):
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = np.full((*batch, a.shape[-2], b.shape[-1]), 1e30, a.dtype)
    matmul.products(*matmul.arguments(a, b, out, shards))
    return out


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 1, 1), (1, 5, 3), (3, 17, 2), (4, 4, 4), (7, 3, 20), (5, 0, 2), (0, 3, 2)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layouts_and_sizes(m, k, n, turned, dtype):
    a = stacks(2, 3, m, k, dtype=dtype, turned=turned[0])
    b = stacks(2, 3, k, n, dtype=dtype, turned=turned[1])
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"atol": 1e-13}
    np.testing.assert_allclose(product(a, b), a @ b, **close)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        *[((4,), (4,)), ((), (3,)), ((3,), ()), ((2, 1), (3,)), ((2, 3), (1, 3))],
        *[((1,), (5,)), ((2, 1, 3), (4, 1)), ((0,), (1,))],
    ],
)
def test_leading_axes_broadcast(left, right):
    a, b = stacks(*left, 3, 5), stacks(*right, 5, 4)
    np.testing.assert_allclose(product(a, b), a @ b, atol=1e-13)


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_any_number_of_shards_gives_the_same_bits(shards):
    a, b = stacks(5, 6, 9, dtype=np.float32), stacks(5, 9, 11, dtype=np.float32, turned=True)
    np.testing.assert_array_equal(product(a, b, shards), product(a, b))


def test_operands_with_gaps_are_copied():
    a, b = stacks(3, 8, 10)[:, ::2, ::2], stacks(3, 10, 8)[:, ::2, ::-1]
    np.testing.assert_allclose(product(a, b), a @ b, atol=1e-13)


def test_nan_stays_in_its_row():
    a = np.ones((2, 3, 4))
    a[1, 2, 3] = np.nan
    out = product(a, np.ones((2, 4, 5)))
    assert np.isnan(out[1, 2]).all() and np.isnan(out).sum() == 5


@pytest.mark.parametrize("shape", [(2, 3), (1, 1), ()])
def test_places(shape):
    whole = np.arange(7 + np.prod((*shape, 5), dtype=int))
    stack = whole[7:].reshape((*shape, 5))
    strides = tuple(s // stack.itemsize for s in stack.strides[:-1])
    table = matmul.places(shape, (7, strides), (0, (0,) * len(shape)))
    np.testing.assert_array_equal(table[:, 0], stack[..., 0].reshape(-1))
    assert not table[:, 1].any()


def test_nothing_is_compiled_for_other_sizes():
    product(stacks(2, 3, 4), stacks(2, 4, 5))
    if hasattr(matmul.products, "signatures"):
        known = len(matmul.products.signatures)
        product(stacks(9, 2, 1, 7), stacks(2, 7, 6))
        assert len(matmul.products.signatures) == known
