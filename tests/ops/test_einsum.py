"""Einstein's sums: which of them leave the samples of a batch apart. Values and gradients are in
the table of operators.
"""

import numpy as np
import pytest

import minigrad as mg
from minigrad.ops.kinds import MEAN, NotSeparable
from minigrad.run.batch import batch_axis

SIZES = {"n": 4, "i": 3, "j": 5, "k": 2}


def build(text):
    rng, terms = np.random.default_rng(0), text.split("->")[0].split(",")
    return mg.einsum(
        text, *(mg.Variable(rng.normal(size=[SIZES[c] for c in term])) for term in terms)
    )


@pytest.mark.parametrize(
    ("text", "axes", "expected"),
    [
        ("nij,jk->nik", (0, None), 0),
        ("ni,nj->nij", (0, 0), 0),
        ("ij,nj->in", (None, 0), 1),
        ("ij->ji", (None,), None),
        ("ij,jn,nk->nik", (None, 1, 0), 0),
    ],
)
def test_samples_that_keep_apart(text, axes, expected):
    """A sample of the result is computed from that sample of the inputs alone."""
    node = build(text)
    assert batch_axis(node, axes) == expected
    if expected is not None:
        third = [
            x.value if axis is None else np.take(x.value, [2], axis)
            for x, axis in zip(node.inputs, axes, strict=True)
        ]
        np.testing.assert_allclose(
            np.take(node.value, [2], expected), np.einsum(text, *third), rtol=1e-6
        )


@pytest.mark.parametrize(
    ("text", "axes"),
    [
        ("ni,nj->ij", (0, 0)),
        ("nn->n", (0,)),
        ("ni,nj->nij", (0, None)),
        ("ni,ij->nj", (1, None)),
        ("ni,ij->nj", (0, 0)),
        ("ni,ij->nj", (MEAN, None)),
    ],
)
def test_samples_that_meet(text, axes):
    node = build(text)
    with pytest.raises(NotSeparable):
        batch_axis(node, axes)
