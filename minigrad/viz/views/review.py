"""`review`: the words of a text on which a prediction depends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...errors import DTypeError, ShapeError
from ...graph.autodiff import topological_sort
from ...graph.conversion import Array
from ...graph.node import Constant, GraphNode
from ...graph.rule import Operator
from ..inspection import Loss, Model, evaluating, need_model, numbers, rule_of, score
from ..svg_picture import check_theme
from .tinted_text import Gram, Review

#: rules that may come between a convolution and its pooling, for they keep each word in its place
_POINTWISE = ("relu", "leaky_relu", "tanh", "sigmoid", "gelu", "softplus")


def review(
    model: Model,
    ids: ArrayLike,
    vocabulary: Sequence[str],
    y: ArrayLike | None = None,
    loss: Loss | None = None,
    *,
    theme: str | None = None,
) -> Review:
    """Tint each word of a text by what it adds to the output: ∂s/∂e · e for its vector e.

    `model` takes ids (1, length) and looks them up with `embedding`; `ids` are those of one text,
    `vocabulary[id]` its words; 0 is padding and 1 an unknown word, as in `mg.data.imdb`. s is the
    largest output (the logit, where the model ends in a sigmoid or softmax), or with a target `y`
    the loss `loss(output, target)`. What raises s is blue with a solid bar, what
    lowers it orange with a hollow one. Where the model convolves and max-pools the words, as
    `TextCNN` does (Kim 2014), the words behind the pooled number with the largest value × gradient
    are bracketed. The model runs in evaluation mode and is not changed. `theme` as in `draw`.
    Raises `TypeError`, `ShapeError` or `ValueError` where model, ids and vocabulary do not fit
    together.

    >>> model = mg.nn.Sequential(mg.nn.Embedding(4, 2), mg.nn.Flatten(), mg.nn.Linear(6, 1))
    >>> mg.viz.review(model, [2, 3, 2], ["", "?", "good", "film"]).words
    ('good', 'film', 'good')
    """
    need_model("review", model)
    row = _row(ids, vocabulary)
    check_theme("review", theme)
    with evaluating(model, gradients=True):
        x = Constant(row[None], name="ids", dtype=row.dtype)
        head, _ = score("review", model, x, y, loss)
        order = topological_sort(head)
        tables = [node for node in order if rule_of(node) == "embedding" and node.inputs[0] is x]
        if not tables:
            raise ValueError(
                "review: the model does not look the ids up; one that begins with an Embedding was "
                "expected"
            )
        head.backward()
        parts = zip(*((_gradient(node)[0], node.value[0]) for node in tables), strict=True)
        gradient, vector = (np.concatenate(part, axis=1) for part in parts)
        gram = _strongest(order, len(row))
    what = "score" if y is None else "loss"
    text = [vocabulary[i] for i in row], row
    return Review(text, (gradient, vector), float(head.item()), what, gram, theme)


def _row(ids: Any, vocabulary: Any) -> Array:
    row = numbers("review", "ids", ids)
    if row.dtype.kind not in "iu":
        raise DTypeError(f"review: ids hold {row.dtype}; integers were expected")
    if row.ndim == 2 and len(row) == 1:
        row = row[0]
    if row.ndim != 1 or not row.size:
        raise ShapeError(
            f"review: ids have shape {row.shape}; the ids of one text, (length,) or (1, length), "
            f"were expected"
        )
    if not isinstance(vocabulary, Sequence) or isinstance(vocabulary, str):
        raise TypeError(
            f"review: the vocabulary is a {type(vocabulary).__name__}; a list of words was expected"
        )
    if row.min() < 0 or row.max() >= len(vocabulary):
        raise ValueError(
            f"review: ids from {row.min()} to {row.max()}; 0 to {len(vocabulary) - 1} were expected"
        )
    return row.copy()


def _gradient(node: GraphNode) -> Array:
    """The gradient of a node in float64, zeros without one."""
    return np.zeros(node.shape) if node.grad is None else node.grad.astype(np.float64)


def _strongest(order: Sequence[GraphNode], length: int) -> Gram | None:
    """The words behind the pooled number with the largest |value × gradient|; None without one."""
    found = []
    for pool in order:
        if not isinstance(pool, Operator) or rule_of(pool) != "max_pool1d":
            continue
        node = pool.inputs[0]
        while isinstance(node, Operator) and node.rule.name in _POINTWISE:
            node = node.inputs[0]
        if isinstance(node, Operator) and node.rule.name == "conv1d" and node.plan.w == length:
            contributions = (pool.value * _gradient(pool))[0]
            filter, window = divmod(int(np.abs(contributions).argmax()), contributions.shape[1])
            found.append((float(contributions[filter, window]), filter, window, pool, node.plan))
    if not found:
        return None
    contribution, filter, window, pool, d = max(found, key=lambda entry: abs(entry[0]))
    taps = int(pool.work["winners"][filter, 0, window]) * d.sw - d.pw + np.arange(d.kw) * d.dw
    places = tuple(int(t) for t in taps if 0 <= t < length)
    return Gram(places, filter, contribution) if contribution else None
