"""`patch_product`: one number of a convolution as a sum of products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import GraphError
from ...graph.conversion import Array
from ...graph.node import GraphNode
from ...graph.rule import Operator
from ..inspection import need_index, need_rule
from ..plots import INK, figure
from ..scene.text import count, number
from .maps import (
    MARGIN,
    NOTE,
    SMALL,
    TITLE,
    Cell,
    Scale,
    fill,
    mark_negative,
    minus,
    outline,
    room,
    sheet,
    tile,
)

if TYPE_CHECKING:
    from ..figure import Figure

_SIDE, _PICTURE = 0.31, 2.2  # inches: a cell with a number, and a whole map
_LINE, _LINES = 27, 3  # products in a line, and lines
_GRID = 7  # rows of a patch that are drawn as a square
_LEFT, _UPPER, _GAP = MARGIN + 0.75, 3.05, 0.35


@dataclass(frozen=True)
class Patch:
    """The operands of one number of a convolution: `values`, `weights`, each (C / groups, KH, KW).

    `rows` and `columns` are the places of the taps in the input, where the padding is outside;
    `channel` is the first channel that the filter reads; `padded` (KH, KW) marks the taps in the
    padding.
    """

    channel: int
    rows: Array
    columns: Array
    padded: Array
    values: Array
    weights: Array
    bias: float
    output: float

    @property
    def products(self) -> Array:
        return self.values * self.weights

    @property
    def sum(self) -> float:
        return float(self.products.sum()) + self.bias


def patch_product(
    node: GraphNode,
    position: int | Sequence[int],
    sample: int = 0,
    filter: int = 0,
    *,
    theme: str | None = None,
) -> Figure:
    """Draw one number of a convolution as a sum of products: patch · filter + bias.

    `node` is a conv2d or conv1d node, `position` the place (row, column) in its result, for conv1d
    a single index. The patch is laid out as a row, channel by channel, as in the unrolling of
    Chellapilla et al. (2006); of a long row the first three lines are drawn, the rest is only
    summed. Hatched cells are padding. `.numbers` has `"patch"`, `"filter"` and `"products"` (C /
    groups, KH, KW), `"bias"`, `"sum"`, and `"output"`, the number in the graph. `theme` as in
    `draw`. Raises `TypeError` or `ValueError` for another node or a place out of range,
    `GraphError` if the inputs changed since the forward pass.

    >>> y = mg.conv2d(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)))
    >>> mg.viz.patch_product(y, (0, 1)).numbers["sum"]
    9.0
    """
    node = need_rule("patch_product", node, ("conv1d", "conv2d"))
    at = _position(node, position)
    n = need_index("patch_product", "sample", sample, node.plan.n)
    o = need_index("patch_product", "filter", filter, node.plan.o)
    patch = _take(node, at, n, o)
    where = f"{node.rule.name}[{', '.join(map(str, (n, o, *at[2 - len(node.shape[2:]) :])))}]"
    if not np.isclose(
        patch.sum,
        patch.output,
        rtol=1e-3,
        atol=1e-4 * (1 + np.abs(patch.products).sum()),
        equal_nan=True,
    ):
        raise GraphError(
            f"patch_product: {where} is {number(patch.output)}, but its inputs give "
            f"{number(patch.sum)}; run forward again"
        )
    lines = _lines(patch)
    cells = max(stop - start for start, stop in lines)
    sentence = _sentence(patch, lines[-1][1], where)
    upper = 2 * (MARGIN + _PICTURE + _GAP) + 2 * _width(node.plan.kw) + _GAP
    wide = max(
        _LEFT + cells * _SIDE + 0.9 + MARGIN, upper, room("", sentence) * TITLE / NOTE + 2 * MARGIN
    )
    with figure(wide, _UPPER + 1.35 * len(lines) + 0.4, theme=theme) as made:
        page = sheet(made)
        _pictures(page, node, patch, at, n, o)
        y = _UPPER
        for start, stop in lines:
            _line(page, patch, start, stop, y)
            y += 1.35
        page.text(MARGIN, y, sentence, fontsize=TITLE - 1, va="top")
        made.description = (
            f"One number of a convolution as a sum of products. "
            f"{count(patch.values.size, 'product')}. {sentence}."
        )
        made.numbers = {
            "patch": patch.values,
            "filter": patch.weights,
            "products": patch.products,
            "bias": patch.bias,
            "sum": patch.sum,
            "output": patch.output,
        }
    return made


def _position(node: Operator, position: int | Sequence[int]) -> tuple[int, int]:
    """The place as (row, column); a conv1d has one row."""
    place = tuple(position) if isinstance(position, tuple | list) else (position,)
    axes = node.ndim - 2
    if len(place) != axes:
        expected = "(row, column)" if axes == 2 else "one place"
        raise ValueError(
            f"patch_product: position={position!r}; {expected} in a result of {node.shape[2:]} was "
            f"expected"
        )
    found = [
        need_index("patch_product", "position", p, size)
        for p, size in zip(place, node.shape[2:], strict=True)
    ]
    return (0, found[0]) if axes == 1 else (found[0], found[1])


def _take(node: Operator, at: tuple[int, int], n: int, o: int) -> Patch:
    """Read the patch in float64, for an accurate sum, with zeros in the padding."""
    d = node.plan
    group = d.c // d.groups
    channel = o // (d.o // d.groups) * group
    x = (
        node.inputs[0]
        .value.reshape(d.n, d.c, d.h, d.w)[n, channel : channel + group]
        .astype(np.float64)
    )
    rows = at[0] * d.sh - d.ph + np.arange(d.kh) * d.dh
    columns = at[1] * d.sw - d.pw + np.arange(d.kw) * d.dw
    inside = ((rows >= 0) & (rows < d.h))[:, None] & ((columns >= 0) & (columns < d.w))
    taps = x[:, rows.clip(0, d.h - 1)][:, :, columns.clip(0, d.w - 1)]
    bias = float(node.inputs[2].value[o]) if len(node.inputs) == 3 else 0.0
    return Patch(
        channel,
        rows,
        columns,
        ~inside,
        np.where(inside, taps, 0.0),
        node.inputs[1].value[o].reshape(taps.shape).astype(np.float64),
        bias,
        float(node.value.reshape(d.n, d.o, d.oh, d.ow)[n, o, at[0], at[1]]),
    )


def _lines(patch: Patch) -> list[tuple[int, int]]:
    """Start and end of each line of products; lines end at channels if possible."""
    total, taps = patch.values.size, patch.values[0].size
    step = _LINE // taps * taps or _LINE
    return [(start, min(start + step, total)) for start in range(0, total, step)][:_LINES]


def _sentence(patch: Patch, shown: int, where: str) -> str:
    drawn, rest = patch.products.ravel()[:shown].sum(), patch.products.ravel()[shown:]
    parts = [f"sum of the products {minus(float(drawn))}"]
    if rest.size:
        parts.append(f"the other {count(rest.size, 'product')} {minus(float(rest.sum()))}")
    return f"{' + '.join([*parts, f'bias {minus(patch.bias)}'])} = {minus(patch.output)} = {where}"


# ---------------- the upper half: input, patch, filter and result
def _pictures(page: Any, node: Operator, patch: Patch, at: tuple[int, int], n: int, o: int) -> None:
    """The input with the patch outlined, patch, filter, the result with the number outlined."""
    d, flat = node.plan, node.ndim == 3
    given = node.inputs[0].value[n] if flat else node.inputs[0].value[n, patch.channel]
    result = node.value[n, o : o + 1] if flat else node.value[n, o]
    side = min(len(patch.values), _GRID) if flat else d.kh
    scales = Scale.of(given), Scale.of(patch.weights, -np.abs(patch.weights)), Scale.of(result)
    part = ", channels × places" if flat else f", channel {patch.channel}" if d.c > 1 else ""
    x = MARGIN
    padding = (0 if flat else d.ph, d.pw)
    cell, x0, y0 = _whole(page, f"input{part}", given, x, scales[0], padding)
    whole = (d.dh, d.dw) == (1, 1)  # one outline, or one for each tap of a dilated filter
    width, height = (d.kw, d.kh) if whole else (1, 1)
    look: dict[str, Any] = {"color": INK["gradient"], "linewidth": 2.0 if whole else 1.3}
    for r in patch.rows[:1] if whole else patch.rows:
        for c in patch.columns[:1] if whole else patch.columns:
            size = width * cell[0], (len(given) if flat else height) * cell[1]
            outline(page, x0 + c * cell[0], y0 + (0 if flat else r) * cell[1], *size, **look)
    x += _PICTURE + _GAP
    square = min(_SIDE, 2.0 / max(side, d.kw))
    padded = patch.padded[[0] * side] if flat else patch.padded
    for name, values, scale in (
        ("patch", patch.values, scales[0]),
        (f"filter {o}", patch.weights, scales[1]),
    ):
        page.text(x, MARGIN, name, **_NAME)
        grid = values[:side, 0] if flat else values[0]
        hatched = padded if name == "patch" else np.zeros_like(padded)
        _cells(page, grid, hatched, x, MARGIN + 0.3, scale, (square, square))
        drawn = side if flat else 1
        if drawn < len(values):
            note = f"{drawn} of {count(len(values), 'channel')}"
            y = MARGIN + 0.36 + len(grid) * square
            page.text(x, y, note, fontsize=SMALL, color=INK["muted"], va="top")
        x += _width(d.kw) + _GAP
    cell, x0, y0 = _whole(page, f"result, filter {o}", result, x, scales[2], (0, 0))
    corner = x0 + at[1] * cell[0], y0 + (0 if flat else at[0]) * cell[1]
    outline(page, *corner, *cell, color=INK["gradient"], linewidth=2.0)


def _whole(
    page: Any, name: str, array: Array, x: float, scale: Scale, padding: tuple[int, int]
) -> tuple[Cell, float, float]:
    """Draw a map in its padding (dashed); returns the cell size and the first cell's place."""
    page.text(x, MARGIN, name, **_NAME)
    tall, wide = array.shape[0] + 2 * padding[0], array.shape[1] + 2 * padding[1]
    side = _PICTURE / max(tall, wide)
    cell = (
        (_PICTURE / wide, max(side, min(0.3, 1.8 / tall)))
        if tall * 4 < wide or wide * 4 < tall
        else (side, side)
    )
    x0, y0 = x + padding[1] * cell[0], MARGIN + 0.3 + padding[0] * cell[1]
    if any(padding):
        outline(
            page,
            x,
            MARGIN + 0.3,
            wide * cell[0],
            tall * cell[1],
            color=INK["line"],
            linestyle="--",
            linewidth=0.7,
        )
    tile(page, array, x0, y0, scale, cell)
    if scale.kind == "diverging":
        mark_negative(page, array, x0, y0, scale, cell)
    return cell, x0, y0


def _width(kernel: int) -> float:
    """The width of a patch drawn as a square, or of its name."""
    return max(min(_SIDE * kernel, 2.0), 1.05)


_NAME = {"fontsize": TITLE, "fontweight": "bold", "va": "top"}


# ---------------- the lower half: the row of products
def _line(page: Any, patch: Patch, start: int, stop: int, y: float) -> None:
    """A part of the patch as a row, the filter below it, their products and the sum of these."""
    padded = np.broadcast_to(patch.padded, patch.values.shape).ravel()[start:stop]
    rows = {"patch": patch.values, "× filter": patch.weights, "= product": patch.products}
    taps = patch.values[0].size
    first, last = patch.channel + start // taps, patch.channel + (stop - 1) // taps
    if len(patch.values) > 1:
        page.text(
            _LEFT,
            y - 0.04,
            f"channel {first}" if first == last else f"channels {first} to {last}",
            fontsize=SMALL,
        )
    for i, (name, values) in enumerate(rows.items()):
        scale = Scale.of(values, -np.abs(values)) if i else Scale.of(values)
        top = y + i * (_SIDE + 0.06)
        page.text(_LEFT - 0.08, top + _SIDE / 2, name, fontsize=NOTE, ha="right", va="center")
        hatched = padded[None] if i != 1 else np.zeros_like(padded[None])
        _cells(page, values.ravel()[None, start:stop], hatched, _LEFT, top, scale, (_SIDE, _SIDE))
        for edge in range(start // taps * taps + taps, stop, taps):  # between channels
            page.vlines(
                _LEFT + (edge - start) * _SIDE, top, top + _SIDE, color=INK["fg"], linewidth=1.6
            )
    total = float(patch.products.ravel()[start:stop].sum())
    page.text(
        _LEFT + (stop - start) * _SIDE + 0.1,
        top + _SIDE / 2,
        f"Σ {minus(total)}",
        fontsize=TITLE - 1,
        fontweight="bold",
        va="center",
    )


def _cells(
    page: Any, values: Array, padded: Array, x: float, y: float, scale: Scale, cell: Cell
) -> None:
    """Draw cells with numbers and lines between them; padding is hatched."""
    tile(page, values, x, y, scale, cell)
    for row, column in np.ndindex(values.shape):
        place = x + column * cell[0], y + row * cell[1]
        hatch = "////" if padded[row, column] else None
        outline(page, *place, *cell, edgecolor=INK["frame"], linewidth=0.5, hatch=hatch)
    fill(page, values, x, y, scale, cell)
