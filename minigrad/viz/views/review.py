"""Which words of a text a prediction hangs on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from ...data.imdb import OTHER, PAD
from ...errors import DTypeError, ShapeError
from ...graph.autodiff import topological_sort
from ...graph.node import Constant, GraphNode
from ...graph.rule import Operator
from ..page.html import embed
from ..page.palette import THEMES
from ..scene.text import count, number, shorten
from .looking import looking, need_model, numbers, score
from .maps import Array

#: what may stand between a convolution and its pooling without moving a word's place
_PLACEWISE = ("relu", "leaky_relu", "tanh", "sigmoid", "gelu", "softplus")


@dataclass(frozen=True)
class Gram:
    """The words (their `places` in the ids) that one pooled number came from: `filter`, and value
    times gradient.
    """

    places: tuple[int, ...]
    filter: int
    contribution: float


class Review:
    """A text whose words are tinted by the size of their gradient, as it was when `review` was
    called.

    In a notebook it shows itself. `svg` is the picture, `description` the gist in words,
    `describe()` every word with its number, `save()` writes a file. `numbers` has `"gradient"`
    (length, width), ∂s/∂e for each word's vector e, `"size"` (length,), its norm, and `"score"`, s;
    `gram` the words of the strongest pooled number, or None.
    """

    def __init__(
        self,
        words: Sequence[str],
        ids: Array,
        gradient: Array,
        score: float,
        what: str,
        gram: Gram | None,
        theme: str | None,
    ) -> None:
        self.words, self.ids, self.what, self.gram, self.theme = (
            tuple(words),
            ids,
            what,
            gram,
            theme,
        )
        self.numbers = {
            "gradient": gradient,
            "size": np.linalg.norm(gradient, axis=1),
            "score": score,
        }

    @property
    def title(self) -> str:
        return f"{self.what} {number(self.numbers['score'])}"

    @property
    def description(self) -> str:
        """What a reader of the picture needs to know, and its gist."""
        sizes = self.numbers["size"]
        top = int(sizes.argmax())
        said = [
            f"The taller the bar below a word and the darker its ground, the more the {self.what} "
            f"depends on it: the size "
            f"of the gradient of the word's vector, at most {number(float(sizes[top]))} at "
            f"“{self.name(top)}”."
        ]
        if self.gram is not None:
            words, adds = " ".join(map(self.name, self.gram.places)), number(self.gram.contribution)
            said.append(
                f"Bracketed: “{words}”, the {count(len(self.gram.places), 'word')} behind the "
                f"pooled number that counts "
                f"most (filter {self.gram.filter}; value × gradient {adds})."
            )
        return " ".join(said)

    def name(self, place: int) -> str:
        """The word at a place, short enough to be shown; what stands for none is said in words."""
        return {PAD: "(padding)", OTHER: "(unknown)"}.get(
            int(self.ids[place]), shorten(self.words[place])
        )

    def describe(self) -> str:
        """The picture in words, a line for each word in the order of the text; padding at the start
        is one line.
        """
        lines = [f"{self.title}. {self.description}"]
        sizes = self.numbers["size"]
        start = leading(self.ids)
        if start:
            lines.append(f"  {start} × padding: at most {number(float(sizes[:start].max()))}")
        inside = () if self.gram is None else self.gram.places
        for i in range(start, len(self.ids)):
            lines.append(
                f"  {i}, {self.name(i)}: {number(float(sizes[i]))}{', bracketed' * (i in inside)}"
            )
        return "\n".join(lines)

    @property
    def svg(self) -> str:
        """The picture as SVG."""
        from .review_svg import render

        return render(self, self.theme)

    def save(self, path: str | PathLike[str]) -> None:
        """Write an `.svg`, `.png` or `.pdf` file. Raises `ValueError` for any other name."""
        from .review_svg import save

        save(self, path)

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        html = embed(self.svg, f"{self.title}. {self.description}")
        return {"text/plain": repr(self), "image/svg+xml": self.svg, "text/html": html}

    def __repr__(self) -> str:
        return f"<Review of {count(len(self.ids) - leading(self.ids), 'word')}, {self.title}>"


def review(
    model: Any,
    ids: Any,
    vocabulary: Sequence[str],
    y: Any = None,
    loss: Callable[..., Any] | None = None,
    *,
    theme: str | None = None,
) -> Review:
    """A text, each word tinted by how much the model's answer depends on it: ‖∂s/∂e‖ for the word's
    vector e.

    `model` takes ids (1, length) and looks them up with `embedding`; `ids` are those of one text,
    `vocabulary[id]` its words; 0 is padding and 1 an unknown word, as in `mg.data.imdb`. s is the
    largest output (the logit, where the model ends in a sigmoid or softmax), or with a target `y`
    the loss `loss(output, target)`. Where the model convolves and max-pools the words, as `TextCNN`
    does (Kim 2014), the words behind the pooled number with the largest value × gradient are
    bracketed. The model is evaluated and left as it was. `theme` as for `draw`. Raises `TypeError`,
    `ShapeError` or `ValueError` where model, ids and vocabulary do not fit together.
    """
    need_model("review", model)
    row = _row(ids, vocabulary)
    if theme is not None and theme not in THEMES:
        raise ValueError(
            f"review: theme={theme!r}; {', '.join(map(repr, THEMES))} or None was expected"
        )
    with looking(model, gradients=True):
        x = Constant(row[None], name="ids", dtype=row.dtype)
        head, _ = score("review", model, x, y, loss)
        order = topological_sort(head)
        tables = [node for node in order if _rule(node) == "embedding" and node.inputs[0] is x]
        if not tables:
            raise ValueError(
                "review: the model does not look the ids up; one that begins with an Embedding was "
                "expected"
            )
        head.backward()
        gradient = np.concatenate([_gradient(node)[0] for node in tables], axis=1)
        gram = _strongest(order, len(row))
    what = "score" if y is None else "loss"
    return Review(
        [vocabulary[i] for i in row], row, gradient, float(head.item()), what, gram, theme
    )


def leading(ids: Array) -> int:
    """How many ids at the start are padding."""
    return int(np.argmax(ids != PAD)) if (ids != PAD).any() else len(ids)


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


def _rule(node: GraphNode) -> str:
    return node.rule.name if isinstance(node, Operator) else ""


def _gradient(node: GraphNode) -> Array:
    """The gradient of a node in float64; zeros where none arrived."""
    return np.zeros(node.shape) if node.grad is None else node.grad.astype(np.float64)


def _strongest(order: list[GraphNode], length: int) -> Gram | None:
    """The words behind the pooled number with the largest |value × gradient|; None where nothing is
    pooled.
    """
    found = []
    for pool in order:
        node = pool
        if _rule(pool) != "max_pool1d":
            continue
        node = pool.inputs[0]
        while _rule(node) in _PLACEWISE:
            node = node.inputs[0]
        if _rule(node) == "conv1d" and node.plan.w == length:  # type: ignore[attr-defined]
            contributions = (pool.value * _gradient(pool))[0]
            filter, window = divmod(int(np.abs(contributions).argmax()), contributions.shape[1])
            found.append((float(contributions[filter, window]), filter, window, pool, node.plan))  # type: ignore[attr-defined]
    if not found:
        return None
    contribution, filter, window, pool, d = max(found, key=lambda entry: abs(entry[0]))
    place = int(pool.work["winners"][filter, 0, window])  # type: ignore[attr-defined]
    taps = place * d.sw - d.pw + np.arange(d.kw) * d.dw
    return (
        Gram(tuple(int(t) for t in taps if 0 <= t < length), filter, contribution)
        if contribution
        else None
    )
