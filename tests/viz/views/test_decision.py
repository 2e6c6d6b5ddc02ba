"""Decision maps: the colours are the model's outputs."""

from __future__ import annotations

import numpy as np
import pytest
from viz.views.models import state

import minigrad as mg
from minigrad import nn
from minigrad.models import mlp
from minigrad.viz import decision_map

POINTS = np.random.default_rng(0).random((50, 2)).astype(np.float32)
LABELS = (POINTS[:, 0] > 0.5).astype(np.float32)


def half() -> nn.Linear:
    """Says 1 right of the middle, and in between the more the further right."""
    layer = nn.Linear(2, 1)
    layer.weight.value[:] = [[1.0, 0.0]]
    return layer


def plane(ax):
    (found,) = [c for c in ax.collections if type(c).__name__ == "QuadMesh"]
    return found


def test_the_map_is_the_models_output_and_the_line_where_it_crosses():
    made = decision_map(half(), POINTS, LABELS)
    n, ax = made.numbers, made.axes[0]
    assert np.allclose(n["output"][""], np.broadcast_to(n["x"], (160, 160)), atol=1e-6)
    assert np.array_equal(plane(ax).get_array(), n["output"][""])
    reach = np.abs(n["output"][""] - 0.5).max()
    assert (plane(ax).norm.vmin, plane(ax).norm.vmax) == (0.5 - reach, 0.5 + reach)
    (line,) = [c for c in ax.collections if type(c).__name__ == "QuadContourSet"]
    assert np.allclose(line.get_paths()[0].vertices[:, 0], 0.5, atol=1e-6)
    assert n["accuracy"][""] == 1.0 and ax.get_title("left") == "100 % right"


def test_rows_of_the_grid_run_along_y():
    made = decision_map(lambda x: x[:, 1] * 1.0, POINTS, LABELS)
    assert np.allclose(made.numbers["output"][""][:, 0], made.numbers["y"], atol=1e-6)
    corners = plane(made.axes[0]).get_coordinates()
    assert np.array_equal(corners[:, 0, 1], made.numbers["y"])
    assert np.array_equal(corners[0, :, 0], made.numbers["x"])


def test_classes_and_mistakes_have_marks_of_their_own():
    wrong = LABELS.copy()
    wrong[:3] = 1 - wrong[:3]
    ax = decision_map(half(), POINTS, wrong).axes[0]
    marks = {line.get_marker(): line.get_xydata() for line in ax.lines}
    assert np.array_equal(marks["o"], POINTS[wrong == 0]) and np.array_equal(
        marks["^"], POINTS[wrong == 1]
    )
    assert np.array_equal(marks["x"], POINTS[:3])


def test_several_models_side_by_side_in_one_scale():
    models = {f"{kind} {end}": mlp(kind, end) for kind in ("tanh", "relu") for end in (False, True)}
    made = decision_map({**models, r"$\frac": half()}, POINTS, LABELS)
    titles = [ax.get_title("left") for ax in made.axes[:5]]
    assert [title.split(":")[0] for title in titles] == [*models, r"\$\frac"]
    scales = [plane(ax).norm for ax in made.axes[:5]]
    reach = max(np.abs(output - 0.5).max() for output in made.numbers["output"].values())
    assert {(scale.vmin, scale.vmax) for scale in scales} == {(0.5 - reach, 0.5 + reach)}
    assert set(made.numbers["output"]) == {*models, r"$\frac"}
    assert made._repr_png_()


def test_models_are_left_as_they_were():
    model = mlp().train()
    mg.sum(model(POINTS)).backward()
    before = state(model)
    decision_map(model, POINTS, LABELS[:, None])
    assert state(model) == before


def test_the_scale_follows_the_outputs():
    far = decision_map(lambda x: (x[:, 0] - 0.5) * 80.0, POINTS, LABELS, 0.0)
    assert plane(far.axes[0]).norm.vmax == np.abs(far.numbers["output"][""]).max() > 30


def test_logits_and_constant_outputs_and_equal_points():
    made = decision_map(half(), POINTS - 0.5, LABELS, threshold=0.0)
    assert made.numbers["accuracy"][""] == 1.0
    same = decision_map(lambda x: x[:, 0] * 0.0, np.ones((3, 2)), np.ones(3))
    assert same._repr_png_() and len(same.axes[0].collections) == 1  # no line


def test_what_does_not_fit():
    for arguments, error, message in (
        ((3, POINTS, LABELS), TypeError, "cannot call a int"),
        (({}, POINTS, LABELS), ValueError, "no models"),
        ((half(), POINTS[:, :1], LABELS), mg.ShapeError, r"x \(50, 1\) and y \(50,\)"),
        ((half(), POINTS, LABELS[:3]), mg.ShapeError, r"y \(3,\)"),
        ((half(), POINTS, LABELS + 1), ValueError, "other values than 0 and 1"),
        ((nn.Linear(2, 3), POINTS, LABELS), mg.ShapeError, r"the model gave \(\d+, 3\)"),
        ((lambda x: 1.0, POINTS, LABELS), mg.GraphError, "returned float"),
    ):
        with pytest.raises(error, match=message):
            decision_map(*arguments)
