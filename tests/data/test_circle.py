"""The circle: shapes, labels, reproducibility, bad arguments."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from minigrad.data import circle


def test_shapes_types_and_split() -> None:
    data = circle(11)
    assert [(array.shape, array.dtype.name) for array in data] == [
        ((8, 2), "float32"),
        ((8,), "float32"),
        ((3, 2), "float32"),
        ((3,), "float32"),
    ]


def test_label_is_one_outside_of_a_circle_that_covers_half_of_the_square() -> None:
    x, y, _, _ = circle(50_000, seed=3)
    outside = np.hypot(*(x - 0.5).T) > np.sqrt(0.5 / np.pi)
    assert (outside == y).mean() > 0.9999  # a point on the very rim may fall either way in float32
    assert abs(y.mean() - 0.5) < 0.01
    assert x.min() >= 0 and x.max() <= 1


def test_seed_decides() -> None:
    first, again, other = circle(20, seed=1), circle(20, seed=1), circle(20, seed=2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.x_train, other.x_train)


@pytest.mark.parametrize("n", [4, 0, -3])
def test_too_few_points(n: int) -> None:
    with pytest.raises(ValueError, match=f"circle: n={n}; an integer ≥ 5"):
        circle(n)


def test_fractional_count_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        circle(10.5)  # type: ignore[arg-type]


def test_dataset_unpacks_and_describes_itself() -> None:
    data = circle(10, seed=4)
    x_train, _, _, y_test = data
    assert x_train is data.x_train and y_test is data.y_test
    assert repr(data).splitlines() == [
        "Dataset(x_train float32 (8, 2), y_train float32 (8,), x_test float32 (2, 2), y_test "
        "float32 (2,))",
        "  circle, 10 points, generated from seed 4",
    ]
    assert not data.sample and list(data.vocabulary) == []


def test_dataset_keeps_its_source_through_copy_and_pickle() -> None:
    data = circle(10)
    for twin in (copy.copy(data), pickle.loads(pickle.dumps(data))):
        assert twin.source == data.source
        assert np.array_equal(twin.x_test, data.x_test)
