"""`memory_plan`: where the arrays of a compiled step lie in memory, and when: statements to the
right, bytes upwards.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from os import PathLike
from typing import TYPE_CHECKING, Any

from .page import export
from .page.geometry import NOTE, TITLE
from .page.html import embed
from .page.palette import THEMES, plain_style, style
from .page.svg import MARGIN, document, px, wrap
from .scene.text import count, escape, quantity, shorten, width

if TYPE_CHECKING:
    from ..run.memory import Memory, Stay

_WIDE, _AXIS = 860.0, 64.0  # of the plan, and of what stands left of it
_LOW, _HIGH = 360.0, 720.0  # the plan is so tall, the taller the more arrays there are
_TEXT, _PAD = 10.0, 4.0
_NAMED = 3  # of the largest arrays, in the note
#: the corner says the kind, too: value, gradient (dashed), scratch (dotted), constant (as in
#: drawings of graphs)
_RULES = """\
.mg .stay{stroke-width:1}
.mg .value .stay{fill:var(--variable-fill);stroke:var(--variable)}
.mg .gradient .stay{fill:var(--bg);stroke:var(--gradient);stroke-width:1.6;stroke-dasharray:6 2.5}
.mg .scratch .stay{fill:var(--bg);stroke:var(--line);stroke-dasharray:1.5 2.5}
.mg .constant .stay{fill:var(--constant-fill);stroke:var(--constant);stroke-dasharray:4 3}
.mg .within{font-size:10px;fill:var(--fg)}
.mg .gradient .within{font-style:italic}
.mg .ground{fill:var(--tint)}
.mg .turn{stroke:var(--frame);stroke-width:1;stroke-dasharray:4 3}
.mg .axis{fill:none;stroke:var(--frame);stroke-width:1}
"""


class MemoryPlan:
    """The picture that `memory_plan` returns. In a notebook it shows itself; `svg` is the picture,
    `description` the gist in words, `describe()` says where every array lies, `save()` writes a
    file.
    """

    def __init__(self, memory: Memory, theme: str | None) -> None:
        self.memory, self.theme = memory, theme
        self.title = f"Memory of a compiled step: {quantity(memory.shared, 'B')}"
        if memory.parts > 1:
            self.title += f" for each of {memory.parts} parts of the batch"

    @property
    def description(self) -> str:
        """What a reader of the picture needs to know, and its gist."""
        m = self.memory
        largest = sorted(m.rows, key=lambda row: -row.bytes)[:_NAMED]
        told = ", ".join(f"{label(row)} {quantity(row.bytes, 'B')}" for row in largest)
        return (
            f"Each box is an array: from the first to the last of "
            f"{count(m.statements, 'statement')} that needs it, and "
            f"where it lies in memory. {count(len(m.rows), 'array')} of "
            f"{quantity(m.unshared, 'B')} share "
            f"{quantity(m.shared, 'B')}. Largest: {told}."
        )

    def describe(self) -> str:
        """The picture in words: the gist, and the table of all arrays."""
        return f"{self.title}. {self.description}\n{self.memory.table()}"

    @property
    def svg(self) -> str:
        """The picture as SVG."""
        return self._render(self.theme, plain=False)

    @property
    def html(self) -> str:
        """The picture for a page: an image that becomes the SVG itself where scripts may run."""
        return embed(self.svg, f"{self.title}. {self.description}")

    def save(self, path: str | PathLike[str]) -> None:
        """Write the picture to a `.svg`, `.png` or `.pdf` file. Raises `ValueError` for any other
        name.
        """
        export.save(
            path, self.svg, lambda: self._render(self.theme or "light", plain=True), self.title
        )

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "image/svg+xml": self.svg, "text/html": self.html}

    def __repr__(self) -> str:
        return f"<MemoryPlan of {count(len(self.memory.rows), 'array')}>"

    # ---------------- as SVG
    def _render(self, theme: str | None, plain: bool) -> str:
        notes = wrap(self.description, _AXIS + _WIDE)
        top, tall = MARGIN + TITLE + 34, min(_HIGH, max(_LOW, 6.0 * len(self.memory.rows)))
        low = top + tall + 52
        w, h = _AXIS + _WIDE + 2 * MARGIN, low + 15 * len(notes) + MARGIN
        lines = [
            *_ground(self.memory, top, tall),
            *_boxes(self.memory, top, tall),
            *_legend(self.memory, top + tall + 28),
        ]
        lines += [_text("note", MARGIN, low + NOTE + 15 * i, line) for i, line in enumerate(notes)]
        body = "\n".join(lines)
        key = "mg-" + hashlib.sha256(f"{body}{theme}".encode()).hexdigest()[:8]
        rules = (
            plain_style(theme or "light") + _plain_rules(theme or "light")
            if plain
            else style(theme) + _RULES
        )
        heading = _text("heading", MARGIN, MARGIN + TITLE - 3, self.title)
        return document(
            key, theme, self.title, self.description, rules, (w, h), f"{heading}\n{body}"
        )


def memory_plan(step: Any, *, theme: str | None = None) -> MemoryPlan:
    """Draw where the arrays of a compiled step (`trainer.compile(…)`) lie in memory, and from when
    to when.

    Places are used again: what stands one beside the other shares them. `theme` as in `draw`.
    Raises `TypeError` for anything but a compiled step, `ValueError` for an unknown theme.
    """
    memory = getattr(step, "memory", None)
    if not hasattr(memory, "statements"):
        raise TypeError(
            f"memory_plan: a {type(step).__name__}; a compiled step was expected (trainer.compile "
            f"makes one)"
        )
    if theme is not None and theme not in THEMES:
        raise ValueError(
            f"memory_plan: theme={theme!r}; {', '.join(map(repr, THEMES))} or None was expected"
        )
    return MemoryPlan(memory, theme)


def label(row: Stay) -> str:
    """What is written into a box: `n3 conv2d` for its value, `∂n3 conv2d` for its gradient, `n3
    columns` for scratch.
    """
    place, _, rest = row.node.partition(" ")
    if row.kind == "scratch":
        return shorten(f"{place} {row.name.removeprefix(f'{place}_').replace('_', ' ')}")
    words = re.sub(r" \([\d, ]*\)$", "", rest)
    return shorten(f"{'∂' if row.kind == 'gradient' else ''}{place} {words}")


def _plain_rules(theme: str) -> str:
    return re.sub(r"var\(--([\w-]+)\)", lambda m: THEMES[theme][m[1]], _RULES)


def _text(kind: str, x: float, y: float, words: str, anchor: str = "start") -> str:
    return (
        f'<text class="{kind}" x="{px(x)}" y="{px(y)}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def _starts(arrays: Mapping[str, int]) -> dict[str, int]:
    """At which byte of the picture each array begins: one stands on the other."""
    starts, at = {}, 0
    for name, size in arrays.items():
        starts[name] = at
        at += size
    return starts


def _ground(m: Memory, top: float, tall: float) -> Iterator[str]:
    """The two passes, the frame, and what is written beside it."""
    left, turn = MARGIN + _AXIS, MARGIN + _AXIS + _WIDE * m.forward / m.statements
    yield (
        f'<rect class="ground" x="{px(turn)}" y="{px(top)}" width="{px(left + _WIDE - turn)}" '
        f'height="{px(tall)}"/>'
    )
    for words, a, b in (("forward", left, turn), ("backward", turn, left + _WIDE)):
        if b - a > width(words, NOTE) + _PAD:
            yield _text("note", (a + b) / 2, top - 7, words, "middle")
    low = top + tall
    yield f'<path class="turn" d="M{px(turn)},{px(top - 14)}V{px(low)}"/>'
    yield f'<path class="axis" d="M{px(left)},{px(top)}V{px(low)}H{px(left + _WIDE)}"/>'
    for tick in _ticks(m.shared):
        y = low - tall * tick / max(1, m.shared)
        yield f'<path class="axis" d="M{px(left)},{px(y)}h-4"/>'
        yield _text("tick", left - 7, y + 3.5, quantity(tick, "B"), "end")
    yield _text("tick", left, low + 14, "statement 0")
    yield _text("tick", left + _WIDE, low + 14, str(m.statements - 1), "end")


def _ticks(size: int) -> range:
    """Round numbers of bytes from 0 up to the size, two to six of them."""
    step = 10 ** max(0, len(str(size)) - 1)
    while size < 2 * step and step > 1:
        step = step // 5 if str(step)[0] == "1" else step // 2
    if size >= 5 * step:
        step *= 2
    return range(0, size + 1, step)


def _boxes(m: Memory, top: float, high: float) -> Iterator[str]:
    """A box for each array, and its name where there is room: along it or, in narrow ones,
    upwards.
    """
    starts, left = _starts(m.arrays), MARGIN + _AXIS
    across, up = _WIDE / m.statements, high / max(1, m.shared)
    for row in m.rows:
        x, wide = left + row.first * across, (row.last + 1 - row.first) * across
        tall = row.bytes * up
        y = top + high - (starts[row.array] + row.offset) * up - tall
        words, size = label(row), quantity(row.bytes, "B")
        title = f"{words}, {row.kind} in {row.array}: {size}, statements {row.first} to {row.last}"
        box = f'x="{px(x)}" y="{px(y)}" width="{px(wide)}" height="{px(tall)}"'
        yield f'<g class="{row.kind}"><title>{escape(title)}</title><rect class="stay" {box}/>'
        yield from islice(
            _inside([f"{words} · {size}", words, words.partition(" ")[0]], x, y, wide, tall), 1
        )
        yield "</g>"


def _inside(texts: Sequence[str], x: float, y: float, wide: float, tall: float) -> Iterator[str]:
    """Those of the texts that fit into a box, along it or upwards."""
    for text in texts:
        long = width(text, _TEXT) + 2 * _PAD
        if long <= wide and tall >= _TEXT + _PAD:
            yield _text("within", x + wide / 2, y + tall / 2 + 3.5, text, "middle")
        elif long <= tall and wide >= _TEXT + _PAD:
            at = f"translate({px(x + wide / 2 + 3.5)},{px(y + tall / 2)}) rotate(-90)"
            yield (
                f'<text class="within" transform="{at}" text-anchor="middle">{escape(text)}</text>'
            )


def _legend(m: Memory, y: float) -> Iterator[str]:
    """The kinds that there are, each with its box."""
    told = {
        "value": "value",
        "gradient": "gradient (∂)",
        "scratch": "scratch",
        "constant": "constant",
    }
    x = MARGIN + _AXIS
    for kind, words in told.items():
        if any(row.kind == kind for row in m.rows):
            box = f'x="{px(x)}" y="{px(y)}" width="18" height="11"'
            yield (
                f'<g class="{kind}"><rect class="stay" '
                f"{box}/>{_text('note', x + 24, y + 9, words)}</g>"
            )
            x += 24 + width(words, NOTE) + 22
