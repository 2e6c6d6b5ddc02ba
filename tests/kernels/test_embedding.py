"""Looking rows up, and adding gradients back."""

import os
import subprocess
import sys

import numpy as np
import pytest

from minigrad.kernels import embedding


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "width", "count"), [(1, 1, 5), (7, 3, 40), (4, 9, 0), (3, 0, 2)])
def test_gather_and_scatter(rows, width, count, dtype, shards):
    rng = np.random.default_rng(0)
    table, ids = rng.normal(size=(rows, width)).astype(dtype), rng.integers(0, rows, count)
    out, g, grad = (
        np.full(s, 666.666, dtype) for s in ((count, width), (count, width), (rows, width))
    )
    embedding.gather(table, ids, out, shards)
    np.testing.assert_array_equal(out, embedding.gather_reference(table, ids))
    g[:] = rng.normal(size=g.shape)
    embedding.scatter(g, ids, grad)
    np.testing.assert_allclose(grad, embedding.scatter_reference(g, ids, rows), rtol=1e-5)


SENTINEL = 77
FAR = [-1, 5, 10**12, -(10**12), 2**31, -(2**31) - 1, 2**63 - 1, -(2**63)]


def fenced(array):
    """The array as a part of a larger one, and the parts beside it, which no kernel may touch."""
    room = 4 * array.size + 64
    whole = np.full(array.size + 2 * room, SENTINEL, array.dtype)
    middle = whole[room : room + array.size].reshape(array.shape)
    middle[...] = array
    return middle, (whole[:room], whole[room + array.size :])


def untouched(*beside):
    return all((part == SENTINEL).all() for pair in beside for part in pair)


def mixed_ids(dtype):
    """Ids of a table with five rows, some of them far outside, and which of them are rows."""
    limits = np.iinfo(dtype)
    ids = [4, 0, *(i for i in FAR if limits.min <= i <= limits.max), limits.max, 3, 3]
    return np.array(ids, dtype), np.array([0 <= i < 5 for i in ids])


INTEGERS = [np.int8, np.int32, np.int64, np.uint8, np.uint32, np.uint64]


@pytest.mark.parametrize("width", [1, 3, 40])
@pytest.mark.parametrize("kind", INTEGERS)
def test_ids_of_no_row_touch_nothing(kind, width):
    """Rules refuse such ids, but a compiled step works on arrays that another thread may change."""
    ids, good = mixed_ids(kind)
    table, by_table = fenced(np.arange(5.0 * width, dtype=np.float32).reshape(5, width))
    out, by_out = fenced(np.zeros((ids.size, width), np.float32))
    embedding.gather(table, ids, out, 1)
    np.testing.assert_array_equal(out[good], table[ids[good].astype(int)])
    assert np.isnan(out[~good]).all()

    g, by_g = fenced(np.ones((ids.size, width), np.float32))
    grad, by_grad = fenced(np.full((5, width), 9, np.float32))
    embedding.scatter(g, ids, grad)
    np.testing.assert_array_equal(grad, np.outer([1, 0, 0, 2, 1], np.ones(width)))
    grad[:] = 9
    embedding.clear(ids, grad)
    np.testing.assert_array_equal(grad[:, 0], [0, 9, 9, 0, 0])
    assert untouched(by_table, by_out, by_g, by_grad)


@pytest.mark.parametrize("dtype", [bool, *INTEGERS])
def test_what_is_looked_up_in_no_row_of_whole_numbers_is_0(dtype):
    table, out = np.ones((5, 9), dtype), np.full((3, 9), 1, dtype)
    embedding.gather(table, np.array([-1, 2, 5]), out, 1)
    np.testing.assert_array_equal(out[:, 0], np.array([0, 1, 0], dtype))
    assert (out == out[:, :1]).all()


def test_the_same_without_the_compiler():
    """Negative ids are not counted from the end there, either."""
    code = """
import os
import subprocess
import sys

import numpy as np
from minigrad.kernels import embedding, softmax
ids, out, grad = np.array([-1, 1, 2**62, 2]), np.ones((4, 2)), np.ones((2, 2))
embedding.gather(np.ones((2, 2)), ids, out, 1)
embedding.scatter(np.ones((4, 2)), ids, grad)
losses, p, back = np.ones(4), np.ones((4, 2)), np.ones((4, 2))
softmax.cross_entropy(np.zeros((4, 2)), ids, losses, p, 1)
softmax.cross_entropy_back(p, ids, np.full(1, 4.0), back)
print(np.isnan(out[:, 0]).tolist(), grad[:, 0].tolist())
print(np.isnan(losses).tolist(), back[:, 1].tolist())
"""
    found = []
    for disabled in "01":
        env = {**os.environ, "NUMBA_DISABLE_JIT": disabled}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, encoding="utf-8"
        )
        assert not done.stderr
        found.append(done.stdout)
    assert found[0] == found[1]
    bad = "[True, False, True, True]"
    assert found[0].split("\n")[:2] == [f"{bad} [0.0, 1.0]", f"{bad} [0.0, -0.5, 0.0, 0.0]"]
