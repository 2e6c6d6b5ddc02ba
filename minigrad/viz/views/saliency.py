"""`saliency`: the numbers of an input on which a prediction depends.

Simonyan, Vedaldi and Zisserman: Deep inside convolutional networks: visualising image
classification models and saliency maps (2014).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ...errors import DTypeError, ShapeError
from ...graph.conversion import Array
from ...graph.node import Variable
from ..inspection import Loss, Model, evaluating, model_dtype, need_model, numbers, score
from ..plots import INK, figure
from ..scene.text import count, number
from .maps import LABEL, MARGIN, NOTE, SMALL, Scale, scale_bar, sheet, tile

if TYPE_CHECKING:
    from ..figure import Figure

_MOST, _PICTURE, _GAP = 8, 1.5, 0.2


def saliency(
    model: Model,
    x: ArrayLike,
    y: ArrayLike | None = None,
    loss: Loss | None = None,
    *,
    theme: str | None = None,
) -> Figure:
    """Draw how much each number of an input matters: |∂s/∂x| below the input of each sample.

    `x` holds samples (N, …) of at most three axes each: images, sequences or rows of numbers; the
    first 8 are drawn. s is the largest output of the model (the logit, where it ends in a sigmoid
    or softmax), or with targets `y` the loss `loss(output, target)` of the single sample, by
    default cross entropy for class ids. Above each sample stand the predicted class with its
    probability, where the outputs are of classes, and the true one. Of several channels the largest
    gradient is drawn. Each map has its own scale, from 0 to the largest, which is written above it.
    `.numbers` has `"gradient"` and `"input"` (n, …) and `"score"` (n,), each s. The model runs in
    evaluation mode and is not changed. `theme` as in `draw`. Raises `TypeError` or `ShapeError` for
    data that does not fit the model.

    >>> figure = mg.viz.saliency(mg.nn.Linear(4, 3), np.ones((2, 4)))
    >>> figure.numbers["gradient"].shape
    (2, 4)
    """
    need_model("saliency", model)
    samples = numbers("saliency", "x", x)
    if samples.dtype.kind != "f":
        raise DTypeError(
            f"saliency: x holds {samples.dtype}, which has no gradient; floats were expected (for "
            f"ids: review)"
        )
    if not 2 <= samples.ndim <= 4 or not samples.size:
        raise ShapeError(
            f"saliency: x has shape {samples.shape}; (N, …) with one to three more axes was "
            f"expected"
        )
    targets = None if y is None else numbers("saliency", "y", y)
    if targets is not None and (not targets.ndim or len(targets) != len(samples)):
        raise ShapeError(
            f"saliency: x and y have shapes {samples.shape} and {targets.shape}; as many targets "
            f"as samples "
            "were expected"
        )
    samples = samples[:_MOST]
    found = [
        _gradient(model, samples[i : i + 1], None if targets is None else targets[i], loss)
        for i in range(len(samples))
    ]
    gradient, scores = np.stack([g for g, _, _ in found]), np.array([s for _, s, _ in found])
    what = "loss" if targets is not None else "output" if not found[0][2] else "largest output"
    names = [name or f"{what} {number(s)}" for _, s, name in found]
    largest = [number(float(np.abs(g).max())) for g in gradient]
    with figure(*_size(samples), theme=theme) as made:
        _columns(made, samples, np.abs(gradient), names)
        made.description = (
            f"Saliency: {count(len(samples), 'sample')}, and below each the size of the gradient "
            f"of its {what}: "
            + "; ".join(
                f"{name}, at most {most}" for name, most in zip(names, largest, strict=True)
            )
            + "."
        )
        made.numbers = {"gradient": gradient, "input": samples.copy(), "score": scores}
    return made


def _gradient(
    model: Model, sample: Array, target: Array | None, loss: Loss | None
) -> tuple[Array, float, str]:
    """∂s/∂x of one sample (without the sample axis), s, and what was predicted."""
    with evaluating(model):
        x = Variable(sample, name="x", dtype=model_dtype(model))
        head, words = score("saliency", model, x, target, loss)
        if not head.requires_grad:
            raise ShapeError("saliency: the output of the model does not depend on x")
        head.backward()
    if words and target is not None and target.size == 1:
        words += f", true {number(target.item())}"
    grad = x.grad if x.grad is not None else np.zeros_like(x.value)
    return grad[0].copy(), float(head.item()), words


def _flat(sample: Array) -> Array:
    """A sample as a picture: the largest of several channels, a row for a vector."""
    if sample.ndim == 3:
        return np.asarray(sample.max(0))
    return np.atleast_2d(sample)


def _cell(samples: Array) -> tuple[float, float]:
    """The size of a cell; long thin samples are stretched."""
    h, w = _flat(samples[0]).shape
    side = _PICTURE / max(h, w)
    return (_PICTURE / w if w * 4 < h else side), (0.6 / h if h * 4 < w else side)


def _size(samples: Array) -> tuple[float, float]:
    (h, w), cell = _flat(samples[0]).shape, _cell(samples)
    wide = max(w * cell[0], 1.2)
    return 2 * MARGIN + 1.2 + len(samples) * (wide + _GAP) + 0.7, 2 * (
        h * cell[1] + LABEL
    ) + _GAP + 2 * MARGIN


def _columns(made: Any, samples: Array, sizes: Array, names: list[str]) -> None:
    page, cell = sheet(made), _cell(samples)
    h, w = _flat(samples[0]).shape
    tall, inputs = h * cell[1], Scale.of(samples)
    upper = MARGIN + LABEL
    lower = upper + tall + LABEL + _GAP
    for title, y in (("input", upper), ("|gradient|", lower)):
        page.text(MARGIN, y + tall / 2, title, fontsize=NOTE + 1, fontweight="bold", va="center")
    for i, (sample, size) in enumerate(zip(samples, sizes, strict=True)):
        left = MARGIN + 1.0 + i * (max(w * cell[0], 1.2) + _GAP)
        tile(page, _flat(sample), left, upper, inputs, cell)
        page.text(left, upper - 0.03, names[i], fontsize=SMALL, color=INK["muted"], va="bottom")
        shown, largest = _flat(size), float(size.max())
        image = tile(page, shown / (largest or 1.0), left, lower, Scale("gradient", 0.0, 1.0), cell)
        page.text(
            left,
            lower - 0.03,
            f"largest {number(largest)}",
            fontsize=SMALL,
            color=INK["muted"],
            va="bottom",
        )
        _shape_of(page, _flat(sample), left, lower, cell)
    scale_bar(made, image, left + w * cell[0] + 0.12, lower, tall, "share of the largest")


def _shape_of(page: Any, sample: Array, x: float, y: float, cell: tuple[float, float]) -> None:
    """Draw the outlines of a picture over its gradient, as a reference."""
    level = (float(sample.max()) + float(sample.min())) / 2
    if min(sample.shape) < 8 or not sample.min() < level < sample.max():
        return
    right = x + (np.arange(sample.shape[1]) + 0.5) * cell[0]
    down = y + (np.arange(sample.shape[0]) + 0.5) * cell[1]
    page.contour(right, down, sample, levels=[level], colors=INK["gradient"], linewidths=0.7)
