"""`memory_plan`: the arrays of a compiled step: statements to the right, bytes upwards."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice
from typing import TYPE_CHECKING

from .page.geometry import NOTE, TITLE
from .page.svg import MARGIN, px
from .scene.text import count, escape, quantity, shorten, width
from .svg_picture import SvgPicture, check_theme, text_element

if TYPE_CHECKING:
    from ..run.compiled import CompiledStep
    from ..run.memory import LiveRange, Memory

_WIDE, _AXIS = 860.0, 64.0  # width of the chart, and of its axis at the left
_LOW, _HIGH = 360.0, 720.0  # the height of the chart grows with the number of arrays
_TEXT, _PAD = 10.0, 4.0
_NAMED = 3  # so many of the largest arrays are named in the description
#: the outline shows the kind, too: value, gradient (dashed), scratch (dotted), constant (as in
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


class MemoryPlan(SvgPicture):
    """The chart that `memory_plan` returns. A notebook shows it.

    `svg` is the picture, `description` its message in words, `describe()` lists all arrays,
    `save()` writes a file.
    """

    def __init__(self, memory: Memory, theme: str | None) -> None:
        self.memory, self.theme = memory, theme

    @property
    def title(self) -> str:
        """The size of the arena."""
        m = self.memory
        parts = f" for each of {m.parts} parts of the batch" if m.parts > 1 else ""
        return f"Memory of a compiled step: {quantity(m.shared, 'B')}{parts}"

    @property
    def description(self) -> str:
        """How to read the chart, and its message."""
        m = self.memory
        largest = sorted(m.rows, key=lambda row: -row.bytes)[:_NAMED]
        named = ", ".join(f"{label(row)} {quantity(row.bytes, 'B')}" for row in largest)
        return (
            f"Each box is an array: from the first to the last of "
            f"{count(m.statements, 'statement')} that needs it, and "
            f"where it lies in memory. {count(len(m.rows), 'array')} of "
            f"{quantity(m.unshared, 'B')} share "
            f"{quantity(m.shared, 'B')}. Largest: {named}."
        )

    def describe(self) -> str:
        """The chart in words: its message, and the table of all arrays."""
        return f"{self.alt_text}\n{self.memory.table()}"

    def __repr__(self) -> str:
        return f"<MemoryPlan of {count(len(self.memory.rows), 'array')}>"

    # ---------------- as SVG
    def render(self, theme: str | None, plain: bool = False) -> str:
        """The SVG in a theme; `plain` is for converters, which do not know CSS variables."""
        top, tall = MARGIN + TITLE + 34, min(_HIGH, max(_LOW, 6.0 * len(self.memory.rows)))
        lines = [
            *_ground(self.memory, top, tall),
            *_boxes(self.memory, top, tall),
            *_legend(self.memory, top + tall + 28),
        ]
        size = _AXIS + _WIDE, top + tall + 52
        return self._document(theme, plain, _RULES, size, "\n".join(lines))


def memory_plan(step: CompiledStep, *, theme: str | None = None) -> MemoryPlan:
    """Draw where the arrays of a compiled step (`trainer.compile(…)`) lie in memory, and when.

    Arrays that stand side by side share memory. `theme` as in `draw`. Raises `TypeError` for
    anything but a compiled step, `ValueError` for an unknown theme.

    >>> model = mg.nn.Linear(4, 1)
    >>> trainer = mg.Trainer(model, mg.mse_loss, mg.optim.SGD(model.parameters(), lr=0.1))
    >>> step = trainer.compile(np.ones((8, 4)), np.ones((8, 1)), batch_size=8)
    >>> mg.viz.memory_plan(step).title.split(":")[0]
    'Memory of a compiled step'
    """
    memory = getattr(step, "memory", None)
    if memory is None or not hasattr(memory, "statements"):
        raise TypeError(
            f"memory_plan: a {type(step).__name__}; a compiled step was expected (trainer.compile "
            f"makes one)"
        )
    check_theme("memory_plan", theme)
    return MemoryPlan(memory, theme)


def label(row: LiveRange) -> str:
    """The text of a box: `n3 conv2d` (value), `∂n3 conv2d` (gradient), `n3 columns` (scratch)."""
    place, _, rest = row.node.partition(" ")
    if row.kind == "scratch":
        return shorten(f"{place} {row.name.removeprefix(f'{place}_').replace('_', ' ')}")
    words = re.sub(r" \([\d, ]*\)$", "", rest)
    return shorten(f"{'∂' if row.kind == 'gradient' else ''}{place} {words}")


def _ground(m: Memory, top: float, tall: float) -> Iterator[str]:
    """The two passes, the axes and their labels."""
    left, turn = MARGIN + _AXIS, MARGIN + _AXIS + _WIDE * m.forward / m.statements
    yield (
        f'<rect class="ground" x="{px(turn)}" y="{px(top)}" width="{px(left + _WIDE - turn)}" '
        f'height="{px(tall)}"/>'
    )
    for words, a, b in (("forward", left, turn), ("backward", turn, left + _WIDE)):
        if b - a > width(words, NOTE) + _PAD:
            yield text_element("note", (a + b) / 2, top - 7, words, "middle")
    low = top + tall
    yield f'<path class="turn" d="M{px(turn)},{px(top - 14)}V{px(low)}"/>'
    yield f'<path class="axis" d="M{px(left)},{px(top)}V{px(low)}H{px(left + _WIDE)}"/>'
    for tick in _ticks(m.shared):
        y = low - tall * tick / max(1, m.shared)
        yield f'<path class="axis" d="M{px(left)},{px(y)}h-4"/>'
        yield text_element("tick", left - 7, y + 3.5, quantity(tick, "B"), "end")
    yield text_element("tick", left, low + 14, "statement 0")
    yield text_element("tick", left + _WIDE, low + 14, str(m.statements - 1), "end")


def _ticks(size: int) -> range:
    """Two to six round numbers of bytes from 0 up to the size."""
    step = 10 ** max(0, len(str(size)) - 1)
    while size < 2 * step and step > 1:
        step = step // 5 if str(step)[0] == "1" else step // 2
    if size >= 5 * step:
        step *= 2
    return range(0, size + 1, step)


def _boxes(m: Memory, top: float, high: float) -> Iterator[str]:
    """A box for each array, with its name where that fits, in narrow boxes upright."""
    sizes, left = m.arrays.values(), MARGIN + _AXIS
    starts = dict(zip(m.arrays, accumulate(sizes, initial=0), strict=False))  # a stack
    across, up = _WIDE / m.statements, high / max(1, m.shared)
    for row in m.rows:
        x, wide = left + row.first * across, (row.last + 1 - row.first) * across
        tall = row.bytes * up
        y = top + high - (starts[row.array] + row.offset) * up - tall
        words, size = label(row), quantity(row.bytes, "B")
        title = f"{words}, {row.kind} in {row.array}: {size}, statements {row.first} to {row.last}"
        box = f'x="{px(x)}" y="{px(y)}" width="{px(wide)}" height="{px(tall)}"'
        yield f'<g class="{row.kind}"><title>{escape(title)}</title><rect class="stay" {box}/>'
        texts = [f"{words} · {size}", words, words.partition(" ")[0]]
        yield from islice(_inside(texts, x, y, wide, tall), 1)
        yield "</g>"


def _inside(texts: Sequence[str], x: float, y: float, wide: float, tall: float) -> Iterator[str]:
    """Those of the texts that fit into a box, horizontally or upright."""
    for text in texts:
        long = width(text, _TEXT) + 2 * _PAD
        if long <= wide and tall >= _TEXT + _PAD:
            yield text_element("within", x + wide / 2, y + tall / 2 + 3.5, text, "middle")
        elif long <= tall and wide >= _TEXT + _PAD:
            at = f"translate({px(x + wide / 2 + 3.5)},{px(y + tall / 2)}) rotate(-90)"
            yield (
                f'<text class="within" transform="{at}" text-anchor="middle">{escape(text)}</text>'
            )


def _legend(m: Memory, y: float) -> Iterator[str]:
    """A sample box for each kind in the chart."""
    x = MARGIN + _AXIS
    for kind in ("value", "gradient", "scratch", "constant"):
        if any(row.kind == kind for row in m.rows):
            words = "gradient (∂)" if kind == "gradient" else kind
            box = f'x="{px(x)}" y="{px(y)}" width="18" height="11"'
            yield (
                f'<g class="{kind}"><rect class="stay" '
                f"{box}/>{text_element('note', x + 24, y + 9, words)}</g>"
            )
            x += 24 + width(words, NOTE) + 22
