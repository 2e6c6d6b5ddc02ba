"""Numbers that say how good outputs are: functions of outputs and targets, which are arrays.

A `Trainer` calls them with all samples together, since F1, for one, is no mean over samples.
Outputs are a number for each class (N, classes), or one for each sample, (N,) or (N, 1): class 1
is above the `threshold`, 0 for logits, 0.5, the default, for probabilities. Targets are class ids
(N,). The functions are scikit-learn's where it has them. They raise `ShapeError` for other shapes,
and `ValueError` for outputs that are no probabilities where no threshold is given.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..checks import positive
from ..errors import ShapeError
from ..graph.conversion import Array

__all__ = ["accuracy", "confusion", "f1", "mean_absolute_error", "top_k"]


def accuracy(output: ArrayLike, target: ArrayLike, threshold: float | None = None) -> float:
    """The share of samples whose class is predicted.

    >>> mg.train.metrics.accuracy([[0.1, 0.9], [0.2, 0.8]], [1, 0])
    0.5
    """
    ids, found = _classes(output, target, threshold)
    return float((ids == found).mean())


def top_k(output: ArrayLike, target: ArrayLike, k: int = 5) -> float:
    """The share of samples whose class has one of the `k` largest of the outputs (N, classes).

    >>> mg.train.metrics.top_k([[0.1, 0.3, 0.6], [0.5, 0.3, 0.2]], [1, 2], k=2)
    0.5
    """
    positive("top_k", k=k)
    ids, _ = _classes(output, target, 0)
    if np.ndim(output) != 2:
        raise ShapeError(f"top_k: outputs {np.shape(output)}; (N, classes) was expected")
    largest = np.argsort(output, axis=1)[:, -k:]
    return float((largest == ids[:, None]).any(1).mean())


def f1(
    output: ArrayLike,
    target: ArrayLike,
    threshold: float | None = None,
    average: str | None = None,
) -> float:
    """The harmonic mean of precision and recall: of class 1 of two, else the mean over classes.

    `average` is scikit-learn's: "binary", "macro", "micro", "weighted".

    >>> mg.train.metrics.f1([[0.1, 0.9], [0.2, 0.8], [0.7, 0.3]], [1, 1, 0])
    1.0
    """
    from sklearn.metrics import f1_score

    both = _classes(output, target, threshold)
    average = average or ("macro" if np.size(output) > 2 * len(both[0]) else "binary")
    return float(f1_score(*both, average=average, zero_division=0))


def confusion(output: ArrayLike, target: ArrayLike, threshold: float | None = None) -> Array:
    """The counts of samples by their class (rows) and the class predicted (columns).

    >>> mg.train.metrics.confusion([[0.1, 0.9], [0.2, 0.8]], [1, 0])
    array([[0, 1],
           [0, 1]])
    """
    from sklearn.metrics import confusion_matrix

    return np.asarray(confusion_matrix(*_classes(output, target, threshold)))


def mean_absolute_error(output: ArrayLike, target: ArrayLike) -> float:
    """The mean of |output - target| over all numbers; (N,) and (N, 1) are the same.

    >>> mg.train.metrics.mean_absolute_error([[1.0], [2.0]], [1.0, 4.0])
    1.0
    """
    from sklearn import metrics

    columns = (array.reshape(len(array), -1) for array in map(np.asarray, (target, output)))
    return float(metrics.mean_absolute_error(*columns))


def _classes(output: Any, target: Any, threshold: float | None) -> tuple[Array, Array]:
    """Class ids from targets, and those that are predicted, both (N,)."""
    found, ids = np.asarray(output), np.asarray(target)
    single = found.size == len(found) == ids.size
    if not single and (found.ndim != 2 or len(found) != ids.size):
        shapes = f"outputs {found.shape} and targets {ids.shape}"
        raise ShapeError(f"metrics: {shapes}; (N, classes), (N, 1) or (N,) and (N,) were expected")
    if not single:
        return ids.reshape(-1), found.argmax(1)
    if threshold is None and not ((found >= 0) & (found <= 1)).all():
        raise ValueError(
            f"metrics: outputs from {found.min():.3g} to {found.max():.3g} are no probabilities; a "
            f"threshold was expected, for logits functools.partial(metrics.f1, threshold=0)"
        )
    return ids.reshape(-1), (found.reshape(-1) > (0.5 if threshold is None else threshold)) * 1
