"""Where in the plane a model says yes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import GraphError, ShapeError
from ...graph.node import Constant, GraphNode
from ...graph.settings import no_grad
from ..page.palette import LIGHT
from ..plots import COLOURS, colours, figure, plain
from ..scene.text import number
from .inspection import evaluating, model_dtype, need_model, numbers
from .maps import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GRID, _POINTS, _COLUMNS = 160, 300, 3
_MARKS = (("o", COLOURS[1], "class 0"), ("^", COLOURS[0], "class 1"))


def decision_map(model: Any, x: Any, y: Any, threshold: float = 0.5) -> Figure:
    """The plane coloured by the output of a model of two inputs, with its decision line, the points
    and its mistakes.

    `model` takes points (N, 2) and gives (N, 1) or (N,); a dict from names to models is drawn side
    by side, in one scale. White is `threshold`, where the decision line lies (0.5 for
    probabilities, 0 for logits); the scale reaches 0.5 to both sides of it. `x` (N, 2) are points
    of classes `y` (N,), 0 (circles) or 1 (triangles); 300 are drawn, a mistake bears a cross. The
    share of hits counts all points. `.numbers` has the grid's places `"x"` and `"y"`, and by the
    model's name (empty for a single one) its `"output"` on the grid, a row for each y, and its
    `"accuracy"`. Raises `TypeError` for what cannot be called, `ShapeError` and `ValueError` for
    other points, labels or outputs.
    """
    models = (
        {str(name): m for name, m in model.items()} if isinstance(model, Mapping) else {"": model}
    )
    if not models:
        raise ValueError("decision_map: no models; at least one was expected")
    points, labels = _points(x, y)
    xs, ys = (_axis(points[:, i]) for i in (0, 1))
    places = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    outputs = {name: _outputs(m, places).reshape(_GRID, _GRID) for name, m in models.items()}
    right = {
        name: (_outputs(m, points) > threshold) == (labels > 0.5) for name, m in models.items()
    }
    shares = ", ".join(
        f"{name + ' ' if name else ''}{number(100 * r.mean())} %" for name, r in right.items()
    )
    columns = min(_COLUMNS, len(models))
    rows = -(-len(models) // columns)
    with figure(3.1 * columns + 1.3, 3.1 * rows + 0.6) as made:
        axes = made.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for ax in axes.flat[len(models) :]:
            ax.set_axis_off()
        for ax, name in zip(axes.flat, models, strict=False):
            image = _plane(ax, xs, ys, outputs[name], threshold)
            _scatter(ax, points, labels, right[name])
            share = f"{number(100 * right[name].mean())} % right"
            ax.set_title(f"{plain(name, 24)}: {share}" if name else share)
        _key(made, image, axes)
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


def _points(x: Any, y: Any) -> tuple[Array, Array]:
    """Points (N, 2) and classes (N,), 0 or 1."""
    points, labels = numbers("decision_map", "x", x), numbers("decision_map", "y", y).astype(float)
    if points.ndim != 2 or points.shape[1] != 2 or labels.size != len(points) or not len(points):
        raise ShapeError(
            f"decision_map: x {points.shape} and y {labels.shape}; (N, 2) and (N,) were expected"
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("decision_map: y has other values than 0 and 1; two classes were expected")
    return points, labels.reshape(-1)


def _key(made: Any, image: Any, axes: Any) -> None:
    """What colours and marks mean."""
    bar = made.colorbar(
        image, ax=axes, shrink=0.8, extend="both", label="output (white: the decision line)"
    )
    bar.outline.set_edgecolor(LIGHT["frame"])
    bar.ax.grid(False)
    made.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower left", ncols=4)


def _axis(values: Array) -> Array:
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or 0.5
    return np.linspace(low - margin, high + margin, _GRID)


def _outputs(model: Any, points: Array) -> Array:
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


def _plane(ax: Any, xs: Array, ys: Array, output: Array, threshold: float) -> Any:
    image = ax.imshow(
        output,
        extent=(xs[0], xs[-1], ys[0], ys[-1]),
        origin="lower",
        aspect="auto",
        cmap=colours("diverging"),
        vmin=threshold - 0.5,
        vmax=threshold + 0.5,
        interpolation="bilinear",
    )
    if output.min() < threshold < output.max():
        ax.contour(xs, ys, output, levels=[threshold], colors=LIGHT["fg"], linewidths=2.0)
    ax.grid(False)
    return image


def _scatter(ax: Any, points: Array, labels: Array, right: Array) -> None:
    shown = slice(0, _POINTS)
    for value, (marker, colour, name) in enumerate(_MARKS):
        chosen = points[shown][labels[shown] == value]
        look = {"linestyle": "none", "markeredgecolor": LIGHT["bg"], "markeredgewidth": 0.6}
        ax.plot(*chosen.T, marker=marker, markersize=5, color=colour, label=name, **look)
    wrong = points[shown][~right[shown]]
    ax.plot(
        *wrong.T,
        linestyle="none",
        marker="x",
        markersize=8,
        markeredgewidth=1.6,
        color=LIGHT["fg"],
        label="mistake",
    )
