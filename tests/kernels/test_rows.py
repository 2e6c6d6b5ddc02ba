import numpy as np
import pytest

from minigrad.kernels import jit, rows, update

POISON = 77
WHOLE = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
DTYPES = [bool, *WHOLE, np.float32, np.float64]


def numbers(shape, dtype):
    """Random numbers other than POISON, as a mask has no room for it: there it is True."""
    return np.random.default_rng(0).integers(0, 2 if dtype is bool else 70, shape).astype(dtype)


@jit.jit
def run_turn(goal, g0, g_row, source, s0, s_row, h, w):
    rows.turn(goal, g0, g_row, source, s0, s_row, h, w)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("h, w", [(1, 1), (3, 40), (16, 16), (17, 9), (50, 33), (8, 64)])
def test_turning_a_matrix_of_any_size_within_a_larger_one(h, w, dtype):
    source = numbers((w + 3, h + 2), dtype)
    goal = np.full((h + 1, w + 5), POISON, dtype)
    expected = goal.copy()
    expected[1:, 4 : 4 + w] = source[2 : 2 + w, 1 : 1 + h].T
    run_turn(goal, w + 5 + 4, w + 5, source, 2 * (h + 2) + 1, h + 2, h, w)
    np.testing.assert_array_equal(goal, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 6, 36, 130])
def test_samples_of_every_dtype_are_brought_together(dtype, width):
    source, order = numbers((9, width), dtype), np.array([8, 3, 0, 3, 5])
    whole = np.full(3 * width + 40, POISON, dtype)
    poison, out = whole[0], whole[20:-20]
    update.gather(source.reshape(-1), width, order, 1, out, 1)
    np.testing.assert_array_equal(out.reshape(3, width), source[[3, 0, 3]])
    if width % 2 == 0:
        update.gather(source.reshape(-1), width, order, 2, out, 2)
        expected = source[[0, 3, 5]].reshape(3, 2, -1).swapaxes(0, 1)
        np.testing.assert_array_equal(out.reshape(2, 3, -1), expected)
    assert (whole[:20] == poison).all() and (whole[-20:] == poison).all()
