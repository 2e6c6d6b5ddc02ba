import numba
import numpy as np
import pytest

from minigrad.kernels import jit, simd


@jit.jit
def run_shaped(a, rows, columns):
    return simd.shaped(a, (rows, columns)).copy()


@jit.jit
def fill(a):
    rows = simd.shaped(simd.flat(a)[4:], (2, 4))
    for i in range(2):
        for j in range(4):
            rows[i, j] = 10 * i + j


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_the_same_numbers_in_another_shape(dtype):
    a = np.arange(12, dtype=dtype)
    for shape in ((3, 4), (12, 1), (1, 12)):
        np.testing.assert_array_equal(run_shaped(a, *shape), a.reshape(shape))
        np.testing.assert_array_equal(run_shaped(a.reshape(2, 3, 2), *shape), simd.shaped(a, shape))
    assert run_shaped(a[:0], 0, 5).shape == (0, 5)


def test_a_view_is_the_same_memory():
    a = np.zeros((3, 4))
    fill(a)
    np.testing.assert_array_equal(a, [[0, 0, 0, 0], [0, 1, 2, 3], [10, 11, 12, 13]])
    simd.flat(a)[0] = 7
    assert a[0, 0] == 7


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_what_is_not_contiguous_or_only_to_be_read_is_refused():
    with pytest.raises(numba.TypingError):
        run_shaped(np.zeros((4, 6))[:, ::2], 3, 4)
    frozen = np.zeros((3, 4))
    frozen.flags.writeable = False
    with pytest.raises(numba.TypingError, match="[Rr]eadonly|modify"):
        fill(frozen)
    assert run_shaped(frozen, 4, 3).shape == (4, 3)
