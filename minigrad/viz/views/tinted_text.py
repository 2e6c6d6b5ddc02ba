"""The picture of a review: words in lines, tinted by what they add to the score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...data.imdb import OTHER, PAD
from ...graph.conversion import Array
from ..page.geometry import LABEL, SMALL, TITLE
from ..page.svg import MARGIN, px
from ..scene.text import count, escape, number, shorten, width
from ..svg_picture import SvgPicture

_WIDE = 720.0  # of the text
_SPACE, _LINE = 6.0, 36.0  # between words, and from one line to the next
#: height of the bar and opacity of the background of the largest contribution; the contrast of the
#: text stays above 4.5
_BAR, _ALPHA = 9.0, 0.32
_RULES = """\
.mg .word{font-size:13px;fill:var(--fg)}
.mg .aside{font-size:10px;font-style:italic;fill:var(--fg)}
.mg .token .ground,.mg .token .size{fill:var(--variable)}
.mg .against .ground{fill:var(--gradient)}
.mg .against .size{fill:none;stroke:var(--gradient);stroke-width:1.2}
.mg .base{stroke:var(--frame);stroke-width:.8}
.mg .bracket{fill:none;stroke:var(--fg);stroke-width:1.6}
"""


@dataclass(frozen=True)
class Gram:
    """The words, by their `places` in the text, behind one pooled number.

    `filter` is its channel, `contribution` its value times its gradient.
    """

    places: tuple[int, ...]
    filter: int
    contribution: float


class Review(SvgPicture):
    """A text whose words are tinted by what they add to the score, as of the call of `review`.

    A notebook shows it. `svg` is the picture, `description` its message, `describe()` lists every
    word with its number, `save()` writes a file. `numbers` has `"gradient"` (length, width), ∂s/∂e
    for the vector e of each word, its norm `"size"` (length,), `"contribution"` (length,), its
    product with e, and `"score"`, s. `gram` has the words behind the pooled number that contributes
    most, or is None.

    >>> model = mg.nn.Sequential(mg.nn.Embedding(4, 2), mg.nn.Flatten(), mg.nn.Linear(6, 1))
    >>> review = mg.viz.review(model, [2, 3, 2], ["", "?", "good", "film"])
    >>> review.words, review.numbers["contribution"].shape
    (('good', 'film', 'good'), (3,))
    """

    def __init__(
        self,
        text: tuple[Sequence[str], Array],
        vectors: tuple[Array, Array],
        score: float,
        what: str,
        gram: Gram | None,
        theme: str | None,
    ) -> None:
        (words, self.ids), (gradient, vector) = text, vectors
        self.words, self.what, self.gram, self.theme = tuple(words), what, gram, theme
        self.added = (gradient * vector).sum(1)
        self.numbers = {"gradient": gradient, "size": np.linalg.norm(gradient, axis=1)}
        self.numbers |= {"contribution": self.added, "score": score}
        #: how many ids at the start are padding
        self.padding = int(np.argmax(self.ids != PAD)) if (self.ids != PAD).any() else len(self.ids)

    @property
    def title(self) -> str:
        """The score or the loss."""
        return f"{self.what} {number(self.numbers['score'])}"

    @property
    def description(self) -> str:
        """How to read the picture, and its message."""
        ends = [
            f"“{self.name(place)}” {self.added[place]:+.3g}"
            for place in map(int, (self.added.argmax(), self.added.argmin()))
        ]
        text = (
            f"A word with a solid bar raises the {self.what}, one with a hollow bar lowers it: the "
            f"gradient of its vector times the vector, from {' to '.join(ends)}."
        )
        if self.gram is not None:
            words, adds = " ".join(map(self.name, self.gram.places)), number(self.gram.contribution)
            text += (
                f" Bracketed: “{words}”, the {count(len(self.gram.places), 'word')} behind the "
                f"pooled number that counts "
                f"most (filter {self.gram.filter}; value × gradient {adds})."
            )
        return text

    def name(self, place: int) -> str:
        """The word at a place, shortened; padding and unknown words are named in parentheses."""
        return {PAD: "(padding)", OTHER: "(unknown)"}.get(
            int(self.ids[place]), shorten(self.words[place])
        )

    def describe(self) -> str:
        """The picture in words, a line for each word; all padding at the start is one line."""
        inside = () if self.gram is None else self.gram.places
        told = [
            f"  {self._called(i)} {self._added(i):+.3g}{', bracketed' * (i in inside)}"
            for i in range(max(0, self.padding - 1), len(self.ids))
        ]
        return "\n".join([self.alt_text, *told])

    def _called(self, place: int) -> str:
        if place < self.padding:
            return f"{self.padding} × padding:"
        return f"{self.name(place)}, place {place}:"

    def _added(self, place: int) -> float:
        """What the word adds to the score, or all padding before and including it."""
        return float(
            self.added[: self.padding].sum() if place < self.padding else self.added[place]
        )

    def __repr__(self) -> str:
        return f"<Review of {count(len(self.ids) - self.padding, 'word')}, {self.title}>"

    # ---------------- as SVG
    def render(self, theme: str | None, plain: bool = False) -> str:
        """The SVG in a theme; `plain` is for converters, which do not know CSS variables."""
        places, tall = self._flow()
        body = "\n".join([*self._words(places), *self._bracket(places)])
        return self._document(theme, plain, _RULES, (_WIDE, tall), body)

    def _label(self, place: int) -> tuple[str, str, float]:
        """Text, class and width of a word; all padding at the start is one word."""
        if place < self.padding:
            text = f"{self.padding} × padding"
        else:
            text = {PAD: "padding", OTHER: "[?]"}.get(int(self.ids[place]), "")
        if text:
            return text, "aside", width(text, SMALL)
        return self.name(place), "word", width(self.name(place), LABEL)

    def _flow(self) -> tuple[dict[int, tuple[float, float, float]], float]:
        """place -> (x, y, width) of each word, broken into lines, and where the lines end."""
        places, x, y = {}, MARGIN, MARGIN + TITLE + 12
        for place in range(max(0, self.padding - 1), len(self.ids)):
            wide = self._label(place)[2]
            if x > MARGIN and x + wide > MARGIN + _WIDE:
                x, y = MARGIN, y + _LINE
            places[place] = (x, y, wide)
            x += wide + _SPACE
        return places, y + _LINE + 6

    def _words(self, places: dict[int, tuple[float, float, float]]) -> Iterator[str]:
        largest = max(abs(self._added(place)) for place in places)
        for place, (x, y, wide) in places.items():
            added, (text, kind, _) = self._added(place), self._label(place)
            share = abs(added) / largest if largest > 0 else 0.0  # of NaN neither ground nor bar
            box = f'x="{px(x - 2)}" y="{px(y)}" width="{px(wide + 4)}" height="17" rx="3"'
            bar = f'x="{px(x)}" y="{px(y + 19)}" width="{px(wide)}" height="{px(_BAR * share)}"'
            title = escape(f"{self._called(place)} {added:+.3g}")
            yield (
                f'<g class="token{" against" * (added < 0)}"><title>{title}</title>'
                f'<rect class="ground" {box} fill-opacity="{_ALPHA * share:.2f}"/>'
                f'<text class="{kind}" x="{px(x + wide / 2)}" y="{px(y + 13)}" '
                f'text-anchor="middle">{escape(text)}</text>'
                f'<path class="base" d="M{px(x)},{px(y + 19)}h{px(wide)}"/><rect class="size" '
                f"{bar}/></g>"
            )

    def _bracket(self, places: dict[int, tuple[float, float, float]]) -> Iterator[str]:
        """A bracket below neighbouring words of the gram; one in each line where it is broken."""
        if self.gram is None:
            return
        shown = [(place, places[place]) for place in self.gram.places if place in places]
        left, title = 0.0, escape(f"filter {self.gram.filter}: {number(self.gram.contribution)}")
        for i, (place, (x, y, wide)) in enumerate(shown):
            before, after = shown[:i][-1:], shown[i + 1 :][:1]
            if not any(b == place - 1 and box[1] == y for b, box in before):
                left = x
            if not any(b == place + 1 and box[1] == y for b, box in after):
                yield (
                    f'<g><title>{title}</title><path class="bracket" '
                    f'd="M{px(left)},{px(y + 28)}v4H{px(x + wide)}v-4"/></g>'
                )
