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
from ..page.palette import LIGHT
from ..plots import colours, figure, plain
from ..scene.text import number, shorten
from .maps import outline

if TYPE_CHECKING:
    from ..figure import Figure

_MOST = 30  # classes: more could not be read


def confusion_matrix(
    labels: ArrayLike | GraphNode,
    predictions: ArrayLike | GraphNode,
    names: Sequence[Any] | None = None,
) -> Figure:
    """Draw how often each class was predicted for each: rows are true classes, columns predictions.

    `labels` are class ids (N,), `predictions` class ids (N,) or logits (N, classes), of which the
    largest counts. A cell holds the count and its share of the row; the darker, the larger the
    share (a root scale, so that rare mistakes show). The right-hand column is the recall of each
    class, the bottom row the precision. `names` are the names of the classes. `.numbers` has
    `"counts"` (classes, classes) and `"accuracy"`. Raises `DTypeError` for anything but class ids,
    `ShapeError` where labels and predictions do not match, `ValueError` for too many classes or too
    few names.

    >>> figure = mg.viz.confusion_matrix([0, 1, 1], [0, 1, 0])
    >>> sorted(figure.numbers)
    ['accuracy', 'counts']
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
    side = max(4.2, 0.56 * size + 1.6)
    with figure(side + 0.4, side, f"{number(100 * accuracy)} % of {counts.sum():,} right") as made:
        _matrix(made.subplots(), counts, called)
        made.description = _words(counts, called, accuracy)
        made.numbers = {"counts": counts, "accuracy": accuracy}
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


def _share(part: Array, whole: Array) -> Array:
    """part / whole, 0 where the whole is 0."""
    return np.asarray(part / np.maximum(whole, 1))


def _matrix(ax: Any, counts: Array, names: list[str]) -> None:
    from matplotlib.colors import PowerNorm
    from sklearn.metrics import ConfusionMatrixDisplay

    shares = _share(counts, counts.sum(1, keepdims=True))
    display = ConfusionMatrixDisplay(shares, display_labels=[plain(name) for name in names]).plot(
        ax=ax,
        cmap=colours("plain"),
        colorbar=False,
        xticks_rotation=0 if max(map(len, names)) < 5 else 40,
        im_kw={"norm": PowerNorm(0.5, 0, 1.3)},
        text_kw={"fontsize": 7.5},
    )
    for (row, column), text in np.ndenumerate(display.text_):
        n, share = counts[row, column], float(shares[row, column])
        text.set_text(f"{n:,}\n{_percent(share)}" if n else "·")
        text.set_color(LIGHT["frame" if not n else "bg" if share > 0.5 else "fg"])
        if row == column:
            text.set_fontweight("bold")
            outline(ax, column - 0.5, row - 0.5, 1, 1, color=LIGHT["fg"], linewidth=1.6)
    _margins(ax, counts)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")


def _margins(ax: Any, counts: Array) -> None:
    """Recall at the right, precision at the bottom, apart from the counts."""
    size, hits = len(counts), np.diag(counts)
    recall, precision = _share(hits, counts.sum(1)), _share(hits, counts.sum(0))
    look = {"ha": "center", "va": "center", "fontsize": 7.5, "color": LIGHT["muted"]}
    for i in range(size):
        ax.text(size + 0.2, i, _percent(recall[i]) if counts[i].any() else "–", **look)
        ax.text(i, size + 0.05, _percent(precision[i]) if counts[:, i].any() else "–", **look)
    ax.text(size + 0.2, -0.85, "recall", **look)
    ax.text(size + 0.2, size + 0.05, "precision", **look)
    ax.set_xlim(-0.52, size + 0.75)
    ax.set_ylim(size + 0.4, -1.1)
    ax.hlines(
        np.arange(size + 1) - 0.5, -0.5, size - 0.5, color=LIGHT["frame"], linewidth=0.5, zorder=0.5
    )


def _percent(share: float) -> str:
    return "100 %" if share == 1 else f"{100 * share:.1f} %"


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
