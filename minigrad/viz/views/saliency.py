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
from ..plots import INK, colours, figure
from ..scene.text import count, number
from .maps import SMALL, Scale

if TYPE_CHECKING:
    from ..figure import Figure

_MOST, _PICTURE = 8, 1.6  # samples, inches


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
    h, w = _flat(samples[0]).shape
    tall = 2 * min(_PICTURE, max(0.6, _PICTURE * h / w)) + 0.8
    with figure((_PICTURE + 0.2) * len(samples) + 1.2, tall, theme=theme) as made:
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
    return np.asarray(sample.max(0)) if sample.ndim == 3 else np.atleast_2d(sample)


def _columns(made: Any, samples: Array, sizes: Array, names: list[str]) -> None:
    """A column for each sample: the input, and below it the gradient, each in a scale of its own.

    Long thin samples are stretched.
    """
    made.set_layout_engine("compressed")
    axes = made.subplots(2, len(samples), squeeze=False)
    inputs, ramp = Scale.of(samples), Scale("gradient", 0.0, 1.0)
    for i, (sample, size) in enumerate(zip(samples, sizes, strict=True)):
        picture, largest = _flat(sample), float(size.max())
        thin = max(picture.shape) > 4 * min(picture.shape)
        rows = (
            (names[i], picture, inputs),
            (f"largest {number(largest)}", _flat(size) / (largest or 1.0), ramp),
        )
        for ax, (title, array, scale) in zip(axes[:, i], rows, strict=True):
            image = ax.imshow(
                array,
                cmap=colours(scale.kind),
                vmin=scale.low,
                vmax=scale.high,
                aspect="auto" if thin else "equal",
            )
            ax.set_title(title, fontsize=SMALL, fontweight="normal", color=INK["muted"])
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set(visible=True, linewidth=0.6)
        middle = (float(picture.max()) + float(picture.min())) / 2
        if min(picture.shape) >= 8 and picture.min() < middle < picture.max():
            look = {"colors": INK["gradient"], "linewidths": 0.7}
            ax.contour(picture, levels=[middle], **look)  # the input's outlines, as a reference
    for ax, name in zip(axes[:, 0], ("input", "|gradient|"), strict=True):
        ax.set_ylabel(name, color=INK["fg"], fontweight="bold")
    made.colorbar(image, ax=axes, label="share of the largest").ax.grid(False)
