"""Sums of products, with NumPy's einsum as oracle."""

import numpy as np
import pytest
from einsums import SUMS, X
from oracle import assert_close

from minigrad.ops.contraction import contracted


@pytest.mark.parametrize(("text", "arrays"), SUMS)
def test_contracted_equals_numpy(text, arrays):
    assert_close(contracted(text, *arrays, product=np.matmul), np.einsum(text, *arrays))


def test_one_array_without_a_sum_is_a_view():
    assert np.shares_memory(contracted("abc->cab", X, product=np.matmul), X)


def test_products_of_stacks_are_matrix_products():
    """Also where einsum's own loops would run: one product, of stacks whose matrices are turned."""
    calls = []

    def product(a, b):
        calls.append((a.shape, b.shape))
        return a @ b

    q, k = np.ones((2, 6, 3, 4)), np.ones((2, 5, 3, 4))
    assert contracted("nqhd,nkhd->nhqk", q, k, product=product).shape == (2, 3, 6, 5)
    assert calls == [((2, 3, 6, 4), (2, 3, 4, 5))]
