"""`decision_map`: the decision regions of models of two inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ...errors import GraphError, ShapeError
from ...graph.conversion import Array
from ...graph.node import Constant, GraphNode
from ...graph.settings import no_grad
from ..inspection import Model, evaluating, model_dtype, need_model, numbers
from ..plots import INK, colours, figure, plain
from ..scene.text import number

if TYPE_CHECKING:
    from sklearn.inspection import DecisionBoundaryDisplay

    from ..figure import Figure

_GRID, _POINTS, _COLUMNS = 160, 300, 3
_MARKS = (("o", "gradient", "class 0"), ("^", "variable", "class 1"))


def decision_map(
    model: Model | Mapping[str, Model],
    x: ArrayLike,
    y: ArrayLike,
    threshold: float = 0.5,
    *,
    theme: str | None = None,
) -> Figure:
    """Colour the plane by the output of a model of two inputs, with its decision line and mistakes.

    `model` maps points (N, 2) to (N, 1) or (N,); a dict from names to models is drawn side by side,
    in one scale. In the middle of the scale is `threshold`, where the decision line lies (0.5 for
    probabilities, 0 for logits); it reaches as far to both sides as the outputs do. `x` (N, 2) are
    points of classes `y` (N,), 0 (circles) or 1 (triangles); the first 300 are drawn, mistakes with
    a cross. The accuracy counts all points. `.numbers` has the coordinates of the grid, `"x"` and
    `"y"`, and by name of the model (empty for a single one) its `"output"` on the grid, a row for
    each y, and its `"accuracy"`. `theme` as in `draw`. Raises `TypeError` if the model cannot be
    called, `ShapeError` and `ValueError` for other points, labels or outputs.

    >>> model, data = mg.nn.Sequential(mg.nn.Linear(2, 1), mg.nn.Sigmoid()), mg.data.circle(50)
    >>> figure = mg.viz.decision_map(model, data.x_test, data.y_test)
    >>> sorted(figure.numbers)
    ['accuracy', 'output', 'x', 'y']
    """
    models = (
        {str(name): m for name, m in model.items()} if isinstance(model, Mapping) else {"": model}
    )
    if not models:
        raise ValueError("decision_map: no models; at least one was expected")
    points, labels = _points(x, y)
    right = {
        name: (_outputs(m, points) > threshold) == (labels > 0.5) for name, m in models.items()
    }
    shares = ", ".join(
        f"{name + ' ' if name else ''}{number(100 * r.mean())} %" for name, r in right.items()
    )
    columns = min(_COLUMNS, len(models))
    rows = -(-len(models) // columns)
    with figure(3.1 * columns + 1.3, 3.1 * rows + 0.6, theme=theme) as made:
        axes = made.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for ax in axes.flat[len(models) :]:
            ax.set_axis_off()
        planes = {}
        for ax, (name, m) in zip(axes.flat, models.items(), strict=False):
            planes[name] = _plane(ax, m, points, threshold)
            _scatter(ax, points, labels, right[name])
            share = f"{number(100 * right[name].mean())} % right"
            ax.set_title(f"{plain(name, 24)}: {share}" if name else share)
        outputs = {name: plane.response for name, plane in planes.items()}
        reach = max(np.nanmax(np.abs(output - threshold)) for output in outputs.values()) or 0.5
        for plane in planes.values():
            plane.surface_.set_clim(threshold - reach, threshold + reach)
        _key(made, plane.surface_, axes)
        xs, ys = plane.xx0[0], plane.xx1[:, 0]
        made.description = (
            f"Decision map: the plane from ({number(xs[0])}, {number(ys[0])}) to "
            f"({number(xs[-1])}, {number(ys[-1])}), "
            f"coloured by the output, with the line where it is {number(threshold)}. "
            f"{len(points):,} points; right: "
            f"{shares}."
        )
        accuracy = {name: float(hits.mean()) for name, hits in right.items()}
        made.numbers = {"x": xs, "y": ys, "output": outputs, "accuracy": accuracy}
    return made


def _points(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Points (N, 2) and classes (N,), 0 or 1."""
    points, labels = numbers("decision_map", "x", x), numbers("decision_map", "y", y).astype(float)
    if points.ndim != 2 or points.shape[1] != 2 or labels.size != len(points) or not len(points):
        raise ShapeError(
            f"decision_map: x {points.shape} and y {labels.shape}; (N, 2) and (N,) were expected"
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("decision_map: y has other values than 0 and 1; two classes were expected")
    return points, labels.reshape(-1)


def _plane(ax: Any, model: Model, points: Array, threshold: float) -> DecisionBoundaryDisplay:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.inspection import DecisionBoundaryDisplay

    class Estimator(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # its bases are untyped
        """The model in scikit-learn's interface."""

        def fit(self, x: Array) -> Estimator:
            self.model_ = model
            return self

        def predict(self, x: Array) -> Array:
            return _outputs(self.model_, x)

    low, high = points.min(0), points.max(0)
    margin = np.where(high > low, 0.04 * (high - low), 0.5)
    plane = DecisionBoundaryDisplay.from_estimator(
        Estimator().fit(points),
        np.stack([low - margin, high + margin]),
        eps=0,
        grid_resolution=_GRID,
        plot_method="pcolormesh",
        ax=ax,
        cmap=colours("diverging"),
        shading="gouraud",
        rasterized=True,
    )
    if plane.response.min() < threshold < plane.response.max():
        line = {"levels": [threshold], "colors": INK["fg"], "linewidths": 2.0}
        ax.contour(plane.xx0, plane.xx1, plane.response, **line)
    ax.grid(False)
    return plane


def _outputs(model: Model, points: Array) -> Array:
    need_model("decision_map", model)
    with evaluating(model), no_grad():
        output = model(Constant(points, dtype=model_dtype(model)))
    if not isinstance(output, GraphNode):
        raise GraphError(
            f"decision_map: the model returned {type(output).__name__}, one node was expected"
        )
    if output.size != len(points):
        raise ShapeError(
            f"decision_map: the model gave {output.shape} for {points.shape}; (N, 1) or (N,) was "
            f"expected"
        )
    return output.value.reshape(-1).astype(np.float64)


def _scatter(ax: Any, points: Array, labels: Array, right: Array) -> None:
    shown = slice(0, _POINTS)
    for value, (marker, colour, name) in enumerate(_MARKS):
        chosen = points[shown][labels[shown] == value]
        look = {"linestyle": "none", "markeredgecolor": INK["bg"], "markeredgewidth": 0.6}
        ax.plot(*chosen.T, marker=marker, markersize=5, color=INK[colour], label=name, **look)
    wrong = points[shown][~right[shown]]
    cross = {"marker": "x", "markersize": 8, "markeredgewidth": 1.6, "color": INK["fg"]}
    ax.plot(*wrong.T, linestyle="none", label="mistake", **cross)


def _key(made: Figure, image: Any, axes: Any) -> None:
    """The colour bar and the legend of the marks."""
    bar = made.colorbar(image, ax=axes, shrink=0.8, label="output; in the middle the decision line")
    bar.outline.set_edgecolor(INK["frame"])
    bar.ax.grid(False)
    made.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower left", ncols=4)
