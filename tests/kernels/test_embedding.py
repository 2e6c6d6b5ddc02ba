"""Looking rows up, and adding gradients back."""
import numpy as np
import pytest

from minigrad.kernels import embedding


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "width", "count"), [(1, 1, 5), (7, 3, 40), (4, 9, 0), (3, 0, 2)])
def test_gather_and_scatter(rows, width, count, dtype, shards):
    rng = np.random.default_rng(0)
    table, ids = rng.normal(size=(rows, width)).astype(dtype), rng.integers(0, rows, count)
    out, g, grad = (np.full(s, 666.666, dtype) for s in ((count, width), (count, width), (rows, width)))
    embedding.gather(table, ids, out, shards)
    np.testing.assert_array_equal(out, embedding.gather_reference(table, ids))
    g[:] = rng.normal(size=g.shape)
    embedding.scatter(g, ids, grad)
    np.testing.assert_allclose(grad, embedding.scatter_reference(g, ids, rows), rtol=1e-5)
