"""A review as SVG: words in lines, a ground and a bar for the size of each gradient, a bracket
below the winning words.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from os import PathLike
from typing import TYPE_CHECKING

from ...data.imdb import OTHER, PAD
from ..page import export
from ..page.geometry import LABEL, NOTE, SMALL, TITLE
from ..page.palette import THEMES, plain_style, style
from ..page.svg import MARGIN, document, px, wrap
from ..scene.text import count, escape, number, width
from .review import leading

if TYPE_CHECKING:
    from .review import Review

_WIDE = 720.0  # of the text
_SPACE, _LINE = 6.0, 36.0  # between words, and from one line to the next
_BAR, _ALPHA = (
    9.0,
    0.32,
)  # of the largest gradient: height of the bar, opacity of the ground (contrast stays above 4.5)
_RULES = """\
.mg .word{font-size:13px;fill:var(--fg)}
.mg .aside{font-size:10px;font-style:italic;fill:var(--fg)}
.mg .ground,.mg .size{fill:var(--g5)}
.mg .base{stroke:var(--frame);stroke-width:.8}
.mg .bracket{fill:none;stroke:var(--fg);stroke-width:1.6}
"""


def render(review: Review, theme: str | None, plain: bool = False) -> str:
    """The SVG of a review. `plain` is for converters, which know no CSS variables."""
    places, tall = _flow(review)
    notes = wrap(review.description, _WIDE)
    w, h = _WIDE + 2 * MARGIN, tall + 15 * len(notes) + MARGIN
    body = "\n".join([*_words(review, places), *_bracket(review, places), *_notes(notes, tall)])
    key = "mg-" + hashlib.sha256(f"{body}{theme}".encode()).hexdigest()[:8]
    rules = (
        plain_style(theme or "light") + _plain_rules(theme or "light")
        if plain
        else style(theme) + _RULES
    )
    heading = (
        f'<text class="heading" x="{px(MARGIN)}" '
        f'y="{px(MARGIN + TITLE - 3)}">{escape(review.title)}</text>'
    )
    return document(
        key, theme, review.title, review.description, rules, (w, h), f"{heading}\n{body}"
    )


def save(review: Review, path: str | PathLike[str]) -> None:
    """Write the review in the format that the name asks for. Raises `ValueError` for a name that
    asks for another.
    """
    export.save(
        path, review.svg, lambda: render(review, review.theme or "light", plain=True), review.title
    )


def _plain_rules(theme: str) -> str:
    return re.sub(r"var\(--([\w-]+)\)", lambda m: THEMES[theme][m[1]], _RULES)


def _label(review: Review, place: int) -> tuple[str, str, float]:
    """What is written for a word, in which class, and how wide it is; all padding at the start is
    one word.
    """
    if place < leading(review.ids):
        text = f"{leading(review.ids)} × padding"
    else:
        text = {PAD: "padding", OTHER: "[?]"}.get(int(review.ids[place]), "")
    if text:
        return text, "aside", width(text, SMALL)
    return review.name(place), "word", width(review.name(place), LABEL)


def _flow(review: Review) -> tuple[dict[int, tuple[float, float, float]], float]:
    """place -> (x, y, width) of each word that is shown, in lines that fit, and where the lines
    end.
    """
    places, x, y = {}, MARGIN, MARGIN + TITLE + 12
    for place in range(max(0, leading(review.ids) - 1), len(review.ids)):
        wide = _label(review, place)[2]
        if x > MARGIN and x + wide > MARGIN + _WIDE:
            x, y = MARGIN, y + _LINE
        places[place] = (x, y, wide)
        x += wide + _SPACE
    return places, y + _LINE + 6


def _words(review: Review, places: dict[int, tuple[float, float, float]]) -> Iterator[str]:
    sizes, skipped = review.numbers["size"], leading(review.ids)
    largest = float(sizes.max())
    for place, (x, y, wide) in places.items():
        size = float(sizes[:skipped].max() if place < skipped else sizes[place])
        share = size / largest if largest > 0 else 0.0  # NaN has neither ground nor bar
        text, kind, _ = _label(review, place)
        name = (
            f"{count(skipped, 'id')} of padding, at most"
            if place < skipped
            else f"{review.name(place)}, place {place}:"
        )
        box = f'x="{px(x - 2)}" y="{px(y)}" width="{px(wide + 4)}" height="17" rx="3"'
        bar = f'x="{px(x)}" y="{px(y + 19)}" width="{px(wide)}" height="{px(_BAR * share)}"'
        yield (
            f'<g class="token"><title>{escape(f"{name} {number(size)}")}</title>'
            f'<rect class="ground" {box} fill-opacity="{_ALPHA * share:.2f}"/>'
            f'<text class="{kind}" x="{px(x + wide / 2)}" y="{px(y + 13)}" '
            f'text-anchor="middle">{escape(text)}</text>'
            f'<path class="base" d="M{px(x)},{px(y + 19)}h{px(wide)}"/><rect class="size" '
            f"{bar}/></g>"
        )


def _bracket(review: Review, places: dict[int, tuple[float, float, float]]) -> Iterator[str]:
    """A bracket below neighbouring words of the winning window; one on each line where they are
    parted.
    """
    if review.gram is None:
        return
    shown = [places[place] for place in review.gram.places if place in places]
    lines: list[list[tuple[float, float, float]]] = []
    for i, box in enumerate(shown):
        neighbour = (
            i
            and box[1] == shown[i - 1][1]
            and review.gram.places[i] == review.gram.places[i - 1] + 1
        )
        lines[-1].append(box) if neighbour else lines.append([box])
    for line in lines:
        left, y, right = line[0][0], line[0][1] + 28, line[-1][0] + line[-1][2]
        title = f"<title>{escape(f'filter {review.gram.filter}: {number(review.gram.contribution)}')}</title>"
        yield f'<g>{title}<path class="bracket" d="M{px(left)},{px(y)}v4H{px(right)}v-4"/></g>'


def _notes(notes: list[str], tall: float) -> Iterator[str]:
    for i, line in enumerate(notes):
        yield (
            f'<text class="note" x="{px(MARGIN)}" '
            f'y="{px(tall + NOTE + 15 * i)}">{escape(line)}</text>'
        )
