"""Initial weights have the variances that the papers derive."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import init

SHAPE = (200, 50, 3)  # fan in 150, fan out 600


@pytest.mark.parametrize(
    ("fill", "mean", "variance"),
    [
        (init.xavier_uniform_, 0, 2 / 750),
        (init.xavier_normal_, 0, 2 / 750),
        (init.kaiming_uniform_, 0, 2 / 150),
        (init.kaiming_normal_, 0, 2 / 150),
        (lambda p, seed: init.uniform_(p, -1, 3, seed=seed), 1, 16 / 12),
        (lambda p, seed: init.normal_(p, 2, 0.5, seed=seed), 2, 0.25),
        (lambda p, seed: init.constant_(p, 7), 7, 0),
        (lambda p, seed: init.zeros_(p), 0, 0),
        (lambda p, seed: init.ones_(p), 1, 0),
    ],
)
def test_mean_and_variance(fill, mean, variance):
    p = mg.Variable(np.zeros(SHAPE))
    assert fill(p, seed=0) is p
    assert p.value.mean() == pytest.approx(mean, abs=0.02)
    assert p.value.var() == pytest.approx(variance, rel=0.03, abs=1e-12)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5)])
def test_orthogonal_rows_or_columns(shape):
    q = init.orthogonal_(mg.Variable(np.zeros(shape), dtype=np.float64), seed=1).value
    product = q @ q.T if shape[0] <= shape[1] else q.T @ q
    assert np.allclose(product, np.eye(min(shape)))


def test_a_vector_has_no_fan():
    with pytest.raises(mg.ShapeError, match="no fan"):
        init.xavier_uniform_(mg.Variable(np.zeros(3)))
