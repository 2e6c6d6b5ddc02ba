"""Arrays as maps of coloured cells, whose signs and numbers can be read without colour.

Maps are laid out on a sheet: axes as large as the figure, with inches as unit and y downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...graph.conversion import Array
from ..plots import INK, colours
from ..scene.text import number, width

Cell = tuple[float, float]  # width and height of one number, in inches

READABLE = 0.24  # inches: in smaller cells a number cannot be read
_LARGEST = 0.31  # inches of a cell
_SIGN, _SIGNS = 0.04, 6000  # inches of the smallest cell, and how many cells at most get a sign
LABEL = 0.15  # inches above a map for its label
MARGIN = 0.2  # inches around everything
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
    ax.set(xlim=(0, wide), ylim=(tall, 0), autoscale_on=False)
    return ax


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
    return image


def cells(ax: Any, array: Array, scale: Scale, title: str) -> Any:
    """Draw a map in axes of its own, which count its cells; returns the image."""
    rows, columns = array.shape
    ax.set(xlim=(0, columns), ylim=(rows, 0), autoscale_on=False, title=title)
    ax.grid(False)
    return tile(ax, array, 0, 0, scale, (1, 1))


def outline(ax: Any, x: float, y: float, wide: float, tall: float, **look: Any) -> None:
    """An empty rectangle."""
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((x, y), wide, tall, fill=False, **look))


def fill(
    ax: Any, array: Array, x: float, y: float, scale: Scale, cell: Cell, inches: Cell | None = None
) -> None:
    """Write the numbers of a map into its cells, or a minus sign where there is no room for them.

    `inches` is the size of a cell on paper, if that is not its size in `ax`.
    """
    wide, tall = inches or cell
    if min(wide, tall) < READABLE:
        return mark_negative(ax, array, x, y, scale, cell, inches)
    size = min(9.0, wide * 72 * 0.33, tall * 72 * 0.6)
    for (row, column), value in np.ndenumerate(array):
        at = x + (column + 0.5) * cell[0], y + (row + 0.5) * cell[1]
        ax.text(
            *at, compact(value), fontsize=size, color=scale.ink(value), ha="center", va="center"
        )


def mark_negative(
    ax: Any, array: Array, x: float, y: float, scale: Scale, cell: Cell, inches: Cell | None = None
) -> None:
    """Write a minus sign into each clearly negative cell, if cells are large enough."""
    small = min(inches or cell)
    if small < _SIGN or array.size > _SIGNS or scale.low >= 0:
        return
    rows, columns = np.nonzero(array < -0.04 * scale.high)
    inks = [scale.ink(v) for v in array[rows, columns]]
    places = x + (columns + 0.5) * cell[0], y + (rows + 0.5) * cell[1]
    ax.scatter(
        *places, s=(small * 72 * 0.5) ** 2, marker="_", c=inks, linewidths=min(0.9, small * 6)
    )


def mosaic(
    ax: Any,
    maps: Array,
    labels: Sequence[str],
    scale: Scale,
    size: Cell,
    columns: int = 0,
    stretch: float = 1.0,
) -> tuple[float, float]:
    """Draw maps (count, rows, columns) in a grid, as large as fits `size`, in inches; returns its
    width and height.

    Axes count cells, which are `stretch` times as wide as high. Labels stand above the maps.
    """
    count, h, w = maps.shape
    if not columns:
        columns = min(count, max(1, round((count * size[0] / size[1] * h / (w * stretch)) ** 0.5)))
    across, down = w + max(1, w // 8), h + max(1, h // (4 if any(labels[columns:]) else 8))
    wide, tall = across * columns, down * -(-count // columns)
    side = min(_LARGEST, size[0] / (wide * stretch), size[1] / tall)
    ax.set(xlim=(-0.2, wide), ylim=(tall, -0.2), autoscale_on=False)
    for i, (array, label) in enumerate(zip(maps, labels, strict=True)):
        x, y = i % columns * across, i // columns * down
        note = {"fontsize": SMALL, "color": INK["muted"], "va": "bottom"}
        ax.text(x, y - 0.03 / side, label, **note)
        tile(ax, array, x, y, scale, (1, 1))
        fill(ax, array, x, y, scale, (1, 1), (side * stretch, side))
    ax.set(aspect=1 / stretch, anchor="NW")
    ax.axis("off")
    bar = ax.figure.colorbar(ax.images[0], ax=ax, shrink=0.6, anchor=(0, 1), panchor=False)
    bar.ax.grid(False)
    return wide * side * stretch, tall * side


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
