"""`confusion_matrix`: which classes a model mistakes for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ...errors import DTypeError, ShapeError
from ...graph.conversion import Array
from ...graph.node import GraphNode
from ..inspection import numbers
from ..plots import INK, colours, figure, plain
from ..scene.text import number, shorten

if TYPE_CHECKING:
    from ..figure import Figure

_MOST = 30  # classes: more could not be read


def confusion_matrix(
    labels: ArrayLike | GraphNode,
    predictions: ArrayLike | GraphNode,
    names: Sequence[Any] | None = None,
    *,
    theme: str | None = None,
) -> Figure:
    """Draw how often each class was predicted for each: rows are true classes, columns predictions.

    `labels` are class ids (N,), `predictions` class ids (N,) or logits (N, classes), of which the
    largest counts. A cell holds the count and its share of the row, on the diagonal the recall; the
    farther from the background, the larger the share (a root scale, so that rare mistakes show).
    `names` are the names of the classes. `.numbers` has `"counts"` (classes, classes),
    `"accuracy"`, and for each class `"recall"` and `"precision"`, NaN where there is none. `theme`
    as in `draw`. Raises `DTypeError` for anything but class ids, `ShapeError` where labels and
    predictions do not match, `ValueError` for too many classes or too few names.

    >>> figure = mg.viz.confusion_matrix([0, 1, 1], [0, 1, 0])
    >>> sorted(figure.numbers)
    ['accuracy', 'counts', 'precision', 'recall']
    """
    from sklearn import metrics

    true, guessed = _ids("labels", labels), numbers("confusion_matrix", "predictions", predictions)
    outputs = guessed.shape[1] if guessed.ndim == 2 and guessed.shape[1] > 1 else 0
    guessed = guessed.argmax(1) if outputs else _ids("predictions", guessed)
    if true.shape != guessed.shape or not true.size:
        raise ShapeError(
            f"confusion_matrix: labels {true.shape} and predictions {np.shape(predictions)}; (N,) "
            f"and (N,) or (N, classes) "
            "were expected"
        )
    size = max(int(true.max()) + 1, int(guessed.max()) + 1, outputs, len(names or ()))
    if size > _MOST or (names is not None and len(names) != size):
        given = "" if names is None else f" and {len(names)} names"
        raise ValueError(
            f"confusion_matrix: {size} classes{given}; at most {_MOST}, and a name for each, were "
            f"expected"
        )
    counts = metrics.confusion_matrix(true, guessed, labels=range(size))
    called = [shorten(str(name), 14) for name in (range(size) if names is None else names)]
    accuracy = float(np.trace(counts) / counts.sum())
    with np.errstate(invalid="ignore"):
        shares, precision = counts / counts.sum(1, keepdims=True), np.diag(counts / counts.sum(0))
    side = max(4.2, 0.56 * size + 1.2)
    with figure(
        side + 0.4, side, f"{number(100 * accuracy)} % of {counts.sum():,} right", theme
    ) as made:
        _matrix(made.subplots(), counts, shares, called)
        made.description = _words(counts, called, accuracy)
        made.numbers = {"counts": counts, "accuracy": accuracy}
        made.numbers |= {"recall": np.diag(shares), "precision": precision}
    return made


def _ids(what: str, data: ArrayLike | GraphNode) -> Array:
    array = numbers("confusion_matrix", what, data)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    whole = array.astype(np.int64) if np.isfinite(array).all() else np.zeros(array.shape, np.int64)
    if not np.array_equal(whole, array) or (whole < 0).any():
        raise DTypeError(
            f"confusion_matrix: {what} are no class ids; integers from 0 up were expected"
        )
    return whole


def _matrix(ax: Any, counts: Array, shares: Array, names: list[str]) -> None:
    from matplotlib.colors import PowerNorm
    from sklearn.metrics import ConfusionMatrixDisplay

    display = ConfusionMatrixDisplay(
        np.nan_to_num(shares), display_labels=[plain(name) for name in names]
    ).plot(
        ax=ax,
        cmap=colours("plain"),
        colorbar=False,
        xticks_rotation=0 if max(map(len, names)) < 5 else 40,
        im_kw={"norm": PowerNorm(0.5, 0, 1.3)},
        text_kw={"fontsize": 7.5},
    )
    for (row, column), text in np.ndenumerate(display.text_):
        n, share = counts[row, column], shares[row, column]
        text.set_text(f"{n:,}\n{100 * share:.{1 if share < 1 else 0}f} %" if n else "·")
        text.set_color(INK["frame" if not n else "bg" if share > 0.5 else "fg"])
        text.set_fontweight("bold" if row == column else "normal")
    ax.grid(False)
    ax.set(xlabel="predicted class", ylabel="true class")


def _words(counts: Array, names: list[str], accuracy: float) -> str:
    """The accuracy and the three most frequent mistakes in words."""
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:3]
    mistakes = [
        f"{names[row]} taken for {names[column]}: {wrong[row, column]:,}"
        for row, column in (divmod(int(i), len(counts)) for i in order)
        if wrong[row, column]
    ]
    worst = f"; most often {', '.join(mistakes)}" if mistakes else ""
    return (
        f"Confusion matrix of {len(counts)} classes: {number(100 * accuracy)} % of "
        f"{counts.sum():,} right{worst}."
    )
