"""Arrays as maps of coloured cells, whose signs and numbers can be read without colour.

Maps are laid out on a sheet: axes as large as the figure, with inches as unit and y downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...graph.conversion import Array
from ..plots import INK, colours, plain
from ..scene.text import number, width

Cell = tuple[float, float]  # width and height of one number, in inches

READABLE = 0.24  # inches: in smaller cells a number cannot be read
_SIGN, _SIGNS = 0.04, 6000  # inches of the smallest cell, and how many cells at most get a sign
LABEL = 0.15  # inches above a map for its label
MARGIN, BAR = 0.2, 0.85  # inches around everything, and for a scale
TITLE, NOTE, SMALL = 11.0, 8.5, 7.0  # font sizes in points


@dataclass(frozen=True, slots=True)
class Scale:
    """The colours of numbers: from `low` to `high` along a colour map (`plots.colours(kind)`)."""

    kind: str
    low: float
    high: float

    @classmethod
    def of(cls, *arrays: Array, kind: str = "plain") -> Scale:
        """One scale for several arrays: diverging if a number is negative, else from 0 up."""
        finite = [a[np.isfinite(a)] for a in arrays]
        low, high = (float(f([f(a) for a in finite if a.size] or [0.0])) for f in (np.min, np.max))
        largest = max(-low, high) or 1.0
        return cls("diverging", -largest, largest) if low < 0 else cls(kind, 0.0, largest)

    def ink(self, x: float) -> str:
        """The colour of text on a cell with value `x`."""
        return INK["bg" if abs(x) > 0.6 * self.high else "fg"]


def sheet(figure: Any) -> Any:
    """Axes for the layout of maps."""
    figure.set_layout_engine("none")
    wide, tall = figure.get_size_inches()
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    ax.axis("off")
    ax.set_xlim(0, wide)
    ax.set_ylim(tall, 0)
    return ax


def heading(ax: Any, x: float, y: float, title: str, note: str = "") -> float:
    """Write a title and a smaller line below it; returns where the content begins."""
    ax.text(x, y, plain(title, 120), fontsize=TITLE, fontweight="bold", va="top")
    if note:
        ax.text(x, y + 0.23, plain(note, 160), fontsize=NOTE, color=INK["muted"], va="top")
    return y + (0.5 if note else 0.32)


def room(title: str, note: str = "") -> float:
    """The largest width of a heading in inches."""
    return max(1.08 * width(title, TITLE), width(note, NOTE)) / 72


def tile(ax: Any, array: Array, x: float, y: float, scale: Scale, cell: Cell) -> Any:
    """Draw a map (rows, columns) in a thin frame with the corner at (x, y); returns the image."""
    wide, tall = array.shape[1] * cell[0], array.shape[0] * cell[1]
    image = ax.imshow(
        array,
        cmap=colours(scale.kind),
        vmin=scale.low,
        vmax=scale.high,
        interpolation="nearest",
        extent=(x, x + wide, y + tall, y),
        aspect="auto",
    )
    outline(ax, x, y, wide, tall, color=INK["line"], linewidth=0.6)
    figure = ax.figure.get_size_inches()
    ax.set_xlim(0, figure[0])  # imshow moves the limits
    ax.set_ylim(figure[1], 0)
    return image


def outline(ax: Any, x: float, y: float, wide: float, tall: float, **look: Any) -> None:
    """An empty rectangle."""
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((x, y), wide, tall, fill=False, **look))


def write(ax: Any, array: Array, x: float, y: float, scale: Scale, cell: Cell) -> None:
    """Write the numbers of a map into its cells."""
    size = min(9.0, cell[0] * 72 * 0.33, cell[1] * 72 * 0.6)
    for (row, column), value in np.ndenumerate(array):
        at = x + (column + 0.5) * cell[0], y + (row + 0.5) * cell[1]
        ax.text(
            *at, compact(value), fontsize=size, color=scale.ink(value), ha="center", va="center"
        )


def mark_negative(ax: Any, array: Array, x: float, y: float, scale: Scale, cell: Cell) -> None:
    """Write a minus sign into each clearly negative cell, if cells are large enough."""
    inches = min(cell)
    if inches < _SIGN or array.size > _SIGNS:
        return
    rows, columns = np.nonzero(array < -0.04 * scale.high)
    inks = [scale.ink(v) for v in array[rows, columns]]
    places = x + (columns + 0.5) * cell[0], y + (rows + 0.5) * cell[1]
    ax.scatter(
        *places, s=(inches * 72 * 0.5) ** 2, marker="_", c=inks, linewidths=min(0.9, inches * 6)
    )


def scale_bar(figure: Any, image: Any, x: float, y: float, tall: float, label: str) -> None:
    """Draw the colour bar of an image with its corner at (x, y); it is about 0.8 inches wide."""
    wide, high = figure.get_size_inches()
    bar = figure.colorbar(
        image, cax=figure.add_axes((x / wide, 1 - (y + tall) / high, 0.12 / wide, tall / high))
    )
    bar.outline.set_edgecolor(INK["frame"])
    bar.set_label(label, fontsize=SMALL + 0.5)
    bar.ax.tick_params(labelsize=SMALL)
    bar.ax.grid(False)


@dataclass(frozen=True)
class Mosaic:
    """Maps of one size (count, rows, columns) in a grid, whose size in inches is known in advance.

    Labels stand above the maps; rows without labels take no room for them, except the first.
    """

    maps: Array
    labels: Sequence[str]
    columns: int
    cell: Cell
    gap: float

    @classmethod
    def fit(
        cls,
        maps: Array,
        labels: Sequence[str],
        *,
        wide: float,
        tall: float,
        columns: int | None = None,
        most: float = 0.31,
        stretch: float = 1.0,
        gap: float = 0.09,
    ) -> Mosaic:
        """The largest mosaic in `wide` × `tall` inches.

        Cells have at most `most` inches and are `stretch` times as wide as high. The default of
        `columns` makes the mosaic largest, with few rows.
        """
        _, h, w = maps.shape

        def rank(n: int) -> tuple[float, int, int]:
            rows = -(-len(maps) // n)
            side = min(
                most,
                (wide / n - gap) / (w * stretch),
                (tall / rows - gap - LABEL * any(labels)) / h,
            )
            return round(max(side, 0.01), 6), -rows, -n

        best = columns or max(range(1, len(maps) + 1), key=rank)
        side = rank(best)[0]
        return cls(maps, labels, best, (side * stretch, side), gap)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches, labels included."""
        wide = self._pitch * min(self.columns, len(self.maps)) - self.gap
        return wide, self._place(len(self.maps) - 1)[1] + self.maps.shape[1] * self.cell[1]

    @property
    def top(self) -> float:
        """The top of the first row of maps, below its labels."""
        return LABEL * any(self.labels)

    @property
    def _pitch(self) -> float:
        return float(self.maps.shape[2] * self.cell[0] + self.gap)

    def _place(self, i: int) -> tuple[float, float]:
        row, column = divmod(i, self.columns)
        down = (
            self.maps.shape[1] * self.cell[1] + self.gap + LABEL * any(self.labels[self.columns :])
        )
        return column * self._pitch, self.top + row * down

    def draw(self, ax: Any, x: float, y: float, scale: Scale) -> Any:
        """Draw all maps with the corner at (x, y); returns an image, for the colour bar."""
        for i, (array, label) in enumerate(zip(self.maps, self.labels, strict=True)):
            left, top = (a + b for a, b in zip(self._place(i), (x, y), strict=True))
            ax.text(left, top - 0.03, label, fontsize=SMALL, color=INK["muted"], va="bottom")
            image = tile(ax, array, left, top, scale, self.cell)
            if min(self.cell) >= READABLE:
                write(ax, array, left, top, scale, self.cell)
            elif scale.kind == "diverging":
                mark_negative(ax, array, left, top, scale, self.cell)
        return image


def minus(x: float) -> str:
    """A number with three digits and a typographic minus sign, as in tick labels."""
    return number(x).replace("-", "−")


def compact(x: float) -> str:
    """A number for a small cell: two decimals at most, without the leading zero."""
    if not np.isfinite(x) or abs(x) >= 1000:
        return number(x, 2)
    if x == 0:
        return "0"
    text = f"{abs(x):.{2 if abs(x) < 1 else 1 if abs(x) < 10 else 0}f}"
    return ("−" if x < 0 else "") + (text[1:] if text.startswith("0.") else text)
